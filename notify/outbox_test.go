package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// memQueue is a Queue in memory, with the store's rules.
type memQueue struct {
	mu   sync.Mutex
	list []*memDelivery
	last map[string]incident.Last
}

type memDelivery struct {
	incident.Delivery
	state incident.DeliveryState
	next  time.Time
	held  bool
}

func (q *memQueue) add(receiver, id, lane string, cause incident.Cause) {
	q.put(receiver, lane, &incident.Incident{ID: id, Kind: incident.KindDeath, Cause: cause, Time: time.Now(), Summary: id, Count: 1, Container: &incident.Container{ID: lane}})
}

// put owes inc to receiver.
func (q *memQueue) put(receiver, lane string, inc *incident.Incident) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, &memDelivery{state: incident.Pending, Delivery: incident.Delivery{
		ID: "d-" + inc.ID + "-" + receiver, Receiver: receiver, Lane: lane, Seq: int64(len(q.list)), Incident: inc, Key: inc.Key(), KeptAt: time.Now()}})
}

func (q *memQueue) Due(_ context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []incident.Delivery
	held := map[string]bool{}
	for _, d := range q.list {
		if d.Receiver != receiver || d.state != incident.Pending {
			continue
		}
		if d.next.After(now) {
			held[laneOf(&d.Delivery)] = held[laneOf(&d.Delivery)] || !d.held
			continue
		}
		if !held[laneOf(&d.Delivery)] && len(out) < limit {
			x := d.Delivery
			x.Last = q.last[x.Receiver+" "+keyOf(&x)]
			out = append(out, x)
		}
	}
	return out, nil
}

func (q *memQueue) Begin(_ context.Context, batch string, ds ...incident.Delivery) error {
	q.each(ds, func(x *memDelivery, _ incident.Delivery) { x.Unknown, x.Batch = true, batch })
	return nil
}

func (q *memQueue) Settle(_ context.Context, o incident.Outcome, ds ...incident.Delivery) error {
	q.each(ds, func(x *memDelivery, d incident.Delivery) {
		x.state, x.next, x.held = o.State, o.Next, o.Held
		x.Unknown = d.Unknown && o.State == incident.Pending || o.Unknown
		if !x.Unknown {
			x.Batch = ""
		}
		if !o.NotTried {
			x.Attempts++
			if x.FirstAttempt.IsZero() {
				x.FirstAttempt = o.At
			}
		}
		if o.State == incident.Delivered {
			if q.last == nil {
				q.last = map[string]incident.Last{}
			}
			q.last[d.Receiver+" "+keyOf(&d)] = d.Last
		}
	})
	return nil
}

func (q *memQueue) each(ds []incident.Delivery, f func(*memDelivery, incident.Delivery)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range ds {
		for _, x := range q.list {
			if x.ID == d.ID {
				f(x, d)
			}
		}
	}
}

func (q *memQueue) NextDue(_ context.Context, receiver string) (time.Time, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var next time.Time
	seen := map[string]bool{}
	for _, d := range q.list {
		if d.Receiver != receiver || d.state != incident.Pending || seen[laneOf(&d.Delivery)] && !d.held {
			continue
		}
		seen[laneOf(&d.Delivery)] = seen[laneOf(&d.Delivery)] || !d.held
		if next.IsZero() || d.next.Before(next) {
			next = d.next
			if next.IsZero() {
				next = time.Now()
			}
		}
	}
	return next, nil
}

func (q *memQueue) Told(_ context.Context, receiver string, since time.Time) (out []incident.Delivery, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.list {
		lasts := d.Incident.Kind == incident.KindWarning && d.Incident.ResolvedAt.IsZero()
		if d.Receiver == receiver && d.state == incident.Delivered && (lasts || !d.FirstAttempt.Before(since)) {
			out = append(out, incident.Delivery{Receiver: receiver, Incident: d.Incident, FirstAttempt: d.FirstAttempt})
		}
	}
	return out, nil
}

func (q *memQueue) states() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, d := range q.list {
		out = append(out, d.Incident.ID+":"+string(d.state))
	}
	return strings.Join(out, " ")
}

// script is a Notifier that answers as told and notes what it was given.
type script struct {
	mu    sync.Mutex
	told  []string
	times []time.Time
	reply func(n int, a incident.Alert) error
}

func (s *script) Notify(_ context.Context, a incident.Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf("%s x%d", a.Incident.ID, a.Incident.Count))
	s.times = append(s.times, time.Now())
	if s.reply == nil {
		return nil
	}
	return s.reply(len(s.told), a)
}

func (s *script) NotifyDigest(_ context.Context, _ string, d *incident.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf("digest of %d", d.Count))
	s.times = append(s.times, time.Now())
	return nil
}

func (s *script) Traits() Traits { return Traits{Digest: s.NotifyDigest} }

// alone is a Notifier that takes no digest.
type alone struct{ Notifier }

func (alone) Traits() Traits { return Traits{} }

func (s *script) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// run starts an outbox in a synctest bubble and returns it and its end.
func run(t *testing.T, q Queue, group GroupOptions, receivers ...Receiver) (*Outbox, func()) {
	t.Helper()
	o := NewOutbox(OutboxOptions{Queue: q, Receivers: receivers, Group: group, Logger: zap.NewNop()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = o.Run(ctx); close(done) }()
	return o, func() { cancel(); <-done }
}

func TestOutboxTellsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		began := time.Now()
		q.add("hook", "a", "c1", incident.OOMContainer)
		o.Kick()
		synctest.Wait()
		if got := s.got(); len(got) != 1 || !s.times[0].Equal(began) {
			t.Errorf("told %v at %v, want at once", got, s.times)
		}
	})
}

func TestOutboxTriesAgainAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		fails := 3
		s := &script{reply: func(n int, a incident.Alert) error {
			if a.Incident.ID == "a1" && fails > 0 {
				fails--
				return errors.New("503")
			}
			return nil
		}}
		q.add("hook", "a1", "a", incident.OOMContainer)
		q.add("hook", "a2", "a", incident.ExitError)
		q.add("hook", "b1", "b", incident.OOMContainer)
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a1 x1 b1 x1]" {
			t.Fatalf("at first told %s", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a1 x1 b1 x1 a1 x1 a1 x1 a1 x1 a2 x1]" {
			t.Errorf("in the end told %s", got)
		}
		// Each give or take a fifth.
		for i, want := range []time.Duration{firstWait, 2 * firstWait, 4 * firstWait} {
			at := []int{0, 2, 3, 4}
			d := s.times[at[i+1]].Sub(s.times[at[i]])
			if d < want*8/10 || d > want*12/10+20*time.Millisecond {
				t.Errorf("wait %d was %s, want about %s", i, d, want)
			}
		}
		if got := q.states(); got != "a1:delivered a2:delivered b1:delivered" {
			t.Error(got)
		}
	})
}

func TestOutboxGivesUpAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		s := &script{reply: func(int, incident.Alert) error { return errors.New("no route to host") }}
		q.add("hook", "a", "a", incident.OOMContainer)
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		time.Sleep(71 * time.Hour)
		synctest.Wait()
		if got := q.states(); got != "a:pending" {
			t.Errorf("after 71 h: %s", got)
		}
		if n := len(s.got()); n < 100 || n > 250 {
			t.Errorf("%d attempts in 71 h", n)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := q.states(); got != "a:parked" {
			t.Errorf("after 74 h: %s", got)
		}
	})
}

func TestOutboxObeysRetryAfterForTheWholeReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		s := &script{reply: func(n int, _ incident.Alert) error {
			if n == 1 {
				return &RetryAfter{Err: errors.New("429"), At: time.Now().Add(40 * time.Second)}
			}
			return nil
		}}
		other := &script{}
		for i := range 3 {
			q.add("hook", fmt.Sprint("a", i), fmt.Sprint("c", i), incident.OOMContainer)
			q.add("other", fmt.Sprint("a", i), fmt.Sprint("c", i), incident.OOMContainer)
		}
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s}, Receiver{Name: "other", Notifier: other})
		defer end()
		synctest.Wait()
		time.Sleep(30 * time.Second)
		o.Kick()
		synctest.Wait()
		if got := s.got(); len(got) != 1 {
			t.Errorf("while asked to wait: told %v", got)
		}
		if got := other.got(); len(got) != 3 {
			t.Errorf("another receiver was told %v", got)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := s.got(); len(got) != 4 {
			t.Errorf("after the wait: told %v", got)
		}
	})
}

func TestOutboxParksWhatIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		s := &script{reply: func(_ int, a incident.Alert) error {
			switch a.Incident.ID {
			case "bad":
				return &Rejected{Err: errors.New("400 invalid_payload")}
			case "last":
				return &Rejected{Err: errors.New("410"), Gone: true}
			}
			return nil
		}}
		for _, id := range []string{"bad", "good", "last", "never"} {
			q.add("hook", id, id, incident.OOMContainer)
		}
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := q.states(); got != "bad:parked good:delivered last:parked never:parked" {
			t.Error(got)
		}
		if got := fmt.Sprint(s.got()); got != "[bad x1 good x1 last x1]" {
			t.Errorf("told %s", got)
		}
	})
}

func TestOutboxGroupsAndSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		for i := range 4 {
			q.add("hook", fmt.Sprint("a", i), "a", incident.OOMContainer)
		}
		q.add("hook", "b", "b", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{Window: 10 * time.Minute, StormPerMinute: 30}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a3 x4 b x1]" {
			t.Errorf("told %s", got)
		}
		for i := range 50 {
			q.add("hook", fmt.Sprint("s", i), fmt.Sprint("c", i), incident.OOMContainer)
		}
		o.Kick()
		synctest.Wait()
		if got := s.got(); got[len(got)-1] != "digest of 50" || len(got) != 3 {
			t.Errorf("told %v", got)
		}
		if got := q.states(); strings.Contains(got, "pending") {
			t.Errorf("something was not told: %s", got)
		}
	})
}

func TestOutboxKeepsToARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		for i := range 20 {
			q.add("slack", fmt.Sprint("a", i), fmt.Sprint("c", i), incident.OOMContainer)
		}
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "slack", Notifier: s, Every: time.Second, Burst: 5})
		defer end()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.times) != 20 {
			t.Fatalf("told %d", len(s.times))
		}
		if d := s.times[19].Sub(s.times[0]); d < 14*time.Second || d > 17*time.Second {
			t.Errorf("20 messages took %s", d)
		}
	})
}

func TestReceiversCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, a, b := &memQueue{}, &script{}, &script{}
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "a", Notifier: a})
		defer end()
		synctest.Wait()
		o.Receivers([]Receiver{{Name: "b", Notifier: b}})
		q.add("a", "x", "c", incident.OOMContainer)
		q.add("b", "x", "c", incident.OOMContainer)
		o.Kick()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(a.got()) != 0 || len(b.got()) != 1 {
			t.Errorf("told a %v, b %v", a.got(), b.got())
		}
	})
}
