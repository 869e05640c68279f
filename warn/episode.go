package warn

import (
	"cmp"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

// settle opens a warning for a sign that is on, adds further signs to it, and
// ends it when none is left.
func (w *Warner) settle(st *state) []Alert {
	var out []Alert
	for i := range signs {
		name := signs[i].name
		s := st.signs[name]
		if s == nil || !s.on {
			continue
		}
		if s.of == "" {
			s.of = st.of(name)
		}
		e := st.open[s.of]
		switch {
		case e == nil:
			e = w.begin(st, name, s)
			st.open[s.of] = e
			out = append(out, Alert{Incident: e.Incident})
		case !slices.Contains(e.Incident.Warning.Signs, name):
			w.more(st, e, name)
			out = append(out, Alert{Incident: e.Incident, Update: true, Quiet: true})
		}
	}
	for _, of := range sorted(st.open) {
		if !st.lasts(of) {
			e := st.open[of]
			delete(st.open, of)
			out = append(out, w.end(e, w.now, "its signs are gone", ""))
		}
	}
	w.mark(st)
	return out
}

// lasts tells whether a sign of a warning is on.
func (st *state) lasts(of string) bool {
	for _, s := range st.signs {
		if s.on && s.of == of {
			return true
		}
	}
	return false
}

// begin opens a warning.
func (w *Warner) begin(st *state, name string, s *sign) *episode {
	w.dirty = true
	f := w.facts(st)
	f.ID, f.Kind = incident.WarningID(st.id, s.of, w.now), incident.KindWarning
	t := st.tell(name, f)
	inc := verdict.Warn(f, verdict.Alarm{
		Cause: st.cause(name), Confidence: t.confidence, Summary: t.summary, Advice: t.advice,
		Evidence: []incident.Evidence{{Source: cmp.Or(t.source, verdict.EngineOf(f.Container)), Time: w.now, Text: t.text, Means: t.means}},
		Signs:    incident.WarningFacts{What: name, Signs: []string{name}, Since: s.since},
	})
	if name == Forecast || name == DiskForecast {
		st.foretold(inc.Warning)
	}
	if l := st.leak; l != nil {
		inc.Warning.Rate, inc.Warning.TimeToLimit, inc.Warning.TimeToLimitError = &l.Rate, l.SecondsToLimit, l.SecondsError
	}
	if name == GaveUp && inc.Container != nil {
		inc.Container.Running = new(false) // what the engine was last asked may be older
	}
	st.showDisk(inc)
	return &episode{Container: st.id, Of: s.of, Incident: inc}
}

// foretold notes when the limit will be reached.
func (st *state) foretold(f *incident.WarningFacts) {
	f.TimeToLimit, f.TimeToLimitError = new(st.forecast.seconds), new(st.forecast.err)
}

// more adds a sign to a warning. What was told is not changed under its readers.
func (w *Warner) more(st *state, e *episode, name string) {
	w.dirty = true
	t := st.tell(name, w.facts(st))
	inc, facts := *e.Incident, *e.Incident.Warning
	facts.Signs = append(slices.Clone(facts.Signs), name)
	inc.Warning = &facts
	inc.Evidence = append(slices.Clone(inc.Evidence), incident.Evidence{Source: cmp.Or(t.source, verdict.EngineOf(inc.Container)), Time: w.now, Text: t.text, Means: t.means})
	if name == Forecast || name == DiskForecast {
		st.foretold(&facts)
	}
	e.Incident = &inc
}

// end tells that a warning is over, and how; by is the death that ended it, if
// one did.
func (w *Warner) end(e *episode, at time.Time, how, by string) Alert {
	w.dirty = true
	inc := *e.Incident
	if at.Before(inc.Time) {
		at = inc.Time
	}
	inc.ResolvedAt = at
	inc.Evidence = append(slices.Clone(inc.Evidence), incident.Evidence{Source: "recorder", Time: at,
		Text: how, Means: "resolved " + incident.FormatDuration(at.Sub(inc.Time).Round(time.Second)) + " after it was sent"})
	if by != "" {
		inc.Related = appendUnique(slices.Clone(inc.Related), by)
	}
	return Alert{Incident: &inc, Update: true}
}

// facts is what is known of a container now; never nil.
func (w *Warner) facts(st *state) *verdict.Facts {
	id := st.id
	switch {
	case st.disk != nil:
		id = st.onlyUser()
	case st.leak != nil:
		id = st.leak.Container
	}
	f := w.opt.Facts(id, w.now)
	if f == nil {
		f = &verdict.Facts{}
		if id != HostID {
			f.Container = &incident.Container{ID: id}
		}
	}
	f.Time = w.now
	if f.Container != nil {
		f.Container.Running = new(true)
	}
	return f
}
