package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// parts are what the daemon is made of, in the order in which they were added. They end
// in reverse: what was added last is stopped first, so no part outlives what it uses.
type parts struct {
	log      *zap.Logger
	list     []*part
	failed   chan error
	deadline time.Time // of the end; set before the first part is stopped
}

// part is one of them.
type part struct {
	name  string
	run   func(context.Context) error // blocks until its context ends; nil for none
	close func() error                // after run has returned; nil for none

	stop context.CancelFunc // nil until run was started
	done chan error
}

// afterDeadline is what each part has left to end once the deadline has passed.
const afterDeadline = 100 * time.Millisecond

func newParts(log *zap.Logger) *parts { return &parts{log: log} }

// add adds a part. run blocks until its context ends; it is started by start. close is
// called by end, also where run was never started.
func (p *parts) add(name string, run func(context.Context) error, close func() error) {
	p.list = append(p.list, &part{name: name, run: run, close: close})
}

// start starts every part's run: all goroutines of the daemon begin here. None ends with
// ctx, but each in its turn.
func (p *parts) start(ctx context.Context) {
	p.failed = make(chan error, len(p.list))
	for _, x := range p.list {
		if x.run == nil {
			continue
		}
		one, stop := context.WithCancel(context.WithoutCancel(ctx))
		x.stop, x.done = stop, make(chan error, 1)
		go func() {
			err := x.run(one)
			if err != nil {
				p.failed <- err
			}
			x.done <- err
		}()
	}
}

// end stops and closes every part, the last first, and returns what went wrong: once for
// each part, and also for one that does not end within the time given. What goes wrong
// at closing can only be logged.
func (p *parts) end(within time.Duration) error {
	p.deadline = time.Now().Add(within)
	var errs []error
	for i := len(p.list) - 1; i >= 0; i-- {
		x := p.list[i]
		if x.stop != nil {
			x.stop()
			select {
			case err := <-x.done:
				errs = append(errs, err)
			case <-time.After(max(p.left(), afterDeadline)):
				errs = append(errs, fmt.Errorf("%s did not end within %s; the next start reads again what was not stored, and sends the pending alerts", x.name, within))
			}
		}
		if x.close == nil {
			continue
		}
		if err := x.close(); err != nil {
			p.log.Error("close", zap.String("part", x.name), zap.Error(err))
		}
	}
	return errors.Join(errs...)
}

// left is the time until the deadline of the end.
func (p *parts) left() time.Duration { return time.Until(p.deadline) }
