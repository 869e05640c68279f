package triage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A generated series: what was put into it is known.
type made struct {
	kind string
	// want are the classes that are right.
	want []Class
	// slope is what leaks, in bytes per second; 0 for none.
	slope float64
	h     History
}

const mib = 1 << 20

// maker makes series out of one source of chance.
type maker struct{ *rand.Rand }

// between is a number between two, evenly on a logarithmic scale.
func (m maker) between(a, b float64) float64 {
	return a * math.Exp(m.Float64()*math.Log(b/a))
}

// noise returns n readings of what real memory does besides: it hangs on what it
// was before (AR(1), rho 0.5 to 0.99), with an outlier now and then.
func (m maker) noise(n int, sigma float64) []float64 {
	rho := 0.5 + 0.49*m.Float64()
	e, out := 0.0, make([]float64, n)
	step := sigma * math.Sqrt(1-rho*rho)
	for i := range out {
		e = rho*e + step*m.NormFloat64()
		out[i] = e
		if m.Float64() < 0.002 {
			out[i] += sigma * m.between(3, 15)
		}
	}
	return out
}

// base is the shape of every series: so many readings, a minute apart (or less
// for short ones), a base of 40 MiB to 4 GiB, noise of 0.3 to 2.5 % of it.
type base struct {
	n           int
	step, level float64
	noise       []float64
	phase       float64
}

func (m maker) base(hours float64) base {
	b := base{step: 60, level: m.between(40*mib, 4096*mib), phase: m.Float64()}
	if hours < 12 {
		b.step = 10
	}
	b.n = int(hours * 3600 / b.step)
	b.noise = m.noise(b.n, b.level*m.between(0.003, 0.025))
	return b
}

func (b *base) span() float64 { return float64(b.n) * b.step }

// history makes a history of one run out of what f adds to the base at a time,
// and g to the page cache; both may be nil.
func (b *base) history(limit float64, f, g func(t float64) float64) History {
	r := Run{Limit: limit}
	for i := range b.n {
		t := float64(i) * b.step
		held := b.level + b.noise[i]
		if f != nil {
			held += f(t)
		}
		held = max(held, mib)
		if limit > 0 {
			held = min(held, limit)
		}
		used := held
		if g != nil {
			used += g(t)
		}
		if limit > 0 {
			used = min(used, limit)
		}
		r.Readings = append(r.Readings, Reading{At: 1e9 + t, Used: used, Held: held})
	}
	return History{Service: "s", Runs: []Run{r}}
}

// daily is a day's load: a wave, sharper at its top, with some days quieter.
func (m maker) daily(size, phase float64) func(t float64) float64 {
	power := m.between(0.7, 3)
	weekend := 0.4 + 0.6*m.Float64()
	first := m.IntN(7)
	return func(t float64) float64 {
		day := t/86400 + phase
		v := size * math.Pow((1-math.Cos(2*math.Pi*day))/2, power)
		if d := (int(day) + first) % 7; d >= 5 {
			v *= weekend
		}
		return v
	}
}

// teeth is a garbage collector: it lets size bytes pile up, and collects.
func (m maker) teeth(size float64) func(t float64) float64 {
	period := m.between(120, 3600)
	at, phase := 0.0, m.Float64()
	this := period
	return func(t float64) float64 {
		for t-at+phase*period > this {
			at += this
			this = period * (0.7 + 0.6*m.Float64())
		}
		return size * max(0, min(1, (t-at+phase*period)/this))
	}
}

// The slowest leak that is made grows by 12 % of its base within the window, or
// for less than two days of history by 130 %: below a twentieth growth is not
// looked at, below a doubling in two days it may be a day's load.
func (m maker) leakHours() (hours, growth float64) {
	if m.Float64() < 0.35 {
		return m.between(1, 40), m.between(1.3, 8)
	}
	return m.between(49, 24*7), m.between(0.12, 3)
}

