package daemon

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// noted is a source whose changes of state are noted.
type noted struct {
	observe.Source
	clock *stateClock
}

// Run implements observe.Source.
func (n noted) Run(ctx context.Context, emit func(observe.Observation)) error {
	return n.Source.Run(ctx, func(o observe.Observation) {
		if o.Source != nil {
			n.clock.note(*o.Source, o.At)
		}
		emit(o)
	})
}

// overheard is a source whose observations another hears, too.
type overheard struct {
	observe.Source
	also func(observe.Observation)
}

// Run implements observe.Source.
func (h overheard) Run(ctx context.Context, emit func(observe.Observation)) error {
	return h.Source.Run(ctx, func(o observe.Observation) {
		h.also(o)
		emit(o)
	})
}

// absent stands for a source that cannot be made: it says so, and waits.
type absent struct{ state observe.SourceState }

// Name implements observe.Source.
func (a absent) Name() string { return a.state.Name }

// Run implements observe.Source.
func (a absent) Run(ctx context.Context, emit func(observe.Observation)) error {
	emit(observe.Observation{At: time.Now(), Source: &a.state})
	<-ctx.Done()
	return nil
}
