package watcher

import (
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/verdict"
)

// match is where a kill belongs: the container, and the run of it. A container
// without a run is one whose run of that time has not been told of yet.
type match struct {
	e  *entry
	r  *run
	by verdict.Attribution
	// unknownID is true when the path names a container that nobody has told of yet.
	unknownID bool
}

// findOwner looks for the container a kill hit: by the path the kernel printed,
// else by what was known of the pid before.
func (c *Correlator) findOwner(ep *kmsg.Episode, k *kmsg.Kill) match {
	path := verdict.VictimPath(ep)
	if path == "" || path == "/" {
		return c.ownerOfMarked(k.PID, killTime(ep, k))
	}
	return c.ownerOfPath(path, k.PID, killTime(ep, k), verdict.ByPath)
}

// heldBy is the run that a kill was given to while its mark alone was known; else other.
func (c *Correlator) heldBy(k *kmsg.Kill, other match) match {
	for _, e := range c.entries {
		for _, r := range e.Runs {
			for i := range r.Kills {
				if old := &r.Kills[i]; old.FromTrace && sameKill(&old.Kill, k) {
					return match{e: e, r: r, by: old.By}
				}
			}
		}
	}
	return other
}

func killTime(ep *kmsg.Episode, k *kmsg.Kill) time.Time {
	if k.Time.IsZero() {
		return ep.Time
	}
	return k.Time
}

// ownerOfPath looks for the container that a cgroup is of.
func (c *Correlator) ownerOfPath(path string, pid int, at time.Time, by verdict.Attribution) match {
	id := cgroup.ParsePath(path)
	unknown := false
	// The outermost id first: root inside a container can give a cgroup of
	// its own another container's id as its name.
	for _, cid := range []string{id.OuterID, id.ContainerID} {
		if cid == "" {
			continue
		}
		if e := c.entries[cid]; e != nil && e.holds(path) {
			return match{e: e, r: c.runFor(e, pid, at), by: by}
		}
		unknown = true
	}
	if id.InContainer() {
		return match{unknownID: unknown}
	}
	// A path that is no container's can still be where a known container's
	// processes live (a runtime's own layout).
	for _, e := range c.entries {
		if own := e.Spec.CgroupPath; own != "" && own != "/" && e.holds(path) {
			return match{e: e, r: c.runFor(e, pid, at), by: by}
		}
	}
	return match{}
}

// ownerOfPID looks for a run whose first process had the pid at that time, then
// for a container in whose cgroup the pid had been seen. Pids are used again:
// where two runs could have had it, the one that covers the moment wins.
func (c *Correlator) ownerOfPID(pid int, at time.Time) match {
	var best match
	for _, e := range c.entries {
		for i, r := range e.Runs {
			if r.PID != pid || !c.covers(e, i, pid, at) {
				continue
			}
			if best.r == nil || r.Start.After(best.r.Start) && !at.Before(r.Start) || at.Before(best.r.Start) {
				best = match{e: e, r: r, by: verdict.ByMainPID}
			}
		}
	}
	if best.r != nil {
		return best
	}
	o, ok := c.pids[pid]
	e := c.entries[o.id]
	if !ok || e == nil || at.Before(o.first.Add(-early)) || at.Sub(o.last) > pidTrust {
		return match{}
	}
	// A container's processes end with its first one: a pid seen in an earlier
	// run is nobody's.
	if r := c.runFor(e, pid, at); r != nil && !o.last.Before(r.Start.Add(-early)) {
		return match{e: e, r: r, by: verdict.ByPIDTable}
	}
	return match{}
}

const (
	// early is how long before the engine's stamp of a start the kernel can
	// already have killed: the engine notes the start after the process runs.
	// A restart takes longer than that, so that it is no kill of the run before.
	early = 200 * time.Millisecond
	// earlyMain is the same where the pid tells that it was this run.
	earlyMain = time.Second
	// late is how long after the engine's stamp of an end the kernel's stamp
	// of the kill that caused it can lie: never, but for the clocks.
	late = 100 * time.Millisecond
)

// covers says whether a moment of the kernel's, about a pid, can lie in the i-th
// run of a container.
func (c *Correlator) covers(e *entry, i int, pid int, at time.Time) bool {
	r := e.Runs[i]
	if i < len(e.Runs)-1 && r.Exit == nil && !at.Before(e.Runs[i+1].Start) {
		return false // it had ended before the next began, though nobody saw it
	}
	before, after := early, late
	if pid != 0 && pid == r.PID {
		before = earlyMain
	}
	if c.opt.Offline {
		// Saved logs may stamp to the second, and drift by more.
		before, after = slackOffline, slackOffline
	}
	if r.Guessed {
		before = 24 * time.Hour
	}
	return !at.Before(r.Start.Add(-before)) && !at.After(endOf(r).Add(after))
}

