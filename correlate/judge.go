package correlate

import (
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// frozen is how far the engine's time of an end may lie behind the kernel's kill of the
// main process before it is not believed: the engine was away or hung.
const frozen = 3 * time.Second

// deathTime is when a run died.
func (r *run) deathTime() time.Time {
	at := r.endTime()
	if r.end != nil && r.end.At.Sub(at).Abs() < late {
		at = r.end.At // it is the same whether the end was shown or not
	}
	m := r.mainKill()
	switch {
	case m != nil && (at.IsZero() || at.Sub(m.at()) > frozen):
		return m.at()
	case !at.IsZero():
		return at
	}
	return r.hi // the last moment at which it can have lived: a child's kill says nothing of that
}

// anchor is the moment by which the death of a run is known again: its start or, where
// nobody saw that, its end or first kill. Of the two times of a start the event's counts:
// it comes as the run begins, and the time that the engine shows may come ever so late.
func (r *run) anchor() time.Time {
	switch {
	case !r.event.IsZero():
		return r.event
	case !r.start.IsZero():
		return r.start
	case r.exit != nil:
		return r.exit.At
	case len(r.kills) > 0:
		return r.kills[0].at()
	}
	return r.hi
}

// deathFacts gathers what is known of the end of a run.
func (c *Correlator) deathFacts(x *container, r *run, id string) *verdict.Facts {
	at := r.deathTime()
	f := c.runFacts(x, r, at)
	f.ID, f.Kind = id, incident.KindDeath
	f.Exit, f.Signals, f.StopDone, f.EngineOOMs = r.exit, r.asked, r.stopped, r.ooms
	f.Untraced = c.doubt(x, r, at)
	f.Traced, f.MaybeFirst = f.Untraced == "", r.maybeMain()
	f.Init, f.Faults = x.init(r), r.faults
	if y := c.successor(x, r); y != nil {
		f.ReplacedBy = y.name()
	}
	for _, s := range r.sent {
		f.Sent = append(f.Sent, c.sender(x, s))
	}
	if d := x.detailOf(r); d != nil {
		f.LogTail, f.RawTail, f.NoLog = d.LogTail, d.raw, d.NoLog
		f.Filesystems, f.FilesystemsUnread = d.Filesystems, d.Unread
	}
	for i := range r.kills {
		g := &r.kills[i]
		if g.main || r.withMain(g.kill) {
			f.Kills = append(f.Kills, c.kernelKill(g))
		} else {
			f.ChildKills = append(f.ChildKills, c.kernelKill(g))
		}
		own := g.Emitted != nil || g.Record != nil && r.ownIncident(g) // it is emitted, or will be under this id
		if id := g.id(c); own && id != f.ID && at.Sub(g.at()) < verdict.ChildWindow && !slices.Contains(f.ChildKillIDs, id) {
			f.ChildKillIDs = append(f.ChildKillIDs, id)
		}
	}
	f.OOMKillDelta = r.uncountedAtEnd()
	f.NotSeenLive = !c.opt.Offline && (r.exit == nil && r.over || r.exit != nil && !(r.end != nil && c.live(x.Engine, r.end.At)) && !r.failedLive(c, x)) || f.Historic
	f.EngineDown = c.stoppedWithEngine(x, r) || r.end == nil && (r.exit != nil || r.over) && c.wasDown(x.Engine, r.deathTime())
	f.Rebooted = !x.Booted.IsZero() && !r.lo.IsZero() && r.lo.Before(x.Booted) && (r.exit == nil || r.exit.At.After(x.lastAlive(r)) && r.end == nil)
	f.LogUnread, f.Voices = c.logUnread(x, r), c.voices(x, r)
	f.Gaps = c.gapsOf(x, r)
	if x.unseenEnd(r) {
		f.EndAfter = x.lastKnown(r)
	}
	if c.opt.Offline {
		f.Undated, f.Shift = x.undated(), c.shift(x, r)
	}
	return f
}

// doubt is why the signals to a run's main process are not known for sure; "" where they
// are. Those to unknown processes are remembered for a while only: after that what was
// emitted stands.
func (c *Correlator) doubt(x *container, r *run, at time.Time) string {
	if e := x.emissionOf(r); e != nil && e.Print != 0 && r.pid == 0 && c.now.Sub(at) >= strayFor {
		return e.Doubt
	}
	return c.untraced(x, r, at)
}

// failedLive is true for a start that failed while the engine was watched: no event
// tells of it, so that nothing was missed.
func (r *run) failedLive(c *Correlator, x *container) bool {
	return r.failed && c.live(x.Engine, r.exit.At)
}

// unseenEnd is true where a run is over, and neither the engine nor the kernel saw its end.
func (x *container) unseenEnd(r *run) bool { return r.over && r.exit == nil && r.mainKill() == nil }

// lastKnown is the last moment at which a run is known to have lived: the engine showed
// it, or the kernel killed one of its children.
func (x *container) lastKnown(r *run) time.Time {
	at := x.lastAlive(r)
	for i := range r.kills {
		at = later(at, r.kills[i].at())
	}
	return at
}

// gapsOf are the stretches of blindness in which a run may have ended.
func (c *Correlator) gapsOf(x *container, r *run) []incident.Gap {
	at := r.deathTime()
	if !x.unseenEnd(r) {
		return c.gapsAround(at)
	}
	from, why := x.lastKnown(r), "it sent no event of this end"
	if slices.ContainsFunc(c.host.Away, func(p span) bool { return p.From.Before(at) && p.To.After(from) }) {
		why = notRunning
	}
	out := c.gapsBetween(from, at)
	if slices.ContainsFunc(out, func(g incident.Gap) bool { return g.Source == x.Engine }) {
		return out
	}
	return append(out, incident.Gap{Source: x.Engine, From: from, To: at, Reason: why})
}

// lastAlive is when the engine last showed the run, or its container, alive.
func (x *container) lastAlive(r *run) time.Time {
	if r.look != nil {
		return later(r.look.LastRunning, r.start)
	}
	return r.lo
}

// runFacts gathers what is the same for every incident of a run.
func (c *Correlator) runFacts(x *container, r *run, at time.Time) *verdict.Facts {
	spec := x.Spec.Container
	spec.StartedAt, spec.FinishedAt, spec.Running = r.start, time.Time{}, nil
	spec.ExitCode, spec.Signal, spec.OOMKilledFlag, spec.Health = nil, "", nil, nil
	if h := x.health(r); h != nil {
		health := *h // an incident must not change when the run's does
		spec.Health = &health
	}
	before := r.beforeKill(at)
	f := &verdict.Facts{
		Time: at, Host: c.hostOf(x), Container: &spec, Owners: r.owners(), Offline: c.opt.Offline, Placed: c.placed,
		Historic: c.historic(at), Blind: c.blind(x.Engine, at), Gaps: c.gapsAround(at),
		Samples: between(x.readings, r.lo, before, func(s *cgroup.Sample) time.Time { return s.At }),
		Past:    between(x.past, r.lo, before, func(s *verdict.Reading) time.Time { return s.At }),
	}
	f.Judged = x.judgedAround(at)
	f.NotSeenLive = f.Historic
	f.Horizons = c.horizons(x.Engine, at)
	f.AutoRemove, f.Gone, f.CPUQuota = x.Spec.AutoRemove, x.gone(), x.Spec.CPUQuota
	for i := range c.opt.Faults {
		if d := c.opt.Faults[i].Time.Sub(at); r.pid == 0 && d.Abs() < verdict.LooseFault {
			f.LooseFaults = append(f.LooseFaults, c.opt.Faults[i])
		}
	}
	return f
}

// owners name the containers of the tasks in the kernel's tables of a run's kills.
func (r *run) owners() map[int]string {
	var out map[int]string
	for i := range r.kills {
		for pid, name := range r.kills[i].owners {
			if out == nil {
				out = map[int]string{}
			}
			out[pid] = name
		}
	}
	return out
}

// sender says who sent a signal, and where that one ran.
func (c *Correlator) sender(x *container, s observe.Sent) incident.Sent {
	in := s.Sent
	if s.SenderCgroup == "" {
		if from, _ := c.ofPID(in.Sender.PID, s.At); from != nil {
			in.Container, in.Inside, in.Located = from.name(), from == x, true
		}
		return in
	}
	from := cgroup.ParsePath(s.SenderCgroup)
	in.Unit, in.Located = from.Unit, true
	if at, _ := c.ofPath(s.SenderCgroup); at != nil && from.InContainer() {
		in.Container, in.Inside = at.name(), at == x
	}
	keep(&in.Container, from.ContainerID)
	return in
}

// historic is true for what happened before this host was first watched.
func (c *Correlator) historic(at time.Time) bool {
	return !c.opt.Epoch.IsZero() && !at.IsZero() && at.Before(c.opt.Epoch)
}

// beforeKill is the moment up to which readings show what led to an incident: after the
// kernel's kill the victim's memory is being given back.
func (r *run) beforeKill(at time.Time) time.Time {
	cut := at
	for i := range r.kills {
		if k := r.kills[i].at(); k.Before(cut) && at.Sub(k) < verdict.ChildWindow {
			cut = k
		}
	}
	return cut
}

// killFacts gathers what is known of a child's kill and of those of the same report.
func (c *Correlator) killFacts(x *container, r *run, all []*given, id string) *verdict.Facts {
	first := all[0]
	f := c.runFacts(x, r, first.at())
	f.ID, f.Kind = id, incident.KindKill
	for _, g := range all {
		f.Kills = append(f.Kills, c.kernelKill(g))
	}
	for i := range r.kills {
		if g := &r.kills[i]; !g.main && g.at().Before(first.at()) {
			f.ChildKills = append(f.ChildKills, c.kernelKill(g)) // for the picture
		}
	}
	if !c.opt.Offline || !r.start.IsZero() && !first.earlier {
		// Files cannot show how a run went on that they do not report.
		f.Container.Running = new(r.alive())
	}
	f.KillsToday = c.killsOfDay(x, first.kill)
	return f
}

// killsOfDay is the number of a child's kill among those in its container on that day.
func (c *Correlator) killsOfDay(x *container, k *kill) int {
	day := k.at().UTC().Format(time.DateOnly)
	n := 0
	if x.Day == day {
		n = x.DayKill
	}
	var last *kill
	for _, o := range x.kills {
		if o.at().After(k.at()) || o.at().UTC().Format(time.DateOnly) != day {
			continue
		}
		if (last == nil || !last.sameReport(o)) && (o == k || o.Emitted != nil) {
			n++
		}
		last = o
	}
	return n
}

// unattributedFacts gathers what is known of a kill that no container can be named for.
func (c *Correlator) unattributedFacts(k *kill) *verdict.Facts {
	ep := k.episode()
	if at := k.located(); k.pathless() && at != "" {
		// Where the mark found it stands for what the kernel did not print.
		found := *ep
		found.TaskMemcg, ep = at, &found
	}
	f := verdict.FromLog(ep, k.index(), c.opt.Host.BootID)
	f.Kills[0].FromTrace, f.Kills[0].Marked = k.Record == nil, k.located()
	if f.Kills[0].Marked != "" && k.pathless() {
		f.Kills[0].By = verdict.ByTrace
	}
	f.ID, f.Offline, f.Placed, f.Host, f.Owners = k.id(c), c.opt.Offline, c.placed, c.opt.Host, k.owners
	f.Historic = c.historic(f.Time)
	f.NotSeenLive = f.Historic
	f.Blind, f.Gaps = c.blind("", f.Time), c.gapsAround(f.Time)
	return f
}

// print is a fingerprint of the facts that a verdict stands on: while it stays the same
// the verdict does.
type print struct {
	w io.Writer
	h interface{ Sum64() uint64 }
}

func newPrint() print { h := fnv.New64a(); return print{h, h} }

func (p print) add(parts ...any) {
	for _, x := range parts {
		switch v := x.(type) {
		case string:
			io.WriteString(p.w, v)
		case time.Time:
			io.WriteString(p.w, strconv.FormatInt(v.UnixNano(), 36))
		case bool:
			io.WriteString(p.w, strconv.FormatBool(v))
		case int:
			io.WriteString(p.w, strconv.Itoa(v))
		case int64:
			io.WriteString(p.w, strconv.FormatInt(v, 10))
		}
		io.WriteString(p.w, "\x00")
	}
}

func (p print) sum() uint64 { return p.h.Sum64() }

// deathPrint is the fingerprint of what is known of the end of a run.
func (c *Correlator) deathPrint(x *container, r *run) uint64 {
	p := newPrint()
	p.add(r.start.IsZero(), r.pid, r.over, r.failed)
	if r.exit != nil {
		p.add(r.exit.ExitCode, r.exit.Error, r.exit.OOMKilled, r.end != nil, r.endTime())
	}
	for _, s := range r.asked {
		p.add(s.At, s.Number)
	}
	p.add(r.stopped, len(r.ooms), r.uncountedAtEnd())
	for i := range r.kills {
		g := &r.kills[i]
		p.add(g.Kill.PID, g.main, string(g.By), g.Record != nil, len(g.oneOf))
	}
	for _, s := range r.sent {
		p.add(s.At, s.Number)
	}
	for _, f := range r.faults {
		p.add(f.PID, f.Line)
	}
	if d := x.detailOf(r); d != nil {
		p.add("detail", d.Lines)
	}
	at := r.deathTime()
	for _, g := range c.gapsOf(x, r) {
		p.add(g.Source, g.From, g.To)
	}
	p.add(c.stoppedWithEngine(x, r), c.replacedID(x, r), len(c.voices(x, r)))
	if r.pid == 0 {
		p.add(c.doubt(x, r, at))
	}
	return p.sum()
}

// contentOf is the fingerprint of what matters of an incident: it is emitted again when
// that has changed.
func contentOf(i *incident.Incident) uint64 {
	p := newPrint()
	p.add(string(i.Kind), string(i.Cause), string(i.Confidence), i.Count)
	if k := i.Container; k != nil {
		p.add(k.ID, k.Signal, k.FinishedAt.IsZero())
		if k.ExitCode != nil {
			p.add(*k.ExitCode)
		}
		if k.Running != nil {
			p.add(*k.Running)
		}
	}
	if i.Victim != nil {
		p.add(i.Victim.PID, i.Victim.Comm)
	}
	if i.Killer != nil {
		p.add(string(i.Killer.Kind), i.Killer.PID, i.Killer.Comm)
	}
	if i.OOM != nil {
		p.add(i.OOM.OOMMemcg, i.OOM.Constraint)
		if i.OOM.Limit != nil {
			p.add(*i.OOM.Limit)
		}
	}
	return p.sum()
}

// restOf is the fingerprint of what else an incident says that may become known late. It
// is kept, and nobody is notified again.
func restOf(i *incident.Incident) uint64 {
	p := newPrint()
	p.add(i.Time, len(i.LogTail), len(i.Related), string(i.Severity), len(i.Gaps))
	if k := i.Container; k != nil {
		p.add(k.StartedAt, k.FinishedAt)
	}
	return p.sum()
}
