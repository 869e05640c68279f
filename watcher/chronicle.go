package watcher

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// Chronicle is what is kept of a service's readings, longer than the recorder
// holds them.
type Chronicle interface {
	Series(ctx context.Context, service string, step time.Duration, from, to time.Time) (recorder.Series, error)
}

const (
	// longPast is how far back a verdict looks, and chronicleFrom how long a
	// run must have lived before more is asked for than the recorder holds.
	longPast      = 48 * time.Hour
	chronicleFrom = sampler.PastSpan
	// In a storm the verdicts do without: no more than chronicleMost are asked
	// for in a second, each for as long as chronicleWait.
	chronicleMost = 4
	chronicleWait = 300 * time.Millisecond
)

// recall has the correlator know what is kept of a container's run from before
// what the recorder holds.
func (w *Watcher) recall(id string, now time.Time) {
	service, start, ok := w.corr.Lived(id)
	if w.chronicle == nil || !ok || now.Sub(start) < chronicleFrom {
		return
	}
	if now.Sub(w.asked) >= time.Second {
		w.asked, w.askedFor = now, 0
	}
	if w.askedFor++; w.askedFor > chronicleMost {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), chronicleWait)
	defer cancel()
	from := start
	if early := now.Add(-longPast); from.Before(early) {
		from = early
	}
	s, err := w.chronicle.Series(ctx, service, recorder.StepLong, from, now)
	if err != nil {
		w.log.Debug("the verdict does without the longer past", zap.String("service", service), zap.Error(err))
		return
	}
	w.corr.Recall(id, s.Readings)
}
