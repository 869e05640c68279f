package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// How long a verdict waits for the other half of a story. Only what is still unexplained
// waits at all: a death that kernel and engine agree on is emitted the moment the second
// of them speaks.
const (
	// joinWait is for a SIGKILL that nobody has explained yet, and for a kernel kill
	// whose container has not been seen to end.
	joinWait = 2 * time.Second
	// patience is for what could still become part of something else: a source that
	// stands still is given that long.
	patience = 10 * time.Second
	// detailWait is for the log tail and the last inspect: milliseconds, but for an
	// engine that is short of memory or CPU itself.
	detailWait = 3 * time.Second
	// stopWait is for the engine's "stop" after the end of a container that was sent
	// its stop signal.
	stopWait = 3 * time.Second
	// shortWait is for what follows within milliseconds or never: the kernel's segfault
	// line, a death after a child's kill.
	shortWait = 300 * time.Millisecond
	// childWait is for the end that a child's kill may bring about.
	childWait = time.Second
	// listWait is for an engine that is there and has not yet listed its containers.
	listWait = 30 * time.Second
)

// emission is what was said of one incident.
type emission struct {
	ID     string        `json:"id"`
	Kind   incident.Kind `json:"kind"`
	Anchor time.Time     `json:"anchor,omitzero"` // of a death: by which its run is found again
	At     time.Time     `json:"at,omitzero"`
	// Print is the fingerprint of the facts it stood on, Content that of what mattered of it,
	Print uint64 `json:"print,omitempty"`
	// and Rest that of what was said beside it.
	Content uint64 `json:"content,omitempty"`
	Rest    uint64 `json:"rest,omitempty"`
	// Known is how much of what does not outlive a restart was in it.
	Known int `json:"known,omitempty"`
	// Doubt is why signals were not known for sure; "" where they were.
	Doubt string `json:"doubt,omitempty"`
	// Live is true once it was seen as it happened.
	Live bool `json:"live,omitempty"`
	// Nothing is true for an end that is no incident.
	Nothing bool `json:"nothing,omitempty"`
}

// emit hands on an incident where what matters of it has changed since it was emitted.
func (c *Correlator) emit(e *emission, f *verdict.Facts, print uint64, count int, silent bool) {
	inc := verdict.Explain(f)
	if count > 0 {
		inc.Count = count
	}
	first := e.Print == 0 || e.Nothing
	e.Print, e.At = print, f.Time
	if first && inc.Cause == incident.ExitOK {
		e.Nothing = true
		return
	}
	if e.Live {
		inc.SeenLive = new(true)
	}
	e.Live = inc.SeenLive != nil && *inc.SeenLive
	content, rest := contentOf(inc), restOf(inc)
	known := min(len(f.Samples), 1)<<16 + len(f.LogTail)
	if !first && content == e.Content {
		if rest == e.Rest || known < e.Known {
			return // nothing new, or less than was kept: readings and log lines do not outlive a restart
		}
		silent = true // it is kept, and is no news
	}
	e.Content, e.Rest, e.Known, e.Nothing = content, rest, known, false
	c.out = append(c.out, Emission{Incident: inc, Update: !first, Silent: silent})
}

// settleContainer emits what is ready of a container and returns when the next of it is;
// zero when nothing waits.
func (c *Correlator) settleContainer(x *container, all bool) (next time.Time) {
	runs := c.giveKills(x)
	c.noteClaims(x)
	due := func(at time.Time) bool { return !at.IsZero() && (all || !at.After(c.now)) }
	for _, r := range runs {
		death := c.deathDue(x, r)
		if !death.IsZero() {
			death = c.replaceDue(x, r, death)
		}
		kills := c.killsDue(x, r)
		counts := c.countsDue(x, r)
		if (due(death) || due(counts)) && c.kills.stale {
			if c.assign(); x.dirty {
				return time.Time{} // it has other kills now
			}
		}
		if due(kills) || due(death) {
			c.emitKills(x, r, all, due(death))
			kills = c.killsDue(x, r)
		}
		if due(death) {
			c.emitDeath(x, r)
			death, kills = time.Time{}, c.killsDue(x, r)
		}
		if due(counts) {
			c.emitCounts(x, r, all)
			counts = c.countsDue(x, r)
		}
		next = sooner(sooner(sooner(next, death), kills), counts)
	}
	if c.opt.Offline {
		c.emitUndated(x)
	}
	c.trim(x)
	return next
}

// emissionOf returns what was said of the death of a run; nil for nothing.
func (x *container) emissionOf(r *run) *emission {
	for i := range x.Emitted {
		if e := &x.Emitted[i]; e.Kind == incident.KindDeath && slices.ContainsFunc(r.stamps, e.Anchor.Equal) {
			return e
		}
	}
	return nil
}