var kinds = []struct {
	name  string
	n     int
	want  []Class
	make  func(m maker, x *made)
	leaks bool
}{
	{name: "leak", n: 70, want: []Class{Leak}, leaks: true, make: func(m maker, x *made) {
		hours, growth := m.leakHours()
		b := m.base(hours)
		x.slope = growth * b.level / b.span()
		x.h = b.history(m.limit(b.level*(1+growth)), func(t float64) float64 { return x.slope * t }, nil)
	}},
	{name: "leak under a garbage collector", n: 40, want: []Class{Leak}, leaks: true, make: func(m maker, x *made) {
		hours, growth := m.leakHours()
		b := m.base(hours)
		x.slope = growth * b.level / b.span()
		teeth := m.teeth(b.level * m.between(0.1, 0.8))
		x.h = b.history(0, func(t float64) float64 { return x.slope*t + teeth(t) }, nil)
	}},
	{name: "leak under a day's load", n: 30, want: []Class{Leak}, leaks: true, make: func(m maker, x *made) {
		b := m.base(m.between(72, 24*7))
		growth := m.between(0.3, 3)
		x.slope = growth * b.level / b.span()
		load := m.daily(b.level*min(m.between(0.1, 0.8), growth), b.phase)
		x.h = b.history(0, func(t float64) float64 { return x.slope*t + load(t) }, nil)
	}},
	{name: "leak behind a cache", n: 20, want: []Class{Leak}, leaks: true, make: func(m maker, x *made) {
		b := m.base(m.between(49, 24*7))
		growth := m.between(0.2, 3)
		x.slope = growth * b.level / b.span()
		size := b.level * m.between(0.2, 2)
		x.h = b.history(0, func(t float64) float64 { return x.slope * t }, func(t float64) float64 { return size * (1 - math.Exp(-t/20000)) })
	}},
	{name: "leak across restarts", n: 40, want: []Class{Leak}, leaks: true, make: func(m maker, x *made) {
		level := m.between(40*mib, 2048*mib)
		limit := level * m.between(1.5, 6)
		hours := m.between(0.5, 30)
		x.slope = (limit - level) / (hours * 3600)
		at := 1e9
		for range 3 + m.IntN(6) {
			b := m.base(hours * (0.95 + 0.1*m.Float64()))
			b.level = level
			b.noise = m.noise(b.n, level*m.between(0.003, 0.025))
			h := b.history(limit, func(t float64) float64 { return x.slope * t }, nil)
			r := h.Runs[0]
			r.OOM = true
			for i := range r.Readings {
				r.Readings[i].At += at - 1e9
			}
			at = r.Readings[len(r.Readings)-1].At + 20
			x.h.Runs = append(x.h.Runs, r)
		}
		x.h.Service = "s"
	}},
	{name: "nothing but noise", n: 35, want: []Class{Steady}, make: func(m maker, x *made) {
		b := m.base(m.between(2, 24*7))
		x.h = b.history(m.limit(b.level*1.2), nil, nil)
	}},
	{name: "garbage collector", n: 30, want: []Class{Sawtooth}, make: func(m maker, x *made) {
		b := m.base(m.between(6, 24*7))
		x.h = b.history(0, m.teeth(b.level*m.between(0.2, 1.5)), nil)
	}},
	{name: "a day's load", n: 35, want: []Class{Steady, NotEnoughData}, make: func(m maker, x *made) {
		b := m.base(m.between(3, 24*7))
		x.h = b.history(0, m.daily(b.level*m.between(0.1, 0.8), b.phase), nil)
	}},
	{name: "a step", n: 20, want: []Class{Steady, Filling}, make: func(m maker, x *made) {
		b := m.base(m.between(6, 24*7))
		at, size := b.span()*(0.1+0.8*m.Float64()), b.level*m.between(0.1, 1.5)
		rise := m.between(30, 1800)
		x.h = b.history(0, func(t float64) float64 { return size * max(0, min(1, (t-at)/rise)) }, nil)
	}},
	{name: "steps", n: 10, want: []Class{Steady, Filling}, make: func(m maker, x *made) {
		b := m.base(m.between(24, 24*7))
		at := []float64{b.span() * (0.1 + 0.3*m.Float64()), b.span() * (0.5 + 0.4*m.Float64())}
		size := b.level * m.between(0.1, 0.6)
		x.h = b.history(0, func(t float64) float64 {
			v := 0.0
			for _, a := range at {
				if t > a {
					v += size
				}
			}
			return v
		}, nil)
	}},
	{name: "warming up", n: 20, want: []Class{Steady, Filling, NotEnoughData}, make: func(m maker, x *made) {
		b := m.base(m.between(3, 24*7))
		tau, size := b.span()*m.between(0.02, 0.3), b.level*m.between(0.1, 2)
		x.h = b.history(0, func(t float64) float64 { return size * (1 - math.Exp(-t/tau)) }, nil)
	}},
	{name: "spikes", n: 15, want: []Class{Spike}, make: func(m maker, x *made) {
		b := m.base(m.between(6, 24*7))
		size := b.level * m.between(0.8, 4)
		var at, long []float64
		for range 1 + m.IntN(3) {
			at, long = append(at, b.span()*(0.05+0.9*m.Float64())), append(long, m.between(3*b.step, b.span()/150+4*b.step))
		}
		x.h = b.history(0, func(t float64) float64 {
			for i := range at {
				if t >= at[i] && t < at[i]+long[i] {
					return size
				}
			}
			return 0
		}, nil)
	}},
	{name: "page cache", n: 20, want: []Class{Cache}, make: func(m maker, x *made) {
		b := m.base(m.between(3, 24*7))
		size := b.level * m.between(0.8, 5)
		full := b.span() * m.between(0.3, 1)
		limit := 0.0
		if m.IntN(2) == 0 {
			limit = b.level*1.15 + size*0.9
		}
		x.h = b.history(limit, nil, func(t float64) float64 { return size * min(1, t/full) })
	}},
	{name: "limit too small", n: 15, want: []Class{LimitTooSmall}, make: func(m maker, x *made) {
		b := m.base(m.between(3, 24*7))
		x.h = b.history(b.level*(1+0.06*m.Float64()), nil, nil)
	}},
}

