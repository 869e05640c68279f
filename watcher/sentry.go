package watcher

import (
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// sentry hands a Warner what the loop sees, and every round of readings. Its
// methods may be called from several goroutines at once.
type sentry struct {
	mu     sync.Mutex
	warner *warn.Warner
}

func newSentry(c *Correlator, readings *sampler.Source, rules warn.Rules, kept []byte) (*sentry, error) {
	facts := func(id string, at time.Time) *verdict.Facts {
		if readings != nil {
			c.samples(readings.Past(id)) // what led to it, as for a death
		}
		return c.factsOf(id, at)
	}
	w, err := warn.New(warn.Options{Rules: rules, Run: c.warnOf, Facts: facts}, kept)
	if err != nil {
		return nil, err
	}
	return &sentry{warner: w}, nil
}

// read looks at the containers, and the host, of which all parts were read in the
// last round.
func (s *sentry) read(round []sampler.Snapshot) (out []Told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range round {
		l := &round[i]
		for _, a := range s.warner.Read(l.ID, l.Reading, l.Stalls) {
			out = append(out, Told{Incident: a.Incident, Update: a.Update, Quiet: a.Quiet})
		}
	}
	return out
}

// take looks at an observation after the Correlator has, and at what it told
// because of it; it links those incidents to the warnings that came before.
func (s *sentry) take(o *observe.Observation, told []Told) []Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Told
	add := func(alerts []warn.Alert) {
		for _, a := range alerts {
			out = append(out, Told{Incident: a.Incident, Update: a.Update, Quiet: a.Quiet})
		}
	}
	switch {
	case o.Action != nil:
		if status, ok := strings.CutPrefix(o.Action.Action, "health_status: "); ok {
			add(s.health(o.Action.ID, status, o.At))
		}
	case o.Container != nil && o.Container.Health != nil:
		add(s.health(o.Container.ID, o.Container.Health.Status, o.At))
	case o.Reconcile != nil:
		for i := range o.Reconcile.Containers {
			if c := &o.Reconcile.Containers[i]; c.Health != nil && c.Exit == nil {
				add(s.health(c.ID, c.Health.Status, o.At))
			}
		}
	case o.Exit != nil:
		s.warner.Ended(o.Exit.ID, o.At)
	}
	add(s.died(told))
	return out
}

func (s *sentry) health(id, status string, at time.Time) []warn.Alert {
	switch status {
	case "healthy", "unhealthy":
		return s.warner.Health(id, status == "healthy", at)
	}
	return nil // starting: it is not known yet
}

func (s *sentry) died(told []Told) (out []warn.Alert) {
	for i := range told {
		out = append(out, s.warner.Died(told[i].Incident)...)
	}
	return out
}

// due is for what time alone changes, and for what the Correlator told because of
// time alone.
func (s *sentry) due(now time.Time, told []Told) (out []Told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range append(s.died(told), s.warner.Due(now)...) {
		out = append(out, Told{Incident: a.Incident, Update: a.Update, Quiet: a.Quiet})
	}
	return out
}

func (s *sentry) state() ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.warner.State()
}

func (s *sentry) setRules(r warn.Rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warner.SetRules(r)
}

// warnOf says of a container's present run what a Warner must know.
func (c *Correlator) warnOf(id string) (warn.Run, bool) {
	e := c.entries[id]
	if e == nil {
		return warn.Run{}, false
	}
	r := e.current()
	if r == nil || r.Exit != nil {
		return warn.Run{}, false
	}
	return warn.Run{Name: e.name(), Start: r.Start, Silent: e.Spec.Labels[warn.Label] == "false"}, true
}

// factsOf is what is known of a container at a moment; nil for none, the host for
// warn.HostID.
func (c *Correlator) factsOf(id string, at time.Time) *verdict.Facts {
	if id == warn.HostID {
		return &verdict.Facts{Time: at, Host: c.opt.Host}
	}
	e := c.entries[id]
	if e == nil || e.current() == nil {
		return nil
	}
	return c.facts(e, e.current(), at)
}

// Top is how every container that is read stands, the most in danger first; nil
// where nobody is to be warned. It may be called from any goroutine.
func (w *Watcher) Top() []warn.Row {
	if w.sentry == nil {
		return nil
	}
	w.sentry.mu.Lock()
	looks := w.sentry.warner.Looks()
	w.sentry.mu.Unlock()
	return warn.Rows(looks)
}