// emitDeath judges the end of a run.
func (c *Correlator) emitDeath(x *container, r *run) {
	e := x.emissionOf(r)
	if e == nil {
		x.Emitted = append(x.Emitted, emission{ID: incident.DeathID(x.Spec.ID, r.anchor()), Kind: incident.KindDeath, Anchor: r.anchor()})
		e = &x.Emitted[len(x.Emitted)-1]
		if len(r.stamps) == 0 {
			r.stamps = append(r.stamps, r.anchor())
		}
	}
	c.unsaved[x] = true
	f := c.deathFacts(x, r, e.ID)
	print := c.deathPrint(x, r)
	e.Doubt = f.Untraced
	c.emit(e, f, print, 0, false)
}

// deathDue is when the end of a run can be judged: at once where kernel and engine agree,
// later the less is explained; zero while it has not ended, and where what is known of it
// has been judged.
func (c *Correlator) deathDue(x *container, r *run) time.Time {
	main := r.mainKill()
	if r.alive() && main == nil {
		return time.Time{}
	}
	if e := x.emissionOf(r); e != nil && (e.Print == keptByOld || e.Print == c.deathPrint(x, r)) {
		return time.Time{}
	}
	if r.exit == nil {
		return c.unseenEndDue(x, r, main)
	}
	base := c.arrival(r.ended)
	full := base
	if x.owed(r) {
		full = base.Add(detailWait)
	}
	if x.startOwed(r) && x.detailOf(r) == nil {
		full = later(full, c.patient(r.seen, r.event)) // the engine is still asked when it began, and as what process
	}
	if r.start.IsZero() && !r.failed && r.exit.ExitCode == 137 && main == nil {
		full = later(full, base.Add(patience)) // nobody saw it start: a kill may be what it is known by
	}
	code, kernel := r.exit.ExitCode, c.up(observe.KernelLog)
	sig := incident.ExitSignal(code)
	asked, killed := requests(x.asked(r))
	stopped := !x.stopped(r).IsZero()
	switch {
	case main != nil:
		return full
	case r.end == nil:
		// The kernel's records of that time may still be on their way.
		return later(full, base.Add(joinWait))
	case sig == 9 && killed && asked && !stopped:
		return later(full, base.Add(stopWait))
	case sig == 9 && killed:
		return full
	case c.sentBy(x, r, sig) && !r.recentKill():
		return full
	case sig == 9 && r.recentKill():
		return later(full, base.Add(shortWait))
	case sig == 9 && (kernel || len(x.uncounted(r, r.killTimes())) > 0 || len(x.ooms(r)) > 0):
		return later(full, base.Add(joinWait))
	case sig == 9:
		return later(full, base.Add(shortWait))
	case sig != 0 && sig != 15 && len(c.faultsOf(x, r)) == 0 && kernel && !asked:
		return later(full, base.Add(shortWait))
	case asked && !stopped:
		return later(full, base.Add(stopWait))
	case code == 0 && !asked:
		return base
	}
	return full
}

// unseenEndDue is when an end can be judged of which no exit code is known.
func (c *Correlator) unseenEndDue(x *container, r *run, main *given) time.Time {
	var at time.Time
	if main != nil {
		wait := shortWait
		if c.up(x.Engine) {
			wait = joinWait
		}
		if r.start.IsZero() {
			wait = patience
		}
		at = later(c.arrival(main.seen), x.heard).Add(wait) // an engine that speaks has more to say
	}
	if r.over {
		wait := joinWait
		if r.bySpeed || r.start.IsZero() {
			wait = patience
		}
		over := c.arrival(r.overAt).Add(wait)
		if main == nil || over.Before(at) {
			at = over
		}
	}
	if x.startOwed(r) {
		at = later(at, c.patient(r.seen, r.event))
	}
	return at
}

// patient is until when a fact of a moment, that arrived later, waits for what a source
// that stands still may yet say of that moment.
func (c *Correlator) patient(seen, at time.Time) time.Time {
	seen = c.arrival(seen)
	until := later(seen.Add(joinWait), at.Add(patience))
	if latest := seen.Add(patience); until.After(latest) {
		return latest
	}
	return until
}

// arrival is when a fact arrived: not before this Correlator began.
func (c *Correlator) arrival(seen time.Time) time.Time { return later(seen, c.began) }

// startOwed is true while the engine's source still asks when the run began.
func (x *container) startOwed(r *run) bool {
	return slices.ContainsFunc(x.Starts, func(s stamp) bool { return s.At.Equal(r.event) && s.Owed })
}

