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
func (c *Correlator) episode(ep *kmsg.Episode) {
	owners := c.taskOwners(ep)
	var rest []kmsg.Kill
	unknown := false
	for _, k := range ep.Kills {
		e, r, by, unknownID := c.findOwner(ep, &k)
		if e == nil {
			rest = append(rest, k)
			unknown = unknown || unknownID
			continue
		}
		c.attach(e, r, ep, k, by, owners)
	}
	if len(rest) > 0 {
		c.strays = append(c.strays, &stray{episode: ep, kills: rest, seen: c.now, owners: owners, unknownID: unknown})
	}
}

// findOwner looks for the container a kill hit: by the path the kernel printed,
// else by what was known of the pid before. unknownID is true when the path
// names a container that nobody has told of yet.
func (c *Correlator) findOwner(ep *kmsg.Episode, k *kmsg.Kill) (e *entry, r *run, by incident.Attribution, unknownID bool) {
	at := k.Time
	if at.IsZero() {
		at = ep.Time
	}
	if path := incident.VictimPath(ep); path != "" {
		id := cgroup.ParsePath(path)
		// The outermost id first: root inside a container can give a cgroup
		// of its own another container's id as its name.
		for _, cid := range []string{id.OuterID, id.ContainerID} {
			if cid == "" {
				continue
			}
			if e := c.entries[cid]; e != nil && e.holds(path) {
				return e, e.runFor(k.PID, at), incident.ByPath, false
			}
			unknownID = true
		}
		if id.InContainer() {
			return nil, nil, "", unknownID
		}
		if path != "/" && id.ContainerID == "" {
			// A path that is no container's can still be where a known
			// container's processes live (a runtime's own layout).
			for _, e := range c.entries {
				if e.Spec.CgroupPath != "" && e.Spec.CgroupPath == path {
					return e, e.runFor(k.PID, at), incident.ByPath, false
				}
			}
			return nil, nil, "", false
		}
	}
	o, ok := c.pids[k.PID]
	if !ok || at.Before(o.first.Add(-slack)) {
		return nil, nil, "", unknownID
	}
	e = c.entries[o.id]
	if e == nil {
		return nil, nil, "", unknownID
	}
	for _, r := range e.Runs {
		if r.PID == k.PID && !at.After(endOf(r).Add(slack)) {
			return e, r, incident.ByMainPID, false
		}
	}
	if r = e.at(at, 0); r == nil || at.Sub(o.last) > pidTrust {
		return nil, nil, "", unknownID
	}
	return e, r, incident.ByPIDTable, false
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

// runFor returns the run a kill belongs to: the one whose first process it was,
// else the one that covers the time, else the newest.
func (e *entry) runFor(pid int, at time.Time) *run {
	for _, r := range e.Runs {
		if r.PID == pid && !at.After(endOf(r).Add(slack)) && !at.Before(r.Start.Add(-slack)) {
			return r
		}
	}
	if r := e.at(at, slack); r != nil {
		return r
	}
	if r := e.current(); r != nil && r.Exit == nil {
		return r
	}
	r := e.began(at, false)
	r.Guessed = true
	return r
}

// attach adds a kill to a run, once.
func (c *Correlator) attach(e *entry, r *run, ep *kmsg.Episode, k kmsg.Kill, by incident.Attribution, owners map[int]string) {
	for i := range r.Kills {
		if old := &r.Kills[i]; old.Kill.PID == k.PID && old.Kill.Seq == k.Seq && old.Kill.Uptime == k.Uptime && old.Kill.Time.Sub(k.Time).Abs() < slack {
			return
		}
	}
	main := r.PID != 0 && k.PID == r.PID
	r.Kills = appendBounded(r.Kills, incident.KernelKill{Episode: ep, Kill: k, By: by, Main: main}, 64)
	r.killSeen = c.now
	if r.owners == nil {
		r.owners = map[int]string{}
	}
	for pid, name := range owners {
		r.owners[pid] = name
	}
	e.Attributed++
	e.dirty = true
	c.open[e] = true
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
			if e, r, by, _ := c.findOwner(s.episode, &k); e != nil {
				c.attach(e, r, s.episode, k, by, s.owners)
			} else {
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
	case s.unknownID:
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
			switch e, r, by, _ := c.findOwner(s.episode, &k); {
			case e != nil:
				c.attach(e, r, s.episode, k, by, s.owners)
			case s.pathless():
				loose = append(loose, looseKill{s, k})
			default:
				c.tellStray(s, k)
			}
		}
	}
	c.strays = kept
	if len(loose) > 0 {
		c.settleLoose(loose)
	}
}

// looseKill is a kill of which neither path nor pid tells the container.
type looseKill struct {
	s *stray
	k kmsg.Kill
}

// settleLoose gives loose kills to the containers that lost a process.
func (c *Correlator) settleLoose(loose []looseKill) {
	victims := make([]string, len(loose))
	for i, l := range loose {
		victims[i] = fmt.Sprintf("%s (pid %d)", l.k.Comm, l.k.PID)
	}
	give := func(e *entry, n int64, by incident.Attribution, oneOf []string) {
		for ; n > 0 && len(loose) > 0; n-- {
			l := loose[0]
			loose = loose[1:]
			c.attachOneOf(e, e.runFor(l.k.PID, l.k.Time), l, by, oneOf)
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
		c.tellStray(l.s, l.k)
	}
}

// attachOneOf attaches a loose kill.
func (c *Correlator) attachOneOf(e *entry, r *run, l looseKill, by incident.Attribution, oneOf []string) {
	c.attach(e, r, l.s.episode, l.k, by, l.s.owners)
	if n := len(r.Kills); len(oneOf) > 0 && n > 0 && r.Kills[n-1].Kill.PID == l.k.PID {
		r.Kills[n-1].OneOf = oneOf
	}
}

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
		if n := e.unexplained(); n > 0 && !e.counterSeen.IsZero() {
			byCounter = append(byCounter, candidate{e, n})
			continue
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
