package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// ownIncident is true for a kill that is an incident of its own: a child's. Those that
// went with the main process are part of the death.
func (r *run) ownIncident(g *given) bool { return !g.main && !r.withMain(g.kill) }

// killDue is when a child's kill can be emitted; zero where it is no incident of its
// own, and where what is known of it has been emitted.
func (c *Correlator) killDue(x *container, r *run, g *given) time.Time {
	if !r.ownIncident(g) || r.takesOver(g) || g.Emitted != nil && g.Emitted.Print == c.killPrint(x, r, g) {
		return time.Time{}
	}
	due := c.arrival(g.seen).Add(childWait)
	if g.guessed() || c.up(x.Engine) && !r.outlived(g.kill) {
		// The engine may be too busy to report that this run has ended, or what its main
		// process was.
		due = c.patient(g.seen, g.at())
	}
	return later(due, c.recordDue(g.kill))
}

// outlived is true for a run that was seen alive, with its main process, after a kill in it.
func (r *run) outlived(k *kill) bool {
	return r.pid != 0 && r.look != nil && r.look.LastRunning.After(k.at())
}

// recordOwed is true for a kill that only the trace reported, and whose record the kernel
// log may still give.
func (c *Correlator) recordOwed(k *kill) bool { return k.Record == nil && c.up(observe.KernelLog) }

// recordDue is until when the record of a kill that only the trace reported is waited for.
func (c *Correlator) recordDue(k *kill) time.Time {
	if !c.recordOwed(k) {
		return time.Time{}
	}
	return c.patient(k.seen, k.at())
}

// logLost is true where the kernel log is known to lack records around a moment.
func (c *Correlator) logLost(at time.Time) bool {
	return slices.ContainsFunc(c.gapsAround(at), func(g incident.Gap) bool { return g.Source == observe.KernelLog })
}

// killsDue is when the first of a run's kills can be emitted; zero when none waits.
func (c *Correlator) killsDue(x *container, r *run) (next time.Time) {
	if r.exit != nil && x.emissionOf(r) == nil {
		// They go with the death, but for those whose record is still waited for.
		return time.Time{}
	}
	if r.exit == nil && r.mainKill() != nil && x.emissionOf(r) == nil {
		return time.Time{} // its end is on its way: nobody may say that it lives on
	}
	for i := range r.kills {
		next = sooner(next, c.killDue(x, r, &r.kills[i]))
	}
	return next
}

func (c *Correlator) killPrint(x *container, r *run, g *given) uint64 {
	p := newPrint()
	p.add(x.Spec.ID, r.start, string(g.By), g.Record != nil, g.located())
	for _, s := range g.oneOf {
		p.add(s)
	}
	return p.sum()
}

// emitKills emits the kills of children that are due, one incident for each report of
// the kernel. dying is true when the death of the run is emitted right after.
func (c *Correlator) emitKills(x *container, r *run, all, dying bool) {
	for _, report := range r.reports() {
		ready := slices.ContainsFunc(report, func(g *given) bool {
			due := c.killDue(x, r, g)
			return !due.IsZero() && (all || dying && c.speaksOf(r, g) || !due.After(c.now))
		})
		if ready {
			c.emitReport(x, r, report)
		}
	}
}

// reports are the kills of a run that are incidents of their own, those of one report of
// the kernel together.
func (r *run) reports() (out [][]*given) {
	for i := range r.kills {
		g := &r.kills[i]
		if !r.ownIncident(g) {
			continue
		}
		if at := slices.IndexFunc(out, func(report []*given) bool { return report[0].sameReport(g.kill) }); at >= 0 {
			out[at] = append(out[at], g)
		} else {
			out = append(out, []*given{g})
		}
	}
	return out
}

// emitReport emits what one report of the kernel says of children.
func (c *Correlator) emitReport(x *container, r *run, report []*given) {
	first := report[max(0, slices.IndexFunc(report, func(g *given) bool { return g.Emitted != nil }))]
	if first.Emitted == nil {
		first.Emitted = &emission{ID: first.id(c), Kind: incident.KindKill}
	}
	c.emit(first.Emitted, c.killFacts(x, r, report, first.Emitted.ID), c.killPrint(x, r, first), len(report), r.speaksFor(first))
	for _, g := range report {
		said := *first.Emitted
		said.Print = c.killPrint(x, r, g)
		g.Emitted = &said
		c.kills.unsaved[g.kill] = true
	}
}

// speaksFor is true for a kill right before an end that is alerted, and that names it. Who
// then ends well, or was asked to, is none.
func (r *run) speaksFor(g *given) bool {
	end := r.endTime()
	if end.IsZero() || end.Sub(g.at()) >= verdict.ChildWindow {
		return false
	}
	asked, killed := requests(r.asked)
	return r.exit == nil || r.exit.ExitCode != 0 && !asked && !killed
}

