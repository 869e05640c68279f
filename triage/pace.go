package triage

import "slices"

// The pace of kills that is not a leak's: bursts, and an engine's restarts.

// farApart is by how many times the usual interval bursts lie apart, and betweenBursts
// how long an interval within one may be.
const (
	farApart      = 20
	betweenBursts = 600
)

// mergeBursts makes one occasion of each burst: what follows within longBurst, or
// within three times the usual interval, where the gaps between are of quite
// another size. A program that is restarted and killed again every half minute is
// no burst, nor is a leak of minutes whose host was down once.
func (c *chain) mergeBursts() {
	seconds, _ := c.intervals()
	if len(seconds) < 3 {
		return
	}
	usual := median(seconds)
	within, gaps := longBurst.Seconds(), 1
	if usual > within {
		within, gaps = 3*usual, 2
	}
	if usual > betweenBursts || wide(seconds, farApart*max(usual, longBurst.Seconds())) < gaps {
		return
	}
	kept := c.occasions[:1]
	for _, o := range c.occasions[1:] {
		l := kept[len(kept)-1]
		if before(l.end, o.at) && o.at.seconds-l.end.seconds < within {
			l.end, l.kills, l.picks = o.end, l.kills+o.kills, l.picks+o.picks
			for name, n := range o.comms {
				l.comms[name] += n
			}
			if l.Hog == o.Hog {
				l.HogLost += o.HogLost
			}
			continue
		}
		kept = append(kept, o)
	}
	c.occasions = kept
}

// wide counts the intervals of at least so many seconds.
func wide(seconds []float64, least float64) int {
	n := 0
	for _, d := range seconds {
		if d >= least {
			n++
		}
	}
	return n
}

// bursting tells occasions that are mostly several kills. What dies with the one
// that the kernel picked (memory.oom.group) is no other kill.
func (c *chain) bursting() bool {
	several, picks := 0, 0
	for _, o := range c.occasions {
		picks += o.picks
		if o.picks >= 2 {
			several++
		}
	}
	return several*2 > len(c.occasions) && picks >= 2*len(c.occasions)
}

// ladder is an engine's growing pause between restarts: each twice as long as
// the one before, up to the longest, and that from then on.
type ladder struct {
	longest float64
	doubled int // so many doublings on end are no chance
	// slack is how long after its start a program dies that soon fills its limit, in
	// seconds, and most what is believed where all times at the longest pause are alike.
	slack, most float64
}

var (
	dockerLadder = ladder{60, 3, 30, 1.5 * early} // from 100 ms
	// From 10 s. The kubelet forgets after ten minutes of running: what dies sooner each
	// time has run for what is beyond five minutes.
	kubeletLadder = ladder{300, 2, 30, 80}
)

func (l ladder) capped(d float64) bool { return d >= l.longest && d < l.longest+l.slack }

// climbs tells whether most of the intervals are steps of ladders.
func (l ladder) climbs(seconds []float64) bool {
	steps := 0
	for i := 0; i < len(seconds); {
		j := i + 1
		for j < len(seconds) && seconds[j] < l.longest+l.slack && seconds[j] > 1.6*seconds[j-1] && seconds[j] < 2.4*seconds[j-1] {
			j++
		}
		if j-i-1 < l.doubled {
			i++
			continue
		}
		for j < len(seconds) && l.capped(seconds[j]) {
			j++
		}
		steps += j - i
		i = j
	}
	return steps*3 >= len(seconds)*2 && steps > 0
}

// early is within what time of its start a container must end for Docker to go on
// doubling the pause.
const early = 10

// waits tells a program that ends within early of each start: the times grow up to the
// longest pause, and stay there.
func (l ladder) waits(seconds []float64) bool {
	n, first := len(seconds), 0
	for first < n && (seconds[first] < l.longest || seconds[first] > l.longest+l.most) {
		first++
	}
	if n-first < 3 {
		return false
	}
	for i, d := range seconds {
		switch {
		case i >= first && (d < l.longest || d > l.longest+l.most):
			return false
		case i < first && (d > l.longest || i > 0 && d < 0.7*seconds[i-1]):
			return false
		}
	}
	return true
}

// backingOff tells the intervals of a restart loop: those of a ladder, or
// kubelet's longest, again and again.
func (v *verdict) backingOff() bool {
	if v.known().Pod == "" {
		return dockerLadder.climbs(v.seconds) || dockerLadder.waits(v.seconds)
	}
	return kubeletLadder.climbs(v.seconds) || kubeletLadder.waits(v.seconds) || len(v.seconds) >= 2 && !slices.ContainsFunc(v.seconds, func(d float64) bool { return !kubeletLadder.capped(d) })
}
