package trend

import (
	"math"
	"slices"
)

// Slope is a Theil-Sen slope: the median over all pairs of points (Theil 1950,
// Sen 1968). Up to 29 % of the points may be anything.
type Slope struct {
	// PerSecond is in bytes per second; Low and High are its confidence interval.
	PerSecond, Low, High float64
	// At is the line's value at the last point.
	At float64
}

// TheilSen fits a line. level is the confidence of its interval (0.95): Sen's,
// by ranks from the variance of Kendall's S (Gilbert 1987, section 17.3),
// rounded outwards, and widened where the points hang on one another. It is
// false for fewer than four points, or no time between them.
func TheilSen(p []Point, level float64) (Slope, bool) { return TheilSenOf(level, p) }

// TheilSenOf is TheilSen for groups with a common slope: only pairs within a
// group are taken. At is the last group's.
func TheilSenOf(level float64, groups ...[]Point) (Slope, bool) {
	groups = prepare(groups)
	k, ok := MannKendallOf(groups...)
	if !ok {
		// Without any spread the slope is certain, and zero or a line.
		k = Kendall{Inflation: 1}
	}
	var all []float64
	n := 0
	for _, p := range groups {
		all = slopes(all, p)
		n += len(p)
	}
	if n < 4 || len(all) == 0 {
		return Slope{}, false
	}
	var s Slope
	c := quantile(1-(1-level)/2) * math.Sqrt(k.Var*k.Inflation)
	s.Low = rank(all, int(math.Floor((float64(len(all))-c)/2)))
	s.High = rank(all, int(math.Ceil((float64(len(all))+c)/2+1)))
	s.PerSecond = median(all)
	last := groups[len(groups)-1]
	rest := make([]float64, len(last))
	end := last[len(last)-1].T
	for i, q := range last {
		rest[i] = q.V + s.PerSecond*(end-q.T)
	}
	s.At = median(rest)
	return s, true
}

// slopes appends those of all pairs of ordered points.
func slopes(all []float64, p []Point) []float64 {
	all = slices.Grow(all, len(p)*(len(p)-1)/2)
	for i := range p {
		for j := i + 1; j < len(p); j++ {
			if dt := p[j].T - p[i].T; dt > 0 {
				all = append(all, (p[j].V-p[i].V)/dt)
			}
		}
	}
	return all
}

func medianSlope(p []Point) float64 { return median(slopes(nil, p)) }

// Forecast is how many seconds after the last point a limit is reached, and by
// how many that may be wrong, earlier or later.
type Forecast struct{ Seconds, Error float64 }

// ToLimit tells when the line through the points reaches limit. It is false
// where they do not grow for certain, where the answer could be anything (an
// error larger than itself), and where it lies farther ahead than ten times
// what was seen: nothing of the sort can be known.
func ToLimit(p []Point, limit float64) (Forecast, bool) {
	p = thin(clean(p), MaxPoints)
	s, ok := TheilSen(p, 0.95)
	if !ok || s.Low <= 0 {
		return Forecast{}, false
	}
	left := limit - s.At
	if left <= 0 {
		return Forecast{}, true
	}
	f := Forecast{Seconds: left / s.PerSecond}
	// The slope may be wrong, and the readings lie about their line.
	f.Error = max(left/s.Low-f.Seconds, f.Seconds-left/s.High) + spread(p, s)/s.PerSecond
	if f.Error > f.Seconds && f.Error > Span(p) || f.Seconds > 10*Span(p) {
		return Forecast{}, false
	}
	return f, true
}

// spread is how far the points lie from their line: the median of the
// distances, as a standard deviation.
func spread(p []Point, s Slope) float64 {
	rest := make([]float64, len(p))
	end := p[len(p)-1].T
	for i, q := range p {
		rest[i] = math.Abs(q.V + s.PerSecond*(end-q.T) - s.At)
	}
	return 1.4826 * median(rest)
}
