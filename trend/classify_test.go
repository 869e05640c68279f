package trend

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

const mib = 1 << 20

// seconds makes n readings, a step apart, of f in MiB with noise.
func seconds(n int, step, noise float64, f func(t float64) float64) []Point {
	r := rand.New(rand.NewPCG(uint64(n), uint64(step)))
	p := make([]Point, n)
	for i := range p {
		t := float64(i) * step
		p[i] = Point{t, mib * max(0, f(t)+noise*r.NormFloat64())}
	}
	return p
}

func TestShapes(t *testing.T) {
	leak := func(t float64) float64 { return 10 + t }
	for _, c := range []struct {
		name   string
		p      []Point
		opt    Options
		shape  Shape
		reason string // a part of it
	}{
		{"a leak of 1 MiB/s", seconds(246, 1, 0.5, leak), Options{Limit: 256 * mib}, Leak, "grew 1 MiB/s for 4 min 5 s, reached the limit"},
		{"the same, far from its limit", seconds(100, 1, 0.5, leak), Options{Limit: 256 * mib}, Leak, "grew 1 MiB/s for 1 min 39 s"},
		{"38 MiB an hour for 9 hours", seconds(540, 60, 2, func(t float64) float64 { return 50 + 38*t/3600 }), Options{}, Leak, "MiB/h for 8 h 59 min"},
		{"200 MiB at once, and stays", seconds(120, 1, 0.2, func(t float64) float64 {
			if t > 60 {
				return 220
			}
			return 20
		}), Options{}, Spike, "jumped 19"},
		{"400 MiB in 2 s, at the end", seconds(62, 1, 0.2, func(t float64) float64 { return 20 + 200*max(0, t-59) }), Options{}, Spike, "in 2.0 s"},
		{"a leak under a collector", seconds(600, 1, 0.2, func(t float64) float64 { return 30 + t/5 + 3*math.Mod(t, 17) }), Options{}, Leak, "grew"},
		{"a collector", seconds(600, 1, 0.2, func(t float64) float64 { return 30 + 3*math.Mod(t, 17) }), Options{}, Sawtooth, "fell back"},
		{"flat", seconds(600, 1, 0.2, func(t float64) float64 { return 100 }), Options{}, Flat, "stayed between"},
		{"less than a twentieth is noise", seconds(600, 1, 0.1, func(t float64) float64 { return 1000 + t/20 }), Options{}, Flat, "stayed between"},
		{"warms up", seconds(600, 1, 0.2, func(t float64) float64 { return 100 - 80*math.Exp(-t/150) }), Options{}, Flat, "without a steady trend"},
		{"falls", seconds(600, 1, 0.2, func(t float64) float64 { return 100 - t/10 }), Options{}, Flat, "without a steady trend"},
		{"four readings", seconds(4, 10, 0, leak), Options{}, Unknown, "4 readings in 30 s: too few"},
		{"nine seconds", seconds(10, 1, 0, leak), Options{}, Unknown, "too few"},
		{"half a day's load", seconds(600, 60, 1, func(t float64) float64 { return 100 + t/600 }), Options{Daily: true}, Unknown, "a day's load looks the same"},
		{"doubled in half a day", seconds(600, 60, 1, func(t float64) float64 { return 20 + t/600 }), Options{Daily: true}, Leak, "grew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Classify(c.p, c.opt)
			if f.Shape != c.shape || !strings.Contains(f.Reason, c.reason) {
				t.Errorf("%s, %q; want %s, %q", f.Shape, f.Reason, c.shape, c.reason)
			}
		})
	}
}

// A restart is no fall, and growth that starts anew with each run is a leak.
func TestRuns(t *testing.T) {
	run := func(from float64, rate float64) []Point {
		p := seconds(60, 1, 0.3, func(t float64) float64 { return 20 + rate*t })
		for i := range p {
			p[i].T += from
		}
		return p
	}
	f := ClassifyRuns([][]Point{run(0, 1), run(100, 1), run(200, 1)}, Options{Daily: true})
	if f.Shape != Leak || math.Abs(f.Slope.PerSecond/mib-1) > 0.02 {
		t.Errorf("%s %+v: %q", f.Shape, f.Slope, f.Reason)
	}
	// Runs that each stay at a level of their own, each higher than the last.
	flat := [][]Point{run(0, 0), run(100, 0), run(200, 0)}
	for i := range flat {
		for j := range flat[i] {
			flat[i][j].V += float64(i) * 50 * mib
		}
	}
	if f := ClassifyRuns(flat, Options{Daily: true}); f.Shape == Leak {
		t.Errorf("%s: %q", f.Shape, f.Reason)
	}
	// Runs that warm up and end: the next start is no fall.
	warm := [][]Point{run(0, 0), run(100, 0), run(200, 0), run(300, 0)}
	for i := range warm {
		for j := range warm[i] {
			warm[i][j].V += 300 * mib * math.Sqrt(float64(j)/60)
		}
	}
	if f := ClassifyRuns(warm, Options{Daily: true}); f.Shape == Sawtooth || f.Drops != 0 || strings.Contains(f.Reason, "fell back") {
		t.Errorf("%s, %d drops: %q", f.Shape, f.Drops, f.Reason)
	}
}
