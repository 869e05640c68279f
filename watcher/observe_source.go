package watcher

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// source takes a witness's word of its own health.
func (c *Correlator) source(s observe.SourceState, at time.Time) {
	if at.IsZero() {
		at = c.now
	}
	if s.Name == "docker" && !s.Up {
		c.listed = false
	}
	was, known := c.sources[s.Name]
	c.sources[s.Name] = s
	if s.Up && !was.Up {
		c.ups[s.Name] = at
	}
	switch {
	case !s.Up && (!known || was.Up):
		c.downs[s.Name] = at
		if s.Name == "docker" {
			c.engineStopped(at)
		}
	case s.Up && known && !was.Up:
		c.gap(incident.Gap{Source: s.Name, From: c.downs[s.Name], To: at, Reason: was.Reason})
		delete(c.downs, s.Name)
	}
}

// lost takes a source's word that it lost something.
func (c *Correlator) lost(g incident.Gap) {
	c.gap(g)
	if g.Source == "trace" {
		c.doubt()
	}
	c.doubtGuesses()
}

// doubt lets deaths be told again that were put down to the program itself because
// no signal to it was seen, where that says nothing any more.
func (c *Correlator) doubt() {
	for _, e := range c.entries {
		for _, r := range e.Runs {
			if r.Told && r.ToldCause == incident.ExitError && r.Exit != nil && incident.ExitSignal(r.Exit.ExitCode) == 9 && c.untraced(e, r, endOf(r)) != "" {
				r.Amend = true
				c.open[e] = true
			}
		}
	}
}

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
		// Where records were lost it was there, and we were too slow.
		if g.Source == source && g.Lost == 0 && at.After(g.From.Add(-before)) && !at.After(g.To) {
			return true
		}
	}
	return false
}

// replayed is true for an event of the engine's from before it was last reached:
// it keeps some, and tells them to whoever comes back.
func (c *Correlator) replayed(at time.Time) bool {
	return !c.opt.Offline && (!c.up("docker") || at.Before(c.ups["docker"]))
}

const (
	// goesDown is how long an engine that stops takes for its containers, and
	// lastEnd how soon after the last of them it is gone itself.
	goesDown, lastEnd = 30 * time.Second, 10 * time.Second
	// askedAtOnce is how far apart it asks the first and the last of them to stop.
	askedAtOnce = 3 * time.Second
)

// engineStopped finds the containers that an engine stopped as it went down. It
// asks all of them at once; one that runs on unasked means that they outlive it.
// What was told as a request is told anew: nobody but the engine made it.
func (c *Correlator) engineStopped(at time.Time) {
	type stop struct {
		e          *entry
		r          *run
		asked, end time.Time
	}
	var all []stop
	var last stop
	for _, e := range c.entries {
		r := e.current()
		if r == nil || r.Missed || !e.Removed.IsZero() && r.Exit == nil {
			continue
		}
		asked, _ := r.requests()
		switch {
		case r.Exit == nil && !asked:
			return
		case r.Exit != nil && asked && at.Sub(endOf(r)) < goesDown:
			s := stop{e, r, r.Signals[0].At, endOf(r)}
			if all = append(all, s); s.end.After(last.end) {
				last = s
			}
		}
	}
	if at.Sub(last.end) > lastEnd {
		return
	}
	for _, s := range all {
		if !s.r.engineDown && last.asked.Sub(s.asked).Abs() < askedAtOnce {
			s.r.engineDown, s.r.ToldOpen = true, s.r.Told
			c.open[s.e] = true
		}
	}
}

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
