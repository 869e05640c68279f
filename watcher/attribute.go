package watcher

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// episode joins the kills of one call of the OOM killer to containers. Those
// that cannot be joined yet wait as strays.
func (c *Correlator) episode(ep *kmsg.Episode, below []cgroup.Level) {
	s := &stray{episode: ep, seen: c.now, owners: c.taskOwners(ep), members: c.members(below)}
	for _, k := range ep.Kills {
		mark, again := c.record(&k, killTime(ep, &k))
		if again {
			continue
		}
		if mark != nil && mark.alone && c.foundRecord(ep, k) {
			c.adopt()
			continue // it was told by its mark
		}
		m := c.findOwner(ep, &k)
		if m.r != nil {
			c.attach(m, s, k)
			continue
		}
		s.kills = append(s.kills, k)
		s.expected = s.expected || m.e != nil || m.unknownID
	}
	if len(s.kills) > 0 {
		c.strays = append(c.strays, s)
	}
}

// match is where a kill belongs: the container, and the run of it. A container
// without a run is one whose run of that time has not been told of yet.
type match struct {
	e  *entry
	r  *run
	by incident.Attribution
	// unknownID is true when the path names a container that nobody has told of yet.
	unknownID bool
}

// findOwner looks for the container a kill hit: by the path the kernel printed,
// else by what was known of the pid before.
func (c *Correlator) findOwner(ep *kmsg.Episode, k *kmsg.Kill) match {
	path := incident.VictimPath(ep)
	if path == "" || path == "/" {
		return c.ownerOfMarked(k.PID, killTime(ep, k))
	}
	return c.ownerOfPath(path, k.PID, killTime(ep, k), incident.ByPath)
}

func killTime(ep *kmsg.Episode, k *kmsg.Kill) time.Time {
	if k.Time.IsZero() {
		return ep.Time
	}
	return k.Time
}

// ownerOfPath looks for the container that a cgroup is of.
func (c *Correlator) ownerOfPath(path string, pid int, at time.Time, by incident.Attribution) match {
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
				best = match{e: e, r: r, by: incident.ByMainPID}
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
		return match{e: e, r: r, by: incident.ByPIDTable}
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
	c.place()
	c.adopt()
	for _, r := range e.Runs {
		kept := r.Kills[:0]
		for _, k := range r.Kills {
			to := c.runFor(e, k.Kill.PID, k.Kill.Time)
			told := r.killTold(c.killID(&k))
			if to == r || k.Main {
				k.Main = k.Main || r.PID != 0 && r.PID == k.Kill.PID && to == r
				kept = append(kept, k)
				continue
			}
			if to == nil {
				// It came after this run's end, and the next has not been told of.
				s := &stray{episode: k.Episode, kills: []kmsg.Kill{k.Kill}, seen: r.killSeen, owners: r.owners, members: k.Members, expected: true, traced: k.FromTrace}
				e.Attributed--
				if id := c.killID(&k); told || slices.Contains(r.Moved, id) {
					r.KillIDs = slices.DeleteFunc(r.KillIDs, func(old string) bool { return old == id })
					s.id = id
					c.orphans = appendBounded(c.orphans, s, maxOrphans)
					continue
				}
				c.strays = append(c.strays, s)
				continue
			}
			if id := c.killID(&k); told || slices.Contains(r.Moved, id) {
				r.KillIDs = slices.DeleteFunc(r.KillIDs, func(old string) bool { return old == id })
				to.Moved = append(to.Moved, id)
			}
			k.Main = to.PID != 0 && to.PID == k.Kill.PID
			c.addKill(e, to, k)
			to.adoptOwners(r.owners)
		}
		r.Kills = kept
	}
}

