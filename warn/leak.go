package warn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// leakKey is the state of a service's leak: the service outlives its containers.
func leakKey(service string) string { return "leak of " + service }

// Leaks takes one look for leaks at the readings that are kept. A leak is warned of
// once, when it is likely; it is over when a later look finds none.
func (w *Warner) Leaks(l *incident.Leaks, at time.Time) (out []Alert) {
	w.tick(at)
	seen := make(map[string]bool, len(l.Found))
	for i := range l.Found {
		f := &l.Found[i]
		key := leakKey(f.Service)
		seen[key] = true
		out = append(out, w.leak(key, f, at)...)
	}
	if !l.All {
		return out
	}
	for _, id := range w.ids() {
		if w.states[id].open[Leak] != nil && !seen[id] {
			out = append(out, w.leak(id, &incident.Leak{Service: strings.TrimPrefix(id, leakKey(""))}, at)...)
		}
	}
	return out
}

func (w *Warner) leak(key string, f *incident.Leak, at time.Time) []Alert {
	l := w.leaking(f)
	if l != alarm && w.states[key] == nil {
		return nil
	}
	st := w.state(key)
	st.name, st.leak = f.Service, f
	st.see(Leak, l, at, 0, 0)
	return w.settle(st)
}

// leaking is how a service stands. What does not run is not warned of, and what was
// warned of is not over because it does not run just now.
func (w *Warner) leaking(f *incident.Leak) level {
	if !w.opt.Rules.Leaks {
		return calm
	}
	run, running := w.opt.Run(f.Container)
	switch {
	case f.Confidence == "", running && run.Silent:
		return calm
	case f.Confidence == incident.Likely && running:
		return alarm
	}
	return between
}

func leakWords(st *state, who string) told {
	f := st.leak
	t := told{
		confidence: f.Confidence, source: "recorder",
		text:  strings.Join(f.Reasons, "; "),
		means: "what it holds after each fall grows steadily: it is not given back",
	}
	t.summary = fmt.Sprintf("%s leaks memory: it grows by %s", who, units.Rate(f.Rate))
	if f.SecondsToLimit != nil && *f.SecondsToLimit > 0 && f.SecondsError != nil && *f.SecondsError < *f.SecondsToLimit {
		t.summary += fmt.Sprintf(" and reaches its %s limit in about %s (± %s)", incident.FormatBytes(f.Limit), units.Seconds(*f.SecondsToLimit), units.Seconds(*f.SecondsError))
	}
	t.advice = f.Advice
	return t
}

// linkLeak links a death to the leak that was warned of.
func (w *Warner) linkLeak(inc *incident.Incident) {
	if inc.Cause != incident.OOMContainer && inc.Cause != incident.OOMAncestor && inc.Cause != incident.OOMHost {
		return
	}
	if st := w.states[leakKey(incident.ServiceOf(inc.Container))]; st != nil && st.open[Leak] != nil && !slices.Contains(inc.Related, st.open[Leak].Incident.ID) {
		inc.Related = append(inc.Related, st.open[Leak].Incident.ID)
	}
}

// leakName is the service in words.
func (st *state) leakName() string { return redact.Sanitize(st.leak.Service) }
