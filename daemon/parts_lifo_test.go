package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// diary notes what parts do, in order.
type diary struct {
	mu   sync.Mutex
	said []string
}

func (j *diary) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, s)
}

// ordinary adds a part that runs until it is stopped.
func (j *diary) ordinary(p *parts, name string) {
	p.add(name, func(ctx context.Context) error {
		<-ctx.Done()
		j.note("stop " + name)
		return nil
	}, func() error {
		j.note("close " + name)
		return nil
	})
}

func TestPartsEndLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j diary
		p := newParts(zap.NewNop())
		j.ordinary(p, "store")
		p.add("file", nil, func() error { j.note("close file"); return errors.New("only logged") })
		j.ordinary(p, "watch")
		ctx, cancel := context.WithCancel(t.Context())
		p.start(ctx)
		cancel()
		synctest.Wait()
		if len(j.said) != 0 {
			t.Errorf("the caller's context ended parts out of turn: %q", j.said)
		}
		if err := p.end(time.Second); err != nil {
			t.Error(err)
		}
		if want := []string{"stop watch", "close watch", "close file", "stop store", "close store"}; !slices.Equal(j.said, want) {
			t.Errorf("ended as %q, want %q", j.said, want)
		}
	})
}

// TestPartsThatDoNotEnd: one that hangs costs the others nothing but the time there is.
func TestPartsThatDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j diary
		p := newParts(zap.NewNop())
		j.ordinary(p, "store")
		release := make(chan struct{})
		for _, name := range []string{"hung", "stuck"} {
			p.add(name, func(context.Context) error { <-release; return nil }, nil)
		}
		broken := errors.New("broken")
		p.add("broken", func(context.Context) error { return broken }, nil)
		p.add("idle", func(context.Context) error { return nil }, nil)
		p.start(t.Context())
		if err := <-p.failed; !errors.Is(err, broken) {
			t.Errorf("another part failed: %v", err)
		}
		began := time.Now()
		err := p.end(5 * time.Second)
		if d := time.Since(began); d != 5*time.Second+afterDeadline {
			t.Errorf("it took %s", d)
		}
		if err == nil || strings.Count(err.Error(), "\n") != 2 || !errors.Is(err, broken) ||
			!strings.Contains(err.Error(), "hung did not end within 5s") || !strings.Contains(err.Error(), "stuck did not end within 5s") {
			t.Errorf("%v", err)
		}
		if want := []string{"stop store", "close store"}; !slices.Equal(j.said, want) {
			t.Errorf("the others ended as %q, want %q", j.said, want)
		}
		close(release)
	})
}

// TestPartsBeforeStart: what was opened is closed where the rest could not be.
func TestPartsBeforeStart(t *testing.T) {
	var j diary
	p := newParts(zap.NewNop())
	j.ordinary(p, "store")
	j.ordinary(p, "watch")
	if err := p.end(time.Second); err != nil {
		t.Error(err)
	}
	if want := []string{"close watch", "close store"}; !slices.Equal(j.said, want) {
		t.Errorf("ended as %q, want %q", j.said, want)
	}
}
