package observe

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRetry: a source says once why it is down, and again once it was up in between.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var said []string
		tries := 0
		follow := func(emit func(Observation)) error {
			if tries++; tries == 3 {
				emit(Observation{Source: &SourceState{Up: true}})
			}
			if tries == 5 {
				cancel()
			}
			return errors.New("denied")
		}
		emit := func(o Observation) {
			if o.Source.Up {
				said = append(said, "up")
			} else {
				said = append(said, o.Source.Reason)
			}
		}
		Retry(ctx, time.Second, emit, follow, func(err error) Observation { return Down("kmsg", time.Now(), err) })
		if want := []string{"denied", "up", "denied"}; !slices.Equal(said, want) {
			t.Errorf("said %v, want %v", said, want)
		}
	})
}
