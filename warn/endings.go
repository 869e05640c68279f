package warn

import (
	"cmp"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Health takes the engine's word on a health check.
func (w *Warner) Health(id string, healthy bool, at time.Time) []Alert {
	w.tick(at)
	st := w.states[id]
	if st == nil {
		run, ok := w.opt.Run(id)
		if !ok || run.Silent {
			return nil
		}
		st = w.state(id)
		st.start = run.Start
	}
	switch {
	case !healthy && st.ill.IsZero():
		st.ill, st.healed = at, time.Time{}
	case healthy && !st.ill.IsZero():
		st.ill, st.healed = time.Time{}, at
	}
	st.judgeHealth(&w.opt.Rules, at)
	return w.settle(st)
}

// Ended takes the end of a run, however it ended. If it is a death, Died follows.
func (w *Warner) Ended(id string, at time.Time) {
	w.tick(at)
	if st := w.states[id]; st != nil {
		w.lived(st)
		st.part(at)
		st.ill, st.healed, st.ended = time.Time{}, time.Time{}, true
		w.mark(st)
	}
}

// Died takes an incident that is no warning: it is linked to the warnings that
// came before it, and a death ends them. The incident's Related is extended.
func (w *Warner) Died(inc *incident.Incident) []Alert {
	w.tick(inc.Time)
	id := HostID
	if inc.Container != nil {
		id = inc.Container.ID
	}
	var out []Alert
	if st := w.states[HostID]; st != nil && inc.Cause == incident.OOMHost {
		for _, of := range sorted(st.open) {
			inc.Related = appendUnique(inc.Related, st.open[of].Incident.ID)
		}
	}
	if id == HostID || inc.Kind == incident.KindWarning {
		return nil
	}
	w.linkLeak(inc)
	st := w.states[id]
	if st == nil {
		if run, ok := w.opt.Run(id); ok && run.Silent {
			return nil
		}
		st = w.state(id)
	}
	if st.linkedTo != inc.ID {
		st.linkedTo, st.linked = inc.ID, nil
	}
	defer func() {
		for _, other := range st.linked {
			inc.Related = appendUnique(inc.Related, other)
		}
	}()
	for _, of := range sorted(st.open) {
		if e := st.open[of]; !e.Incident.Time.After(inc.Time) {
			st.linked = appendUnique(st.linked, e.Incident.ID)
		}
	}
	switch inc.Cause {
	case incident.OOMContainer, incident.OOMAncestor, incident.OOMHost:
		delete(w.tops, cmp.Or(inc.Container.Name, st.name)) // it did not end by itself
		st.former = 0
	}
	if inc.Kind != incident.KindDeath {
		return nil
	}
	if inc.Cause == incident.LimitDisk {
		w.linkDisks(st, inc)
	}
	for _, e := range st.passed {
		st.linked = appendUnique(st.linked, e.Incident.ID)
		out = append(out, w.end(e, inc.Time, "it died", inc.ID))
	}
	st.passed = nil
	if !st.start.After(inc.Time) {
		for _, of := range sorted(st.open) {
			if e := st.open[of]; !signs.named(of).lasts && !e.Incident.Time.After(inc.Time) {
				out = append(out, w.end(e, inc.Time, "it died", inc.ID))
				delete(st.open, of)
			}
		}
		st.part(inc.Time)
	}
	w.succeed(st, inc.Container)
	w.countDeath(st, inc)
	return append(out, w.settle(st)...)
}

// lived notes what a run held at the most that has ended: the next one may hold as much.
func (w *Warner) lived(st *state) {
	if st.id == HostID || st.name == "" || st.top == 0 {
		return
	}
	if len(w.tops) >= maxLives {
		clear(w.tops)
	}
	w.tops[st.name] = max(w.tops[st.name], st.top)
}

// countDeath counts what nobody asked for towards a restart loop.
func (w *Warner) countDeath(st *state, inc *incident.Incident) {
	if inc.Severity != incident.Critical || inc.Historic {
		return
	}
	for i, d := range st.deaths {
		if d.id == inc.ID { // told again, with more known
			st.deaths[i].cause, st.deaths[i].what = inc.Cause, inc.Summary
			st.deaths[i].over = max(d.over, inc.Container.RestartsOver())
			return
		}
	}
	st.deaths = bounded(st.deaths, death{id: inc.ID, at: inc.Time, cause: inc.Cause, what: inc.Summary, over: inc.Container.RestartsOver()}, 64)
	st.judgeRestarts(&w.opt.Rules, inc.Time)
}
