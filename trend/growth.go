package trend

import "math"

// Course says how the memory of one run goes on over its whole life.
type Course string

// The courses.
const (
	Grows   Course = "grows"   // what is left after each fall grows, steadily and still
	Fills   Course = "fills"   // it grows, and slows down: towards a bound
	Stays   Course = "stays"   // it does not grow by more than it moves anyway
	Unclear Course = "unclear" // too short, or it allows two answers
)

// Growth is how a run grows, looked at through a window that is longer than its
// rhythms: a day, or several teeth of a garbage collector.
type Growth struct {
	Course Course
	// Age is how many seconds the run has been seen, Window the window's.
	Age, Window float64
	// Rate is in bytes per second, with an interval that holds it with 99 %.
	Rate, Low, High float64
	// Gain is by how many bytes the floor rose, from First to Floor.
	Gain, First, Floor float64
	// Seen is the time between the first window and the last.
	Seen float64
	// Usual is the middle of the last window, Noise what growth must be above.
	Usual, Noise float64
	// End is where the line stands at the end, Above how high the peaks stand
	// over it, Spread how far the readings lie apart about it.
	End, Above, Spread float64
	// Late is the growth of the later half by that of the earlier: 1 for a line,
	// less for what fills.
	Late float64
	// Jump is the largest part of the growth within a fifth of the time.
	Jump float64
	// Tau is Kendall's, of the floors.
	Tau float64
	// Falls counts falls of at least half of the range, Apart is the seconds
	// between them, the longest.
	Falls int
	Apart float64
}

// slot is one stretch of time of a run.
type slot struct{ t, low, mid, high float64 }

const (
	maxBins = 400
	looks   = 16 // windows that are looked at
)

// cut puts ordered points into bins of equal time.
func cut(p []Point, width float64) []slot {
	out := make([]slot, 0, maxBins+1)
	for i := 0; i < len(p); {
		end := p[0].T + width*(math.Floor((p[i].T-p[0].T)/width)+1)
		b := slot{t: p[i].T, low: p[i].V, high: p[i].V}
		sum, j := 0.0, i
		for ; j < len(p) && (p[j].T < end || j == i); j++ {
			b.low, b.high = min(b.low, p[j].V), max(b.high, p[j].V)
			sum += p[j].V
		}
		b.mid = sum / float64(j-i)
		b.t = (p[i].T + p[j-1].T) / 2
		out = append(out, b)
		i = j
	}
	return out
}

// Grow looks at the points of one run.
func Grow(p []Point) Growth {
	p = clean(p)
	g := Growth{Course: Unclear, Age: Span(p)}
	if len(p) < 12 || g.Age < minSpan {
		return g
	}
	b := cut(p, max(g.Age/maxBins, 1e-3))
	if len(b) < 12 {
		return g
	}
	g.teeth(b)
	// What it does in its first moments is its start.
	skip := min(max(0.04*g.Age, 2*g.Age/maxBins), 2*3600)
	for len(b) > 12 && b[0].t < p[0].T+skip {
		b = b[1:]
	}
	from, to := b[0].t, b[len(b)-1].t
	g.Window = (to - from) / 6
	if g.Age >= 2*day {
		g.Window = day
	}
	if g.Falls >= 2 {
		g.Window = max(g.Window, 1.5*g.Apart)
	}
	if to-from < 1.8*g.Window {
		return g
	}
	floor, usual := g.slide(b, from, to, looks)
	if len(floor) < looks*3/4 { // nothing was read for a while
		floor, usual = g.slide(b, from, to, 8*looks)
		floor, usual = evenly(floor, looks), evenly(usual, looks)
	}
	g.judge(b, floor, usual)
	return g
}

// teeth notes how far falls lie apart, for the window to hold one at least.
func (g *Growth) teeth(b []slot) {
	low, high := b[0].low, b[0].high
	for _, x := range b {
		low, high = min(low, x.low), max(high, x.high)
	}
	depth := max(0.4*(high-low), 1)
	down := false
	peak, trough, last := b[0].mid, b[0].mid, 0.0
	for _, x := range b {
		if down {
			trough = min(trough, x.mid)
			if x.mid >= trough+depth {
				down, peak = false, x.mid
			}
			continue
		}
		peak = max(peak, x.mid)
		if x.mid <= peak-depth {
			if g.Falls++; g.Falls > 1 {
				g.Apart = max(g.Apart, x.t-last)
			}
			last = x.t
			down, trough = true, x.mid
		}
	}
}

// evenly is at most n of the points, the first and the last among them.
func evenly(p []Point, n int) []Point {
	if len(p) <= n {
		return p
	}
	out := make([]Point, n)
	for i := range out {
		out[i] = p[i*(len(p)-1)/(n-1)]
	}
	return out
}

// slide takes the low and the middle of a window that ends at each of looks moments,
// where half of it and more was read without a pause.
func (g *Growth) slide(b []slot, from, to float64, looks int) (floor, usual []Point) {
	var low, mid []float64
	i, j := 0, 0
	for k := range looks {
		end := from + g.Window + (to-from-g.Window)*float64(k)/float64(looks-1)
		for j < len(b) && b[j].t <= end {
			j++
		}
		for i < j && b[i].t < end-g.Window {
			i++
		}
		if j-i < 3 || hole(b[i:j], end-g.Window, end) > g.Window/2 {
			continue
		}
		low, mid = low[:0], mid[:0]
		for _, x := range b[i:j] {
			low, mid = append(low, x.low), append(mid, x.mid)
		}
		n := j - i
		floor = append(floor, Point{end, nth(low, n/20)})
		usual = append(usual, Point{end, median(mid)})
	}
	return floor, usual
}

