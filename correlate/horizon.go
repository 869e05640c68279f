package correlate

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// reach takes a source's word how far back it reaches: what it has read since it is
// there, and what it could still read of the time before.
func (c *Correlator) reach(h *incident.Horizon) {
	s := c.source(h.Source)
	if !h.Read || h.From.IsZero() {
		return
	}
	if len(s.Spans) == 0 {
		s.reached = h.From // another source has read it before this one was there
		return
	}
	c.host.unsaved = true
	if p := &s.Spans[len(s.Spans)-1]; p.To.IsZero() && h.From.Before(p.reach()) {
		known := p.reach()
		p.Reach = h.From
		c.coveredNow(h.From, known)
	}
	if n := len(c.host.Away); n > 0 && c.host.Away[n-1].To.Equal(c.began) && !s.caughtUp {
		// What was printed while oomwatch did not run is read now, as far as it is still there.
		if away := c.host.Away[n-1]; h.From.After(away.From) {
			c.lost(incident.Gap{Source: h.Source, From: away.From, To: sooner(away.To, h.From), Reason: "oomwatch was not running, and of that time nothing is left to read"})
		}
	}
	s.caughtUp = true
}

// uncovered is the print of a death that was judged before a source reached back to it.
const uncovered = 2

// coveredNow has the deaths between two moments judged anew: a source has been read that
// covers them.
func (c *Correlator) coveredNow(from, to time.Time) {
	for _, x := range c.inOrder() {
		for i := range x.Emitted {
			if e := &x.Emitted[i]; e.Kind == incident.KindDeath && e.Print != keptByOld && !e.At.Before(from) && e.At.Before(to) {
				e.Print = uncovered
				c.touch(x)
			}
		}
	}
}

// reach is the first moment that a stretch covers.
func (p *span) reach() time.Time {
	if !p.Reach.IsZero() && p.Reach.Before(p.From) {
		return p.Reach
	}
	return p.From
}

// horizons are how far the kernel's log, the engine of a container and the trace reach,
// for a moment. Offline the files say it.
func (c *Correlator) horizons(engine string, at time.Time) []incident.Horizon {
	if c.opt.Offline {
		return c.opt.Horizons
	}
	names := []string{observe.KernelLog, observe.Trace}
	if engine != "" {
		names = append(names, engine)
	}
	var out []incident.Horizon
	for _, name := range names {
		if s := c.host.Sources[name]; s != nil || name == observe.KernelLog {
			out = append(out, s.horizon(name, at))
		}
	}
	return append(out, c.opt.Horizons...)
}

// horizon is the stretch of a source that covers a moment, or the one next to it.
func (s *source) horizon(name string, at time.Time) incident.Horizon {
	h := incident.Horizon{Source: name, Reason: "it was not read"}
	if s == nil {
		return h
	}
	if s.State.Reason != "" && !s.State.Up {
		h.Reason = s.State.Reason
	}
	for i := range s.Spans {
		p := &s.Spans[i]
		if p.To.Equal(p.From) {
			continue // it was not there
		}
		if at.Before(p.reach()) && h.Read {
			return h // the one before is as near
		}
		h = incident.Horizon{Source: name, Read: true, From: p.reach(), To: p.To, Reason: p.Reason}
		if h.To.IsZero() || !at.After(h.To) {
			return h
		}
	}
	return h
}

// logUnread is why nothing is known of what a run wrote; "" where its log was read, be
// it that it was empty.
func (c *Correlator) logUnread(x *container, r *run) string {
	d := x.detailOf(r)
	switch {
	case c.opt.Offline:
		return c.opt.LogUnread
	case r.exit != nil && r.exit.ExitCode == 0:
		return "" // it is not asked for where a program ended well
	case d == nil:
		return "the engine was not asked for it"
	case d.NoLog != "":
		return d.NoLog
	}
	return ""
}
