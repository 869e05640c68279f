package trend

import (
	"fmt"
	"math"
	"slices"

	"github.com/oomwatch/oomwatch/units"
)

// Shape names what a series looks like.
type Shape string

// The shapes.
const (
	Leak     Shape = "leak"     // what is left after each fall grows steadily, and goes on
	Spike    Shape = "spike"    // most of the rise in one jump
	Sawtooth Shape = "sawtooth" // rises and falls back again and again, to the same floor
	Flat     Shape = "flat"     // none of these
	Unknown  Shape = "unknown"  // too few readings, or they allow two answers
)

// Options say what the points do not.
type Options struct {
	// Limit is the memory limit in bytes, 0 where there is none.
	Limit float64
	// Noise is the least change in bytes that means anything; 1 MiB when 0.
	// A twentieth of the highest reading is noise in any case.
	Noise float64
	// Daily is true where a day's load is to be told from a leak: growth over
	// less than two days is a leak only if it doubled what was there. False
	// for the last minutes before a death.
	Daily bool
}

// Finding is what a series shows.
type Finding struct {
	Shape Shape
	// Slope and Kendall are nil where there are too few points.
	Slope   *Slope
	Kendall *Kendall
	// Drops counts falls of at least half of the range.
	Drops int
	// Grew is by how many bytes the line rose, or a spike jumped, in Seconds.
	Grew, Seconds float64
	// Reason says it in words: "grew 38 MiB/h for 9 h, reached the limit".
	Reason string
}

const day = 86400

// The bounds of the shapes, each a share.
const (
	noiseShare   = 1.0 / 20 // of the highest reading
	jumpShare    = 0.6      // of the range, in one jump: a spike
	jumpTime     = 0.15     // of the time, at most, for the jump
	stepShare    = 0.5      // of the growth, in one step between floors: no leak
	lastingShare = 0.4      // of the slope, at least, in the last third
)

// minPoints and minSpan are what a shape needs at least.
const (
	minPoints = 5
	minSpan   = 10
)

// Classify names the shape of a series of one run of a program: its readings
// between two restarts.
func Classify(p []Point, opt Options) Finding {
	p = clean(p)
	span := Span(p)
	f := Finding{Shape: Unknown, Seconds: span}
	if len(p) < minPoints || span < minSpan {
		f.Reason = fmt.Sprintf("%d readings in %s: too few to judge", len(p), units.Seconds(span))
		return f
	}
	low, high := bounds(p)
	noise := max(opt.Noise, high*noiseShare)
	if opt.Noise == 0 {
		noise = max(noise, 1<<20)
	}
	if s, ok := TheilSen(p, 0.99); ok {
		f.Slope = &s
		f.Grew = s.PerSecond * span
	}
	if k, ok := MannKendall(p); ok {
		f.Kendall = &k
	}
	f.Drops = drops(p, max(noise, (high-low)/2))
	if high-low < noise {
		f.Shape = Flat
		f.Reason = fmt.Sprintf("stayed between %s and %s for %s", size(low), size(high), units.Seconds(span))
		return f
	}
	if f.leaks(p, noise) || opt.Daily && f.leaksBelow(p, noise) {
		if opt.Daily && span < 2*day && f.Grew < f.Slope.At-f.Grew {
			f.Reason = fmt.Sprintf("grew %s for %s; a day's load looks the same until it has turned twice", units.Rate(f.Slope.PerSecond), units.Seconds(span))
			return f
		}
		f.Shape = Leak
		f.Reason = fmt.Sprintf("grew %s for %s", units.Rate(f.Slope.PerSecond), units.Seconds(span))
		if opt.Limit > 0 && p[len(p)-1].V >= 0.98*opt.Limit {
			f.Reason += ", reached the limit"
		}
		return f
	}
	e := extremes(p, 2*MaxPoints)
	from, to := jump(e, jumpShare*(high-low))
	if f.Drops >= 2 {
		f.Shape = Sawtooth
		f.Reason = fmt.Sprintf("fell back %d times in %s, to %s at the least", f.Drops, units.Seconds(span), size(low))
		return f
	}
	if took := e[to].T - e[from].T; to > from && (took <= jumpTime*span || to-from == 1) {
		f.Shape = Spike
		f.Grew, f.Seconds = e[to].V-e[from].V, took
		f.Reason = fmt.Sprintf("jumped %s in %s", size(f.Grew), units.Seconds(took))
		return f
	}
	f.Shape = Flat
	f.Reason = fmt.Sprintf("between %s and %s in %s, without a steady trend", size(low), size(high), units.Seconds(span))
	return f
}