// speaksOf is true for a kill that the death of its run speaks of for sure, so that both
// can be emitted together. What the kernel killed after its end, or after the main process
// where nobody has reported the end, may have been in a later run.
func (c *Correlator) speaksOf(r *run, g *given) bool {
	if g.Record == nil || g.guessed() || r.pid == 0 && g.Mark == nil && c.up(observe.Trace) {
		return false // its mark may yet show that it was the main process
	}
	if r.exit != nil {
		return !g.at().After(r.endTime())
	}
	return r.mainKill() == nil || !g.at().After(r.mainKill().at())
}

// emitUndated emits the kills of a saved log that have no time, so that none of the
// container's runs can be said to hold them.
func (c *Correlator) emitUndated(x *container) {
	for _, k := range x.kills {
		if !k.at().IsZero() || k.Emitted != nil {
			continue
		}
		k.Emitted = &emission{ID: k.id(c), Kind: incident.KindKill}
		c.emit(k.Emitted, c.killFacts(x, &run{hi: never}, []*given{{kill: k}}, k.Emitted.ID), 1, 1, false)
	}
}

// await has a kill without a container emitted as one, in time.
func (c *Correlator) await(k *kill) {
	if k.Emitted == nil || k.Emitted.Print != k.unattributedPrint() {
		c.kills.wait[k] = true
		c.kills.next = sooner(c.kills.next, c.unattributedDue(k))
	}
}

// settle emits the kills that no container can be named for, once they have waited long
// enough: for counters and events where the kernel printed no cgroup, for the engine where
// it printed that of a container.
func (p *killPool) settle(c *Correlator, all bool) {
	if p.stale {
		for k := range p.open {
			if k.guessed() && !c.fixed(k) {
				c.assign() // what is known of a guess has changed
				break
			}
		}
	}
	if len(p.wait) == 0 {
		p.next = time.Time{}
		return
	}
	if !all && p.next.After(c.now) {
		return
	}
	ripe := p.ripe(c, all)
	if len(ripe) > 0 && p.stale {
		c.assign()
	}
	for _, k := range ripe {
		if delete(p.wait, k); k.home == nil { // else it was given to one
			c.emitUnattributed(k)
		}
	}
}

// ripe are the waiting kills that have waited long enough, oldest first.
func (p *killPool) ripe(c *Correlator, all bool) (out []*kill) {
	p.next = time.Time{}
	for k := range p.wait {
		if due := c.unattributedDue(k); all || !due.After(c.now) {
			out = append(out, k)
		} else {
			p.next = sooner(p.next, due)
		}
	}
	slices.SortFunc(out, func(a, b *kill) int { return a.at().Compare(b.at()) })
	return out
}

// emitUnattributed emits a kill that no container can be named for.
func (c *Correlator) emitUnattributed(k *kill) {
	f := c.unattributedFacts(k)
	if k.Emitted == nil {
		k.Emitted = &emission{ID: f.ID, Kind: incident.KindHost}
	}
	c.emit(k.Emitted, f, k.unattributedPrint(), 0, false)
	c.kills.unsaved[k] = true
}

func (k *kill) unattributedPrint() uint64 {
	p := newPrint()
	p.add("stray", k.located(), k.Record != nil)
	return p.sum()
}

// unattributedDue is when a kill without a container is emitted as one.
func (c *Correlator) unattributedDue(k *kill) time.Time {
	seen := c.arrival(k.seen)
	record := c.recordDue(k)
	switch engines, unlisted := c.engines(); {
	case k.expects != "" && unlisted:
		return seen.Add(listWait)
	case k.expects != "" && engines:
		return c.patient(k.seen, k.at())
	case k.expects != "":
		return seen.Add(joinWait)
	case !k.pathless() || k.located() != "":
		return later(seen, record)
	case verdict.VictimPath(k.episode()) == "/" && k.episode().Constraint != kmsg.ConstraintMemcg && k.episode().Constraint != "":
		return seen
	case engines:
		return later(c.patient(k.seen, k.at()), record)
	}
	return later(seen.Add(joinWait), record)
}

// engines says whether any engine is there, and whether one has not listed its
// containers since it was last away.
func (c *Correlator) engines() (there, unlisted bool) {
	known := false
	for _, s := range c.host.Sources {
		if s.State.Kind != observe.KindEngine {
			continue
		}
		known = true
		there = there || s.State.Up
		unlisted = unlisted || s.State.Up && !s.listed
	}
	return there, unlisted || !known && len(c.containers) > 0
}
