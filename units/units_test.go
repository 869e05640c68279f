package units

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 850 * time.Millisecond: "850 ms", 1500 * time.Millisecond: "1.5 s", 59 * time.Second: "59 s", 200 * time.Second: "3 min 20 s",
		time.Hour: "1 h", 125 * time.Minute: "2 h 5 min", 99 * time.Hour: "4 d 3 h", -time.Minute: "-1 min",
		math.MaxInt64: "106751 d 23 h", math.MinInt64: "-106751 d 23 h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: %q, want %q", int64(d), got, want)
		}
	}
	for s, want := range map[float64]string{90: "1 min 30 s", math.NaN(): "a long time", math.Inf(-1): "a long time", 1e300: "a long time"} {
		if got := Seconds(s); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 20: "1 MiB", 33161216: "31.6 MiB", 1<<30 - 1: "1 GiB", -1024: "-1 KiB", math.MinInt64: "-8 EiB", math.MaxInt64: "8 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestRateAs: numbers side by side are of one unit of time.
func TestRateAs(t *testing.T) {
	const perHour, perDay = float64(1<<20) / 3600, float64(1<<20) / 86400
	for _, tt := range []struct {
		like, rate float64
		want       string
	}{
		{perHour, 0.34 * perHour, "348.2 KiB/h"},
		{perHour, -perHour, "-1 MiB/h"},
		{8 * perDay, 48 * perDay, "48 MiB/day"},
		{-2 * perHour, 90 * perHour, "90 MiB/h"},
		{1 << 20, 0, "0 B/s"},
	} {
		if got := RateAs(tt.like, tt.rate); got != tt.want {
			t.Errorf("RateAs(%g, %g) is %q, want %q", tt.like, tt.rate, got, tt.want)
		}
	}
}
