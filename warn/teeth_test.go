package warn

import (
	"math"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
)

// TestForecastIsNotOfTheTooth: where a collector lets memory rise and fall, it is foretold
// when the peaks reach the limit, and not when the present tooth would.
func TestForecastIsNotOfTheTooth(t *testing.T) {
	const limit = 256.0
	for _, tt := range []struct {
		name string
		// live is what is left after a collection, peak the highest before one.
		live, peak func(hours float64) float64
		period     float64 // of a tooth, in seconds
		read       time.Duration
	}{
		{"Go, doubles what is live", func(h float64) float64 { return 70 + 20*h }, func(h float64) float64 { return 2 * (70 + 20*h) }, 45.3, time.Second},
		{"Go, in seconds", func(h float64) float64 { return 80 + 18*h }, func(h float64) float64 { return 2 * (80 + 18*h) }, 7.3, time.Second},
		{"Node, a third on top", func(h float64) float64 { return 110 + 40*h }, func(h float64) float64 { return 160 + 40*h }, 90.7, time.Second},
		{"a JVM, minutes", func(h float64) float64 { return 60 + 60*h }, func(h float64) float64 { return 140 + 60*h }, 300, time.Second},
		{"Python, read slowly", func(h float64) float64 { return 100 + 50*h }, func(h float64) float64 { return 130 + 50*h }, 150, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			var end time.Time
			for h := 0.0; end.IsZero(); h += 0.001 {
				if tt.peak(h) >= limit {
					end = began.Add(time.Duration(h * float64(time.Hour)))
				}
			}
			n := 0
			for i := 0; b.now.Before(end.Add(-time.Minute)); i++ {
				s := b.now.Sub(began).Seconds()
				h := s / 3600
				into := math.Mod(s, tt.period) / tt.period
				r := reading(int64((tt.live(h) + (tt.peak(h)-tt.live(h))*into + noise(s)) * mib))
				b.now = b.now.Add(tt.read - time.Second)
				b.read(r, -1)
				if i%10 > 0 {
					continue
				}
				row := Rows("", b.w.Looks())[0]
				if row.TimeToLimit == nil || s < 3*tt.period {
					continue // its first rise is all that is known of it
				}
				n++
				left := end.Sub(b.now).Seconds()
				if said := *row.TimeToLimit; said < 0.6*left-60-tt.period/2 || said > 1.6*left+60+tt.period/2 {
					t.Fatalf("%.0f s before its end it is foretold in %.0f s ± %.0f", left, said, *row.TimeToLimitError)
				}
			}
			warned := time.Duration(0)
			for _, a := range b.loud() {
				if a.Incident.Warning.What == Forecast {
					warned = end.Sub(a.Incident.Time)
					break
				}
			}
			t.Logf("%d times foretold, warned %s before the end of %s", n, warned, end.Sub(began))
			if warned < 10*time.Minute || warned > 100*time.Minute {
				t.Errorf("warned %s before the end", warned)
			}
		})
	}
}

// TestHealthyTeeth: nothing is foretold of teeth whose floor stays, also while a heap
// gets to its size, nor of jobs that end by themselves.
func TestHealthyTeeth(t *testing.T) {
	for name, of := range map[string]func(s float64) float64{
		"a heap that warms up":     func(s float64) float64 { f := 90 - 50*math.Exp(-s/400); return f * (1 + math.Mod(s, 30)/30) },
		"teeth of unlike heights":  func(s float64) float64 { k := math.Floor(s / 40); return 60 + (80+60*noise(k))*math.Mod(s, 40)/40 },
		"long teeth":               func(s float64) float64 { return 60 + 150*math.Mod(s, 1500)/1500 },
		"teeth over a slow load":   func(s float64) float64 { return 80 + 30*math.Sin(s/1500) + 60*math.Mod(s, 25)/25 },
		"a cache that is dropped":  func(s float64) float64 { return 60 + 140*math.Mod(s, 600)/600 },
		"a second that is shorter": func(s float64) float64 { return 70 + 100*math.Mod(s, 2.7)/2.7 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			b.run(3*time.Hour, func(s float64) recorder.Reading { return reading(int64(of(s) * mib)) })
			for _, a := range b.loud() {
				if a.Update || a.Incident.Time.Sub(began) < 20*time.Minute {
					continue // its first rise may be the last
				}
				t.Errorf("after %s: %s", a.Incident.Time.Sub(began), a.Incident.Summary)
			}
		})
	}
}

// TestJobsAreForetoldOnce: a job that fills 80 % of its limit and ends is foretold at its
// first run at the most; one that grows beyond is, and after an OOM kill all are.
func TestJobsAreForetoldOnce(t *testing.T) {
	b := newBench(t, Default(), nil)
	job := func(top float64) int {
		before := len(b.loud())
		begin := b.now
		b.run(10*time.Minute, func(float64) recorder.Reading {
			s := b.now.Sub(begin).Seconds()
			return reading(int64((20 + (top-20)*s/600) * mib))
		})
		b.w.Ended(web, b.now)
		b.now = b.now.Add(20 * time.Minute)
		b.take(b.w.Due(b.now))
		b.start = b.now
		n := 0
		for _, a := range b.loud()[before:] {
			if !a.Update {
				n++
			}
		}
		return n
	}
	job(205)
	for i := range 5 {
		if n := job(200 + float64(i)); n > 0 {
			t.Errorf("run %d: %d warnings of a job that ends", i+2, n)
		}
	}
	if n := job(240); n == 0 {
		t.Error("a run that holds more than any before is not foretold")
	}
	b.death(incident.OOMContainer)
	b.now = b.now.Add(time.Minute)
	b.start = b.now
	if n := job(205); n == 0 {
		t.Error("nothing is foretold after an OOM kill")
	}
}
