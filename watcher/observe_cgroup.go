package watcher

import (
	"maps"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/observe"
)

// samples takes one round of readings.
func (c *Correlator) samples(round []observe.Sample) {
	for i := range round {
		s := &round[i]
		e := c.entries[s.ID]
		if e == nil {
			continue
		}
		if s.Current >= 0 {
			kept := s.Sample
			kept.PIDs = nil
			e.readings = insertReading(e.readings, kept)
		}
		for _, pid := range s.PIDs {
			o := c.pids[pid]
			if o.id != s.ID {
				o = owner{id: s.ID, first: s.At}
			}
			o.last = s.At
			c.pids[pid] = o
		}
		if r := e.current(); r != nil && s.Init != nil && r.Exit == nil {
			if r.Init == nil || *r.Init != *s.Init {
				r.Init, e.dirty = s.Init, true
			}
		}
		if s.OOMKills < 0 {
			continue
		}
		e.counted = s.At
		if e.FirstOOMKills < 0 || s.OOMKills < e.OOMKills {
			// The first reading of a container met while it ran, or a new cgroup.
			e.FirstOOMKills, e.Attributed, e.rises = s.OOMKills, 0, nil
			if e.OOMKills >= 0 {
				e.FirstOOMKills = 0
			}
			e.dirty = true
		}
		if s.OOMKills != e.OOMKills {
			e.OOMKills, e.dirty = s.OOMKills, true
			e.rises = appendBounded(e.rises, rise{c.now, s.OOMKills}, 64)
			if e.unexplained() > 0 {
				e.counterSeen, e.counterRose = c.now, s.At
				c.open[e] = true
			}
		}
	}
	c.forgetPids()
}

// Concerns names the containers that an observation may be a death or a kill of:
// what was read of them will be asked for.
func (c *Correlator) Concerns(o *observe.Observation) []string {
	switch {
	case o.Exit != nil:
		return []string{o.Exit.ID}
	case o.Episode == nil:
		return nil
	}
	var ids []string
	if id := cgroup.ParsePath(o.Episode.TaskMemcg).ContainerID; c.entries[id] != nil {
		ids = append(ids, id)
	}
	for i := range o.Episode.Kills {
		if id := c.pids[o.Episode.Kills[i].PID].id; id != "" {
			ids = appendUnique(ids, id)
		}
	}
	return ids
}

// keepReadings is how long readings are remembered: until then a late fact may
// have the incident they belong to told anew.
const keepReadings = 10 * time.Minute

// sameReading is how far two samples of one reading may lie apart: the one that
// tells of new members, and the recorder's.
const sameReading = 50 * time.Millisecond

// insertReading puts a reading in its place: the past of a container comes after
// some of its readings have come alone. Of the same reading that with more stays,
// with what the kernel has notified of since.
func insertReading(all []cgroup.Sample, s cgroup.Sample) []cgroup.Sample {
	i := len(all)
	for i > 0 && all[i-1].At.After(s.At) {
		i--
	}
	for _, j := range []int{i - 1, i} {
		if j >= 0 && j < len(all) && all[j].At.Sub(s.At).Abs() < sameReading {
			if all[j].Stat == nil && s.Stat != nil {
				all[j] = s
			} else if s.Levels != nil {
				all[j].Levels = s.Levels
			}
			return all
		}
	}
	if len(all) >= maxReadings {
		if i == 0 {
			return all // older than all there is room for
		}
		copy(all, all[1:i])
		all[i-1] = s
		return all
	}
	all = append(all, cgroup.Sample{})
	copy(all[i+1:], all[i:])
	all[i] = s
	return all
}

// forgetReadings drops those that nobody will ask for any more.
func (c *Correlator) forgetReadings(e *entry) {
	if n := len(e.readings); n > 0 && !c.open[e] && c.now.Sub(e.readings[n-1].At) > keepReadings {
		e.readings, e.past = nil, nil
	}
}

// maxPids bounds the table of host pids; the default pid_max is the number of
// pids that can be alive at once on most hosts.
const maxPids = 32768

// forgetPids drops pids not seen for a while once the table is large.
func (c *Correlator) forgetPids() {
	if len(c.pids) <= maxPids {
		return
	}
	maps.DeleteFunc(c.pids, func(_ int, o owner) bool { return c.now.Sub(o.last) > time.Minute })
}
