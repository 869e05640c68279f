package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// maxChildKills bounds the remembered pairs of sender and child of one container.
const maxChildKills = 16

// childKill is a SIGKILL to a child process that somebody else than the kernel sent:
// all of one sender to processes of one name, counted.
type childKill struct {
	Sent    observe.Sent `json:"sent"` // the last of them
	First   time.Time    `json:"first"`
	Count   int          `json:"count"`
	Emitted emission     `json:"emitted,omitzero"`

	seen time.Time
}

func (k *childKill) at() time.Time { return k.First }

// childSent takes a SIGKILL to a process that is not known as a main process.
func (c *Correlator) childSent(s *observe.Sent) {
	if s.Number != 9 || s.FromKernel || s.Ignored || c.opt.Offline {
		return
	}
	x, _ := c.ofPath(s.Cgroup)
	if x == nil {
		x, _ = c.ofPID(s.PID, s.At)
	}
	if x == nil && s.Cgroup == "" && s.SenderConfined {
		x, _ = c.ofPath(s.SenderCgroup) // the child was gone before its cgroup was read
	}
	if x == nil {
		return
	}
	if from := c.sender(x, *s); verdict.ByRuntime(&from) {
		return // it takes away what an ended container has left
	}
	r := x.runAt(s.PID, s.At, false)
	i := slices.IndexFunc(x.ChildKills, func(k childKill) bool {
		return k.Sent.Sender.PID == s.Sender.PID && k.Sent.Sender.Comm == s.Sender.Comm && k.Sent.Comm == s.Comm && x.runAt(0, k.First, false) == r
	})
	if i < 0 {
		x.ChildKills = insertFact(x.ChildKills, childKill{Sent: *s, First: s.At, Count: 1, seen: c.now}, (*childKill).at, maxChildKills)
	} else if k := &x.ChildKills[i]; !s.At.After(k.Sent.At) {
		return // it is known
	} else {
		k.Sent, k.Count, k.seen = *s, k.Count+1, c.now
	}
	c.touch(x)
}

// childKillsDue is when the first of a run's child kills can be emitted; zero for none.
func (c *Correlator) childKillsDue(x *container, r *run) (next time.Time) {
	for i := range x.ChildKills {
		if k := &x.ChildKills[i]; x.runAt(0, k.First, false) == r {
			next = sooner(next, c.childKillDue(r, k))
		}
	}
	return next
}

// childKillDue waits for the end that takes all processes along: what kills the whole
// container is no matter of one child. Where the main process is not known it may have
// been that one.
func (c *Correlator) childKillDue(r *run, k *childKill) time.Time {
	// An end may be reported late; a main process that was killed takes the others along.
	ends := !r.alive() && r.endTime().Sub(k.Sent.At) < childWait || r.killedBy(k.Sent.At.Add(childWait))
	if k.Emitted.Print == uint64(k.Count) || r.pid == 0 || r.pid == k.Sent.PID || ends {
		return time.Time{}
	}
	return c.arrival(k.seen).Add(childWait)
}

// killedBy is true where SIGKILL was sent to the run's main process up to a moment.
func (r *run) killedBy(at time.Time) bool {
	return slices.ContainsFunc(r.sent, func(s observe.Sent) bool { return s.Number == 9 && !s.Ignored && !s.At.After(at) })
}

// emitChildKills emits those that are due. One that goes on is counted, and is no news.
func (c *Correlator) emitChildKills(x *container, r *run, all bool) {
	for i := range x.ChildKills {
		k := &x.ChildKills[i]
		if x.runAt(0, k.First, false) != r {
			continue
		}
		due := c.childKillDue(r, k)
		if due.IsZero() || !all && due.After(c.now) {
			continue
		}
		f := c.runFacts(x, r, k.Sent.At)
		f.ID, f.Kind = incident.SentID(x.Spec.ID, k.First, k.Sent.Sender.PID, k.Sent.Comm), incident.KindKill
		f.Container.Running = new(r.alive())
		f.Child = &verdict.ChildKill{Process: incident.Process{PID: k.Sent.PID, Comm: k.Sent.Comm}, Sent: c.sender(x, k.Sent), ByMain: k.Sent.Sender.PID == r.pid, Count: k.Count}
		if k.Emitted.ID == "" {
			k.Emitted = emission{ID: f.ID, Kind: incident.KindKill}
		}
		c.unsaved[x] = true
		c.emit(&k.Emitted, f, uint64(k.Count), k.Count, k.Count > 1)
	}
}
