package notify

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestWhoOnlyAsksToWait: a receiver that asks to be left alone again and again is
// shown as down, what it is owed is given up in the end, and one answer is enough
// to be there again.
func TestWhoOnlyAsksToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		var answers atomic.Bool
		s := &script{reply: func(int, incident.Alert) error {
			if !answers.Load() {
				return &RetryAfter{Err: errors.New("429"), At: time.Now().Add(10 * time.Minute)}
			}
			return nil
		}}
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: alone{s}})
		defer end()
		add := func(n int) {
			for range n {
				q.add("hook", fmt.Sprint("x", len(q.list)), fmt.Sprint("c", len(q.list)), incident.OOMContainer)
			}
			o.Kick()
			synctest.Wait()
		}
		add(4)
		for i := range 20 {
			if down := o.Down()["hook"]; !strings.Contains(down, "429") {
				t.Fatalf("after %d min it is shown as %q", i, down)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		time.Sleep(71 * time.Hour)
		add(1)
		if got := q.states(); strings.Count(got, "pending") != 5 {
			t.Errorf("after 71 h: %s", got)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := q.states(); strings.Count(got, "parked") != 4 || strings.Count(got, "pending") != 1 {
			t.Errorf("after 73 h: %s", got)
		}
		answers.Store(true)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := q.states(); strings.Count(got, "delivered") != 1 || len(o.Down()) != 0 {
			t.Errorf("when it answers: %s, down %v", got, o.Down())
		}
	})
}
