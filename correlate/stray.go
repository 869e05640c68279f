package correlate

import (
	"fmt"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

const (
	// strayFor is how long a signal or fault waits for its container to be known: an
	// engine that hangs for longer is down.
	strayFor = 30 * time.Second
	// maxStray bounds the signals that wait, maxStrayFaults the faults.
	maxStray, maxStrayFaults = 4096, 256
)

// strayPool holds what the kernel said of processes that nobody knows yet: it may speak
// of a run before the engine does.
type strayPool struct {
	sent   map[int][]strayFact // by the pid it was sent to
	order  []strayFact         // the same, oldest first
	faults []strayFact
}

// strayFact is one of the two, and when it came.
type strayFact struct {
	sent  *observe.Sent
	fault *kmsg.Fault
	seen  time.Time
}

// sent takes a signal that the kernel delivered. Only those to a container's main
// process explain its end.
func (c *Correlator) sent(s *observe.Sent) {
	x, by := c.ofPID(s.PID, s.At)
	if by != verdict.ByMainPID {
		c.childSent(s)
	}
	switch {
	case x == nil:
		c.stray.keep(strayFact{sent: s, seen: c.now})
		if s.Number == 9 {
			c.touchPIDless(s)
		}
	case by == verdict.ByMainPID:
		if slices.ContainsFunc(x.Sent, func(o observe.Sent) bool { return o.At.Equal(s.At) && o.Number == s.Number }) {
			return
		}
		x.Sent = insertFact(x.Sent, *s, func(s *observe.Sent) time.Time { return s.At }, maxFacts)
		c.touch(x)
	}
}

// touchPIDless has the runs judged anew whose main process is not known and may have been
// the target of a signal.
func (c *Correlator) touchPIDless(s *observe.Sent) {
	for x := range c.pidless {
		if slices.ContainsFunc(x.timeline(), func(r *run) bool { return r.pid == 0 && x.mayEnd(r, s) }) {
			c.touch(x)
		}
	}
}

// mayEnd is true for a SIGKILL that may have ended a run whose main process is not known.
func (x *container) mayEnd(r *run, s *observe.Sent) bool {
	at := r.deathTime()
	from := r.lo.Add(-early)
	if r.start.IsZero() {
		from = at.Add(-strayFor)
	}
	id := cgroup.ParsePath(s.Cgroup)
	return s.Number == 9 && !s.Ignored && !s.At.Before(from) && !s.At.After(at.Add(late)) &&
		(s.Cgroup == "" || id.ContainerID == x.Spec.ID || id.OuterID == x.Spec.ID)
}

// isPIDless is true where the main process of one of the last runs is not known.
func (c *Correlator) isPIDless(x *container) bool {
	return slices.ContainsFunc(x.timeline(), func(r *run) bool { return r.pid == 0 && c.now.Sub(r.hi) < strayFor })
}

// keep remembers a signal until its target is known.
func (p *strayPool) keep(s strayFact) {
	for len(p.order) > 0 && (len(p.order) >= maxStray || s.seen.Sub(p.order[0].seen) > strayFor) {
		old := p.order[0]
		p.order = p.order[1:]
		pid := old.sent.PID
		if p.sent[pid] = slices.DeleteFunc(p.sent[pid], func(x strayFact) bool { return x.sent == old.sent }); len(p.sent[pid]) == 0 {
			delete(p.sent, pid)
		}
	}
	if slices.ContainsFunc(p.sent[s.sent.PID], func(o strayFact) bool {
		return o.sent.At.Equal(s.sent.At) && o.sent.Number == s.sent.Number
	}) {
		return
	}
	p.order = append(p.order, s)
	p.sent[s.sent.PID] = append(p.sent[s.sent.PID], s)
}

// wake has what was kept over a restart wait anew.
func (p *strayPool) wake(now time.Time) {
	for i := range p.order {
		p.order[i].seen = now
	}
	for i := range p.faults {
		p.faults[i].seen = now
	}
}

// takeSent takes out the signals to a pid.
func (p *strayPool) takeSent(pid int) []strayFact {
	out := p.sent[pid]
	if len(out) == 0 {
		return nil
	}
	delete(p.sent, pid)
	p.order = slices.DeleteFunc(p.order, func(s strayFact) bool { return s.sent.PID == pid })
	return out
}

// mayHaveKilled says that a SIGKILL to an unknown process may have been for the main one
// of a run whose pid was never known; "" where none was sent.
func (p *strayPool) mayHaveKilled(x *container, r *run) string {
	for i := range p.order {
		if s := p.order[i].sent; x.mayEnd(r, s) {
			return fmt.Sprintf("its main process's pid was not known before it ended, and SIGKILL was sent to pid %d, which may have been it", s.PID)
		}
	}
	return ""
}

// maybeMain is the pid of a process that the kernel killed in the run and that may have
// been its main one, whose pid was never known; 0 when there is none.
func (r *run) maybeMain() int {
	if r.pid != 0 {
		return 0
	}
	for i := range r.kills {
		if k := &r.kills[i]; !k.main && !k.guessed() {
			return k.Kill.PID
		}
	}
	return 0
}

// fault takes a kernel record about one process.
func (c *Correlator) fault(f *kmsg.Fault) {
	if !c.placeFault(f) && len(c.stray.faults) < maxStrayFaults {
		c.stray.faults = append(c.stray.faults, strayFact{fault: f, seen: c.now})
	}
}

// placeFaults looks again for the containers of faults.
func (c *Correlator) placeFaults() {
	c.stray.faults = slices.DeleteFunc(c.stray.faults, func(s strayFact) bool {
		return c.now.Sub(s.seen) > strayFor || c.placeFault(s.fault)
	})
}

// placeFault gives a fault to the container it was in; false while that is not known.
func (c *Correlator) placeFault(f *kmsg.Fault) bool {
	var x *container
	if f.Cgroup != "" {
		id := cgroup.ParsePath(f.Cgroup).ContainerID
		if id == "" {
			return true // no container's
		}
		x = c.containers[id]
	} else if f.PID != 0 {
		x, _ = c.ofPID(f.PID, f.Time)
	}
	if x == nil {
		return false
	}
	if !slices.ContainsFunc(x.Faults, func(o kmsg.Fault) bool { return o.Seq == f.Seq && o.PID == f.PID && o.Line == f.Line }) {
		x.Faults = append(x.Faults, *f)
		slices.SortStableFunc(x.Faults, func(a, b kmsg.Fault) int { return a.Time.Compare(b.Time) })
		x.Faults = x.Faults[max(0, len(x.Faults)-maxFacts):]
		c.touch(x)
	}
	return true
}