// limit is one above what is needed, for half of the series.
func (m maker) limit(need float64) float64 {
	if m.IntN(2) == 0 {
		return 0
	}
	return need * m.between(1.3, 4)
}

// generate makes the series of a seed: 200 that leak and 200 that do not.
func generate(seed uint64) []made {
	var out []made
	for i, k := range kinds {
		m := maker{rand.New(rand.NewPCG(seed, uint64(i)))}
		for range k.n {
			x := made{kind: k.name, want: k.want}
			k.make(m, &x)
			out = append(out, x)
		}
	}
	return out
}

// judgeAll returns how many are right, the leaks that are seen where there are
// none, and writes what came out.
func judgeAll(t *testing.T, seed uint64, show bool) (right, total, falseLeaks int) {
	table := map[string]map[string]int{}
	slopes := []float64{}
	for i, x := range generate(seed) {
		s := JudgeHistory(&x.h)
		total++
		// One run of less than two days may be on its way to a level of its own.
		p := x.h.Runs[len(x.h.Runs)-1].Readings
		short := len(x.h.Runs) == 1 && p[len(p)-1].At-p[0].At < 48*3600
		ok := slices.Contains(x.want, s.Class) || short && x.slope > 0 && s.Class == NotEnoughData
		if ok {
			right++
		}
		if s.Class == Leak && x.slope == 0 {
			falseLeaks++
		}
		if s.Class == Leak && x.slope != 0 {
			slopes = append(slopes, *s.Rate/x.slope)
		}
		word := string(s.Class)
		if !ok {
			word = "WRONG " + word
			if show {
				t.Logf("%d %s: %s: %q; %.1f h, %d runs, %.0f to %.0f MiB", i, x.kind, s.Class, s.Reasons, (p[len(p)-1].At-x.h.Runs[0].Readings[0].At)/3600, len(x.h.Runs), p[0].Held/mib, p[len(p)-1].Held/mib)
			}
		}
		if table[x.kind] == nil {
			table[x.kind] = map[string]int{}
		}
		table[x.kind][word]++
	}
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "  %-32s %v\n", k.name, table[k.name])
	}
	slices.Sort(slopes)
	n := len(slopes)
	t.Logf("seed %d: %d of %d classes right (%.1f %%), %d leaks seen where there are none; rate by truth: median %.2f, 5 %% below %.2f, 5 %% above %.2f\n%s",
		seed, right, total, 100*float64(right)/float64(total), falseLeaks, slopes[n/2], slopes[n/20], slopes[n-1-n/20], b.String())
	return right, total, falseLeaks
}

// TestGenerated judges 400 series whose truth is known. The bounds of the
// classes were set by looking at seed 1. Seeds 2 to 5 were held back until then:
// seed 2 showed that two equal steps were taken for a leak, twice. With that
// mended, seeds 6 and 7 were the ones held back, and were right at first sight.
// These histories are short; whole months are judged in internal/months.
func TestGenerated(t *testing.T) {
	for _, seed := range []uint64{1, 6, 7} {
		right, total, falseLeaks := judgeAll(t, seed, seed == 1)
		if right*100 < total*92 || falseLeaks > 0 {
			t.Errorf("seed %d: %d of %d right, %d false leaks", seed, right, total, falseLeaks)
		}
	}
}

// TestLastReading saw the memory of what had died being given back.
func TestLastReading(t *testing.T) {
	h := History{Service: "s"}
	for run := range 3 {
		r := Run{Limit: 48 * mib, OOM: true}
		for i := range 25 {
			v := float64(i+1) * 1.9 * mib
			r.Readings = append(r.Readings, Reading{At: float64(run*40 + i), Used: v, Held: v})
		}
		r.Readings = append(r.Readings, Reading{At: float64(run*40 + 25), Used: 4096, Held: 4096})
		h.Runs = append(h.Runs, r)
	}
	s := JudgeHistory(&h)
	if s.Class != Leak || math.Abs(*s.Rate/(1.9*mib)-1) > 0.01 || !strings.Contains(s.Reasons[0], "in 3 runs") {
		t.Errorf("%s %v: %q", s.Class, s.Rate, s.Reasons)
	}
}
