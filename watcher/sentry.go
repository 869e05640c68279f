package watcher

import (
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/warn"
)

// sentry hands a Warner what the loop sees. Its methods may be called from
// several goroutines at once.
type sentry struct {
	mu     sync.Mutex
	warner *warn.Warner
	last   map[string]recorder.Reading
}

func newSentry(c *Correlator, rules warn.Rules, kept []byte) (*sentry, error) {
	w, err := warn.New(warn.Options{Rules: rules, Run: c.warnOf, Facts: c.factsOf}, kept)
	if err != nil {
		return nil, err
	}
	return &sentry{warner: w, last: map[string]recorder.Reading{}}, nil
}

// take looks at an observation after the Correlator has, and at what it told
// because of it; it links those incidents to the warnings that came before.
func (s *sentry) take(o *Observation, told []Told) []Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Told
	add := func(alerts []warn.Alert) {
		for _, a := range alerts {
			out = append(out, Told{Incident: a.Incident, Update: a.Update, Quiet: a.Quiet})
		}
	}
	switch {
	case o.Samples != nil:
		for i := range o.Samples {
			r, stalls := s.reading(&o.Samples[i])
			add(s.warner.Read(o.Samples[i].ID, r, stalls))
		}
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
		delete(s.last, o.Exit.ID)
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

// reading is a sample with what was read last of the parts that were not read
// this time, and how often the kernel has notified of stalls; -1 for never.
func (s *sentry) reading(in *Sample) (r recorder.Reading, stalls int64) {
	r, known := s.last[in.ID]
	if !known {
		r = recorder.Unknown()
	}
	r.At, r.Used, r.Limit = in.At, in.Current, in.Limit
	if st := in.Stat; st != nil {
		r.Anon, r.File, r.Shmem, r.Kernel = st.Anon, st.File, st.Shmem, st.Kernel
	}
	if p := in.PSI; p != nil && !in.HostPSI {
		r.PSISome, r.PSIFull = p.SomeTotal.Microseconds(), p.FullTotal.Microseconds()
	}
	s.last[in.ID] = r
	stalls = -1
	if n, ok := in.Levels[cgroup.LevelCritical]; ok {
		stalls = n
	} else if n, ok := in.Levels[cgroup.LevelStalled]; ok {
		stalls = n
	}
	return r, stalls
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
func (c *Correlator) factsOf(id string, at time.Time) *incident.Facts {
	if id == warn.HostID {
		return &incident.Facts{Time: at, Host: c.opt.Host}
	}
	e := c.entries[id]
	if e == nil || e.current() == nil {
		return nil
	}
	return c.facts(e, e.current(), at)
}
