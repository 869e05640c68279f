//go:build fault

package fault

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// generate ends a container every 50 ms until the returned function is called.
func (w *world) generate() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond) // 20 a second
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				w.die()
			}
		}
	}()
	return func() { close(quit); <-done }
}

// TestKill9 kills the daemon at random moments of its life, under 20 incidents a
// second. Most of a round is waiting, so several daemons are killed side by side.
func TestKill9(t *testing.T) {
	t.Parallel()
	const worlds = 5
	t.Cleanup(func() { // behind the subtests
		held(t, fmt.Sprintf("kill -9 at %d random moments, under 20 deaths a second", max(1, rounds(t, 300)/worlds)*worlds), "each death alerted once, or twice where a kill interrupted its alert; no source's position went back")
	})
	for i := range worlds {
		t.Run(fmt.Sprint("world", i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.start(t, "")
			w.ready(t, first) // what happens from here on is told
			first.end(t)
			stop := w.generate()
			rnd := rand.New(rand.NewPCG(5, uint64(i)))
			n := max(1, rounds(t, 300)/worlds)
			var was position
			for i := range n {
				d := w.start(t, "")
				// Every other time from its first instruction on, else from when it
				// follows the engine: a machine that is busy must not kill it for ever
				// before it has read anything.
				if i%2 == 1 {
					w.ready(t, d)
				}
				time.Sleep(time.Duration(5+rnd.IntN(395)) * time.Millisecond)
				_ = d.Process.Kill()
				<-d.Done
				was = w.noStepBack(t, was)
			}
			stop()
			w.settle(t)
			w.account(t, n)
		})
	}
}

// noStepBack returns how far the sources have been read now.
func (w *world) noStepBack(t *testing.T, was position) position {
	t.Helper()
	at := w.at(t)
	if at.before(was) {
		t.Errorf("a cursor went back: %+v, then %+v", was, at)
		return was
	}
	return at
}

// TestCrashPoints kills it at each moment that matters, wherever that comes up.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	points := []string{"after-read", "before-commit", "after-commit", "after-2xx", "before-mark"}
	t.Cleanup(func() {
		held(t, fmt.Sprintf("kill -9 at each of %d named moments around a read, a commit and an answer, %d times each", len(points), rounds(t, 20)), "each death alerted once, or twice where a kill interrupted its alert; no source's position went back")
	})
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.start(t, "")
			w.ready(t, first)
			first.end(t)
			stop := w.generate()
			n := rounds(t, 20)
			var was position
			for i := range n {
				d := w.start(t, fmt.Sprintf("%s:%d", point, 1+3*i))
				select {
				case <-d.Done:
				case <-time.After(lab.Slow(time.Minute)):
					t.Fatalf("round %d: it never came by %s", i, point)
				}
				if d.ProcessState.ExitCode() != -1 {
					t.Fatalf("round %d: it ended by itself: %v\n%s", i, d.ProcessState, d.Err.String())
				}
				was = w.noStepBack(t, was)
			}
			stop()
			w.settle(t)
			w.account(t, n)
		})
	}
}
