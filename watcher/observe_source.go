package watcher

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// source takes a witness's word of its own health.
func (c *Correlator) source(s SourceState, at time.Time) {
	if at.IsZero() {
		at = c.now
	}
	was, known := c.sources[s.Name]
	c.sources[s.Name] = s
	if s.Up && !was.Up {
		c.ups[s.Name] = at
	}
	switch {
	case !s.Up && (!known || was.Up):
		c.downs[s.Name] = at
	case s.Up && known && !was.Up:
		c.gap(incident.Gap{Source: s.Name, From: c.downs[s.Name], To: at, Reason: was.Reason})
		delete(c.downs, s.Name)
	}
}

func (c *Correlator) lost(g incident.Gap) { c.gap(g) }

// maxGaps bounds the remembered stretches of blindness.
const maxGaps = 64

func (c *Correlator) gap(g incident.Gap) { c.gaps = appendBounded(c.gaps, g, maxGaps) }

// wasDown says whether a source was away at a moment, allowing for what it did
// in the seconds before it went.
func (c *Correlator) wasDown(source string, at time.Time) bool {
	const before = 12 * time.Second
	if since, ok := c.downs[source]; ok && at.After(since.Add(-before)) {
		return true
	}
	for _, g := range c.gaps {
		if g.Source == source && at.After(g.From.Add(-before)) && !at.After(g.To) {
			return true
		}
	}
	return false
}

// replayed is true for an event of the engine's from before it was last reached:
// it keeps some, and tells them to whoever comes back.
func (c *Correlator) replayed(at time.Time) bool { return at.Before(c.ups["docker"]) }

// host learns the host's particulars, part by part.
func (c *Correlator) host(h incident.Host) {
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&c.opt.Host.Name, h.Name)
	set(&c.opt.Host.BootID, h.BootID)
	set(&c.opt.Host.Kernel, h.Kernel)
	set(&c.opt.Host.Cgroup, h.Cgroup)
	set(&c.opt.Host.Engine, h.Engine)
}
