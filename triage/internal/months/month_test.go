// Package months makes up months of services whose truth is known, and sets of
// kernel kills, and holds triage against them. Everything hangs on a seed.
package months

import (
	"math"
	"math/rand/v2"

	"github.com/oomwatch/oomwatch/triage"
)

const (
	mib    = 1 << 20
	minute = 60.0
	hour   = 3600.0
	day    = 86400.0
	// step is how far the readings lie apart, in seconds.
	step = 300.0
	// span is a month.
	span = 30 * day
	// zero is when a month begins, in Unix seconds.
	zero = 1_767_225_600.0
)

// month is a service's month.
type month struct {
	kind  string
	leaks bool
	// rate is what leaks, in bytes per second, from begin on.
	rate, begin float64
	h           triage.History
	// ends is, for each run, when it was OOM-killed, 0 for one that was not.
	ends []float64
	// firstOOM is the first of these, 0 for none.
	firstOOM float64
}

// maker makes months out of one source of chance.
type maker struct{ *rand.Rand }

// between is a number between two, evenly on a logarithmic scale.
func (m maker) between(a, b float64) float64 { return a * math.Exp(m.Float64()*math.Log(b/a)) }

// even is a number between two.
func (m maker) even(a, b float64) float64 { return a + m.Float64()*(b-a) }

func (m maker) chance(p float64) bool { return m.Float64() < p }

// part is what one cause adds, in bytes: age is since the start of the run, t since
// the start of the month. It is asked in the order of time.
type part func(age, t float64) float64

// cause makes the part for a run that starts at a time.
type cause func(start float64) part

// model is what a service is made of.
type model struct {
	level float64
	// causes add to level; what they add cannot be reclaimed, what cache adds can.
	causes []cause
	cache  cause
	limit  float64
	// restarts are when it is deployed anew, in seconds from the start of the month.
	restarts []float64
	// pause is between an OOM kill and the next start.
	pause float64
	// job is how long a run takes of what ends by itself, and every how long it starts.
	job, every float64
	noise      float64 // as a share of level
	rho        float64
	swap       bool
}

// run makes the month of a model.
func (m maker) run(x *model, out *month) {
	next := 0 // restart
	start := 0.0
	for start < span {
		for next < len(x.restarts) && x.restarts[next] <= start {
			next++
		}
		end := span
		if next < len(x.restarts) {
			end = x.restarts[next]
		}
		if x.job > 0 {
			end = min(end, start+x.job*m.even(0.9, 1.1))
		}
		r, killed := m.oneRun(x, start, end)
		if len(r.Readings) > 0 {
			out.h.Runs = append(out.h.Runs, r)
			at := 0.0
			if killed > 0 {
				at = zero + killed
				if out.firstOOM == 0 {
					out.firstOOM = at
				}
			}
			out.ends = append(out.ends, at)
		}
		switch {
		case killed > 0:
			start = killed + x.pause
		case x.job > 0 && x.every > 0:
			start = (math.Floor(start/x.every) + 1) * x.every
		default:
			start = end + m.even(2, 40)
		}
	}
	out.h.Service = "s"
}

// oneRun is killed when what it holds reaches the limit.
func (m maker) oneRun(x *model, start, end float64) (r triage.Run, killed float64) {
	r.Limit = x.limit
	var parts []part
	for _, c := range x.causes {
		parts = append(parts, c(start))
	}
	var cache part
	if x.cache != nil {
		cache = x.cache(start)
	}
	warm := m.between(20, 600)
	e, inner := 0.0, x.noise*x.level*math.Sqrt(1-x.rho*x.rho)
	first := math.Ceil(start/step) * step
	if first-start > 60 {
		first = start + m.even(5, 60)
	}
	for t := first; t < end; t = math.Floor(t/step+1) * step {
		age := t - start
		e = x.rho*e + inner*m.NormFloat64()
		held := x.level*(1-0.7*math.Exp(-age/warm)) + e
		if m.chance(0.001) {
			held += x.level * x.noise * m.between(3, 15)
		}
		for _, p := range parts {
			held += p(age, t)
		}
		held = max(held, mib)
		used := held
		if cache != nil {
			used += cache(age, t)
		}
		if x.limit > 0 {
			if held >= x.limit {
				r.OOM = true
				return r, t
			}
			used = min(used, x.limit)
		}
		r.Readings = append(r.Readings, triage.Reading{At: zero + t, Used: used, Held: held})
	}
	return r, 0
}

// deploys are some restarts on the way, at any time of the day.
func (m maker) deploys(perMonth float64) []float64 {
	var out []float64
	if perMonth <= 0 {
		return nil
	}
	for t := m.ExpFloat64() * span / perMonth; t < span; t += m.ExpFloat64() * span / perMonth {
		out = append(out, t)
	}
	return out
}

// usual is the common ground of every kind.
func (m maker) usual() *model {
	x := &model{level: m.between(30*mib, 4096*mib), noise: m.between(0.002, 0.025), rho: m.even(0.3, 0.995), pause: m.between(1, 60)}
	if m.chance(0.6) {
		x.restarts = m.deploys(m.even(0, 8))
	}
	return x
}

// room sets a limit above what is needed, for most.
func (m maker) room(x *model, need float64) {
	if m.chance(0.85) {
		x.limit = need * m.between(1.15, 4)
	}
}
