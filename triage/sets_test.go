package triage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// setKind is a kind of service whose kills a log of weeks has.
type setKind struct {
	name  string
	share int
	leaks bool
	// kills are seconds from the start of the log, and of which of its replicas.
	kills func(m maker) []setKill
	// anew is true where each kill ends a container that is then made anew.
	anew      bool
	pod, skip bool
}

type setKill struct {
	at      float64
	replica int
	// rss is what the victim held, as a share of the limit (0: nearly all of it), where
	// it was one of several processes that filled the limit together.
	rss   float64
	tasks int
}

// oneChain draws kills of one chain: next gives the time to the next kill.
func oneChain(m maker, n int, next func(at float64) float64) []setKill {
	out := make([]setKill, 0, n)
	at := m.between(60, 86400)
	for range n {
		at += next(at)
		out = append(out, setKill{at: at})
	}
	return out
}

// odd is a time that no timer has: off each beat by more than its jitter.
func odd(m maker, low, high float64) float64 {
	for {
		d := m.between(low, high)
		if !slices.ContainsFunc(append(slices.Clone(beats), 86400, 2*86400, 7*86400), func(b float64) bool { return math.Abs(math.Mod(d+b/2, b)-b/2) < 0.06*b && d < 3.5*b && d > b/2 }) {
			return d
		}
	}
}

func grown(m maker, n int, jitter float64) []setKill {
	d := odd(m, 400, 60*3600)
	return oneChain(m, n, func(float64) float64 { return d * math.Exp(jitter*m.NormFloat64()) })
}

var setKinds = []setKind{
	{name: "leak", share: 8, leaks: true, kills: func(m maker) []setKill { return grown(m, 5+m.IntN(25), m.between(0.005, 0.08)) }},
	{name: "leak, made anew", share: 6, leaks: true, anew: true, kills: func(m maker) []setKill { return grown(m, 5+m.IntN(25), m.between(0.005, 0.08)) }},
	{name: "leak by load", share: 4, leaks: true, kills: func(m maker) []setKill {
		need := odd(m, 3*3600, 40*3600)
		phase := m.Float64()
		return oneChain(m, 8+m.IntN(16), func(at float64) float64 {
			t, done := at, 0.0
			for need*(1+0.02*m.NormFloat64()) > done {
				done += 300 * (1 - 0.5*math.Cos(2*math.Pi*(t/86400+phase)))
				t += 300
			}
			return t - at
		})
	}},
	{name: "leak, replicas made anew", share: 4, leaks: true, anew: true, kills: func(m maker) (out []setKill) {
		d, n, kills := odd(m, 1200, 30*3600), 2+m.IntN(3), 8+m.IntN(10)
		for r := range n {
			at := d * m.Float64()
			for range kills {
				at += d * math.Exp(0.02*m.NormFloat64())
				out = append(out, setKill{at: at, replica: r})
			}
		}
		return out
	}},
	{name: "random", share: 10, kills: func(m maker) []setKill {
		d := m.between(600, 3*86400)
		return oneChain(m, 3+m.IntN(25), func(float64) float64 { return d * m.ExpFloat64() })
	}},
	{name: "mildly regular", share: 8, kills: func(m maker) []setKill {
		d := m.between(600, 2*86400)
		return oneChain(m, 3+m.IntN(25), func(float64) float64 {
			return d / 4 * (m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64() + m.ExpFloat64())
		})
	}},
	{name: "by the clock", share: 12, kills: func(m maker) []setKill {
		beat := beats[m.IntN(len(beats))]
		jitter := min(200, beat*m.between(0.002, 0.02))
		start := m.between(60, 86400)
		var out []setKill
		for i := range 3 + m.IntN(30) {
			out = append(out, setKill{at: start + float64(i)*beat + jitter*m.Float64()})
		}
		return out
	}},
	{name: "at the same hour", share: 6, kills: func(m maker) []setKill {
		start := m.between(60, 86400)
		var out []setKill
		for i := range 4 + m.IntN(20) {
			if m.Float64() < 0.8 {
				out = append(out, setKill{at: start + float64(i)*86400 + 3600*m.Float64()})
			}
		}
		return out
	}},
	{name: "by day more than by night", share: 6, kills: func(m maker) (out []setKill) {
		at, d := 0.0, m.between(1800, 6*3600)
		for len(out) < 5+m.Int()%20 {
			at += d * m.ExpFloat64() / 2
			if m.Float64() < (1-math.Cos(2*math.Pi*at/86400))/2 {
				out = append(out, setKill{at: at})
			}
		}
		return out
	}},
	{name: "crash loop", share: 6, kills: func(m maker) (out []setKill) {
		at, pause, long := 1000.0, 0.1, m.between(0.5, 10)
		for range 8 + m.IntN(30) {
			out = append(out, setKill{at: at})
			at += pause + long*math.Exp(0.05*m.NormFloat64())
			pause = min(2*pause, 60)
		}
		return out
	}},
	{name: "crash loop at the one-minute pause", share: 4, kills: func(m maker) (out []setKill) {
		long := m.between(0.5, 10)
		return oneChain(m, 5+m.IntN(40), func(float64) float64 { return 60 + long*math.Exp(0.05*m.NormFloat64()) })
	}},
	{name: "three in weeks", share: 6, kills: func(m maker) []setKill {
		return oneChain(m, 3, func(float64) float64 { return m.between(86400, 12*86400) })
	}},
}

