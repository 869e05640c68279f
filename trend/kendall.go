package trend

import (
	"math"
	"slices"
)

// Kendall is a Mann-Kendall test for a monotonic trend (Mann 1945, Kendall
// 1975; Gilbert 1987, chapter 16).
type Kendall struct {
	// S is the number of pairs that rise less those that fall.
	S float64
	// Var is the variance of S where there is no trend, with the correction
	// for ties.
	Var float64
	// Inflation is by how much the readings' dependence on one another widens
	// Var (Hamed and Rao 1998); 1 where they are independent.
	Inflation float64
	// Z is S as a standard normal number, with the correction for continuity
	// and Inflation.
	Z float64
	// P is the chance of an S as far from zero without a trend: exact for up to
	// ten points without ties (Gilbert's table A18), else by Z.
	P float64
	// Tau is S by the number of pairs: -1 falls throughout, 1 rises throughout.
	Tau float64
}

// MannKendall tests the points for a trend. It is false for fewer than four.
func MannKendall(p []Point) (Kendall, bool) { return MannKendallOf(p) }

// MannKendallOf tests groups of points for a common trend, comparing only
// within a group: runs between restarts, or the same hour of different days
// (the seasonal Kendall test; Hirsch, Slack and Smith 1982).
func MannKendallOf(groups ...[]Point) (Kendall, bool) {
	groups = prepare(groups)
	k := Kendall{Inflation: 1}
	var pairs float64
	var n int
	for _, p := range groups {
		s, v := kendall(p)
		k.S += s
		k.Var += v
		pairs += float64(len(p)*(len(p)-1)) / 2
		n += len(p)
	}
	if n < 4 || k.Var <= 0 {
		return Kendall{}, false
	}
	k.Inflation = inflation(groups)
	sd := math.Sqrt(k.Var * k.Inflation)
	switch {
	case k.S > 0:
		k.Z = (k.S - 1) / sd
	case k.S < 0:
		k.Z = (k.S + 1) / sd
	}
	k.P = 2 * normal(-math.Abs(k.Z))
	if len(groups) == 1 && n <= maxExact && k.Var == variance(n) {
		k.P = min(1, 2*exact(n, int(math.Abs(k.S))))
	}
	k.Tau = k.S / pairs
	return k, true
}

// prepare orders the groups and thins them to MaxPoints in all. What has fewer
// than two points has no pair.
func prepare(groups [][]Point) [][]Point {
	total := 0
	for _, p := range groups {
		total += len(p)
	}
	var out [][]Point
	for _, p := range groups {
		if p = clean(p); len(p) < 2 {
			continue
		}
		if total > MaxPoints {
			p = thin(p, max(2, len(p)*MaxPoints/total))
		}
		out = append(out, p)
	}
	return out
}

// maxExact is up to how many points the normal approximation is not good enough.
const maxExact = 10

// exact is the chance that n points in random order have an S of at least s.
// Of the orders of n points, those with a number of falling pairs follow from
// those of n-1: the last point falls below 0 to n-1 of the others.
func exact(n, s int) float64 {
	orders := []float64{1}
	for m := 2; m <= n; m++ {
		next := make([]float64, len(orders)+m-1)
		for falls, c := range orders {
			for more := range m {
				next[falls+more] += c / float64(m)
			}
		}
		orders = next
	}
	var p float64
	for falls, c := range orders {
		if n*(n-1)/2-2*falls >= s {
			p += c
		}
	}
	return p
}

// variance is that of S for n points without ties.
func variance(n int) float64 { return float64(n) * float64(n-1) * float64(2*n+5) / 18 }

