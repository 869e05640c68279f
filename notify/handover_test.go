package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// unhurried is a Notifier that takes its time, and less when it is cut short.
type unhurried struct {
	script
	takes time.Duration
	cut   int
}

func (b *unhurried) Notify(ctx context.Context, a incident.Alert) error {
	_ = b.script.Notify(ctx, a)
	select {
	case <-ctx.Done():
		b.cut++
		return &Unsure{Err: ctx.Err()}
	case <-time.After(b.takes):
		return nil
	}
}

// TestReloadLeavesTheAttemptAlone: what is under way ends by itself, is told once,
// and only then goes the next worker on.
func TestReloadLeavesTheAttemptAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		old, next := &unhurried{takes: time.Second}, &unhurried{}
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: old})
		defer end()
		q.add("hook", "a", "c1", incident.OOMContainer)
		o.Kick()
		time.Sleep(300 * time.Millisecond)
		q.add("hook", "b", "c2", incident.OOMContainer)
		o.Receivers([]Receiver{{Name: "hook", Notifier: &unhurried{}}})
		o.Receivers([]Receiver{{Name: "hook", Notifier: next}}) // and once more while it waits
		time.Sleep(500 * time.Millisecond)
		if got := next.got(); len(got) != 0 {
			t.Errorf("the next worker told %v while the one before it was at work", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(old.got(), old.cut, next.got()); got != "[a x1] 0 [b x1]" {
			t.Errorf("told, cut short, told by the next: %s", got)
		}
		if got := q.states(); got != "a:delivered b:delivered" {
			t.Error(got)
		}
	})
}

// TestTheEndCutsShort: a program that ends does not wait for a slow receiver, also
// after a reload.
func TestTheEndCutsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, slow := &memQueue{}, &unhurried{takes: time.Hour}
		q.add("hook", "a", "c1", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: slow})
		synctest.Wait()
		o.Receivers([]Receiver{{Name: "hook", Notifier: slow}})
		began := time.Now()
		end()
		if d := time.Since(began); d > time.Second || slow.cut != 1 {
			t.Errorf("it took %s, cut short %d", d, slow.cut)
		}
	})
}

// TestReloadKeepsWhatIsKnown: a receiver that asked for peace, is gone or down, is
// not asked anew because the configuration was read again; one that was changed is.
func TestReloadKeepsWhatIsKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		answer        error
		same, changed int // attempts after it
		down          string
	}{
		"asked for peace": {answer: &RetryAfter{Err: errors.New("429"), At: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}, same: 0, changed: 1},
		"gone":            {answer: &Rejected{Err: errors.New("410"), Gone: true}, same: 0, changed: 1, down: "410"},
	} {
		synctest.Test(t, func(t *testing.T) {
			q, s := &memQueue{}, &script{reply: func(int, incident.Alert) error { return tt.answer }}
			r := Receiver{Name: "hook", Notifier: s, Settings: "one"}
			o, end := run(t, q, GroupOptions{}, r)
			defer end()
			add := func() {
				q.add("hook", fmt.Sprint("i", len(q.list)), fmt.Sprint("c", len(q.list)), incident.OOMContainer)
				o.Kick()
				time.Sleep(time.Minute)
				synctest.Wait()
			}
			add()
			before := len(s.got())
			for range 3 {
				o.Receivers([]Receiver{r})
				if got := o.Down()["hook"]; !strings.Contains(got, tt.down) {
					t.Errorf("%s: at the reload it is said to be %q", name, got)
				}
				add()
			}
			if got := len(s.got()) - before; got != tt.same {
				t.Errorf("%s: %d attempts after reloads that change nothing, want %d", name, got, tt.same)
			}
			r.Settings = "two"
			o.Receivers([]Receiver{r})
			add()
			if got := len(s.got()) - before; got != tt.changed {
				t.Errorf("%s: %d attempts after it was changed, want %d", name, got, tt.changed)
			}
		})
	}
}