// deaths are the kills of one service as a log tells them.
func (k *setKind) deaths(m maker, n int) []Death {
	limit := int64(m.between(64*mib, 4096*mib))
	var out []Death
	for i, x := range k.kills(m) {
		id := n*1000 + x.replica
		if k.anew {
			id = n*1000 + 100 + i
		}
		container := fmt.Sprintf("%064x", 0xabc000000000+id)
		at := newYear.Add(time.Duration(x.at * float64(time.Second)))
		d := Death{Time: at, Uptime: time.Duration((x.at + 1e6) * float64(time.Second)), HasUptime: true, PID: 1000 + n*1000 + i, Comm: fmt.Sprintf("app%d", n),
			Container: container, Pattern: "/docker/*", Scope: OwnLimit, Limit: limit, RSS: limit * 97 / 100, TotalVM: limit * 2, AnonRSS: limit * 97 / 100}
		if x.tasks > 0 {
			d.RSS = int64(float64(d.RSS) * x.rss)
			d.AnonRSS, d.Hog, d.HogTasks, d.HogHeld = d.RSS, d.Comm, x.tasks, limit*97/100
		}
		out = append(out, d)
	}
	return out
}

// TestSets makes up logs of many services whose truth is known: nearly all that leak are
// named, and nearly nothing else.
func TestSets(t *testing.T) {
	const sets = 60
	type score struct{ n, leak, likely int }
	scores := map[string]*score{}
	var all, healthy score
	d := dice{}
	for set := range sets {
		m := maker{rand.New(rand.NewPCG(99, uint64(set)))}
		var list []Death
		kind := map[string]*setKind{}
		for n := range 5 + m.IntN(25) {
			k := pick(m)
			kind[fmt.Sprintf("app%d", n)] = k
			list = append(list, k.deaths(m, n)...)
		}
		slices.SortStableFunc(list, func(a, b Death) int { return a.Time.Compare(b.Time) })
		c := &Collector{dice: d}
		for _, d := range list {
			c.Add(d)
		}
		leak, likely := map[string]bool{}, map[string]bool{}
		for _, s := range c.Services() {
			if s.Class == Leak {
				leak[s.Program] = true
				likely[s.Program] = likely[s.Program] || s.Confidence == "likely"
			}
		}
		for app, k := range kind {
			s := scores[k.name]
			if s == nil {
				s = &score{}
				scores[k.name] = s
			}
			for _, x := range []*score{s, map[bool]*score{true: &all, false: &healthy}[k.leaks]} {
				x.n++
				if leak[app] {
					x.leak++
				}
				if likely[app] {
					x.likely++
				}
			}
		}
	}
	var b strings.Builder
	for _, k := range setKinds {
		if s := scores[k.name]; s != nil {
			fmt.Fprintf(&b, "%-36s %4d: leak %5.1f %%, likely %5.1f %%\n", k.name, s.n, 100*float64(s.leak)/float64(s.n), 100*float64(s.likely)/float64(s.n))
		}
	}
	t.Logf("\n%s", b.String())
	if found := float64(all.leak) / float64(all.n); found < 0.95 {
		t.Errorf("%.1f %% of %d leaks are named, want 95", 100*found, all.n)
	}
	if wrong := float64(healthy.leak) / float64(healthy.n); wrong > 0.01 {
		t.Errorf("%.1f %% of %d others are called a leak, want 1 at most", 100*wrong, healthy.n)
	}
}

func pick(m maker) *setKind {
	sum := 0
	for i := range setKinds {
		sum += setKinds[i].share
	}
	at := m.IntN(sum)
	for i := range setKinds {
		if at -= setKinds[i].share; at < 0 {
			return &setKinds[i]
		}
	}
	return &setKinds[0]
}