// leaks tells whether the floors of the series grow steadily and still do.
func (f *Finding) leaks(p []Point, noise float64) bool {
	if f.Slope == nil || f.Kendall == nil || f.Slope.Low <= 0 || f.Grew < noise {
		return false
	}
	fl := floors(p, min(max(len(p)/5, minPoints), 20))
	k, ok := MannKendall(fl)
	if !ok || k.Tau < 0.6 {
		return false
	}
	n := len(fl)
	rise := fl[n-1].V - fl[0].V
	if rise < noise/2 || rise < f.Grew/2 {
		return false
	}
	for i := 1; i < n; i++ {
		if fl[i].V-fl[i-1].V > stepShare*rise {
			return false
		}
	}
	if steps(fl) {
		return false
	}
	third := max(n/3, 2)
	first, last := medianSlope(fl[:third+1]), medianSlope(fl[n-third-1:])
	return last >= lastingShare*f.Slope.PerSecond && last >= lastingShare*first
}

// steps tells floors that stand on three levels from those that lie on a line:
// which of the two is the better model, by Bayes' information criterion.
func steps(fl []Point) bool {
	n := len(fl)
	if n < 8 {
		return false
	}
	// The sums of squares about the mean of any stretch, from running sums.
	sum, square := make([]float64, n+1), make([]float64, n+1)
	origin := fl[0].V
	for i, q := range fl {
		v := q.V - origin
		sum[i+1], square[i+1] = sum[i]+v, square[i]+v*v
	}
	about := func(i, j int) float64 {
		s := sum[j] - sum[i]
		return max(0, square[j]-square[i]-s*s/float64(j-i))
	}
	levels := math.Inf(1)
	for i := 2; i <= n-4; i++ {
		for j := i + 2; j <= n-2; j++ {
			levels = min(levels, about(0, i)+about(i, j)+about(j, n))
		}
	}
	// A line has two numbers to choose, three levels have five.
	return levels*math.Exp(3*math.Log(float64(n))/float64(n)) < aboutLine(fl)
}

// aboutLine is the sum of squares about the best line.
func aboutLine(p []Point) float64 {
	var st, sv float64
	for _, q := range p {
		st += q.T - p[0].T
		sv += q.V - p[0].V
	}
	mt, mv := st/float64(len(p)), sv/float64(len(p))
	var tt, tv, vv float64
	for _, q := range p {
		dt, dv := q.T-p[0].T-mt, q.V-p[0].V-mv
		tt, tv, vv = tt+dt*dt, tv+dt*dv, vv+dv*dv
	}
	if tt == 0 {
		return vv
	}
	return vv - tv*tv/tt
}

// leaksBelow tells whether the floors grow once what comes back every day is
// taken away. It takes three days to know that.
func (f *Finding) leaksBelow(p []Point, noise float64) bool {
	if Span(p) < 3*day || steps(floors(p, 20)) {
		return false // a step every day looks like a day's load on a leak
	}
	q, ok := withoutDay(p)
	if !ok {
		return false
	}
	g := *f
	s, ok := TheilSen(q, 0.99)
	k, kok := MannKendall(q)
	if !ok || !kok {
		return false
	}
	g.Slope, g.Kendall, g.Grew = &s, &k, s.PerSecond*Span(q)
	if !g.leaks(q, noise) {
		return false
	}
	*f = g
	return true
}

// hours is into how many parts a day is cut.
const hours = 24

