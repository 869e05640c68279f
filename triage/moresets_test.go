package triage

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var moreKinds = []setKind{
	{name: "leak with deploys", leaks: true, anew: true, kills: func(m maker) (out []setKill) {
		d := odd(m, 3600, 30*3600)
		at, next := 0.0, 0.0
		for len(out) < 8+m.Int()%12 {
			if next <= at {
				next = at + d*(4+6*m.Float64())
			}
			life := d * math.Exp(0.04*m.NormFloat64())
			if at+life > next {
				at, next = next, 0
				continue
			}
			at += life
			out = append(out, setKill{at: at})
		}
		return out
	}},
	{name: "leak fast 5-20 min", leaks: true, anew: true, kills: func(m maker) []setKill {
		d := odd(m, 250, 1100)
		return oneChain(m, 8+m.IntN(40), func(float64) float64 { return d * math.Exp(0.05*m.NormFloat64()) })
	}},
	{name: "leak slow 2-5 d", leaks: true, anew: true, kills: func(m maker) []setKill {
		d := odd(m, 2.1*86400, 5*86400)
		return oneChain(m, 7+m.IntN(5), func(float64) float64 { return d * math.Exp(0.05*m.NormFloat64()) })
	}},
	{name: "clock with missed ticks", kills: func(m maker) (out []setKill) {
		beat := beats[m.IntN(len(beats))]
		j := min(200, beat*m.between(0.002, 0.03))
		for i := range 6 + m.IntN(30) {
			if m.Float64() < 0.75 {
				out = append(out, setKill{at: 5000 + float64(i)*beat + j*m.NormFloat64()/2})
			}
		}
		return out
	}},
	{name: "clock anew, jitter both sides", anew: true, kills: func(m maker) (out []setKill) {
		beat := beats[m.IntN(len(beats))]
		j := min(180, beat*0.03)
		for i := range 6 + m.IntN(30) {
			out = append(out, setKill{at: 5000 + float64(i)*beat + j*(2*m.Float64()-1)})
		}
		return out
	}},
	{name: "clock with a changed hour", kills: func(m maker) (out []setKill) {
		beat := []float64{6 * 3600, 8 * 3600, 12 * 3600, 86400}[m.IntN(4)]
		n := 10 + m.IntN(20)
		for i := range n {
			at := 5000 + float64(i)*beat + 120*m.Float64()
			if i > n/2 {
				at += 3600
			}
			out = append(out, setKill{at: at})
		}
		return out
	}},
	{name: "working days at nine", kills: func(m maker) (out []setKill) {
		for i := range 20 + m.IntN(15) {
			if i%7 < 5 {
				out = append(out, setKill{at: 9*3600 + float64(i)*86400 + 900*m.Float64()})
			}
		}
		return out
	}},
	{pod: true, name: "kubernetes' back-off", anew: true, kills: func(m maker) (out []setKill) {
		at, pause, long := 1000.0, 10.0, m.between(1, 60)
		for range 8 + m.IntN(30) {
			out = append(out, setKill{at: at})
			at += pause + long*math.Exp(0.1*m.NormFloat64())
			pause = min(2*pause, 300)
		}
		return out
	}},
	{pod: true, name: "back-off at five minutes", kills: func(m maker) []setKill {
		long := m.between(1, 60)
		return oneChain(m, 6+m.IntN(40), func(float64) float64 { return 300 + long*math.Exp(0.1*m.NormFloat64()) })
	}},
	{name: "peak each evening", kills: func(m maker) (out []setKill) {
		for i := range 10 + m.IntN(20) {
			for range m.IntN(3) {
				out = append(out, setKill{at: 20*3600 + float64(i)*86400 + 1800*m.NormFloat64()})
			}
		}
		slices.SortFunc(out, func(a, b setKill) int { return int(a.at - b.at) })
		return out
	}},
	{name: "gamma 4 anew", anew: true, kills: func(m maker) []setKill {
		d := m.between(600, 2*86400)
		return oneChain(m, 5+m.IntN(25), func(float64) float64 {
			return d / 4 * (m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64())
		})
	}},
	{name: "bursts of workers", kills: func(m maker) (out []setKill) {
		at := 1000.0
		for range 4 + m.IntN(8) {
			at += 86400 * m.ExpFloat64()
			for range 2 + m.IntN(5) {
				at += 30 * m.Float64()
				out = append(out, setKill{at: at})
			}
		}
		return out
	}},
}

// TestMoreSets holds the same bars over kinds that later attacks made up: timers that miss
// runs or come early too, working days, evenings, the kubelet's pause between restarts, and
// leaks under deploys.
func TestMoreSets(t *testing.T) {
	setBars(t, moreKinds, 777001)
}

// setBars judges a hundred services of each kind, each alone.
func setBars(t *testing.T, kinds []setKind, seed uint64) {
	t.Helper()
	d := dice{}
	var n, named [2]int // of the healthy, of those that leak
	for at := range kinds {
		k := &kinds[at]
		leak, of := 0, 100
		why := ""
		for set := range of {
			m := maker{rand.New(rand.NewPCG(seed, uint64(set*1000+at)))}
			list := k.deaths(m, 3)
			for i := range list {
				if k.pod {
					list[i].Pod, list[i].Pattern = "0b1c", "/kubepods/*"
				}
			}
			slices.SortStableFunc(list, func(a, b Death) int { return a.Time.Compare(b.Time) })
			c := &Collector{dice: d}
			for _, d := range list {
				c.Add(d)
			}
			called := false
			for _, s := range c.Services() {
				called = called || s.Class == Leak
				if (s.Class == Leak) != k.leaks {
					why = string(s.Class) + " " + string(s.Confidence) + " " + s.Reasons[0]
				}
			}
			if called {
				leak++
			}
		}
		kind := 0
		if k.leaks {
			kind = 1
		}
		n[kind] += of
		named[kind] += leak
		t.Logf("%-36s %3d of %d are called a leak %s", k.name, leak, of, why)
	}
	if 100*named[0] > n[0] {
		t.Errorf("%d of %d healthy ones are called a leak, want 1 %% at most", named[0], n[0])
	}
	if 100*named[1] < 95*n[1] {
		t.Errorf("%d of %d leaks are named, want 95 %%", named[1], n[1])
	}
}
