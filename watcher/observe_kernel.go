package watcher

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// maxUnplaced bounds what waits for its run to be told of, unplacedFor how long:
// an engine that hangs for that long is down.
const (
	maxUnplaced = 256
	unplacedFor = 30 * time.Second
)

// place looks again for the runs of what could not be placed; what is older than
// any wait for it is dropped.
func (c *Correlator) place() {
	kept := c.unplaced[:0]
	for _, u := range c.unplaced {
		switch {
		case c.now.Sub(u.seen) > unplacedFor:
		case u.fault != nil && c.fault(u.fault), u.sent != nil && c.sent(u.sent):
		default:
			kept = append(kept, u)
		}
	}
	c.unplaced = kept
}

// fault attaches a kernel record about one process to the container it was in.
// It is false while that is not known.
func (c *Correlator) fault(f *kmsg.Fault) (placed bool) {
	var e *entry
	if f.Cgroup != "" {
		id := cgroup.ParsePath(f.Cgroup)
		if id.ContainerID == "" {
			return true // no container's
		}
		e = c.entries[id.ContainerID]
	}
	var r *run
	switch {
	case e != nil:
		r = c.runFor(e, f.PID, f.Time)
	case f.PID != 0:
		m := c.ownerOfPID(f.PID, f.Time)
		e, r = m.e, m.r
	}
	if r == nil {
		return false
	}
	for _, old := range r.Faults {
		if old.Seq == f.Seq && old.PID == f.PID && old.Line == f.Line {
			return true
		}
	}
	if !r.Told {
		r.Faults = appendBounded(r.Faults, *f, 8)
		e.dirty = true
	}
	return true
}

// sent takes a signal that the kernel delivered. Only those to a container's
// first process explain its end. It is false while no run with that process is known.
func (c *Correlator) sent(s *observe.Sent) (placed bool) {
	m := c.ownerOfPID(s.PID, s.At)
	if m.r == nil {
		return false
	}
	if m.by != verdict.ByMainPID {
		return true
	}
	if m.r.Told && !m.r.ToldOpen && !m.r.openAgain(s.Number) {
		return true
	}
	for _, old := range m.r.Sent {
		if old.At.Equal(s.At) && old.Number == s.Number {
			return true
		}
	}
	in := s.Sent
	if s.SenderCgroup != "" {
		from := cgroup.ParsePath(s.SenderCgroup)
		in.Unit, in.Located = from.Unit, true
		for _, id := range []string{from.OuterID, from.ContainerID} {
			if e := c.entries[id]; id != "" && e != nil && e.holds(s.SenderCgroup) {
				in.Container, in.Inside = e.name(), e == m.e
				break
			}
		}
		if in.Container == "" && from.ContainerID != "" {
			in.Container = from.ContainerID
		}
	} else if o := c.ownerOfPID(in.Sender.PID, s.At); o.e != nil {
		in.Container, in.Inside, in.Located = o.e.name(), o.e == m.e, true
	}
	m.r.Sent = appendBounded(m.r.Sent, in, 16)
	m.e.dirty = true
	if m.r.Amend {
		c.open[m.e] = true
	}
	return true
}

// untraced is why the signals to a run's first process were not watched without a
// gap around its end; "" where they were. Where its pid is not known any SIGKILL to
// a process that is not known either, and was not seen elsewhere, may have been for it.
func (c *Correlator) untraced(e *entry, r *run, at time.Time) string {
	if !c.up("trace") {
		return "signals were not traced"
	}
	if at.Add(-time.Second).Before(c.ups["trace"]) {
		return "signals were not traced yet"
	}
	for _, g := range c.gaps {
		if g.Source == "trace" && !at.Before(g.From.Add(-time.Second)) && !at.After(g.To.Add(time.Second)) {
			return "the trace of signals lost records around then"
		}
	}
	if r.PID != 0 {
		return ""
	}
	if r.maybeFirst() != 0 {
		return "its first process's pid was not known before it ended"
	}
	from := r.Start.Add(-early)
	if r.Guessed {
		from = at.Add(-unplacedFor)
	}
	for _, u := range c.unplaced {
		s := u.sent
		if s == nil || s.Number != 9 || s.Ignored || s.At.Before(from) || s.At.After(at.Add(late)) {
			continue
		}
		if id := cgroup.ParsePath(s.Cgroup); s.Cgroup == "" || id.ContainerID == e.Spec.ID || id.OuterID == e.Spec.ID {
			return fmt.Sprintf("its first process's pid was not known before it ended, and SIGKILL was sent to pid %d, which may have been it", s.PID)
		}
	}
	if len(c.unplaced) == maxUnplaced {
		return "its first process's pid was not known before it ended, and signals were sent to more unknown processes than are remembered"
	}
	return ""
}

// maybeFirst is the pid of a process that the kernel killed in the run and that may
// have been its first one, since that one's pid was never known; 0 when there is none.
func (r *run) maybeFirst() int {
	if r.PID != 0 {
		return 0
	}
	for i := range r.Kills {
		if k := &r.Kills[i]; !k.Main && !guessed(k) {
			return k.Kill.PID
		}
	}
	return 0
}
