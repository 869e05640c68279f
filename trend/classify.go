package trend

import (
	"fmt"
	"math"

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
		f.Reason = fmt.Sprintf("%d readings in %s: too few to tell", len(p), units.Seconds(span))
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
	if f.leaks(p, noise) {
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
	from, to := jump(p, jumpShare*(high-low))
	if f.Drops >= 2 {
		f.Shape = Sawtooth
		f.Reason = fmt.Sprintf("fell back %d times in %s, to %s at the least", f.Drops, units.Seconds(span), size(low))
		return f
	}
	if took := p[to].T - p[from].T; to > from && (took <= jumpTime*span || to-from == 1) {
		f.Shape = Spike
		f.Grew, f.Seconds = p[to].V-p[from].V, took
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
	third := max(n/3, 2)
	first, last := medianSlope(fl[:third+1]), medianSlope(fl[n-third-1:])
	return last >= lastingShare*f.Slope.PerSecond && last >= lastingShare*first
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
