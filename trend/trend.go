// Package trend holds honest statistics over a series of memory readings: how
// fast it grows and how sure that is, what shape it has, when it reaches a
// limit. It is pure and needs the standard library only.
//
// Every function takes any number of points and works on at most MaxPoints of
// them (equal stretches of time, their medians), so that its cost is bounded:
// a slope is the median of n(n-1)/2 pairs, 7,140 for 120 points, well under a
// millisecond.
package trend

import (
	"math"
	"slices"
)

// Point is one reading: T in seconds on any clock, V in bytes.
type Point struct{ T, V float64 }

// MaxPoints is how many points a statistic is made of at most.
const MaxPoints = 120

// Span is how many seconds lie between the first and the last point.
func Span(p []Point) float64 {
	if len(p) == 0 {
		return 0
	}
	return p[len(p)-1].T - p[0].T
}

// clean returns the points in the order of time, without those that are no
// numbers. It copies only where it must.
func clean(p []Point) []Point {
	ok := true
	for i, q := range p {
		if !finite(q) || i > 0 && q.T < p[i-1].T {
			ok = false
			break
		}
	}
	if ok {
		return p
	}
	c := make([]Point, 0, len(p))
	for _, q := range p {
		if finite(q) {
			c = append(c, q)
		}
	}
	slices.SortStableFunc(c, func(a, b Point) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return 0
	})
	return c
}

func finite(q Point) bool {
	return !math.IsNaN(q.T) && !math.IsInf(q.T, 0) && !math.IsNaN(q.V) && !math.IsInf(q.V, 0)
}

// bins cuts ordered points into at most n equal stretches of time and calls f
// for each that is not empty.
func bins(p []Point, n int, f func([]Point)) {
	if len(p) == 0 {
		return
	}
	width := Span(p) / float64(n)
	from := 0
	for i := 1; i <= len(p); i++ {
		if i < len(p) && (width <= 0 || bin(p[i], p[0], width, n) == bin(p[from], p[0], width, n)) {
			continue
		}
		f(p[from:i])
		from = i
	}
}

func bin(q, first Point, width float64, n int) int {
	return min(int((q.T-first.T)/width), n-1)
}

// thin returns at most n points for ordered points: the medians of equal
// stretches of time, so that neither a spike nor the pace of reading weighs.
func thin(p []Point, n int) []Point {
	if len(p) <= n {
		return p
	}
	out := make([]Point, 0, n)
	var room []float64
	bins(p, n, func(b []Point) {
		room = room[:0]
		for _, q := range b {
			room = append(room, q.V)
		}
		out = append(out, Point{T: (b[0].T + b[len(b)-1].T) / 2, V: median(room)})
	})
	return out
}

// floors returns the least value of each of at most n equal stretches of time:
// what is left when a garbage collector, a request or a cache has let go.
func floors(p []Point, n int) []Point {
	out := make([]Point, 0, n)
	bins(p, n, func(b []Point) {
		low := b[0]
		for _, q := range b {
			if q.V < low.V {
				low = q
			}
		}
		out = append(out, low)
	})
	return out
}

// extremes returns the least and the greatest of each of at most n/2 equal
// stretches of time, in their order.
func extremes(p []Point, n int) []Point {
	if len(p) <= n {
		return p
	}
	out := make([]Point, 0, n)
	bins(p, n/2, func(b []Point) {
		low, high := 0, 0
		for i, q := range b {
			if q.V < b[low].V {
				low = i
			}
			if q.V > b[high].V {
				high = i
			}
		}
		out = append(out, b[min(low, high)])
		if low != high {
			out = append(out, b[max(low, high)])
		}
	})
	return out
}

// normal is the chance that a standard normal number is below z.
func normal(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// quantile is the z below which a standard normal number is with chance p.
func quantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }
