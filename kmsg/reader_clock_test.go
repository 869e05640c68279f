package kmsg

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// clockWorld is a machine whose log clock runs apart from CLOCK_MONOTONIC and
// whose wall clock is stepped, so that the true time of each record is known.
type clockWorld struct {
	mono    time.Duration
	start   time.Duration // log clock - CLOCK_MONOTONIC at 0
	driftBy float64       // seconds per second
	wall    time.Time     // the wall clock at mono 0
}

func (w *clockWorld) stamp() time.Duration {
	return w.start + w.mono + time.Duration(float64(w.mono)*w.driftBy)
}

func (w *clockWorld) now() time.Time { return w.wall.Add(w.mono) }

func TestLogClock(t *testing.T) {
	const delay = 2 * time.Millisecond // the longest a waiting reader takes to wake, but for the slow ones
	for name, w := range map[string]clockWorld{
		"same clock":           {},
		"log clock is behind":  {start: -4700 * time.Microsecond},
		"log clock is ahead":   {start: 4700 * time.Microsecond},
		"log clock runs fast":  {driftBy: 80e-6},
		"log clock runs slow":  {driftBy: -80e-6, start: -300 * time.Millisecond},
		"slewed at full speed": {driftBy: -450e-6},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			w.wall = time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC)
			w.mono = 30 * time.Hour
			var c logClock
			for i := range 5000 {
				w.mono += time.Duration(rng.Int64N(int64(time.Minute)))
				if i == 2500 {
					w.wall = w.wall.Add(-time.Hour) // somebody set the clock
				}
				wrote, stamp := w.now(), w.stamp().Truncate(time.Microsecond)
				late := time.Duration(rng.Int64N(int64(delay)))
				if i%100 == 99 {
					late = 300 * time.Millisecond // a busy machine
				}
				w.mono += late
				got := c.at(stamp, w.mono, w.now(), true)
				off := got.Sub(wrote)
				// One slow wake may cost what the clocks can have drifted
				// in the minute before; the next one mends it.
				drifted := time.Duration(61e9 * (maxDrift + math.Abs(w.driftBy)))
				if off < -drifted || off > delay+drifted {
					t.Fatalf("record %d: off by %v", i, off)
				}
				if got.After(w.now()) {
					t.Fatalf("record %d is in the future", i)
				}
			}
		})
	}
}

// What was in the ring before the reader is dated by CLOCK_MONOTONIC until the
// log clock was measured, and a late read never spoils the estimate.
func TestLogClockHistory(t *testing.T) {
	real := time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC)
	var c logClock
	if got, want := c.at(10*time.Second, 100*time.Second, real, false), real.Add(-90*time.Second); !got.Equal(want) {
		t.Errorf("history: %v, want %v", got, want)
	}
	// Measured: the log clock is 5 ms behind, and this one was read at once.
	if got := c.at(100*time.Second, 100*time.Second+5*time.Millisecond, real, true); !got.Equal(real) {
		t.Errorf("fresh: %v, want %v", got, real)
	}
	if got, want := c.at(99*time.Second, 100*time.Second+5*time.Millisecond, real, false), real.Add(-time.Second); !got.Equal(want) {
		t.Errorf("history after: %v, want %v", got, want)
	}
}
