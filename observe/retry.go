package observe

import (
	"context"
	"time"
)

// Retry runs follow until ctx ends, again after every where it returned. The Observation
// that down makes of its error is emitted once, until the source was up in between.
func Retry(ctx context.Context, every time.Duration, emit func(Observation), follow func(emit func(Observation)) error, down func(error) Observation) {
	said := ""
	heard := func(o Observation) {
		if o.Source != nil && o.Source.Up {
			said = ""
		}
		emit(o)
	}
	for {
		if err := follow(heard); err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			emit(down(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}