// withoutDay takes a day's load away: the median, for each hour, of what lies
// above the line that the same hours of different days have in common. It is
// false where the other days do not foretell at least half of how the readings
// of a day differ: then there is no such load.
func withoutDay(p []Point) ([]Point, bool) {
	h := thin(p, int(Span(p)/day*hours))
	groups := make([][]int, hours)
	for i, q := range h {
		groups[hourOf(q)] = append(groups[hourOf(q)], i)
	}
	var all []float64
	for _, g := range groups {
		for i := range g {
			for j := range i {
				all = append(all, (h[g[i]].V-h[g[j]].V)/(h[g[i]].T-h[g[j]].T))
			}
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	slope := median(all)
	above := make([]float64, len(h)) // the line
	for i, q := range h {
		above[i] = q.V - slope*(q.T-h[0].T)
	}
	out := slices.Clone(h)
	left := slices.Clone(above)
	var others []float64
	for _, g := range groups {
		for _, i := range g {
			others = others[:0]
			for _, j := range g {
				if j != i {
					others = append(others, above[j])
				}
			}
			left[i] -= median(others)
			others = append(others, above[i])
			out[i].V -= median(others)
		}
	}
	low, _ := bounds(p)
	bottom, _ := bounds(out)
	for i := range out {
		out[i].V += low - bottom
	}
	return out, deviation(left) < deviation(above)/2
}

func hourOf(q Point) int {
	h := int(math.Floor(q.T/(day/hours))) % hours
	if h < 0 {
		h += hours
	}
	return h
}

// deviation is the median distance from the median.
func deviation(v []float64) float64 {
	w := slices.Clone(v)
	mid := median(w)
	for i, x := range w {
		w[i] = math.Abs(x - mid)
	}
	return median(w)
}

func bounds(p []Point) (low, high float64) {
	low, high = p[0].V, p[0].V
	for _, q := range p {
		low, high = min(low, q.V), max(high, q.V)
	}
	return low, high
}

// drops counts falls of at least depth from the last peak, each followed by a
// rise of as much before the next is counted.
func drops(p []Point, depth float64) int {
	n, down := 0, false
	peak, trough := p[0].V, p[0].V
	for _, q := range p {
		if down {
			trough = min(trough, q.V)
			if q.V >= trough+depth {
				down, peak = false, q.V
			}
			continue
		}
		peak = max(peak, q.V)
		if q.V <= peak-depth {
			n++
			down, trough = true, q.V
		}
	}
	return n
}

// jump finds the shortest stretch in which the series rises by want.
func jump(p []Point, want float64) (from, to int) {
	best := math.Inf(1)
	for i := range p {
		for j := i + 1; j < len(p) && p[j].T-p[i].T < best; j++ {
			if p[j].V-p[i].V >= want {
				best, from, to = p[j].T-p[i].T, i, j
				break
			}
		}
	}
	return from, to
}

func size(v float64) string { return units.Bytes(int64(v)) }

// ClassifyRuns names the shape of a service over several runs, oldest first. It
// leaks when what it grew by in each run starts anew at the next: then the
// slope is that of all runs together, comparing only within each.
func ClassifyRuns(runs [][]Point, opt Options) Finding {
	if len(runs) == 1 {
		return Classify(runs[0], opt)
	}
	var all []Point
	var long [][]Point
	for _, p := range runs {
		p = clean(p)
		all = append(all, p...)
		if len(p) >= minPoints && Span(p) >= minSpan {
			long = append(long, p)
		}
	}
	if len(long) < 2 {
		return anew(Classify(all, opt), 0)
	}
	// That a load by the day has its rise in every run is no chance worth
	// considering from the third on.
	each := opt
	each.Daily = opt.Daily && len(long) < 3
	var leaking, seen float64
	drops := 0
	for _, p := range long {
		f := Classify(p, each)
		seen += Span(p)
		drops += f.Drops
		if f.Shape == Leak {
			leaking += Span(p)
		}
	}
	last := Classify(long[len(long)-1], opt)
	last.Drops = drops
	last.Seconds = Span(all)
	if leaking < 0.6*seen {
		if last.Shape == Leak {
			return last
		}
		whole := Classify(all, opt)
		whole.Drops = drops
		if whole.Shape == Leak || whole.Shape == Spike {
			// What lies between two runs is no growth of either.
			whole.Shape = Flat
			whole.Reason = "each run stays at its own level"
		}
		return anew(whole, drops)
	}
	s, ok := TheilSenOf(0.99, long...)
	k, kok := MannKendallOf(long...)
	if !ok || !kok || s.Low <= 0 {
		return last
	}
	last.Shape, last.Slope, last.Kendall = Leak, &s, &k
	last.Grew = s.PerSecond * seen
	last.Reason = fmt.Sprintf("grew %s for %s in all", units.Rate(s.PerSecond), units.Seconds(seen))
	return last
}

// anew is what the readings of several runs show together, with what fell within
// runs: that the next one starts from little is no fall.
func anew(f Finding, drops int) Finding {
	f.Drops = drops
	if f.Shape == Sawtooth && drops < 2 {
		f.Shape = Flat
		f.Reason = fmt.Sprintf("no steady trend in %s; what it held in one run is gone in the next", units.Seconds(f.Seconds))
	}
	return f
}
