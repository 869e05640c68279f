package triage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// growth is what the program that fills the host grew by, from one occasion to
// the next.
type growth struct {
	seconds, rates []float64
	// runs are what it held on each occasion, by the process that held it: a new
	// one begins where it was killed, or where another pid holds the memory.
	runs [][]trend.Point
	// killed counts the intervals that it began anew after a kill.
	killed int
}

// grew follows the program that held the most on these occasions. What it held
// is what it grew by only where it was the victim of the kill before; of one
// that lived on it is the difference, and of one that was started anew for
// another reason nothing is known.
func grew(list []*occasion) growth {
	var g growth
	for i, o := range list {
		at := trend.Point{T: o.end.seconds, V: float64(o.HogHeld)}
		if i == 0 {
			g.runs = append(g.runs, []trend.Point{at})
			continue
		}
		p := list[i-1]
		timed := before(p.end, o.at)
		seconds := o.at.seconds - p.end.seconds
		switch {
		case p.HogLost*2 > p.HogHeld:
			g.runs = append(g.runs, []trend.Point{at})
			if timed {
				g.killed++
				g.seconds = append(g.seconds, seconds)
				g.rates = append(g.rates, float64(o.HogHeld-(p.HogHeld-p.HogLost))/seconds)
			}
		case !timed || o.HogPID == 0 || o.HogPID != p.HogPID:
			g.runs = append(g.runs, []trend.Point{at})
		default:
			last := len(g.runs) - 1
			// What a kill took of its processes is no fall.
			for k := range g.runs[last] {
				g.runs[last][k].V -= float64(p.HogLost)
			}
			g.runs[last] = append(g.runs[last], at)
			g.seconds = append(g.seconds, seconds)
			g.rates = append(g.rates, float64(o.HogHeld-(p.HogHeld-p.HogLost))/seconds)
		}
	}
	return g
}

// hostLeak tells a program without a limit that grows until the host is full.
func (s *Service) hostLeak(list []*occasion, d dice) bool {
	g := grew(list)
	if len(g.rates) < 2 {
		return false
	}
	why, chance := "", 1.0
	if g.killed == len(g.rates) {
		each := make([]float64, len(g.rates))
		for i, r := range g.rates {
			if r <= 0 {
				return false
			}
			each[i] = 1 / r
		}
		chance = d.regular(each)
		s.Kills.Chance = &chance
		if variation(each) > widest || median(g.seconds) < startUp {
			return false
		}
		why = fmt.Sprintf("it filled the host every %s: too regular for chance (%s)", units.Seconds(median(g.seconds)), odds(chance))
	} else {
		k, ok := trend.MannKendallOf(g.runs...)
		first, last := list[0], list[len(list)-1]
		if !ok || k.S <= 0 || median(g.rates) <= 0 || !risen(g.runs) {
			return false
		}
		chance = k.P
		why = fmt.Sprintf("it survived and held more each time, from %s to %s: too steady for chance (%s)", units.Bytes(first.HogHeld), units.Bytes(last.HogHeld), odds(chance))
	}
	if chance > possible(len(g.rates)) {
		return false
	}
	rate := median(g.rates)
	hog := list[len(list)-1].Hog
	of, several := strings.CutPrefix(s.Service, HostName+" ")
	s.Class, s.Service, s.Program = Leak, redact.Sanitize(hog)+" (no limit)", hog
	if several {
		s.Service += " on " + of
	}
	s.Confidence = incident.Possible
	if chance <= chanceLikely {
		s.Confidence = incident.Likely
	}
	s.Rate, s.RateLow, s.RateHigh = &rate, new(slices.Min(g.rates)), new(slices.Max(g.rates))
	s.Reasons = append(s.Reasons, why)
	s.Advice = append(s.Advice, rules.LeakAdvice(rate, 0), "Until then, give it a memory limit, so that the kernel kills it and nothing else.")
	return true
}

// risen tells growth that means something from one that is lost in noise: a
// twentieth of what is held, as for readings.
func risen(runs [][]trend.Point) bool {
	var rise, held float64
	for _, r := range runs {
		rise += r[len(r)-1].V - r[0].V
		held = max(held, r[len(r)-1].V)
	}
	return rise >= max(held/20, 1<<20)
}

// possible is up to what chance as regular times are worth a word: few intervals
// say little.
func possible(intervals int) float64 {
	if intervals <= 3 {
		return chanceLikely
	}
	return chancePossible
}
