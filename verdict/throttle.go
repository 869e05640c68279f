package verdict

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
)

const (
	// heldBack is the part of a grace period from which a CPU quota explains that a stop
	// was not handled in time.
	heldBack = 0.5
	// fewPeriods is how many periods of the quota say too little; one is 100 ms by default.
	fewPeriods = 5
	// aroundGrace is how far from the request the first reading may be.
	aroundGrace = time.Second
)

// throttled is the part, 0 to 1, of the periods of its CPU quota in the last stretch of a
// container's life in which the quota was used up and its processes had to wait. ok is
// false where that was not read.
func (f *Facts) throttled(stretch time.Duration) (part float64, ok bool) {
	end := endTime(f)
	var first, last *cgroup.CPU
	for i := range f.Samples {
		s := &f.Samples[i]
		if s.CPU == nil || s.At.After(end) {
			continue
		}
		if first == nil || !s.At.After(end.Add(-stretch)) {
			first = s.CPU
			if s.At.After(end.Add(aroundGrace - stretch)) {
				return 0, false // nothing was read near the request
			}
		}
		last = s.CPU
	}
	if first == nil || last.Periods-first.Periods < fewPeriods {
		return 0, false
	}
	return min(1, float64(last.Throttled-first.Throttled)/float64(last.Periods-first.Periods)), true
}

// probed is how long before a kill a probe's failures are looked at: the kubelet's
// defaults are three of them ten seconds apart.
const probed = 30 * time.Second

// starved says in a clause that the CPU quota kept a container from answering in time, in
// the stretch of its life that of names; "" where it did not.
func (f *Facts) starved(stretch time.Duration, of string) string {
	part, ok := f.throttled(stretch)
	if !ok || part < heldBack {
		return ""
	}
	s := fmt.Sprintf("it was throttled %.0f %% of %s", 100*part, of)
	if f.CPUQuota > 0 {
		s += fmt.Sprintf(" at %.2g CPU", f.CPUQuota)
	}
	return s
}

// starvedAtStop and starvedAtProbe say so of a stop, and of what a probe saw.
func (f *Facts) starvedAtStop(grace time.Duration) string { return f.starved(grace, "its grace") }
func (f *Facts) starvedAtProbe() string                   { return f.starved(probed, "the last 30 s") }
