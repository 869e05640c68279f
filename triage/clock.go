package triage

import (
	"math"
	"slices"
)

// What comes at the same time of the hour or of the day is scheduled, or a
// daily peak: such times are as regular as a leak's. A leak's phase drifts.

// period is a rhythm of people's clocks.
type period struct {
	words   string
	seconds float64
	// arc is within how many seconds of the period the kills lie at most.
	arc float64
	// of is what equal intervals must divide, in periods: nothing is scheduled
	// every nine hours. Every two days or three, anything may be.
	of int
}

var periods = []period{
	{"day", 86400, 8 * 3600, 420},
	{"hour", 3600, 120, 24},
}

// byChance is how seldom kills at random times may lie as close together in
// their period.
const byChance = 0.03

// clocked tells at what time of a period the kills come, "" for none. It asks
// for one clock: two boots have nothing in common.
func (c *chain) clocked() string {
	var at []float64
	for _, o := range c.occasions {
		if o.at.clock == unstamped || o.at.clock != c.first().at.clock {
			return ""
		}
		at = append(at, o.at.seconds)
	}
	if len(at) < 3 || c.followsLimit() {
		return ""
	}
	for _, p := range periods {
		if p.holds(at) {
			return p.words
		}
	}
	return ""
}

// beats are what people set timers to, in seconds: a leak's time is none of these
// but by chance.
var beats = []float64{300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400, 21600, 28800, 43200}

// timed tells kills that come at a beat: each interval is some beats, with a timer's
// jitter, and on average to a hundredth. It is 0 for none.
func (c *chain) timed() float64 {
	if len(c.seconds) < 2 || c.stride > 1 || c.followsLimit() {
		return 0
	}
	for i := len(beats) - 1; i >= 0; i-- {
		beat := beats[i]
		jitter := max(min(60, 0.1*beat), 0.03*beat)
		sum, n, once := 0.0, 0.0, 0
		for _, d := range c.seconds {
			k := math.Round(d / beat)
			if k < 1 || k > 3 || math.Abs(d-k*beat) > jitter {
				n = 0
				break
			}
			sum, n = sum+d-k*beat, n+k
			if k == 1 {
				once++
			}
		}
		if n > 0 && 2*once >= len(c.seconds) && math.Abs(sum/n) <= 0.01*beat {
			return beat
		}
	}
	return 0
}

// followsLimit tells whether a change of the limit changed the times with it: that
// is growth, and no clock.
func (c *chain) followsLimit() bool {
	rates := c.rates()
	return len(rates) == len(c.seconds) && variation(c.seconds) > 0.1 && variation(rates) < variation(c.seconds)/2
}

func (p period) holds(at []float64) bool {
	n := len(at)
	phases := make([]float64, n)
	for i, t := range at {
		phases[i] = math.Mod(t, p.seconds)
	}
	arc := shortestArc(phases, p.seconds)
	// Of n times on a circle the chance that all lie within an arc below a half.
	if arc > p.arc || float64(n)*math.Pow(arc/p.seconds, float64(n-1)) > byChance {
		return false
	}
	// How far each interval is from whole periods, and how many these are.
	var off, periods []float64
	for i := 1; i < n; i++ {
		whole := math.Round((at[i] - at[i-1]) / p.seconds)
		if whole == 0 {
			return false
		}
		periods = append(periods, whole)
		off = append(off, at[i]-at[i-1]-whole*p.seconds)
	}
	if equal := slices.Min(periods) == slices.Max(periods); equal && p.of%int(periods[0]) != 0 || !equal && n < 4 {
		return false // three times need not skip some
	}
	return !drifts(off, p.seconds)
}

// drifts tells intervals that are off by the same each time.
func drifts(off []float64, period float64) bool {
	var sum, square float64
	for _, x := range off {
		sum += x
	}
	mean := sum / float64(len(off))
	for _, x := range off {
		square += (x - mean) * (x - mean)
	}
	times := 2.0
	if len(off) < 4 {
		times = 5 // a few are easily alike
	}
	return math.Abs(mean) > max(period/1440, times*math.Sqrt(square/float64(len(off)-1)))
}

// shortestArc is the length of the shortest arc that holds all phases.
func shortestArc(phases []float64, period float64) float64 {
	s := slices.Sorted(slices.Values(phases))
	widest := period - s[len(s)-1] + s[0]
	for i := 1; i < len(s); i++ {
		widest = max(widest, s[i]-s[i-1])
	}
	return period - widest
}