// foundRecord takes the record of a kill that was told by its mark alone and
// without a container: what it says more is told under the same id.
func (c *Correlator) foundRecord(ep *kmsg.Episode, k kmsg.Kill) bool {
	same := func(s *stray) bool {
		return s.traced && s.kills[0].PID == k.PID && s.kills[0].Time.Sub(k.Time).Abs() < markSkew
	}
	// Not told yet: the record takes its place.
	c.strays = slices.DeleteFunc(c.strays, same)
	for _, s := range c.orphans {
		if same(s) {
			s.episode, s.kills, s.traced = ep, []kmsg.Kill{k}, false
			c.told = append(c.told, Told{Incident: c.explainStray(s, k), Update: true})
			return true
		}
	}
	return false
}

// adopt gives kills that were told without their container to the run that has
// become known since: its end is explained by them, and they are not told again.
func (c *Correlator) adopt() {
	kept := c.orphans[:0]
	for _, s := range c.orphans {
		k := s.kills[0]
		m := c.findOwner(s.episode, &k)
		if m.r == nil {
			if !s.found && c.located(&k) != "" {
				// Its mark came late, and says where it was.
				s.found = true
				c.told = append(c.told, Told{Incident: c.explainStray(s, k), Update: true})
			}
			kept = append(kept, s)
			continue
		}
		m.r.Moved = append(m.r.Moved, s.id)
		c.attach(m, s, k)
	}
	c.orphans = kept
}

// maxKills bounds the kills that are remembered of one run.
const maxKills = 64

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
	for _, r := range m.e.Runs {
		for i := range r.Kills {
			old := &r.Kills[i]
			if old.Kill.PID != k.PID || old.Kill.Time.Sub(k.Time).Abs() >= markSkew {
				continue
			}
			if old.FromTrace && !s.traced {
				// The record that was missed: it says more.
				old.ID = c.killID(old)
				old.Episode, old.Kill, old.FromTrace = s.episode, k, false
				r.Amend = r.Amend || r.Told && old.Main
				c.open[m.e], m.e.dirty = true, true
				return
			}
			if s.traced || old.Kill.Seq == k.Seq && old.Kill.Uptime == k.Uptime {
				return
			}
		}
	}
	r := m.r
	main := r.PID != 0 && k.PID == r.PID
	c.addKill(m.e, r, incident.KernelKill{Episode: s.episode, Kill: k, ID: s.id, By: m.by, Main: main, Members: s.members,
		FromTrace: s.traced, Marked: c.located(&k)})
	r.adoptOwners(s.owners)
	m.e.Attributed++
}

