package watcher

import (
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
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

func newSentry(c *correlate.Correlator, readings *sampler.Source, past *memoir, rules warn.Rules, kept []byte) (*sentry, error) {
	facts := func(id string, at time.Time) *verdict.Facts {
		if readings != nil {
			past.recall(id, at, time.Time{})
			c.Samples(readings.Past(id)) // what led to it, as for a death
		}
		return c.FactsAt(id, at)
	}
	w, err := warn.New(warn.Options{Rules: rules, Run: func(id string) (warn.Run, bool) { return warnOf(c, id) }, Facts: facts}, kept)
	if err != nil {
		return nil, err
	}
	return &sentry{warner: w}, nil
}

// read looks at the containers, and the host, of which all parts were read in the
// last round.
func (s *sentry) read(round []sampler.Snapshot) (out []correlate.Emission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range round {
		l := &round[i]
		out = append(out, emissions(s.warner.Read(l.ID, l.Reading, warn.Beside{Stalls: l.Stalls, Refaults: l.Refaults, Above: l.Above}))...)
	}
	return out
}

// take looks at an observation after the Correlator has, and at what it emitted
// because of it; it links those incidents to the warnings that came before.
func (s *sentry) take(o *observe.Observation, emitted []correlate.Emission) []correlate.Emission {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []warn.Alert
	switch {
	case o.Event != nil && (o.Event.Kind == observe.Healthy || o.Event.Kind == observe.Unhealthy):
		out = append(out, s.health(o.Event.ID, string(o.Event.Kind), o.At)...)
	case o.Container != nil && o.Container.Health != nil:
		out = append(out, s.health(o.Container.ID, o.Container.Health.Status, o.At)...)
	case o.List != nil:
		for i := range o.List.Containers {
			if c := &o.List.Containers[i]; c.Health != nil && c.Exit == nil {
				out = append(out, s.health(c.ID, c.Health.Status, o.At)...)
			}
		}
	case o.Exit != nil:
		s.warner.Ended(o.Exit.ID, o.At)
	case o.Storage != nil:
		for i := range o.Storage.Disks {
			out = append(out, s.warner.Disk(&o.Storage.Disks[i], o.At)...)
		}
		for i := range o.Storage.Logs {
			out = append(out, s.warner.Log(&o.Storage.Logs[i], o.At)...)
		}
	case o.Leaks != nil:
		out = append(out, s.warner.Leaks(o.Leaks, o.At)...)
	case o.Counted != nil:
		out = append(out, s.counted(o.Counted, o.At)...)
	}
	return emissions(append(out, s.died(emitted)...))
}

func (s *sentry) counted(c *observe.Counted, at time.Time) (out []warn.Alert) {
	for i := range c.Zombies {
		out = append(out, s.warner.Zombies(&c.Zombies[i], at)...)
	}
	for i := range c.Files {
		out = append(out, s.warner.OpenFiles(&c.Files[i], at)...)
	}
	if c.Host != nil {
		out = append(out, s.warner.HostCounts(c.Host, at)...)
	}
	return out
}

func (s *sentry) health(id, status string, at time.Time) []warn.Alert {
	switch status {
	case "healthy", "unhealthy":
		return s.warner.Health(id, status == "healthy", at)
	}
	return nil // starting: it is not known yet
}

func (s *sentry) died(emitted []correlate.Emission) (out []warn.Alert) {
	for i := range emitted {
		out = append(out, s.warner.Died(emitted[i].Incident)...)
	}
	return out
}

// due is for what time alone changes, and for what the Correlator emitted because of
// time alone.
func (s *sentry) due(now time.Time, emitted []correlate.Emission) []correlate.Emission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return emissions(append(s.died(emitted), s.warner.Due(now)...))
}

// emissions are alerts of the Warner as the loop hands them on.
func emissions(alerts []warn.Alert) (out []correlate.Emission) {
	for _, a := range alerts {
		out = append(out, correlate.Emission{Incident: a.Incident, Update: a.Update, Silent: a.Quiet})
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
func warnOf(c *correlate.Correlator, id string) (warn.Run, bool) {
	spec, start, ok := c.Present(id)
	if !ok {
		return warn.Run{}, false
	}
	run := warn.Run{Name: spec.FullName(), Start: start, Silent: spec.Labels[warn.Label] == "false"}
	if n := spec.RestartCount; n != nil {
		run.Restarts = new(int64(*n))
	}
	return run, true
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
	return warn.Rows(w.host, looks)
}
