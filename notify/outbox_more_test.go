package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// sick is a queue whose writes fail while it is told so, and that counts its reads.
type sick struct {
	memQueue
	broken atomic.Bool
	reads  atomic.Int64
}

func (q *sick) Settle(ctx context.Context, o incident.Outcome, ds ...incident.Delivery) error {
	if q.broken.Load() {
		return errors.New("database or disk is full")
	}
	return q.memQueue.Settle(ctx, o, ds...)
}

func (q *sick) Due(ctx context.Context, r string, now time.Time, n int) ([]incident.Delivery, error) {
	q.reads.Add(1)
	return q.memQueue.Due(ctx, r, now, n)
}

// TestOutcomeIsNotedInTheEnd: what was sent while the queue took no outcome is not
// sent again; the rest follows when the queue does, and at the end of the program
// nothing waits for it.
func TestOutcomeIsNotedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &sick{}, &script{}
		q.broken.Store(true)
		q.add("hook", "a", "c1", incident.OOMContainer)
		q.add("hook", "b", "c2", incident.OOMContainer)
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a x1]" {
			t.Errorf("while no outcome could be noted: sent %s", got)
		}
		q.broken.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[a x1 b x1]" {
			t.Errorf("in the end sent %s", got)
		}
		if got := q.states(); got != "a:delivered b:delivered" {
			t.Error(got)
		}
		q.broken.Store(true)
		q.add("hook", "c", "c3", incident.OOMContainer)
		time.Sleep(2 * time.Minute)
		began := time.Now()
		end()
		if d := time.Since(began); d > settleWait {
			t.Errorf("the end took %s", d)
		}
	})
}

// TestTwoHostsAreTwo: containers of one name on two hosts share no lane and no key:
// neither waits behind the other, and their deaths are not counted together.
func TestTwoHostsAreTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		s := &script{reply: func(_ int, a incident.Alert) error {
			if a.Incident.ID == "n1" {
				return errors.New("503")
			}
			return nil
		}}
		for _, host := range []string{"n1", "n2", "n3"} {
			q.add("hook", host, "", incident.OOMContainer)
			d := q.list[len(q.list)-1]
			d.Host, d.Incident.Host = host, &incident.Host{Name: host}
			d.Incident.Container.Name = "web"
			d.Lane, d.Key = d.Incident.Lane(), d.Incident.Key()
		}
		_, end := run(t, q, GroupOptions{Window: time.Hour}, Receiver{Name: "hook", Notifier: s})
		defer end()
		synctest.Wait()
		if got := fmt.Sprint(s.got()); got != "[n1 x1 n2 x1 n3 x1]" {
			t.Errorf("sent %s", got)
		}
	})
}

// TestOutboxSleepsWhileALaneWaits: what stands behind a failure is not asked for
// again and again.
func TestOutboxSleepsWhileALaneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &sick{}
		s := &script{reply: func(int, incident.Alert) error { return errors.New("503") }}
		q.add("hook", "a1", "a", incident.OOMContainer)
		q.add("hook", "a2", "a", incident.ExitError)
		_, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: s})
		defer end()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := q.reads.Load(); n > 100 {
			t.Errorf("the queue was read %d times in 10 minutes", n)
		}
	})
}

// TestStorm: 1000 incidents in 10 s are 30 alerts and a few digests, and each is
// told exactly once.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		o, end := run(t, q, GroupOptions{Window: time.Minute, StormPerMinute: 30}, Receiver{Name: "hook", Notifier: s})
		defer end()
		for i := range 1000 {
			q.add("hook", fmt.Sprint("s", i), fmt.Sprint("c", i), incident.OOMContainer)
			o.Kick()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		alone, digests, sum := 0, 0, 0
		for _, m := range s.got() {
			var n int
			if k, _ := fmt.Sscanf(m, "digest of %d", &n); k == 1 {
				digests, sum = digests+1, sum+n
			} else {
				alone++
			}
		}
		if alone != 30 || digests == 0 || digests > 5 || alone+sum != 1000 {
			t.Errorf("%d alone, %d digests of %d", alone, digests, sum)
		}
		if got := q.states(); strings.Count(got, "delivered") != 1000 {
			t.Errorf("%d of 1000 delivered", strings.Count(got, "delivered"))
		}
		q.add("hook", "after", "c", incident.OOMContainer)
		o.Kick()
		synctest.Wait()
		if got := s.got(); got[len(got)-1] != "after x1" {
			t.Errorf("after the storm: %s", got[len(got)-1])
		}
	})
}

// TestStormDoesNotOutliveTheProgram: what waits for a digest is told when the
// program ends.
func TestStormDoesNotOutliveTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := &memQueue{}, &script{}
		o, end := run(t, q, GroupOptions{StormPerMinute: 2}, Receiver{Name: "hook", Notifier: s})
		for i := range 4 {
			q.add("hook", fmt.Sprint("s", i), fmt.Sprint("c", i), incident.OOMContainer)
			o.Kick()
			synctest.Wait()
		}
		if got := fmt.Sprint(s.got()); got != "[s0 x1 s1 x1]" {
			t.Errorf("before the end: %s", got)
		}
		o.Drain(t.Context())
		end()
		if got := fmt.Sprint(s.got()); got != "[s0 x1 s1 x1 digest of 2]" {
			t.Errorf("at the end: %s", got)
		}
	})
}

// TestMessagesKeepTheOrder: nothing in a lane overtakes what came before it, and
// another set of incidents has another id.
func TestMessagesKeepTheOrder(t *testing.T) {
	d := func(id string, cause incident.Cause) incident.Delivery {
		inc := &incident.Incident{ID: id, Kind: incident.KindDeath, Cause: cause, Container: &incident.Container{ID: "c"}}
		return incident.Delivery{ID: id, Receiver: "hook", Lane: "c", Key: inc.Key(), Incident: inc}
	}
	g := GroupOptions{Window: time.Minute}
	due := []incident.Delivery{d("1", incident.OOMContainer), d("2", incident.OOMContainer), d("3", incident.ExitError), d("4", incident.OOMContainer)}
	var got []string
	told, _ := g.messages(due, time.Now())
	for _, m := range told {
		var ids []string
		for _, x := range m.deliveries {
			ids = append(ids, x.ID)
		}
		got = append(got, strings.Join(ids, "+"))
	}
	if fmt.Sprint(got) != "[1+2 3 4]" {
		t.Errorf("messages %v", got)
	}
	first := func(n int) message { ms, _ := g.messages(due[:n], time.Now()); return ms[0] }
	one, two, three := first(1), first(2), message{deliveries: []incident.Delivery{due[0], due[3]}}
	if one.id() != "1" || two.id() == "1" || two.id() == three.id() || two.id() != first(2).id() {
		t.Errorf("ids %s %s %s", one.id(), two.id(), three.id())
	}
}

// TestReloadDoesNotTellTwice: a receiver that is set anew while an attempt is under
// way is not told the same by both workers.
func TestReloadDoesNotTellTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &memQueue{}
		slow := &script{reply: func(int, incident.Alert) error { time.Sleep(3 * time.Second); return nil }}
		q.add("hook", "a", "c1", incident.OOMContainer)
		o, end := run(t, q, GroupOptions{}, Receiver{Name: "hook", Notifier: slow})
		defer end()
		synctest.Wait()
		o.Receivers([]Receiver{{Name: "hook", Notifier: slow}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(slow.got()); got != "[a x1]" {
			t.Errorf("told %s", got)
		}
	})
}
