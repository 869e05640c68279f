package triage

import (
	"math"
	"slices"
	"testing"
)

// worker is a process that shares its container's limit with others alike.
type worker struct{ holds, rate float64 }

// workers fill a limit of 1 together: where they reach it, the kernel kills the largest,
// and another starts with start. load says by how much all grow in the next minute.
func workers(m maker, kills int, start float64, list []worker, load func() float64) (out []setKill) {
	t, minute := m.between(60, 86400), 0.0
	factor := load()
	for len(out) < kills && t < 400*86400 {
		sum, rate := 0.0, 0.0
		for _, w := range list {
			sum, rate = sum+w.holds, rate+w.rate*factor
		}
		dt := min((1-sum)/rate, 60-minute)
		for i := range list {
			list[i].holds += list[i].rate * factor * dt
		}
		t += dt
		if minute += dt; minute >= 60-1e-9 {
			minute, factor = 0, load()
		}
		if sum+rate*dt < 1-1e-9 {
			continue
		}
		at := 0
		for i := range list {
			if list[i].holds > list[at].holds {
				at = i
			}
		}
		out = append(out, setKill{at: t, rss: list[at].holds, tasks: len(list)})
		list[at].holds = start
	}
	return out
}

var laterKinds = []setKind{
	{name: "5 to 8 replicas made anew", leaks: true, anew: true, kills: func(m maker) (out []setKill) {
		d, n, kills, jitter := odd(m, 3600, 30*3600), 5+m.IntN(4), 8+m.IntN(10), m.between(0.01, 0.04)
		for r := range n {
			at := d * m.Float64()
			for range kills {
				at += d * math.Exp(jitter*m.NormFloat64())
				out = append(out, setKill{at: at, replica: r})
			}
		}
		return out
	}},
	{name: "replicas that start together", leaks: true, anew: true, kills: func(m maker) (out []setKill) {
		d, n, kills, jitter := odd(m, 3600, 30*3600), 3+m.IntN(5), 8+m.IntN(10), m.between(0.01, 0.03)
		for r := range n {
			at := 0.0
			for range kills {
				at += d * math.Exp(jitter*m.NormFloat64())
				out = append(out, setKill{at: at, replica: r})
			}
		}
		return out
	}},
	{name: "workers that leak in one container", leaks: true, kills: func(m maker) []setKill {
		n := 2 + m.IntN(7)
		d := odd(m, 1800, 30*3600)
		spread, start := m.between(0.01, 0.25), m.between(0.02, 0.2)/float64(n)
		list := make([]worker, n)
		for i := range list {
			list[i] = worker{start, math.Exp(spread*m.NormFloat64()) / float64(n*n) / d}
		}
		return workers(m, 8+m.IntN(25), start, list, func() float64 { return math.Exp(0.3 * m.NormFloat64()) })
	}},
	{name: "slow leaks, 5 to 9 kills", leaks: true, kills: func(m maker) []setKill {
		d, jitter := odd(m, 86400, 6*86400), m.between(0.01, 0.08)
		return oneChain(m, 5+m.IntN(5), func(float64) float64 { return d * math.Exp(jitter*m.NormFloat64()) })
	}},
	{name: "5 to 9 kills, made anew", leaks: true, anew: true, kills: func(m maker) []setKill {
		d, jitter := odd(m, 1800, 6*86400), m.between(0.01, 0.08)
		return oneChain(m, 5+m.IntN(5), func(float64) float64 { return d * math.Exp(jitter*m.NormFloat64()) })
	}},
	{name: "two timers of one beat, made anew", anew: true, kills: func(m maker) (out []setKill) {
		beat, apart := beats[m.IntN(len(beats))], 0.1+0.8*m.Float64()
		jitter := min(120, beat*m.between(0.002, 0.02))
		for i := range 8 + m.IntN(25) {
			for k := range 2 {
				out = append(out, setKill{at: 5000 + (float64(i)+float64(k)*apart)*beat + jitter*m.Float64(), replica: k})
			}
		}
		return out
	}},
	{name: "two timers of one beat, in place", kills: func(m maker) (out []setKill) {
		beat, apart := beats[m.IntN(len(beats))], 0.1+0.8*m.Float64()
		jitter := min(120, beat*m.between(0.002, 0.02))
		for i := range 8 + m.IntN(25) {
			for k := range 2 {
				out = append(out, setKill{at: 5000 + (float64(i)+float64(k)*apart)*beat + jitter*m.Float64()})
			}
		}
		return out
	}},
	{name: "five timers of one beat, made anew", anew: true, kills: func(m maker) (out []setKill) {
		beat := beats[m.IntN(len(beats))]
		jitter := min(120, beat*m.between(0.002, 0.02))
		var at [5]float64
		for k := range at {
			at[k] = m.Float64()
		}
		for i := range 8 + m.IntN(12) {
			for k := range at {
				out = append(out, setKill{at: 5000 + (float64(i)+at[k])*beat + jitter*m.Float64(), replica: k})
			}
		}
		return out
	}},
	{name: "many mildly regular, made anew", anew: true, kills: func(m maker) []setKill {
		d := m.between(600, 86400)
		return oneChain(m, 20+m.IntN(80), func(float64) float64 {
			return d / 4 * (m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64())
		})
	}},
	{name: "many at random, made anew", anew: true, kills: func(m maker) []setKill {
		d := m.between(600, 86400)
		return oneChain(m, 20+m.IntN(80), func(float64) float64 { return d * m.ExpFloat64() })
	}},
	{name: "workers under a load", kills: func(m maker) []setKill {
		// Each needs more now and then; the largest is killed, and its next needs as much.
		n := 3 + m.IntN(6)
		d := m.between(900, 86400)
		return slices.Collect(func(yield func(setKill) bool) {
			for _, k := range oneChain(m, 5+m.IntN(25), func(float64) float64 { return m.between(20, 200) + d*m.ExpFloat64() }) {
				k.rss, k.tasks = m.between(1, 2)/float64(n), n
				if !yield(k) {
					return
				}
			}
		})
	}},
	{name: "workers, mildly regular", kills: func(m maker) []setKill {
		n := 3 + m.IntN(6)
		d := m.between(900, 86400)
		list := oneChain(m, 5+m.IntN(25), func(float64) float64 {
			return d / 4 * (m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64())
		})
		for i := range list {
			list[i].rss, list[i].tasks = m.between(1, 2)/float64(n), n
		}
		return list
	}},
	{name: "workers, by the clock", kills: func(m maker) []setKill {
		n, beat := 3+m.IntN(6), beats[m.IntN(len(beats))]
		list := oneChain(m, 5+m.IntN(25), func(float64) float64 { return beat })
		for i := range list {
			list[i].at += beat * 0.01 * m.Float64()
			list[i].rss, list[i].tasks = m.between(1.3, 2)/float64(n), n
		}
		return list
	}},
	{name: "as many workers as do not fit", kills: func(m maker) []setKill {
		// Each takes what it needs soon after its start, and they need more than there is.
		n := 4 + m.IntN(8)
		need := 1.05 / float64(n)
		var out []setKill
		t := m.between(60, 86400)
		for range 8 + m.IntN(25) {
			t += m.between(30, 90) + 600*m.ExpFloat64()
			out = append(out, setKill{at: t, rss: need * math.Exp(0.1*m.NormFloat64()), tasks: n})
		}
		return out
	}},
	{name: "bursts of replicas, at random", anew: true, kills: func(m maker) (out []setKill) {
		at := 1000.0
		for range 8 + m.IntN(10) {
			at += m.between(3600, 86400) * m.ExpFloat64()
			t := at
			for range 2 + m.IntN(4) {
				t += 200 * m.Float64()
				out = append(out, setKill{at: t})
			}
		}
		return out
	}},
	{name: "timers of odd minutes", kills: func(m maker) (out []setKill) {
		every := 60 * []float64{7, 8, 12, 25, 40, 50, 75, 100, 150, 300}[m.IntN(10)]
		jitter := []float64{1, 5, 20}[m.IntN(3)]
		for i := range 8 + m.IntN(25) {
			out = append(out, setKill{at: 5000 + float64(i)*every + jitter*m.Float64()})
		}
		return out
	}},
	{name: "jobs that take their time until they die", kills: func(m maker) (out []setKill) {
		every := 60 * []float64{15, 30, 60, 120, 240, 480}[m.IntN(6)]
		work := every * (0.02 + 0.18*m.Float64())
		for i := range 12 + m.IntN(25) {
			out = append(out, setKill{at: 5000 + float64(i)*every + work*(0.6+0.8*m.Float64())})
		}
		return out
	}},
}

// TestLaterSets holds the same bars over a third lot of kinds: many replicas, workers of
// one container, few kills, timers that share a beat.
func TestLaterSets(t *testing.T) {
	setBars(t, laterKinds, 777002)
}