// addKill adds a kill to a run, and lets a death that was told without it be told
// again where it explains that.
func (c *Correlator) addKill(e *entry, r *run, k incident.KernelKill) {
	r.Kills = appendBounded(r.Kills, k, maxKills)
	r.killSeen, e.dirty = c.now, true
	if r.Told && (r.Exit != nil || r.Missed) && (k.Main || r.unexplained() && r.recentKill()) {
		r.Amend = true
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

// retryStrays looks again for the containers of strays, now that more is known.
func (c *Correlator) retryStrays() {
	kept := c.strays[:0]
	for _, s := range c.strays {
		rest := s.kills[:0]
		for _, k := range s.kills {
			if m := c.findOwner(s.episode, &k); m.r != nil {
				c.attach(m, s, k)
			} else {
				s.expected = s.expected || m.e != nil
				rest = append(rest, k)
			}
		}
		s.kills = rest
		if len(rest) > 0 {
			kept = append(kept, s)
		}
	}
	c.strays = kept
}

// listWait is how long a kill in a container that nobody has spoken of waits for an
// engine that is there and has not yet listed its containers.
const listWait = 30 * time.Second

// strayReadyAt is when a stray must be told as it is. A kill outside every container
// waits for nothing; one without a path waits for counters and events; one with
// an unknown container's id waits for the engine to speak of it.
func (c *Correlator) strayReadyAt(s *stray) time.Time {
	path := incident.VictimPath(s.episode)
	switch docker, known := c.sources["docker"]; {
	case s.expected && !c.listed && !c.opt.Offline && (!known || docker.Up || len(c.entries) > 0):
		return s.seen.Add(listWait)
	case s.expected:
		return s.seen.Add(joinWait)
	case path != "" && path != "/":
		return s.seen
	case s.episode.Constraint == kmsg.ConstraintMemcg, s.episode.Constraint == "", path == "":
		return s.seen.Add(joinWait)
	}
	return s.seen
}

// pathless is true where the kernel did not print the victims' cgroup.
func (s *stray) pathless() bool { return incident.VictimPath(s.episode) == "" }

// settleStrays tells strays whose time is up. Those without a path go to the
// containers whose counters, or else whose engine oom events, say that one of
// theirs was killed; where several containers fit, each is told how many it lost
// and that the victim is one of several, never a guess. What no container
// accounts for is told as a kill outside every container.
func (c *Correlator) settleStrays(all bool) {
	var kept []*stray
	var loose []looseKill
	ripe := func(s *stray) bool { return all || !c.strayReadyAt(s).After(c.now) }
	anyLoose := slices.ContainsFunc(c.strays, func(s *stray) bool { return s.pathless() && ripe(s) })
	for _, s := range c.strays {
		// Kills without a path are judged together: those that are old
		// enough for the counters to have been read go with the oldest.
		together := anyLoose && s.pathless() && c.now.Sub(s.seen) >= joinWait/4
		if !ripe(s) && !together {
			kept = append(kept, s)
			continue
		}
		for _, k := range s.kills {
			switch m := c.findOwner(s.episode, &k); {
			case m.e != nil:
				if m.r == nil {
					// The engine never told of this run: it is made up of the kill.
					m.r = m.e.began(k.Time, false, 0)
					m.r.Guessed = true
				}
				c.attach(m, s, k)
			case s.pathless() && c.located(&k) == "":
				loose = append(loose, looseKill{s, k})
			default:
				c.tellStray(s, k)
			}
		}
	}
	c.strays = kept
	if len(loose) > 0 {
		c.settleLoose(loose, all)
	}
}

// looseKill is a kill of which neither path nor pid tells the container.
type looseKill struct {
	s *stray
	k kmsg.Kill
}

// settleLoose gives loose kills to the containers that lost a process.
func (c *Correlator) settleLoose(loose []looseKill, all bool) {
	slices.SortStableFunc(loose, func(a, b looseKill) int { return a.k.Time.Compare(b.k.Time) })
	loose = c.settleByEvent(c.settleByCounter(loose))
	for _, l := range loose {
		if !all && c.strayReadyAt(l.s).After(c.now) {
			// It came along with older ones and found no place yet.
			c.strays = append(c.strays, &stray{episode: l.s.episode, kills: []kmsg.Kill{l.k}, seen: l.s.seen, owners: l.s.owners, members: l.s.members, traced: l.s.traced})
			continue
		}
		c.tellStray(l.s, l.k)
	}
}

// settleByCounter gives loose kills to the containers whose own counter of kills
// rose by more than the records tell, and returns the rest. It is a guess which
// of them hit which, unless only one container lost all of them.
func (c *Correlator) settleByCounter(loose []looseKill) []looseKill {
	type candidate struct {
		e *entry
		n int64
	}
	var from []candidate
	total := int64(0)
	for _, e := range c.entries {
		if n := e.unexplainedAt(c.now.Add(-settled)); e.counts() && n > 0 {
			from, total = append(from, candidate{e, n}), total+n
		}
	}
	slices.SortFunc(from, func(a, b candidate) int { return strings.Compare(a.e.name(), b.e.name()) })
	var oneOf []string
	if len(from) > 1 || total < int64(len(loose)) || len(loose) > 0 && c.missedSome(loose[0].k.Time) {
		oneOf = victims(loose)
	}
	for _, x := range from {
		n := x.n
		loose = slices.DeleteFunc(loose, func(l looseKill) bool {
			if n == 0 || !c.covers(x.e, len(x.e.Runs)-1, 0, l.k.Time) {
				return false // the counter is the present run's
			}
			n--
			c.attachOneOf(x.e, l, incident.ByCounter, oneOf)
			return true
		})
	}
	return loose
}

// settleByEvent gives loose kills to the containers of which the engine reported
// an OOM at that very time, the nearest first, where no counter knows better.
func (c *Correlator) settleByEvent(loose []looseKill) (rest []looseKill) {
	type claim struct {
		e    *entry
		at   time.Time
		kill int // of loose
		off  time.Duration
	}
	var claims []claim
	for _, e := range c.entries {
		for _, at := range e.unexplainedOOMs() {
			for i := range loose {
				if off := at.Sub(loose[i].k.Time).Abs(); off < besides {
					claims = append(claims, claim{e, at, i, off})
				}
			}
		}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.off, b.off), strings.Compare(a.e.name(), b.e.name()), cmp.Compare(a.kill, b.kill))
	})
	everyClaim, given := slices.Clone(claims), make([]bool, len(loose))
	for len(claims) > 0 {
		best := claims[0]
		var rivals []looseKill
		others := 0 // events that could have been meant instead
		for _, x := range everyClaim {
			if x.e == best.e && x.at.Equal(best.at) {
				rivals = append(rivals, loose[x.kill])
			} else if x.kill == best.kill {
				others++
			}
		}
		var oneOf []string
		if len(rivals) > 1 || others > 0 || c.missedSome(loose[best.kill].k.Time) {
			oneOf = victims(rivals)
		}
		c.attachOneOf(best.e, loose[best.kill], incident.ByEvent, oneOf)
		given[best.kill] = true
		claims = slices.DeleteFunc(claims, func(x claim) bool { return x.kill == best.kill || x.e == best.e && x.at.Equal(best.at) })
	}
	for i := range loose {
		if !given[i] {
			rest = append(rest, loose[i])
		}
	}
	return rest
}