// hole is the longest time without readings within a window.
func hole(b []slot, from, to float64) float64 {
	longest, last := 0.0, from
	for _, x := range b {
		longest, last = max(longest, x.t-last), x.t
	}
	return max(longest, to-last)
}

// judge names the course.
func (g *Growth) judge(b []slot, floor, usual []Point) {
	n := len(floor)
	if n < 8 {
		return
	}
	g.First, g.Floor, g.Usual = floor[0].V, floor[n-1].V, usual[n-1].V
	g.Gain, g.Seen = g.Floor-g.First, floor[n-1].T-floor[0].T
	g.Noise = max(max(g.Usual*noiseShare, 1<<20), 3*scatter(floor))
	up := usual[n-1].V - usual[0].V
	s, _ := kendall(floor)
	g.Tau = 2 * s / float64(n*(n-1))
	g.Late = late(usual)
	if l := late(floor); l < g.Late {
		g.Late = (l + g.Late) / 2
	}
	g.Jump = max(largest(floor), largest(usual))
	switch {
	case g.Gain < g.Noise || up < g.Noise || g.Gain < 0.4*up || up < 0.4*g.Gain, g.Tau < 0.8:
		g.Course = Stays
	case g.Late < 0.65:
		g.Course = Fills
	case g.Jump > 0.6 || steps(lows(b, 24)):
		g.Course = Unclear
	default:
		g.Course = Grows
		g.slope(b)
	}
}

// lows are the least of each of n stretches.
func lows(b []slot, n int) []Point {
	p := make([]Point, len(b))
	for i, x := range b {
		p[i] = Point{x.t, x.low}
	}
	return floors(p, n)
}

// late is the rate of the later half by that of the earlier.
func late(p []Point) float64 {
	n := len(p)
	first, second := p[n/2].V-p[0].V, p[n-1].V-p[(n-1)/2].V
	if first <= 0 {
		return 10
	}
	// Nothing was read for a while: the halves are not equally long.
	return second / first * (p[n/2].T - p[0].T) / (p[n-1].T - p[(n-1)/2].T)
}

// largest is the largest part of the growth within a fifth of the time. Where nothing was
// read for a while it is not known when it grew: evenly, as far as is known.
func largest(p []Point) float64 {
	n := len(p)
	w := max(n/5, 1)
	usual := float64(w) * (p[n-1].T - p[0].T) / float64(n-1)
	most, all := 0.0, p[n-1].V-p[0].V
	for i := w; i < n; i++ {
		grew := p[i].V - p[i-w].V
		if took := p[i].T - p[i-w].T; took > usual {
			grew *= usual / took
		}
		most = max(most, grew)
	}
	if all <= 0 {
		return 1
	}
	return most / all
}

// scatter is how far the points lie about their line, as a standard deviation.
func scatter(p []Point) float64 {
	return math.Sqrt(aboutLine(p) / float64(max(len(p)-2, 1)))
}

// sway is by how much of what the readings do about the line, end to end, the
// line may be turned. Measured: the interval holds the truth in 95 of 100 cases
// for teeth, stairs, and growth that follows the day.
const (
	sway = 1.6
	// byDay is by what part of itself a rate may be off that was seen for one day:
	// growth may follow the load.
	byDay = 0.25
)

// slope is the rate with its interval, and where the line stands at the end.
func (g *Growth) slope(b []slot) {
	p := make([]Point, len(b))
	for i, x := range b {
		p[i] = Point{x.t, x.mid}
	}
	g.Rate = medianSlope(thin(p, 48))
	n := len(p)
	end := p[n-1].T
	rest, high := make([]float64, n), make([]float64, n)
	for i, q := range p {
		shift := g.Rate * (end - q.T)
		rest[i], high[i] = q.V+shift, b[i].high+shift
	}
	most, least := nth(rest, n-1-n/33), nth(rest, n/33)
	turn := sway*(most-least)/Span(p) + byDay*math.Abs(g.Rate)*min(day/Span(p), 2)
	g.Low, g.High = g.Rate-turn, g.Rate+turn
	g.End = median(rest)
	g.Above = max(nth(high, n-1-n/33)-g.End, 0)
	g.Spread = most - least
}

// ToLimit is when the line, with what the readings do about it, reaches a limit:
// seconds after the last reading. It is false where the line may not rise at all.
func (g *Growth) ToLimit(limit float64) (Forecast, bool) {
	if g.Low <= 0 || limit <= 0 {
		return Forecast{}, false
	}
	f := Forecast{Seconds: max(0, limit-g.End-g.Above) / g.Rate}
	soon := max(0, limit-g.End-g.Above-g.Spread) / g.High
	late := max(0, limit-g.End+g.Spread) / g.Low
	f.Error = max(f.Seconds-soon, late-f.Seconds)
	return f, true
}

// Falls counts falls of at least half of the range of one run's points.
func Falls(p []Point) int {
	if len(p) == 0 {
		return 0
	}
	low, high := bounds(p)
	return drops(p, max(high*noiseShare, 1<<20, (high-low)/2))
}