// slackOffline is how far apart the clocks of saved files may be.
const slackOffline = 5 * time.Second

// runFor returns the run of a container that a kill belongs to: the one whose
// first process it was, else the one that covers the time best; nil where none
// does. pid 0 goes by time alone.
func (c *Correlator) runFor(e *entry, pid int, at time.Time) *run {
	var fits *run
	for i := len(e.Runs) - 1; i >= 0; i-- {
		r := e.Runs[i]
		if !c.covers(e, i, pid, at) {
			continue
		}
		if pid != 0 && r.PID == pid {
			return r
		}
		if fits == nil || at.Before(fits.Start) && !at.After(endOf(r)) {
			fits = r
		}
	}
	return fits
}

// rehome moves kills to the run they belong to now that more is known of the
// runs: the kernel may speak of a run before the engine does.
func (c *Correlator) rehome(e *entry) {
	c.rightEnds(e)
	c.place()
	c.adopt()
	var homeless []verdict.KernelKill // told, of a run that the engine has not told of
	for _, r := range e.Runs {
		kept := r.Kills[:0]
		for _, k := range r.Kills {
			switch to := c.runFor(e, k.Kill.PID, k.Kill.Time); {
			case to == r || k.Main && r.PID == k.Kill.PID:
				k.Main = (k.Main || c.first(r, &k)) && !r.outlived(&k) && !c.mistaken(r, &k)
				kept = append(kept, k)
			case to != nil:
				c.move(e, k, r, to)
			case r.wasTold(c.killID(&k)), k.Main && r.Told:
				homeless = append(homeless, k)
				kept = append(kept, k)
			default:
				// It came after this run's end, and the next has not been told of.
				e.Attributed--
				c.strays = append(c.strays, &stray{episode: k.Episode, kills: []kmsg.Kill{k.Kill}, seen: r.killSeen, owners: r.owners, members: k.Members, expected: true, traced: k.FromTrace})
			}
		}
		r.Kills = kept
	}
	for _, k := range homeless {
		from := e.take(k)
		c.move(e, k, from, e.madeUp(k.Kill.Time))
	}
}

// madeUp returns a run of which only something in it is known: the engine never told
// of its start, or has not yet.
func (e *entry) madeUp(at time.Time) *run {
	r := e.began(at, false, 0)
	r.Guessed = !r.Exact // it may be one that is known
	return r
}

// take takes a kill from the run that has it.
func (e *entry) take(k verdict.KernelKill) (from *run) {
	for _, r := range e.Runs {
		r.Kills = slices.DeleteFunc(r.Kills, func(x verdict.KernelKill) bool {
			same := x.Kill.PID == k.Kill.PID && x.Kill.Time.Equal(k.Kill.Time)
			if same {
				from = r
			}
			return same
		})
	}
	return from
}

// move gives a kill that one run of a container was taken to have lost to another's.
// Told already, it is told again, under its own id.
func (c *Correlator) move(e *entry, k verdict.KernelKill, from, to *run) {
	if id := c.killID(&k); from.wasTold(id) {
		from.forget(id)
		to.Moved = append(to.Moved, id)
	}
	// An end that nobody saw is put down to a child's kill where none was the first process's.
	because := k.Main || from.Missed && !from.mainKill() && from.ToldCause != incident.UnknownCause && from.ToldCause != incident.HostShutdown
	if because && from.Told && from.ToldOpen && !to.Told {
		// The death that was told with it is the other's, under the id that it
		// was told under; this one's own end is told under one of its own.
		to.Told, to.ToldOpen, to.Amend, to.ToldCause, to.ToldLive, to.DeathID = true, true, true, from.ToldCause, from.ToldLive, from.DeathID
		from.Told, from.ToldOpen, from.ToldCause, from.ToldLive, from.DeathID = false, false, "", false, e.deathID(from)
	}
	k.Main = c.first(to, &k)
	c.addKill(e, to, k)
	to.adoptOwners(from.owners)
}

// wasTold is true for the id of a kill that is an incident of its own, be it as this
// run's or as another's before.
func (r *run) wasTold(id string) bool { return r.killTold(id) || slices.Contains(r.Moved, id) }

// forget has the id of a kill told be no longer of this run.
func (r *run) forget(id string) {
	same := func(old string) bool { return old == id }
	r.KillIDs, r.Moved = slices.DeleteFunc(r.KillIDs, same), slices.DeleteFunc(r.Moved, same)
}

// maxKills bounds the kills that are remembered of one run once they were told; those
// that wait for that are as many as there are.
const maxKills = 64

// forgetKills drops the oldest of those that were told.
func (c *Correlator) forgetKills(r *run) {
	drop := max(0, len(r.Kills)-maxKills)
	r.Kills = slices.DeleteFunc(r.Kills, func(k verdict.KernelKill) bool {
		id := c.killID(&k)
		if drop == 0 || k.Main || !r.killTold(id) {
			return false
		}
		drop--
		r.forget(id)
		return true
	})
}