// sentBy is true when a sender of the signal was seen.
func (c *Correlator) sentBy(x *container, r *run, sig int) bool {
	return slices.ContainsFunc(x.Sent, func(s observe.Sent) bool {
		return sig != 0 && s.Number == sig && s.PID == r.pid && !s.FromKernel && !s.Ignored && x.runAt(s.PID, s.At, c.opt.Offline) == r
	})
}

// requests says whether the engine was asked to stop the run, and to SIGKILL it.
func requests(signals []incident.Signal) (asked, killed bool) {
	for _, s := range signals {
		if s.Number == 9 {
			killed = true
		} else if !killed {
			asked = true
		}
	}
	return asked, killed
}

// ownIncident is true for a kill that is an incident of its own: a child's. Those that
// went with the main process are part of the death.
func (r *run) ownIncident(g *given) bool { return !g.main && !r.withMain(g.kill) }

// killDue is when a child's kill can be emitted; zero where it is no incident of its
// own, and where what is known of it has been emitted.
func (c *Correlator) killDue(x *container, r *run, g *given) time.Time {
	if !r.ownIncident(g) || g.Emitted != nil && g.Emitted.Print == c.killPrint(x, r, g) {
		return time.Time{}
	}
	due := c.arrival(g.seen).Add(childWait)
	if g.guessed() || c.up(x.Engine) && !r.outlived(g.kill) {
		// The engine may be too busy to tell that this run has ended, or what its main
		// process was.
		due = c.patient(g.seen, g.at())
	}
	return later(due, c.recordDue(g.kill))
}

// outlived is true for a run that was seen alive, with its main process, after a kill in it.
func (r *run) outlived(k *kill) bool {
	return r.pid != 0 && r.look != nil && r.look.LastRunning.After(k.at())
}

// recordDue is until when the record of a kill that only the trace told of is waited for.
func (c *Correlator) recordDue(k *kill) time.Time {
	if k.Record != nil || !c.up(observe.KernelLog) {
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

// emitReport emits what one report of the kernel tells of children.
func (c *Correlator) emitReport(x *container, r *run, report []*given) {
	first := report[max(0, slices.IndexFunc(report, func(g *given) bool { return g.Emitted != nil }))]
	if first.Emitted == nil {
		first.Emitted = &emission{ID: first.id(c), Kind: incident.KindKill}
	}
	end := r.endTime()
	silent := !end.IsZero() && end.Sub(first.at()) < verdict.ChildWindow // the death speaks of it
	c.emit(first.Emitted, c.killFacts(x, r, report, first.Emitted.ID), c.killPrint(x, r, first), len(report), silent)
	for _, g := range report {
		said := *first.Emitted
		said.Print = c.killPrint(x, r, g)
		g.Emitted = &said
		c.kills.unsaved[g.kill] = true
	}
}

// speaksOf is true for a kill that the death of its run speaks of for sure, so that both
// can be emitted together. What the kernel killed after the main process may have been in
// a later run, where nobody has told the end of this one.
func (c *Correlator) speaksOf(r *run, g *given) bool {
	if g.Record == nil || g.guessed() || r.pid == 0 && g.Mark == nil && c.up(observe.Trace) {
		return false // its mark may yet show that it was the main process
	}
	return r.exit != nil || r.mainKill() == nil || !g.at().After(r.mainKill().at())
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
	if due := c.strayDue(k); !due.IsZero() {
		c.kills.wait[k] = true
		c.kills.next = sooner(c.kills.next, due)
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
			c.emitStray(k)
		}
	}
}

// ripe are the waiting kills that have waited long enough, oldest first.
func (p *killPool) ripe(c *Correlator, all bool) (out []*kill) {
	p.next = time.Time{}
	for k := range p.wait {
		if due := c.strayDue(k); all || !due.After(c.now) {
			out = append(out, k)
		} else {
			p.next = sooner(p.next, due)
		}
	}
	slices.SortFunc(out, func(a, b *kill) int { return a.at().Compare(b.at()) })
	return out
}

// emitStray emits a kill that no container can be named for.
func (c *Correlator) emitStray(k *kill) {
	f := c.strayFacts(k)
	if k.Emitted == nil {
		k.Emitted = &emission{ID: f.ID, Kind: incident.KindHost}
	}
	c.emit(k.Emitted, f, k.strayPrint(), 0, false)
	c.kills.unsaved[k] = true
}

func (k *kill) strayPrint() uint64 {
	p := newPrint()
	p.add("stray", k.located(), k.Record != nil)
	return p.sum()
}

// strayDue is when a kill without a container is emitted as one; zero where it was.
func (c *Correlator) strayDue(k *kill) time.Time {
	if k.home != nil || k.Emitted != nil && k.Emitted.Print == k.strayPrint() {
		return time.Time{}
	}
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
