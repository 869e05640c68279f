package watcher

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/observe"
)

// leastSetBack is what is no set-back of the clock: a leap second, and what time
// synchronisation does to it.
const leastSetBack = 2 * time.Second

// clockWatch notices a set-back of the host's clock by the monotonic clock, which nobody
// sets. A step forward is none: a sleep of the machine looks the same.
type clockWatch struct {
	shown time.Time     // the host's clock at the last look
	mono  time.Duration // the monotonic clock then
}

// look takes what both clocks show; nil where the host's was not set back since the last look.
func (c *clockWatch) look(shown time.Time, mono time.Duration) *observe.SetBack {
	last := *c
	c.shown, c.mono = shown, mono
	by := (mono - last.mono) - shown.Sub(last.shown)
	if last.shown.IsZero() || by < leastSetBack {
		return nil
	}
	return &observe.SetBack{By: by, After: last.shown.Add(-by)}
}

// setBackAway is what happened to the clock between two moments with no look in between,
// of which the first may be of an earlier boot; nil where the clock was not set back.
func setBackAway(last, now observe.Clock) *observe.SetBack {
	if last.Boot == "" || now.Boot == "" || last.Shown.IsZero() {
		return nil
	}
	passed := now.Up - last.Up
	if now.Boot != last.Boot {
		passed = now.Up // and more: no clock ran while the machine was off
	}
	by := passed - now.Shown.Sub(last.Shown)
	if by < leastSetBack {
		return nil
	}
	return &observe.SetBack{By: by, After: last.Shown.Add(-by)}
}

// readClocks reads both clocks at one moment; ok is false where the machine was too busy
// for that, or a clock cannot be read.
func readClocks(boot string) (k observe.Clock, ok bool) {
	const apart, tries = 100 * time.Millisecond, 5
	for range tries {
		var up unix.Timespec
		now := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
			return observe.Clock{}, false
		}
		if time.Since(now) < apart {
			return observe.Clock{Boot: boot, Shown: now.Round(0).UTC(), Up: time.Duration(up.Nano())}, boot != ""
		}
	}
	return observe.Clock{}, false
}

// clockNow is the present moment. The correlator learns of a set-back before it is given
// any time by the new clock: at the first look of one since its state was kept.
func (w *Watcher) clockNow() (now time.Time, emitted []correlate.Emission) {
	now = time.Now()
	if w.began.IsZero() {
		w.began = now
		w.clock.look(now.Round(0), 0)
		if k, ok := w.clocks(); ok {
			return now, w.tellSetBack(now, setBackAway(w.corr.Clock(), k), " while oomwatch was not running")
		}
		return now, nil
	}
	return now, w.tellSetBack(now, w.clock.look(now.Round(0), now.Sub(w.began)), "")
}

// tellSetBack tells the correlator of a set-back that was noticed now; of none where it is nil.
func (w *Watcher) tellSetBack(now time.Time, back *observe.SetBack, when string) []correlate.Emission {
	if back == nil {
		return nil
	}
	w.setBack = now
	w.log.Warn("the host's clock was set back"+when, zap.Duration("by", back.By))
	return w.corr.Observe(observe.Observation{At: now, Seen: now, SetBack: back})
}
