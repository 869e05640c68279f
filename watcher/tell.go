package watcher

import (
	"cmp"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

func (c *Correlator) killID(k *verdict.KernelKill) string {
	if k.ID != "" {
		return k.ID
	}
	return verdict.KillID(c.opt.Host.BootID, k.Episode, &k.Kill)
}

func (r *run) killTold(id string) bool { return slices.Contains(r.KillIDs, id) }

// tellKills tells the kills of children that were not told yet, one incident
// for each episode. dying is true when the death that follows speaks of them.
func (c *Correlator) tellKills(e *entry, r *run, dying bool) {
	main := r.mainEpisodes()
	for i := 0; i < len(r.Kills); i++ {
		k := r.Kills[i]
		id := c.killID(&k)
		moved := slices.Contains(r.Moved, id)
		if k.Main && !moved || r.killTold(id) {
			continue // the death tells it
		}
		if main[k.Episode.Seq] && k.Episode.Group {
			// One of a group that went with the first process: the death tells it.
			r.KillIDs = append(r.KillIDs, id)
			continue
		}
		f := c.facts(e, r, k.Kill.Time)
		f.ID, f.Kind = id, incident.KindKill
		for j := i; j < len(r.Kills); j++ {
			if other := r.Kills[j]; other.Episode == k.Episode && (j == i || !other.Main && !moved) {
				f.Kills = append(f.Kills, other)
				r.KillIDs = append(r.KillIDs, c.killID(&other))
			}
		}
		if !c.opt.Offline || !r.Guessed && !r.earlier[k.Kill.PID] { // of a run that files do not tell of they cannot tell how it went on
			f.Container.Running = new(r.Exit == nil && !r.Missed)
		}
		if r.Kills[i].Today == 0 {
			r.Kills[i].Today = e.countKill(k.Kill.Time)
		}
		f.KillsToday = r.Kills[i].Today
		inc := verdict.Explain(f)
		inc.Count = len(f.Kills)
		quiet := dying && r.Exit != nil && endOf(r).Sub(k.Kill.Time) < verdict.ChildWindow
		c.told = append(c.told, Told{Incident: inc, Quiet: quiet, Update: moved})
	}
	r.killsSince = time.Time{}
	c.forgetKills(r)
	e.dirty = true
}

// countKill counts the kills of children in a container by the day.
func (e *entry) countKill(at time.Time) int {
	if day := at.UTC().Format(time.DateOnly); day != e.KillDay {
		e.KillDay, e.KillsToday = day, 0
	}
	e.KillsToday++
	return e.KillsToday
}

// uncount takes back that a kill was counted.
func (e *entry) uncount(k *verdict.KernelKill) {
	if k.Today > 0 && k.Kill.Time.UTC().Format(time.DateOnly) == e.KillDay {
		e.KillsToday--
	}
}

// mainEpisodes are the episodes that killed the run's first process.
func (r *run) mainEpisodes() map[uint64]bool {
	out := map[uint64]bool{}
	for i := range r.Kills {
		if r.Kills[i].Main {
			out[r.Kills[i].Episode.Seq] = true
		}
	}
	return out
}

// tellDeath judges the end of a run and tells it, unless it ended well.
func (c *Correlator) tellDeath(e *entry, r *run) {
	at := endOf(r)
	if r.Exit == nil {
		at = c.now
		if k := r.lastMain(); k != nil {
			at = k.Kill.Time
		} else if len(r.Kills) > 0 {
			at = r.Kills[len(r.Kills)-1].Kill.Time
		}
	}
	if k := r.lastMain(); k != nil && at.Sub(k.Kill.Time) > frozen {
		// The engine was away or hung: the kernel's time is the truer one.
		at = k.Kill.Time
	}
	// Who ended well was told to nobody; but who was told of an end that turns out
	// to have been a good one is told that.
	update := r.Told && (r.ToldOpen || r.Amend) && r.ToldCause != incident.ExitOK
	f := c.facts(e, r, at)
	f.ID, f.Kind = r.DeathID, incident.KindDeath
	if f.ID == "" {
		f.ID = e.deathID(r)
	}
	f.Exit, f.Signals, f.StopDone, f.EngineOOMs = r.Exit, r.Signals, r.StopDone, r.OOMs
	f.Sent, f.Untraced = r.Sent, c.untraced(e, r, at)
	f.Traced, f.MaybeFirst = f.Untraced == "", r.maybeFirst()
	f.Faults, f.LogTail, f.NoLog, f.Init = r.Faults, r.logTail, r.noLog, r.Init
	f.RawTail, r.rawTail = r.rawTail, nil
	f.Filesystems, f.FilesystemsUnread = r.disks, r.disksUnread
	for _, k := range r.Kills {
		if k.Main || r.groupWithMain(&k) {
			f.Kills = append(f.Kills, k)
		} else {
			f.ChildKills = append(f.ChildKills, k)
		}
		if id := c.killID(&k); (k.Main || !r.groupWithMain(&k)) && (r.killTold(id) || slices.Contains(r.Moved, id)) && at.Sub(k.Kill.Time) < verdict.ChildWindow {
			f.ChildKillIDs = appendUnique(f.ChildKillIDs, id)
		}
	}
	if r == e.current() {
		f.OOMKillDelta = e.unexplained()
	}
	f.NotSeenLive = r.Missed || r.Replayed
	f.EngineDown, f.Rebooted = r.engineDown, r.rebooted
	if c.opt.Offline {
		f.Undated, f.Shift = e.undated(), e.shift(r)
	}
	inc := verdict.Explain(f)
	if r.ToldLive {
		// Its exit code alone comes from after an outage, in which the engine hung.
		inc.SeenLive = new(true)
	}
	r.ToldLive = inc.SeenLive != nil && *inc.SeenLive
	r.Told, r.ToldOpen, r.Amend = true, r.Exit == nil, false
	r.DeathID, r.ToldCause, e.dirty = inc.ID, inc.Cause, true
	e.Attributed += f.OOMKillDelta
	if inc.Cause == incident.ExitOK && !update {
		e.Attributed -= f.OOMKillDelta
		return
	}
	c.told = append(c.told, Told{Incident: inc, Update: update})
	e.trim()
}

// undated counts the kills that a log told without a time.
func (e *entry) undated() (n int) {
	for _, r := range e.Runs {
		for i := range r.Kills {
			if r.Kills[i].Kill.Time.IsZero() {
				n++
			}
		}
	}
	return n
}

// shift is how far from the end of a run a kill is that no run of the container holds,
// in whole quarters of an hour, as the time zones of a log and of an engine differ.
func (e *entry) shift(r *run) time.Duration {
	const zone, furthest, near = 15 * time.Minute, 14 * time.Hour, slackOffline
	for _, other := range e.Runs {
		for i := range other.Kills {
			at := other.Kills[i].Kill.Time
			d := at.Sub(endOf(r))
			if by := d.Round(zone); other.Guessed && !at.IsZero() && by != 0 && by.Abs() <= furthest && (d-by).Abs() <= near {
				return by
			}
		}
	}
	return 0
}

// deathID is the id of the end of a run that has none yet: that of its start or, where
// another's end has that, having moved or had its start put right since, of the other's.
func (e *entry) deathID(r *run) string {
	id := incident.DeathID(e.Spec.ID, r.Start)
	for range e.Runs {
		i := slices.IndexFunc(e.Runs, func(other *run) bool { return other != r && other.DeathID == id })
		if i < 0 {
			break
		}
		id = incident.DeathID(e.Spec.ID, e.Runs[i].Start)
	}
	return id
}

// frozen is how far the engine's time of an end may lie behind the kernel's
// before it is not believed.
const frozen = 3 * time.Second

func (r *run) lastMain() *verdict.KernelKill {
	for i := len(r.Kills) - 1; i >= 0; i-- {
		if r.Kills[i].Main {
			return &r.Kills[i]
		}
	}
	return nil
}

// groupWithMain is true for a member of the group that the first process was killed with.
func (r *run) groupWithMain(k *verdict.KernelKill) bool {
	m := r.lastMain()
	return m != nil && m.Episode.Group && m.Episode.Seq == k.Episode.Seq
}

// tellCounter tells kills that only the cgroup's counter knows of.
func (c *Correlator) tellCounter(e *entry) {
	n := e.unexplained()
	if n == 0 {
		return
	}
	r := cmp.Or(e.runOf(e.counterRose), e.current())
	if r == nil {
		return
	}
	f := c.facts(e, r, e.counterRose)
	f.Kind, f.OOMKillDelta, f.EngineOOMs = incident.KindKill, n, r.OOMs
	f.ID = incident.CounterID(e.Spec.ID, r.Start, e.OOMKills)
	f.Container.Running = new(r.Exit == nil && !r.Missed)
	e.Attributed += n
	e.counterSeen, e.dirty = time.Time{}, true
	inc := verdict.Explain(f)
	inc.Count = int(n)
	c.told = append(c.told, Told{Incident: inc})
}

// facts gathers what is the same for every incident of a run.
func (c *Correlator) facts(e *entry, r *run, at time.Time) *verdict.Facts {
	spec := e.Spec.Container
	spec.StartedAt, spec.FinishedAt, spec.Running = r.Start, time.Time{}, nil
	spec.ExitCode, spec.Signal, spec.OOMKilledFlag, spec.Health = nil, "", nil, nil
	if r.Health != nil {
		h := *r.Health // an incident must not change when the run's does
		spec.Health = &h
	}
	if r.Guessed {
		spec.StartedAt = time.Time{}
	}
	f := &verdict.Facts{
		Time: at, Host: c.opt.Host, Container: &spec, Owners: r.owners, Offline: c.opt.Offline, Placed: c.placed,
		Historic: c.historic(at), Blind: c.blind(), Gaps: c.gapsAround(at),
		Samples: readingsBefore(e.readings, r.Start, r.beforeKill(at)), Past: e.pastOf(r, r.beforeKill(at)),
	}
	f.NotSeenLive = f.Historic
	return f
}

// historic is true for what happened before this host was first watched.
func (c *Correlator) historic(at time.Time) bool {
	return !c.opt.Epoch.IsZero() && !at.IsZero() && at.Before(c.opt.Epoch)
}

// blind names the sources that are down, with the reason.
func (c *Correlator) blind() map[string]string {
	var out map[string]string
	for name, s := range c.sources {
		if !s.Up {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = s.Reason
		}
	}
	return out
}

// gapsAround returns the stretches of blindness that touch a moment.
func (c *Correlator) gapsAround(at time.Time) []incident.Gap {
	const near = 10 * time.Second
	var out []incident.Gap
	for _, g := range c.gaps {
		if !at.Before(g.From.Add(-near)) && !at.After(g.To.Add(near)) {
			out = append(out, g)
		}
	}
	return out
}

// beforeKill is the moment up to which readings show what led to an incident:
// after the kernel's kill the victim's memory is being given back.
func (r *run) beforeKill(at time.Time) time.Time {
	cut := at
	for i := range r.Kills {
		if k := r.Kills[i].Kill.Time; k.Before(cut) && at.Sub(k) < verdict.ChildWindow {
			cut = k
		}
	}
	return cut
}

// readingsBefore returns the readings of one run up to a moment.
func readingsBefore(all []cgroup.Sample, start, at time.Time) []cgroup.Sample {
	from, to := 0, len(all)
	for from < to && all[from].At.Before(start) {
		from++
	}
	for to > from && all[to-1].At.After(at) {
		to--
	}
	return append([]cgroup.Sample(nil), all[from:to]...)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func appendUnique(s []string, v string) []string {
	if slices.Contains(s, v) {
		return s
	}
	return append(s, v)
}
