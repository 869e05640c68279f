package watcher

import (
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
		for _, cid := range []string{id.ContainerID, id.OuterID} {
			if cid == "" {
				continue
			}
			if e := c.entries[cid]; e != nil {
				return e, e.runFor(k.PID, at), incident.ByPath, false
			}
			unknownID = true
		}
		if id.ContainerID != "" && !id.Monitor {
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

// settleStrays tells strays whose time is up: by the counters and the engine's
// oom events where one container alone fits, as "one of" where several do, else
// as a kill outside every container.
func (c *Correlator) settleStrays(all bool) {
	var kept []*stray
	for _, s := range c.strays {
		if !all && s.readyAt().After(c.now) {
			kept = append(kept, s)
			continue
		}
		for _, k := range s.kills {
			c.settleStray(s, k)
		}
	}
	c.strays = kept
}

func (c *Correlator) settleStray(s *stray, k kmsg.Kill) {
	if e, r, by, _ := c.findOwner(s.episode, &k); e != nil {
		c.attach(e, r, s.episode, k, by, s.owners)
		return
	}
	var oneOf []string
	if incident.VictimPath(s.episode) == "" {
		byCounter, byEvent := c.candidates(k.Time)
		switch {
		case len(byCounter) == 1:
			c.attach(byCounter[0], byCounter[0].runFor(k.PID, k.Time), s.episode, k, incident.ByCounter, s.owners)
			return
		case len(byCounter) == 0 && len(byEvent) == 1:
			c.attach(byEvent[0], byEvent[0].runFor(k.PID, k.Time), s.episode, k, incident.ByEvent, s.owners)
			return
		}
		for _, e := range append(byCounter, byEvent...) {
			if !contains(oneOf, e.name()) {
				oneOf = append(oneOf, e.name())
			}
		}
	}
	c.tellStray(s, k, oneOf)
}

// candidates are the containers that a kill without a path can have hit: those
// whose counter rose by more than the kernel records told, and those with an
// engine oom event at that time and no kill to go with it.
func (c *Correlator) candidates(at time.Time) (byCounter, byEvent []*entry) {
	for _, e := range c.entries {
		if e.unexplained() > 0 && !e.counterSeen.IsZero() {
			byCounter = append(byCounter, e)
			continue
		}
		for _, r := range e.Runs {
			explained := 0
			for i := range r.Kills {
				if r.Kills[i].Kill.Time.Sub(at).Abs() < joinWait {
					explained++
				}
			}
			for _, t := range r.OOMs {
				if t.Sub(at).Abs() < joinWait {
					explained--
				}
			}
			if explained < 0 {
				byEvent = append(byEvent, e)
				break
			}
		}
	}
	return byCounter, byEvent
}

func contains(s []string, v string) bool {
	for _, x := range s {
		if x == v {
			return true
		}
	}
	return false
}