// kendall returns S and its variance for ordered points.
func kendall(p []Point) (s, v float64) {
	n := len(p)
	for i := range p {
		for j := i + 1; j < n; j++ {
			switch {
			case p[j].T == p[i].T:
			case p[j].V > p[i].V:
				s++
			case p[j].V < p[i].V:
				s--
			}
		}
	}
	sorted := make([]float64, n)
	for i, q := range p {
		sorted[i] = q.V
	}
	slices.Sort(sorted)
	v = variance(n)
	for i := 0; i < n; {
		j := i
		for j < n && sorted[j] == sorted[i] {
			j++
		}
		if j > i+1 {
			v -= variance(j - i)
		}
		i = j
	}
	return s, v
}

// minSerial is how many points there must be for their autocorrelation to be
// worth anything.
const minSerial = 12

// inflation is Hamed and Rao's factor for readings that hang on those before
// them, from the ranks of what is left without the trend; of all lags those up
// to the first that is not significant. It is at least 1: that a saw-tooth
// falls after it rose makes nothing surer. The groups are asked together: what
// the points of a short one hang on, it cannot tell alone.
func inflation(groups [][]Point) float64 {
	var all []float64
	n, longest := 0, 0
	for _, p := range groups {
		all = slopes(all, p)
		n += len(p)
		longest = max(longest, len(p))
	}
	if n < minSerial || len(all) == 0 {
		return 1
	}
	slope := median(all)
	var square, variances float64
	left := make([][]float64, len(groups))
	for g, p := range groups {
		left[g] = withoutLine(p, slope)
		for _, r := range left[g] {
			square += r * r
		}
		variances += variance(len(p))
	}
	if square == 0 {
		return 1
	}
	f := 1.0
	for lag := 1; lag < longest-2; lag++ {
		var c, more float64
		for _, r := range left {
			for i := lag; i < len(r); i++ {
				c += r[i] * r[i-lag]
			}
			if m := float64(len(r)); lag < len(r)-2 {
				scale := 2 / (m * (m - 1) * (m - 2))
				more += variance(len(r)) * scale * (m - float64(lag)) * (m - float64(lag) - 1) * (m - float64(lag) - 2)
			}
		}
		c /= square
		if len(groups) > 1 {
			c += lost(left, lag)
		}
		if c < 1.96/math.Sqrt(float64(n)) {
			break
		}
		f += c * more / variances
	}
	return max(f, between(groups))
}

// minRuns is how many groups it takes to see how far their trends lie apart.
const minRuns = 4

// between is the variance of the groups' own S, by what it is for points that are
// independent: runs that rise and fall at random, each throughout, show it even
// where they are too short to show what their points hang on.
func between(groups [][]Point) float64 {
	if len(groups) < minRuns {
		return 1
	}
	var z []float64
	var sum float64
	for _, p := range groups {
		if s, v := kendall(p); v > 0 {
			z = append(z, s/math.Sqrt(v))
			sum += z[len(z)-1]
		}
	}
	if len(z) < minRuns {
		return 1
	}
	mean, square := sum/float64(len(z)), 0.0
	for _, x := range z {
		square += (x - mean) * (x - mean)
	}
	return square / float64(len(z)-3) // a variance from few is unsure itself: Student's
}

// lost is what taking each group's own mean away takes from the autocorrelation
// at a lag: of short groups much.
func lost(groups [][]float64, lag int) float64 {
	var sum, n float64
	for _, r := range groups {
		n += float64(len(r))
		if lag < len(r) {
			sum += float64(len(r)-lag) / float64(len(r))
		}
	}
	return sum / n
}

// withoutLine is how far the points lie above a line of this slope, as ranks
// about their mean.
func withoutLine(p []Point, slope float64) []float64 {
	rest := make([]float64, len(p))
	for i, q := range p {
		rest[i] = q.V - slope*(q.T-p[0].T)
	}
	r := ranks(rest)
	for i := range r {
		r[i] -= float64(len(p)+1) / 2
	}
	return r
}

// ranks are the places of the values in order, from 1; ties share their mean.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	r := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			r[order[k]] = float64(i+j+1) / 2
		}
		i = j
	}
	return r
}
