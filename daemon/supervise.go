package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

const (
	// lookWhileStarting and lookAfter are the times between two looks at the sources.
	lookWhileStarting = 50 * time.Millisecond
	lookAfter         = 5 * time.Second
)

// supervise reports to the supervisor when the daemon is ready and how it does, until
// ctx ends. It fails when no source of deaths could be read from the start: to go on
// would look as if nothing died. Later outages are reported and waited out.
func supervise(ctx context.Context, sup *supervisor, seers deaths, states func() []observe.SourceState) error {
	wait, said := lookWhileStarting, ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		now := states()
		line := stateLine(now)
		if ok, _ := seers.ready(now); ok && wait == lookWhileStarting {
			sup.say("READY=1", status(line))
			wait, said = lookAfter, line
		}
		if err := seers.blind(now); err != nil && wait == lookWhileStarting {
			return fmt.Errorf("%w; the step that fixes each: oomwatch doctor", err)
		}
		if line != said {
			sup.say(status(line))
			said = line
		}
	}
}

// stateLine is the sources' states in one line.
func stateLine(states []observe.SourceState) string {
	var parts []string
	for _, s := range states {
		word := "up"
		if !s.Up {
			word = "down (" + s.Reason + ")"
		}
		parts = append(parts, s.Name+" "+word)
	}
	return strings.Join(parts, ", ")
}
