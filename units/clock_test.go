package units

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	was := time.Local
	t.Cleanup(func() { time.Local = was })
	at := time.Date(2026, 3, 4, 21, 5, 6, 789e6, time.UTC)
	for _, c := range []struct {
		zone        *time.Location
		want, milli string
	}{
		{time.UTC, "2026-03-04 21:05:06 UTC", "2026-03-04 21:05:06.789 UTC"},
		{time.FixedZone("IST", 5*3600+1800), "2026-03-05 02:35:06 +05:30", "2026-03-05 02:35:06.789 +05:30"},
		{time.FixedZone("x", -9*3600), "2026-03-04 12:05:06 -09:00", "2026-03-04 12:05:06.789 -09:00"},
	} {
		time.Local = c.zone
		if got := Clock(at); got != c.want {
			t.Errorf("%s: %q, want %q", c.zone, got, c.want)
		}
		if got := ClockMillis(at); got != c.milli {
			t.Errorf("%s: %q, want %q", c.zone, got, c.milli)
		}
	}
}
