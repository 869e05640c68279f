package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// peak is a queue that notes how many deliveries it hands out at once.
type peak struct {
	*memQueue
	most atomic.Int64
}

func (q *peak) Due(ctx context.Context, r string, now time.Time, n int) ([]incident.Delivery, error) {
	ds, err := q.memQueue.Due(ctx, r, now, n)
	for most := q.most.Load(); int64(len(ds)) > most && !q.most.CompareAndSwap(most, int64(len(ds))); most = q.most.Load() {
	}
	return ds, err
}

// TestThreeHoursOutOfReach: the attempts get rare, what came meanwhile is one
// digest (beside what may have arrived already), nothing is told
// twice, and the other receiver is told all of it at once.
func TestThreeHoursOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &peak{memQueue: &memQueue{}}
		outage := time.Now().Add(3 * time.Hour)
		hook := &script{reply: func(int, incident.Alert) error {
			if time.Now().Before(outage) {
				return &Unsure{Err: errors.New("post: timeout")}
			}
			return nil
		}}
		var worst time.Duration
		var queued time.Time
		other := &script{reply: func(int, incident.Alert) error { worst = max(worst, time.Since(queued)); return nil }}
		o, end := run(t, q, GroupOptions{Window: 10 * time.Minute, Pause: time.Minute, LongestPause: time.Hour},
			Receiver{Name: "hook", Notifier: hook}, Receiver{Name: "other", Notifier: other})
		defer end()
		const n = 37
		for i := range n {
			queued = time.Now()
			q.add("hook", fmt.Sprint("i", i), fmt.Sprint("c", i), incident.OOMContainer)
			q.add("other", fmt.Sprint("i", i), fmt.Sprint("c", i), incident.OOMContainer)
			o.Kick()
			synctest.Wait()
			time.Sleep(3 * time.Hour / n)
		}
		if got := len(other.got()); got != n || worst > time.Second {
			t.Errorf("the other receiver was told %d, the slowest after %s", got, worst)
		}
		before := len(hook.got())
		if before < 10 || before > 30 {
			t.Errorf("%d attempts in 3 hours", before)
		}
		if down := o.Down()["hook"]; !strings.Contains(down, "timeout") {
			t.Errorf("down: %q", down)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		got := hook.got()[before:]
		// The second was tried to see whether the first alone was bad; it may have
		// arrived, and keeps its id.
		if want := []string{"i0 x1", "i1 x1", fmt.Sprintf("digest of %d", n-2)}; !slices.Equal(got, want) && !slices.Equal(got, []string{want[0], want[2], want[1]}) {
			t.Errorf("after it: %v", got)
		}
		if s := q.states(); strings.Count(s, "delivered") != 2*n {
			t.Errorf("in the end: %s", s)
		}
		if len(o.Down()) != 0 {
			t.Errorf("still down: %v", o.Down())
		}
	})
}

// TestALongOutageIsBoundedInMemory: of thousands that wait, few are held at once.
func TestALongOutageIsBoundedInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &peak{memQueue: &memQueue{}}
		up := time.Now().Add(3 * time.Hour)
		hook := &script{reply: func(int, incident.Alert) error {
			if time.Now().Before(up) {
				return errors.New("connection refused")
			}
			return nil
		}}
		const n = 3000
		for i := range n {
			q.add("hook", fmt.Sprint("i", i), fmt.Sprint("c", i), incident.OOMContainer)
		}
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: hook})
		defer end()
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if q.most.Load() > atOnce {
			t.Errorf("%d were held at once", q.most.Load())
		}
		if s := q.states(); strings.Count(s, "delivered") != n {
			t.Errorf("%d of %d delivered", strings.Count(s, "delivered"), n)
		}
		if got := hook.got(); len(got) > 40 {
			t.Errorf("%d messages and attempts: %v", len(got), got)
		}
	})
}

// TestOneBadMessageIsNoOutage: what is new is tried although another fails.
func TestOneBadMessageIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		hook := &script{reply: func(_ int, a incident.Alert) error {
			if a.Incident.ID == "bad" {
				return errors.New("500")
			}
			return nil
		}}
		q.add("hook", "bad", "c0", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: hook})
		defer end()
		time.Sleep(6 * time.Hour)
		q.add("hook", "new", "c1", incident.OOMContainer)
		o.Kick()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !slices.Contains(hook.got(), "new x1") {
			t.Errorf("the new one waits behind the bad one: %v", hook.got())
		}
	})
}

