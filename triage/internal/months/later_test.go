package months

import "math"

// gaps takes readings away, as a collector that is down does.
func (m maker) gaps(out *month) {
	for range 1 + m.IntN(6) {
		from := zero + m.even(0, span)
		to := from + m.between(600, 20*hour)
		for i := range out.h.Runs {
			r := &out.h.Runs[i]
			kept := r.Readings[:0]
			for k, q := range r.Readings {
				// What begins and ends a run is known.
				if q.At < from || q.At > to || k == 0 || k == len(r.Readings)-1 {
					kept = append(kept, q)
				}
			}
			r.Readings = kept
		}
	}
}

// limits gives each run another limit, none below what it held.
func (m maker) limits(out *month) {
	for i := range out.h.Runs {
		r := &out.h.Runs[i]
		if r.Limit == 0 || r.OOM {
			continue
		}
		high := 0.0
		for _, q := range r.Readings {
			high = max(high, q.Used)
		}
		r.Limit = max(high*1.02, r.Limit*m.between(0.8, 2))
	}
}

// shifted is a cause whose clock is put back by an hour in the middle of the month.
func shifted(c cause) cause {
	return func(start float64) part {
		p := c(start)
		return func(age, t float64) float64 {
			if t > span/2 {
				t -= hour
			}
			return p(age, max(t, 0))
		}
	}
}

// away is a cause that is quiet for a week.
func (m maker) away(c cause, rest float64) cause {
	from := m.even(7*day, 20*day)
	return func(start float64) part {
		p := c(start)
		return func(age, t float64) float64 {
			if v := p(age, t); t < from || t > from+7*day {
				return v
			}
			return rest * p(age, t)
		}
	}
}

// slows grows for the whole month, ever more slowly: by the logarithm or by an
// exponential.
func (m maker) slows(size, tau float64) cause {
	logarithm := m.chance(0.5)
	return func(float64) part {
		return func(age, _ float64) float64 {
			if logarithm {
				return size * math.Log1p(age/tau) / math.Log1p(span/tau)
			}
			return size * (1 - math.Exp(-age/tau))
		}
	}
}

// backlog piles up at weekends, and drains on Monday.
func (m maker) backlog(size float64) cause {
	first := m.IntN(7)
	return func(float64) part {
		return func(_, t float64) float64 {
			d := math.Mod(t/day+float64(first), 7)
			switch {
			case d >= 5:
				return size * (d - 5) / 2
			case d < 0.5:
				return size * (1 - 2*d)
			}
			return 0
		}
	}
}

// workdays grows from Monday to Friday only.
func (m maker) workdays(rate, begin float64) cause {
	first := float64(m.IntN(7))
	done := func(t float64) float64 {
		d := t/day + first
		week := math.Floor(d / 7)
		return day * (5*week + min(5, d-7*week))
	}
	return func(start float64) part {
		return func(age, t float64) float64 {
			if start < begin {
				return 0
			}
			return rate * 7 / 5 * (done(t) - done(t-age))
		}
	}
}

// laterKinds are kinds that a later attack made up.
var laterKinds = []kind{
	{name: "reboots, samples missing", n: 8, after: maker.gaps, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 2)
		x.causes = append(x.causes, m.fills(size, m.between(600, 2*day)), m.daily(x.level*m.between(0.05, 0.6)))
		x.restarts = m.deploys(m.even(3, 10))
		m.room(x, x.level*1.6+size*1.2)
	}},
	{name: "the clock changes", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.3, 1.5)
		x.causes = append(x.causes, shifted(m.daily(size)), shifted(m.nightly(size*m.even(0.2, 1))))
		m.room(x, x.level+size*2.4)
	}},
	{name: "another limit each deploy", n: 6, after: maker.limits, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 2)
		x.causes = append(x.causes, m.fills(size, m.between(600, 3*day)), m.levels(x.level*0.4))
		x.restarts = m.deploys(m.even(4, 12))
		m.room(x, x.level*1.5+size*1.2)
	}},
	{name: "slows down for the month", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 2)
		x.causes = append(x.causes, m.slows(size, m.between(hour, 4*day)))
		x.restarts = nil
		m.room(x, x.level+size*1.3)
	}},
	{name: "a week away", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 1.5)
		x.causes = append(x.causes, m.away(m.daily(size), m.even(0, 0.4)), m.away(m.weekly(size*0.5), m.even(0, 0.4)))
		m.room(x, x.level+size*2.2)
	}},
	{name: "a backlog at weekends", n: 3, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.3, 3)
		x.causes = append(x.causes, m.backlog(size), m.daily(x.level*m.between(0.05, 0.3)))
		m.room(x, x.level*1.3+size*1.2)
	}},
	{name: "teeth up to the limit", n: 6, make: func(m maker, x *model, _ *month) {
		// A heap that is collected only where it nears its bound.
		size := x.level * m.between(0.5, 4)
		x.causes = append(x.causes, m.teeth(size, m.between(2*hour, 3*day), m.even(0.05, 0.5), m.even(0.6, 1), 0.1))
		x.limit = x.level + size*m.between(1.8, 2.5)
	}},
	{name: "restarted at random", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 3)
		x.causes = append(x.causes, m.fills(size, m.between(hour, 20*hour)))
		x.restarts = m.deploys(m.even(20, 120))
		m.room(x, x.level+size*1.2)
	}},
	{name: "a migration of some days", n: 2, make: func(m maker, x *model, _ *month) {
		size, from, long := x.level*m.between(0.3, 2), m.even(2, 20)*day, m.even(1, 6)*day
		x.causes = append(x.causes, func(float64) part {
			return func(_, t float64) float64 {
				if t < from || t > from+long {
					return 0
				}
				return size * min(1, 2*(t-from)/long)
			}
		})
		m.room(x, x.level+size*1.3)
	}},

	{name: "leak, samples missing", n: 8, leaks: true, after: maker.gaps, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, steadily(out.rate, out.begin), m.daily(x.level*m.between(0.02, 0.2)))
		if x.limit > 0 {
			x.limit += 0.25 * x.level
		}
	}},
	{name: "leak, another limit each deploy", n: 6, leaks: true, after: maker.limits, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, steadily(out.rate, out.begin))
		x.restarts = append(x.restarts, m.deploys(4)...)
		sortFloats(x.restarts)
	}},
	{name: "leak on working days", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, m.workdays(out.rate, out.begin))
	}},
	{name: "leak without a deploy", n: 8, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.restarts, out.begin = nil, m.even(3, 18)*day
		x.causes = append(x.causes, func(start float64) part {
			return func(age, t float64) float64 { return out.rate * max(0, min(age, t-out.begin)) }
		})
	}},
	{name: "leak in large steps", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, m.stairs(out.rate, m.between(6*hour, min(2*day, 0.2*x.level/out.rate+6*hour)), out.begin))
	}},
	{name: "leak with a job each night", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		size := x.level * m.between(0.1, 0.6)
		x.causes = append(x.causes, steadily(out.rate, out.begin), m.nightly(size))
		if x.limit > 0 {
			x.limit += size
		}
	}},
	{name: "leak under large teeth", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		size := x.level * m.between(0.3, 1)
		x.causes = append(x.causes, steadily(out.rate, out.begin), m.teeth(size, m.between(hour, 10*hour), m.even(0.1, 0.5), 1, 0.1))
		if x.limit > 0 {
			x.limit += 1.5 * size
		}
	}},
}
