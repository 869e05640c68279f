package watcher

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/verdict"
)

// stray is a kernel kill that is not joined to a container yet.
type stray struct {
	episode *kmsg.Episode
	kills   []kmsg.Kill
	seen    time.Time
	owners  map[int]string
	members []incident.Member
	// expected is true when the path names a container, and it or its run of
	// that time is not known yet.
	expected bool
	// traced is true for what only a mark told, and no record in the log.
	traced bool
	// id is the id under which an orphan was told.
	id string
	// found is true for one that was told with the place where its mark found it.
	found bool
}

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
		if m.r == nil && mark != nil && mark.alone {
			m = c.heldBy(&k, m)
		}
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
	path := verdict.VictimPath(s.episode)
	switch docker, known := c.sources["docker"]; {
	case s.expected && !c.listed && (!known || docker.Up || len(c.entries) > 0):
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
func (s *stray) pathless() bool { return verdict.VictimPath(s.episode) == "" }

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
					m.r = m.e.madeUp(k.Time)
				}
				c.attach(m, s, k)
				if !c.opt.Offline {
					c.supersede(m.e) // where a later run is known this one has ended
				}
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

// tellStray tells a kill that no known container can be named for.
func (c *Correlator) tellStray(s *stray, k kmsg.Kill) {
	inc := c.explainStray(s, k)
	c.told = append(c.told, Told{Incident: inc})
	told := *s
	told.kills, told.id, told.found = []kmsg.Kill{k}, inc.ID, c.located(&k) != ""
	c.orphans = appendBounded(c.orphans, &told, maxOrphans)
}

func (c *Correlator) explainStray(s *stray, k kmsg.Kill) *incident.Incident {
	ep := s.episode
	if at := c.located(&k); s.pathless() && at != "" {
		// Where the mark found it stands for what the kernel did not print.
		found := *ep
		found.TaskMemcg, ep = at, &found
	}
	f := verdict.FromLog(ep, indexOf(s, k), c.opt.Host.BootID)
	f.Kills[0].FromTrace, f.Kills[0].Marked = s.traced, c.located(&k)
	if f.Kills[0].Marked != "" && s.pathless() {
		f.Kills[0].By = verdict.ByTrace
	}
	f.Offline, f.Placed, f.Host, f.Owners = c.opt.Offline, c.placed, c.opt.Host, s.owners
	f.Historic = c.historic(f.Time)
	f.NotSeenLive = f.Historic
	f.Blind, f.Gaps = c.blind(), c.gapsAround(f.Time)
	if s.id != "" {
		f.ID = s.id
	}
	return verdict.Explain(f)
}

// maxOrphans bounds the kills that are remembered as told without their container.
const maxOrphans = 64

// indexOf finds a kill in its episode.
func indexOf(s *stray, k kmsg.Kill) int {
	for i := range s.episode.Kills {
		if o := &s.episode.Kills[i]; o.PID == k.PID && o.Seq == k.Seq && o.Uptime == k.Uptime {
			return i
		}
	}
	return 0
}