// TestADeadReceiverDoesNotPileUp: what is owed for 3 days to one that never answers
// is given up, tried or not, and said.
func TestADeadReceiverDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		var troubles []Trouble
		hook := &script{reply: func(int, incident.Alert) error { return errors.New("no such host") }}
		for i := range 50 {
			q.add("hook", fmt.Sprint("i", i), fmt.Sprint("c", i), incident.OOMContainer)
		}
		o := NewOutbox(OutboxOptions{Queue: q, Receivers: []Receiver{{Name: "hook", Notifier: alone{hook}}}, Logger: zap.NewNop(),
			Trouble: func(t Trouble) { troubles = append(troubles, t) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = o.Run(ctx); close(done) }()
		time.Sleep(74 * time.Hour)
		synctest.Wait()
		if s := q.states(); strings.Count(s, "parked") != 50 {
			t.Errorf("%d of 50 parked", strings.Count(s, "parked"))
		}
		n := 0
		for _, x := range troubles {
			n += x.Parked
		}
		if n != 50 || troubles[0].Receiver != "hook" || troubles[0].Reason == "" {
			t.Errorf("said: %+v", troubles)
		}
		// Somebody asks for all to be tried again: for as long as before.
		q.mu.Lock()
		for _, d := range q.list {
			d.state, d.Attempts, d.FirstAttempt, d.next = incident.Pending, 0, time.Time{}, time.Time{}
		}
		q.mu.Unlock()
		o.Retry("hook")
		for _, x := range []struct {
			wait   time.Duration
			parked int
		}{{time.Minute, 0}, {71 * time.Hour, 0}, {3 * time.Hour, 50}} {
			time.Sleep(x.wait)
			synctest.Wait()
			if got := strings.Count(q.states(), "parked"); got != x.parked {
				t.Errorf("after another %s: %d parked, want %d", x.wait, got, x.parked)
			}
		}
		cancel()
		<-done
	})
}

// TestRetryOutlivesTheDaemon: what was asked to be tried again before the daemon
// started, of long ago, is tried for as long as ever.
func TestRetryOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		s := &script{reply: func(int, incident.Alert) error { return errors.New("connection refused") }}
		for i := range 5 {
			q.add("hook", fmt.Sprint("i", i), fmt.Sprint("c", i), incident.OOMContainer)
			q.list[i].KeptAt, q.list[i].FirstAttempt = time.Now().Add(-100*time.Hour), time.Now()
		}
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: alone{s}})
		defer end()
		for _, x := range []struct {
			wait   time.Duration
			parked int
		}{{time.Hour, 0}, {70 * time.Hour, 0}, {3 * time.Hour, 5}} {
			time.Sleep(x.wait)
			synctest.Wait()
			if got := strings.Count(q.states(), "parked"); got != x.parked {
				t.Errorf("after another %s: %d parked, want %d", x.wait, got, x.parked)
			}
		}
	})
}

// TestRepeatsPauseLongerAndLonger: a container that is OOM-killed every 10 s for 3
// hours is told at once, then after 1, 2, 4 ... minutes with counts; after quiet
// it begins anew. Another cause of the same container does not wait.
func TestRepeatsPauseLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		o, end := run(t, q, GroupOptions{Window: 10 * time.Minute, Pause: time.Minute, LongestPause: time.Hour}, Receiver{Name: "hook", Notifier: s})
		defer end()
		began := time.Now()
		n := 0
		for time.Since(began) < 3*time.Hour {
			q.add("hook", fmt.Sprint("a", n), "c", incident.OOMContainer)
			n++
			o.Kick()
			time.Sleep(10 * time.Second)
			if n == 600 {
				q.add("hook", "other", "c", incident.ExitError)
				o.Kick()
				synctest.Wait()
				if got := s.got(); got[len(got)-1] != "other x1" {
					t.Errorf("another cause waits: %v", got)
				}
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		sum := 0
		var waits []time.Duration
		var last time.Time
		for i, m := range s.got() {
			var id string
			var c int
			if _, err := fmt.Sscanf(m, "%s x%d", &id, &c); err != nil {
				t.Fatalf("%q: %v", m, err)
			}
			if id == "other" {
				continue
			}
			sum += c
			if !last.IsZero() {
				waits = append(waits, s.times[i].Sub(last).Round(time.Minute))
			}
			last = s.times[i]
		}
		if sum != n {
			t.Errorf("told of %d in all, want %d", sum, n)
		}
		if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}; !slices.EqualFunc(waits, want, func(a, b time.Duration) bool { return a == b*time.Minute }) {
			t.Errorf("pauses %v, want %v minutes", waits, want)
		}
		time.Sleep(3 * time.Hour)
		for i := range 2 {
			q.add("hook", fmt.Sprint("again", i), "c", incident.OOMContainer)
			o.Kick()
			synctest.Wait()
			if i == 0 {
				if got := s.got(); got[len(got)-1] != "again0 x1" {
					t.Errorf("after quiet: %v", got)
				}
			}
			time.Sleep(90 * time.Second)
		}
		synctest.Wait()
		if got := s.got(); got[len(got)-1] != "again1 x1" {
			t.Errorf("after quiet the first repeat waits a minute: %v", got)
		}
	})
}