// unexplainedOOMs are the engine's oom events that no kill goes with. Where a run's
// counter was read after one it knows better.
func (e *entry) unexplainedOOMs() (free []time.Time) {
	for _, r := range e.Runs {
		kills := slices.Clone(r.Kills)
		for _, t := range r.OOMs {
			if r == e.current() && e.counts() && e.counted.After(t) {
				continue
			}
			i := slices.IndexFunc(kills, func(k incident.KernelKill) bool { return k.Kill.Time.Sub(t).Abs() < besides })
			if i < 0 {
				free = append(free, t)
				continue
			}
			kills = slices.Delete(kills, i, i+1)
		}
	}
	return free
}

// missedSome is true where the log or the engine lost something near a moment: what
// seems to belong together then may be the halves of two.
func (c *Correlator) missedSome(at time.Time) bool {
	return slices.ContainsFunc(c.gapsAround(at), func(g incident.Gap) bool { return g.Source == "kmsg" || g.Source == "docker" })
}

// victims names loose kills.
func victims(loose []looseKill) []string {
	out := make([]string, len(loose))
	for i, l := range loose {
		out[i] = fmt.Sprintf("%s (pid %d)", l.k.Comm, l.k.PID)
	}
	return out
}

// attachOneOf attaches a loose kill.
func (c *Correlator) attachOneOf(e *entry, l looseKill, by incident.Attribution, oneOf []string) {
	r := c.runFor(e, l.k.PID, l.k.Time)
	if r == nil {
		if r = e.current(); r == nil {
			return
		}
	}
	c.attach(match{e: e, r: r, by: by}, l.s, l.k)
	if n := len(r.Kills); len(oneOf) > 0 && n > 0 && r.Kills[n-1].Kill.PID == l.k.PID {
		r.Kills[n-1].OneOf = oneOf
	}
}

// besides is how far the engine's word on a kill lies from the kernel's stamp of
// it: some milliseconds, on a busy host. What lies further apart is two kills.
const besides = 250 * time.Millisecond

// settled is how long a risen counter may wait for its own kernel record before
// another's kill is put down to it.
const settled = 400 * time.Millisecond
