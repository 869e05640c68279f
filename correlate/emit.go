package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
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
	// Voices is how many words of other programs were in it.
	Voices int `json:"voices,omitempty"`
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
		if due(c.childKillsDue(x, r)) {
			c.emitChildKills(x, r, all)
		}
		next = sooner(sooner(sooner(sooner(next, death), kills), counts), c.childKillsDue(x, r))
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
		x.Emitted = append(x.Emitted, c.newDeath(x, r))
		e = &x.Emitted[len(x.Emitted)-1]
		if len(r.stamps) == 0 {
			r.stamps = append(r.stamps, r.anchor())
		}
	}
	c.unsaved[x] = true
	f := c.deathFacts(x, r, e.ID)
	print := c.deathPrint(x, r)
	e.Doubt, e.Voices = f.Untraced, len(f.Voices)
	c.emit(e, f, print, 0, false)
}

// newDeath is what the death of a run is emitted as. Where its kill was emitted before any
// engine spoke of the container, the death is more on that incident and no second one.
func (c *Correlator) newDeath(x *container, r *run) emission {
	e := emission{ID: incident.DeathID(x.Spec.ID, r.anchor())}
	for i := range r.kills {
		if g := &r.kills[i]; r.takesOver(g) {
			e = *g.Emitted
			break
		}
	}
	e.Kind, e.Anchor = incident.KindDeath, r.anchor()
	return e
}

// takesOver is true for a kill that was emitted before any engine spoke of its container,
// and that the death of the run comes from.
func (r *run) takesOver(g *given) bool {
	if g.Emitted == nil || g.Emitted.Kind != incident.KindHost || g.guessed() {
		return false
	}
	return !r.ownIncident(g) || r.exit != nil && !g.at().After(r.endTime()) && r.speaksFor(g)
}

// stands is true for a death of which no more is known than what was emitted. Words of
// other programs that were dropped for newer ones take nothing back.
func (c *Correlator) stands(e *emission, x *container, r *run) bool {
	return e.Print == keptByOld || e.Print == c.deathPrint(x, r) || len(c.voices(x, r)) < e.Voices
}

// deathDue is when the end of a run can be judged: at once where kernel and engine agree,
// later the less is explained; zero while it has not ended, and where what is known of it
// has been judged.
func (c *Correlator) deathDue(x *container, r *run) time.Time {
	main := r.mainKill()
	if r.alive() && main == nil {
		return time.Time{}
	}
	if e := x.emissionOf(r); e != nil && c.stands(e, x, r) {
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
	asked, killed := requests(r.asked)
	stopped := !r.stopped.IsZero()
	switch {
	case main != nil && !c.recordOwed(main.kill):
		return full
	case main != nil, r.end == nil:
		// The kernel's records of that time may still be on their way.
		return later(full, base.Add(joinWait+c.logEvery()))
	case c.kubeletOwed(x, r, sig):
		return later(full, base.Add(joinWait))
	case sig == 9 && killed && asked && !stopped:
		return later(full, base.Add(stopWait))
	case sig == 9 && killed:
		return full
	case r.sentBy(sig) && !r.recentKill():
		return full
	case sig == 9 && r.recentKill():
		return later(full, base.Add(shortWait))
	case sig == 9 && (kernel || len(r.rises) > 0 || len(r.ooms) > 0):
		return later(full, base.Add(joinWait+c.logEvery()))
	case sig == 9:
		return later(full, base.Add(shortWait))
	case sig != 0 && sig != 15 && len(r.faults) == 0 && kernel && !asked:
		return later(full, base.Add(shortWait+c.logEvery()))
	case asked && !stopped:
		return later(full, base.Add(stopWait))
	case code == 0 && !asked:
		return base
	}
	return full
}

// kubeletOwed is true for a pod's container that was asked to stop and stopped, while the
// kubelet has not said why: a probe's failure stands in its journal, a deletion in its list
// of pods, and both can be read later than the runtime's word of the end.
func (c *Correlator) kubeletOwed(x *container, r *run, sig int) bool {
	if x.Spec.Pod == nil || sig != 15 && !slices.ContainsFunc(r.sent, func(s observe.Sent) bool { return s.Number == 15 && !s.FromKernel }) {
		return false
	}
	return !slices.ContainsFunc(c.voices(x, r), func(v incident.Voice) bool {
		return v.Kind == incident.VoiceProbe || v.Kind == incident.VoiceEvicted || v.Kind == incident.VoiceEnds
	})
}

// unseenEndDue is when an end can be judged of which no exit code is known.
func (c *Correlator) unseenEndDue(x *container, r *run, main *given) time.Time {
	var at time.Time
	if main != nil {
		wait := shortWait
		if c.up(x.Engine) || c.recordOwed(main.kill) {
			wait = joinWait + c.logEvery()
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
func (r *run) sentBy(sig int) bool {
	return slices.ContainsFunc(r.sent, func(s observe.Sent) bool { return sig != 0 && s.Number == sig && !s.FromKernel && !s.Ignored })
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
