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

// mostJobs is how many jobs of one beat are told apart, where nothing says that their
// containers are replicas.
const mostJobs = 3

// timed tells kills that come at a beat: each interval is some beats, and on average to a
// hundredth. It is 0 for none. Jobs of one beat come in turns: as many intervals are one then.
func (c *chain) timed() float64 {
	if len(c.seconds) < 2 || c.followsLimit() {
		return 0
	}
	each, most := c.seconds, mostJobs
	if c.stride > 1 {
		each, _ = (&chain{occasions: c.occasions, stride: 1}).intervals()
		most = c.stride
	} else if beat := onBeat(each, false); beat > 0 {
		return beat
	}
	for k := 2; k <= most && len(each) >= 3*k; k++ {
		turns := sums(each, k)
		// Jobs that come at even distances show by their phase alone, which does not drift.
		if c.stride == 1 && spreadOf(turns) >= spreadOf(each)/3 && (len(each) < 12 || !keepsPhase(each)) {
			continue
		}
		if beat := onBeat(turns, true); beat > 0 {
			return beat
		}
	}
	return 0
}

// keepsPhase tells intervals whose distances from their mean do not add up.
func keepsPhase(seconds []float64) bool {
	sum := 0.0
	for _, d := range seconds {
		sum += d
	}
	mean := sum / float64(len(seconds))
	off := make([]float64, len(seconds))
	for i, d := range seconds {
		off[i] = d - mean
	}
	return bounded(off)
}

// bounded tells what does not add up, as a timer's jitter does not and a leak's does: the
// sums stay within what a random walk of as many steps hardly does.
func bounded(off []float64) bool {
	at, low, high, square := 0.0, 0.0, 0.0, 0.0
	for _, x := range off {
		at, square = at+x, square+x*x
		low, high = min(low, at), max(high, at)
	}
	n := float64(len(off))
	return high-low <= max(3, 0.85*math.Sqrt(n))*math.Sqrt(square/n)
}

// onBeat is the beat that intervals keep, with a timer's jitter: one of the usual ones, or
// any whole number of minutes below eight hours. Where they follow one another, not
// overlapping, the jitter may be wide: a timer's does not add up, a leak's does.
func onBeat(seconds []float64, overlapping bool) float64 {
	for _, beat := range slices.Backward(beats) {
		o, ok := offsets(seconds, beat)
		if !ok || math.Abs(o.mean) > 0.01*beat {
			continue
		}
		widest := min(0.1*beat, 600)
		if len(seconds) >= 10 {
			widest = 0.35 * beat // a job that takes its time until it is killed
		}
		wide := !overlapping && len(seconds) >= 5 && o.most <= widest && bounded(o.all)
		if o.most <= max(min(60, 0.1*beat), 0.03*beat) || wide {
			return beat
		}
	}
	minutes := 60 * math.Round(median(seconds)/60)
	if overlapping || minutes < 300 || minutes >= 28800 {
		return 0
	}
	// One mean in fifteen lies as near to a whole minute by chance.
	o, ok := offsets(seconds, minutes)
	if ok && math.Abs(o.mean) <= 2 && (o.most <= 3 || len(seconds) >= 4 && o.most <= 60 && bounded(o.all)) {
		return minutes
	}
	return 0
}

// offset is how far intervals are from whole beats: each, the farthest, and on average
// those of one beat.
type offset struct {
	all        []float64
	most, mean float64
}

// offsets compares intervals with a beat. It is false where one is no number of beats, or
// most are more than one.
func offsets(seconds []float64, beat float64) (o offset, ok bool) {
	once := 0
	for _, d := range seconds {
		k := math.Round(d / beat)
		if k < 1 || k > mostMissed {
			return o, false
		}
		off := d - k*beat
		o.all, o.most = append(o.all, off), max(o.most, math.Abs(off))
		if k == 1 {
			o.mean, once = o.mean+off, once+1
		}
	}
	if 2*once < len(seconds) || once == 0 {
		return o, false
	}
	o.mean /= float64(once)
	return o, true
}

// mostMissed is how many beats there may be from one kill to the next: not each run of a
// job dies.
const mostMissed = 6

// spreadOf is how far intervals lie apart, the farthest too.
func spreadOf(v []float64) float64 { return slices.Max(v) - slices.Min(v) }

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
			continue // twice on one day, or in one hour
		}
		periods = append(periods, whole)
		off = append(off, at[i]-at[i-1]-whole*p.seconds)
	}
	if len(periods) < 2 || 2*len(periods) < n-1 {
		return false
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
