package watcher

import (
	"time"

	"go.uber.org/zap"

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

// clockNow is the present moment. The correlator learns of a set-back before it is given
// any time by the new clock.
func (w *Watcher) clockNow() (now time.Time, emitted []correlate.Emission) {
	now = time.Now()
	if w.began.IsZero() {
		w.began = now
	}
	back := w.clock.look(now.Round(0), now.Sub(w.began))
	if back == nil {
		return now, nil
	}
	w.setBack = now
	w.log.Warn("the host's clock was set back", zap.Duration("by", back.By))
	return now, w.corr.Observe(observe.Observation{At: now, Seen: now, SetBack: back})
}
