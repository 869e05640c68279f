package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// A log that dmesg printed counts from the boot, and says nowhere when that was. What
// the engine says of the same kills does: it stamps the ends that they brought about,
// and its own "oom" events, by the clock.

// maxAnchors bounds how many words of the engine, and how many kills, of one container
// are held against each other: the newest say as much as all.
const maxAnchors = 32

// placeUptimes sets the time of records that have none but the uptime, by the boot that
// brings most kills to where the engine knows of one. It does so for each boot of
// the log, and returns false where it set no time at all.
func placeUptimes(obs []observe.Observation) (placed bool) {
	anchors := map[string][]time.Time{}
	for i := range obs {
		if id, at := oomWord(&obs[i]); id != "" {
			anchors[id] = bounded(anchors[id], at)
		}
	}
	if len(anchors) == 0 {
		return false
	}
	for _, records := range boots(obs) {
		if boot, ok := bootOf(records, anchors); ok {
			placed = true
			for _, o := range records {
				setTime(o, boot)
			}
		}
	}
	return placed
}

// oomWord is what the engine alone reports of an OOM kill: in which container, and
// when; "" where an observation is not that. Its flag is reset at each start, so
// that it speaks of the run that it shows the end of.
func oomWord(o *observe.Observation) (id string, at time.Time) {
	switch c := o.Container; {
	case o.Event != nil && o.Event.Kind == observe.OOM:
		return o.Event.ID, o.At
	case c != nil && c.Exit != nil && c.Exit.OOMKilled && c.Exit.ExitCode == 137 && !c.Exit.FinishedAt.IsZero():
		return c.ID, c.Exit.FinishedAt
	}
	return "", time.Time{}
}

// uptimeOf is the kernel's stamp of a record that has no other.
func uptimeOf(o *observe.Observation) (time.Duration, bool) {
	switch {
	case o.Episode != nil:
		return o.Episode.Uptime, o.Episode.Time.IsZero() && o.Episode.HasUptime
	case o.Fault != nil:
		return o.Fault.Uptime, o.Fault.Time.IsZero() && o.Fault.HasUptime
	}
	return 0, false
}

// boots parts the records without a time, in the order of the log, by the boots
// that they are of: where the uptime falls another began.
func boots(obs []observe.Observation) (out [][]*observe.Observation) {
	// An episode is handed on when it is complete: what the log has inside it stands before.
	const overlap = time.Minute
	var last time.Duration
	for i := range obs {
		up, ok := uptimeOf(&obs[i])
		if !ok {
			continue
		}
		if len(out) == 0 || up < last-overlap {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], &obs[i])
		last = up
	}
	return out
}

// sameBoot is how far a word of the engine follows its kill: the end of a process that
// held much memory takes its time.
const sameBoot = 2 * time.Second

// bootOf finds when the host was booted. Each word of the engine on a container and
// each kill in it give a guess, and the right ones are close together. Where several
// do equally well it is the earliest, which has the newest kills be those that the
// engine's last word is on.
func bootOf(records []*observe.Observation, anchors map[string][]time.Time) (boot time.Time, ok bool) {
	kills := map[string][]time.Duration{}
	for _, o := range records {
		if o.Episode == nil {
			continue
		}
		id := containerOf(o.Episode)
		for known := range anchors {
			if cgroup.SameID(known, id) {
				id = known // the log has it shortened
			}
		}
		for i := range o.Episode.Kills {
			if anchors[id] != nil {
				kills[id] = bounded(kills[id], o.Episode.Kills[i].Uptime)
			}
		}
	}
	var guesses []time.Time
	for id, ups := range kills {
		for _, up := range ups {
			for _, word := range anchors[id] {
				guesses = append(guesses, word.Add(-up))
			}
		}
	}
	slices.SortFunc(guesses, time.Time.Compare)
	most, first := 0, 0
	for last, g := range guesses {
		for g.Sub(guesses[first]) > sameBoot {
			first++
		}
		if n := last - first + 1; n > most {
			most, boot = n, guesses[first]
		}
	}
	return boot, most > 0
}

// containerOf is the id of the container that a victim was in, by the path alone.
func containerOf(ep *kmsg.Episode) string {
	id := cgroup.ParsePath(verdict.VictimPath(ep))
	if id.OuterID != "" {
		return id.OuterID
	}
	return id.ContainerID
}

// onlyLastMain takes all but the newest kill of a main process for kills of earlier runs,
// which saved files do not distinguish from those of the run that inspect shows: one that is
// restarted at once was OOM-killed before within the seconds by which clocks may differ.
func (r *run) onlyLastMain() {
	last := r.mainKill()
	for i := range r.kills {
		if g := &r.kills[i]; g.main && g.Kill.PID != last.Kill.PID {
			g.main, g.earlier = false, true
		}
	}
}

// undated counts the kills that a log reports without a time.
func (x *container) undated() (n int) {
	for _, k := range x.kills {
		if k.at().IsZero() {
			n++
		}
	}
	return n
}

// shift is how far from the end of a run a kill is that no known run of the container
// holds, in whole quarters of an hour, as the time zones of a log and of an engine differ.
func (c *Correlator) shift(x *container, r *run) time.Duration {
	const zone, furthest, near = 15 * time.Minute, 14 * time.Hour, offlineSkew
	for _, k := range x.kills {
		if k.at().IsZero() || x.runAt(k.Kill.PID, k.at(), true) != nil {
			continue
		}
		d := k.at().Sub(r.endTime())
		if by := d.Round(zone); by != 0 && by.Abs() <= furthest && (d-by).Abs() <= near {
			return by
		}
	}
	return 0
}

// setTime sets the time of a record by when the host was booted.
func setTime(o *observe.Observation, boot time.Time) {
	if x := o.Fault; x != nil {
		x.Time = boot.Add(x.Uptime)
		o.At = x.Time
		return
	}
	ep := o.Episode
	ep.Time = boot.Add(ep.Uptime)
	for i := range ep.Kills {
		if k := &ep.Kills[i]; k.HasUptime {
			k.Time = boot.Add(k.Uptime)
		}
	}
	o.At = ep.Time
}

// bounded appends and keeps the newest maxAnchors.
func bounded[T any](s []T, v T) []T {
	s = append(s, v)
	return s[max(0, len(s)-maxAnchors):]
}

// Replay judges observations that were all made before: those of a file, or of sources
// that were asked once. The engine's list of containers comes first, because it names what
// the others only number; the rest goes by its own time. Nothing is emitted until
// everything has been seen.
func Replay(c *Correlator, obs []observe.Observation) []Emission {
	if len(obs) == 0 {
		return nil
	}
	if c.opt.Offline {
		c.placed = placeUptimes(obs)
	}
	rank := func(o *observe.Observation) int {
		switch {
		case o.Source != nil, o.Host != nil:
			return 0
		case o.List != nil, o.Container != nil:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(obs, func(a, b observe.Observation) int {
		if ra, rb := rank(&a), rank(&b); ra != rb {
			return ra - rb
		}
		return a.At.Compare(b.At)
	})
	last := obs[len(obs)-1].At
	var out []Emission
	for _, o := range obs {
		o.Seen = last // one moment for all: no wait runs out between two of them
		out = append(out, c.Observe(o)...)
	}
	out = append(out, c.Finish()...)
	slices.SortStableFunc(out, func(a, b Emission) int { return a.Incident.Time.Compare(b.Incident.Time) })
	return out
}