// TestBudget: an hour of the same 40 containers' deaths, one every 10 s and each time
// of another cause in turn: what is new goes alone, and the repeats keep to the
// budget; each is sent once.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		o, end := run(t, q, GroupOptions{StormPerMinute: 30, Budget: 20}, Receiver{Name: "hook", Notifier: s})
		defer end()
		const n, names = 360, 40
		for i := range n {
			q.add("hook", fmt.Sprint("s", i), fmt.Sprint("c", i%names), incident.OOMContainer)
			o.Kick()
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		alone, sum, worst := 0, 0, 0
		for i, m := range s.got() {
			var c int
			if k, _ := fmt.Sscanf(m, "digest of %d", &c); k == 1 {
				sum += c
			} else {
				alone++
			}
			if i < names {
				if m != fmt.Sprintf("s%d x1", i) || s.times[i].Sub(s.times[0]) != time.Duration(i)*10*time.Second {
					t.Errorf("what is new came as %q after %s", m, s.times[i].Sub(s.times[0]))
				}
				continue
			}
			in10 := 0
			for _, at := range s.times[i:] {
				if at.Sub(s.times[i]) < 10*time.Minute {
					in10++
				}
			}
			worst = max(worst, in10)
		}
		if alone+sum != n {
			t.Errorf("%d alone and %d in digests, want %d", alone, sum, n)
		}
		if worst > 28 {
			t.Errorf("%d repeats in 10 minutes", worst)
		}
		if s := q.states(); strings.Count(s, "delivered") != n {
			t.Errorf("%d delivered", strings.Count(s, "delivered"))
		}
	})
}

// threaded is a Notifier with threads.
type threaded struct {
	script
	n       int
	threads []string
	updates []bool
}

func (s *threaded) NotifyThread(ctx context.Context, a incident.Alert) (string, error) {
	s.threads, s.updates = append(s.threads, a.Thread), append(s.updates, a.Update)
	if err := s.Notify(ctx, a); err != nil {
		return "", err
	}
	if a.Thread != "" {
		return a.Thread, nil
	}
	s.n++
	return fmt.Sprint("t", s.n), nil
}

func (s *threaded) Traits() Traits {
	return Traits{Digest: s.NotifyDigest, Thread: s.NotifyThread}
}

func TestThreadsAndUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &threaded{}
		o, end := run(t, q, GroupOptions{Window: time.Minute, Pause: time.Minute, LongestPause: time.Hour}, Receiver{Name: "slack", Notifier: s})
		defer end()
		told := func(id string, cause incident.Cause, rev int) {
			q.add("slack", id, "c", cause)
			q.mu.Lock()
			d := q.list[len(q.list)-1]
			if d.Rev = rev; rev > 0 {
				d.ID = incident.UpdateID("", id, rev, "slack")
			}
			q.mu.Unlock()
			o.Kick()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		}
		told("a", incident.OOMContainer, 0)
		told("b", incident.OOMContainer, 0) // the same again
		told("a", incident.OOMContainer, 1) // more is known
		told("x", incident.ExitError, 0)    // another cause
		time.Sleep(25 * time.Hour)
		told("c", incident.OOMContainer, 0) // the thread is old
		if got := fmt.Sprintf("%q %v", s.threads, s.updates); got != `["" "t1" "t1" "" ""] [false false true false false]` {
			t.Errorf("threads and updates: %s of %v", got, s.got())
		}
	})
}

// TestABatchIsRepeatedAsItWas: what may have arrived is sent again as the same
// message under the same id, whatever has come meanwhile.
func TestABatchIsRepeatedAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		var ids []string
		s := &script{reply: func(n int, a incident.Alert) error {
			ids = append(ids, fmt.Sprint(a.DeliveryID[:4], a.Repeat))
			if n == 1 {
				return &Unsure{Err: errors.New("timeout")}
			}
			return nil
		}}
		q.add("hook", "a1", "c", incident.OOMContainer)
		q.add("hook", "a2", "c", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{Window: time.Minute}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		q.add("hook", "a3", "c", incident.OOMContainer)
		o.Kick()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a2 x2 a2 x2 a3 x1]" {
			t.Errorf("told %s", got)
		}
		if len(ids) != 3 || ids[0][:4] != ids[1][:4] || ids[1][:4] == ids[2][:4] || !strings.HasSuffix(ids[1], "true") {
			t.Errorf("ids %v", ids)
		}
	})
}

// TestRetryAsksAgain: 410 disables a receiver until somebody asks.
func TestRetryAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		gone := true
		s := &script{reply: func(int, incident.Alert) error {
			if gone {
				return &Rejected{Err: errors.New("410"), Gone: true}
			}
			return nil
		}}
		q.add("hook", "a", "a", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		if !strings.Contains(o.Down()["hook"], "410") {
			t.Errorf("down: %v", o.Down())
		}
		gone = false
		q.add("hook", "b", "b", incident.OOMContainer)
		o.Kick()
		o.Retry("somebody else")
		synctest.Wait()
		if got := q.states(); got != "a:parked b:parked" {
			t.Errorf("while it is disabled: %s", got)
		}
		q.add("hook", "c", "c", incident.OOMContainer)
		o.Retry("hook")
		synctest.Wait()
		if got := q.states(); got != "a:parked b:parked c:delivered" {
			t.Errorf("asked again: %s", got)
		}
	})
}