func (r *run) adoptOwners(owners map[int]string) {
	if r.owners == nil && len(owners) > 0 {
		r.owners = map[int]string{}
	}
	for pid, name := range owners {
		r.owners[pid] = name
	}
}

// holds says whether a path can be this container's: the cgroup it is known to
// be in, or one below that. Until that is known the id in the path is believed.
func (e *entry) holds(path string) bool {
	own := e.Spec.CgroupPath
	return own == "" || path == own || strings.HasPrefix(path, own+"/")
}

// pidTrust is how long a pid last seen in a container's cgroup is still taken
// for that container's: pids are used again.
const pidTrust = 30 * time.Second

// attach adds a kill to a run, once.
func (c *Correlator) attach(m match, s *stray, k kmsg.Kill) {
	c.correct(m, &k)
	for _, r := range m.e.Runs {
		for i := range r.Kills {
			old := &r.Kills[i]
			if !sameKill(&old.Kill, &k) {
				continue
			}
			if old.FromTrace && !s.traced {
				// The record that was missed: it says more.
				old.ID = c.killID(old)
				old.Episode, old.Kill, old.FromTrace = s.episode, k, false
				if m.by != old.By {
					old.By, old.OneOf = m.by, nil // it was guessed
				}
				c.tellAgain(m.e, r, old)
				return
			}
			if s.traced || old.Kill.Seq == k.Seq && old.Kill.Uptime == k.Uptime {
				return
			}
		}
	}
	r := m.r
	kill := verdict.KernelKill{Episode: s.episode, Kill: k, ID: s.id, By: m.by, Members: s.members, FromTrace: s.traced, Marked: c.located(&k)}
	kill.Main = c.first(r, &kill)
	c.addKill(m.e, r, kill)
	r.adoptOwners(s.owners)
	m.e.Attributed++
	if m.by != verdict.ByEvent && m.by != verdict.ByCounter {
		c.withdraw(m.e, r)
	}
}

// sameKill is true where a mark and a record, or two of either, are of one kill.
func sameKill(a, b *kmsg.Kill) bool {
	return a.PID == b.PID && a.Time.Sub(b.Time).Abs() < markSkew
}

// tellAgain lets a kill be told again, under its own id, of which more is known than
// when it was told; and a death that was told with it.
func (c *Correlator) tellAgain(e *entry, r *run, k *verdict.KernelKill) {
	k.Main = k.Main || c.first(r, k)
	if id := c.killID(k); r.killTold(id) && !k.Main {
		r.forget(id)
		r.Moved = append(r.Moved, id)
	}
	r.Amend = r.Amend || r.Told && (k.Main || r.recentKill())
	c.heardOfKill(e, r)
}

// addKill adds a kill to a run, and lets a death that was told without it be told
// again where it explains that.
func (c *Correlator) addKill(e *entry, r *run, k verdict.KernelKill) {
	r.Kills = append(r.Kills, k)
	if r.Told && (r.Exit != nil || r.Missed) && (k.Main || r.unexplained() && r.recentKill()) {
		r.Amend = true
	}
	c.heardOfKill(e, r)
}

// heardOfKill notes when a kill was heard of: what is told of it waits from then.
func (c *Correlator) heardOfKill(e *entry, r *run) {
	r.killSeen, e.dirty = c.now, true
	if r.killsSince.IsZero() {
		r.killsSince = c.now
	}
	c.open[e] = true
}

// members names the containers among the cgroups below a limit.
func (c *Correlator) members(below []cgroup.Level) []incident.Member {
	var out []incident.Member
	for _, l := range below {
		m := incident.Member{Path: l.Path}
		if l.Usage >= 0 {
			m.Usage = new(l.Usage)
		}
		if l.Limit != cgroup.Unlimited {
			m.Limit = new(l.Limit)
		}
		id := cgroup.ParsePath(l.Path)
		if e := c.entries[id.ContainerID]; e != nil && e.holds(l.Path) {
			m.Container = e.name()
		} else if id.ContainerID != "" {
			m.Container = id.ContainerID
		}
		out = append(out, m)
	}
	return out
}

// taskOwners names the containers of the tasks in an episode's table, by what
// was known of their pids before the kill.
func (c *Correlator) taskOwners(ep *kmsg.Episode) map[int]string {
	var out map[int]string
	for i := range ep.Tasks {
		o, ok := c.pids[ep.Tasks[i].PID]
		if !ok {
			continue
		}
		if e := c.entries[o.id]; e != nil && c.now.Sub(o.last) < pidTrust {
			if out == nil {
				out = map[int]string{}
			}
			out[ep.Tasks[i].PID] = e.name()
		}
	}
	return out
}
