package watcher

import (
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
		mark := c.record(&k, killTime(ep, &k))
		m := c.findOwner(ep, &k)
		if m.r != nil {
			c.attach(m, s, k)
			continue
		}
		if mark != nil && mark.alone {
			continue // it was told by its mark
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
		for _, r := range e.Runs {
			if r.PID != pid || !c.covers(r, at) {
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
	early = time.Second
	// late is how long after the engine's stamp of an end the kernel's stamp
	// of the kill that caused it can lie: never, but for the clocks.
	late = 100 * time.Millisecond
)

// covers says whether a moment of the kernel's can lie in a run.
func (c *Correlator) covers(r *run, at time.Time) bool {
	before, after := early, late
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
		if !c.covers(r, at) {
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
	for _, r := range e.Runs {
		kept := r.Kills[:0]
		for _, k := range r.Kills {
			to := c.runFor(e, k.Kill.PID, k.Kill.Time)
			if to == r || k.Main || r.killTold(c.killID(&k)) || to != nil && to.Told && !to.ToldOpen {
				k.Main = k.Main || r.PID != 0 && r.PID == k.Kill.PID && to == r
				kept = append(kept, k)
				continue
			}
			if to == nil {
				// It came after this run's end, and the next has not been told of.
				c.strays = append(c.strays, &stray{episode: k.Episode, kills: []kmsg.Kill{k.Kill}, seen: r.killSeen, owners: r.owners, members: k.Members, expected: true, traced: k.FromTrace})
				e.Attributed--
				continue
			}
			k.Main = to.PID != 0 && to.PID == k.Kill.PID
			to.Kills = appendBounded(to.Kills, k, maxKills)
			to.killSeen = c.now
			to.adoptOwners(r.owners)
			c.open[e] = true
		}
		r.Kills = kept
	}
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
			if old.Kill.PID != k.PID || old.Kill.Time.Sub(k.Time).Abs() >= early {
				continue
			}
			if old.FromTrace && !s.traced && !r.Told && !r.killTold(c.killID(old)) {
				// The record that was missed: it says more.
				old.Episode, old.Kill, old.FromTrace = s.episode, k, false
			}
			if old.FromTrace || s.traced || old.Kill.Seq == k.Seq && old.Kill.Uptime == k.Uptime {
				return
			}
		}
	}
	r := m.r
	main := r.PID != 0 && k.PID == r.PID
	r.Kills = appendBounded(r.Kills, incident.KernelKill{Episode: s.episode, Kill: k, By: m.by, Main: main, Members: s.members,
		FromTrace: s.traced, Marked: c.located(&k)}, maxKills)
	r.killSeen = c.now
	r.adoptOwners(s.owners)
	m.e.Attributed++
	m.e.dirty = true
	c.open[m.e] = true
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

// readyAt is when a stray must be told as it is. A kill outside every container
// waits for nothing; one without a path waits for counters and events; one with
// an unknown container's id waits for the engine to speak of it.
func (s *stray) readyAt() time.Time {
	path := incident.VictimPath(s.episode)
	switch {
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
	ripe := func(s *stray) bool { return all || !s.readyAt().After(c.now) }
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
					m.r = m.e.began(k.Time, false)
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
	victims := make([]string, len(loose))
	for i, l := range loose {
		victims[i] = fmt.Sprintf("%s (pid %d)", l.k.Comm, l.k.PID)
	}
	give := func(e *entry, n int64, by incident.Attribution, oneOf []string) {
		for ; n > 0 && len(loose) > 0; n-- {
			l := loose[0]
			loose = loose[1:]
			c.attachOneOf(e, l, by, oneOf)
		}
	}
	byCounter, byEvent := c.candidates(loose)
	for _, cand := range []struct {
		from []candidate
		by   incident.Attribution
	}{{byCounter, incident.ByCounter}, {byEvent, incident.ByEvent}} {
		var oneOf []string
		if len(cand.from) > 1 {
			oneOf = victims
		}
		for _, x := range cand.from {
			give(x.e, x.n, cand.by, oneOf)
		}
	}
	for _, l := range loose {
		if !all && l.s.readyAt().After(c.now) {
			// It came along with older ones and found no place yet.
			c.strays = append(c.strays, &stray{episode: l.s.episode, kills: []kmsg.Kill{l.k}, seen: l.s.seen, owners: l.s.owners, members: l.s.members, traced: l.s.traced})
			continue
		}
		c.tellStray(l.s, l.k)
	}
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

// settled is how long a risen counter may wait for its own kernel record before
// another's kill is put down to it.
const settled = 400 * time.Millisecond

// candidate is a container that lost n processes nobody has named.
type candidate struct {
	e *entry
	n int64
}

// candidates are the containers that loose kills can have hit: those whose
// counter rose by more than the kernel records told, and those with more engine
// oom events at that time than kills to go with them. The order is by name, so
// that the same facts always give the same answer.
func (c *Correlator) candidates(loose []looseKill) (byCounter, byEvent []candidate) {
	near := func(t time.Time) bool {
		for i := range loose {
			if t.Sub(loose[i].k.Time).Abs() < joinWait {
				return true
			}
		}
		return false
	}
	for _, e := range c.entries {
		if e.counts() {
			if n := e.unexplainedAt(c.now.Add(-settled)); n > 0 {
				byCounter = append(byCounter, candidate{e, n})
			}
			continue // its counter knows better than the engine's events
		}
		var n int64
		for _, r := range e.Runs {
			for _, t := range r.OOMs {
				if near(t) {
					n++
				}
			}
			for i := range r.Kills {
				if near(r.Kills[i].Kill.Time) {
					n--
				}
			}
		}
		if n > 0 {
			byEvent = append(byEvent, candidate{e, n})
		}
	}
	byName := func(a, b candidate) int { return strings.Compare(a.e.name(), b.e.name()) }
	slices.SortFunc(byCounter, byName)
	slices.SortFunc(byEvent, byName)
	return byCounter, byEvent
}
