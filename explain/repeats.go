package explain

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// sameRecord is how far apart the ring's and a log's stamps of one record may be.
const sameRecord = 5 * time.Second

// withoutRepeats leaves out what a log on disk repeats of the ring. Of a report whose
// beginning the ring has lost the one on disk takes the place.
func withoutRepeats(obs []observe.Observation) []observe.Observation {
	reports := map[int][]int{} // of the ring, by the pid of each victim
	faults := map[int][]int{}
	for i, o := range obs {
		switch {
		case o.Episode != nil && o.Episode.Seq != 0:
			for _, k := range o.Episode.Kills {
				reports[k.PID] = append(reports[k.PID], i)
			}
		case o.Fault != nil && o.Fault.Seq != 0:
			faults[o.Fault.PID] = append(faults[o.Fault.PID], i)
		}
	}
	again := func(in []int, at time.Time) int {
		return slices.IndexFunc(in, func(i int) bool { return obs[i].At.Sub(at).Abs() < sameRecord })
	}
	drop := map[int]bool{}
	for i, o := range obs {
		switch {
		case o.Episode != nil && o.Episode.Seq == 0:
			for _, k := range o.Episode.Kills {
				n := again(reports[k.PID], o.At)
				if n < 0 {
					continue
				}
				if part := &obs[reports[k.PID][n]]; o.Episode.Complete && !part.Episode.Complete {
					whole := *o.Episode
					whole.Seq, part.Episode = part.Episode.Seq, &whole
				}
				drop[i] = true
			}
		case o.Fault != nil && o.Fault.Seq == 0:
			drop[i] = again(faults[o.Fault.PID], o.At) >= 0
		}
	}
	var kept []observe.Observation
	for i, o := range obs {
		if !drop[i] {
			kept = append(kept, o)
		}
	}
	return kept
}

// sameKill is true where two incidents are of one kill: what was read from a log on
// disk has another id than what the ring told.
func sameKill(a, b *incident.Incident) bool {
	return a.Kind != incident.KindDeath && b.Kind != incident.KindDeath && a.Victim != nil && b.Victim != nil &&
		a.Victim.PID == b.Victim.PID && a.Victim.Comm == b.Victim.Comm && a.Time.Sub(b.Time).Abs() < sameRecord
}
