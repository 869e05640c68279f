package months

// kind is one kind of service.
type kind struct {
	name  string
	n     int // how many of a hundred or so
	leaks bool
	make  func(m maker, x *model, out *month)
	// after changes what came out, where it is not nil.
	after func(m maker, out *month)
}

// leak sets the rate so that the limit is reached after a time, from half a day to
// two months, and when it began.
func (m maker) leak(x *model, out *month) {
	room := x.level * m.between(0.5, 5)
	x.limit = x.level + room
	out.rate = room / m.between(0.5*day, 60*day)
	out.begin = 0
	if m.chance(0.3) {
		out.begin = m.even(3, 26) * day
		x.restarts = append(m.deploys(3), out.begin)
		sortFloats(x.restarts)
	}
	if m.chance(0.1) {
		x.limit = 0
	}
}

var kinds = []kind{
	{name: "plateau", n: 10, make: func(m maker, x *model, _ *month) { m.room(x, x.level*1.2) }},
	{name: "refill after restart", n: 12, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.3, 6)
		x.causes = append(x.causes, m.fills(size, m.between(600, 2*day)))
		x.restarts = m.deploys(m.even(1, 8))
		m.room(x, x.level+size*1.2)
	}},
	{name: "teeth", n: 12, make: func(m maker, x *model, out *month) {
		name, c, _ := m.runtimes(x.level)
		out.kind += " " + name
		x.causes = append(x.causes, c)
		if m.chance(0.4) {
			x.causes = append(x.causes, m.daily(x.level*m.between(0.1, 0.5)))
		}
		m.room(x, x.level*4)
	}},
	{name: "heap filling to Xmx", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.5, 4)
		x.causes = append(x.causes, m.fills(size, m.between(6*hour, 12*day)), m.teeth(x.level*0.1, m.between(60, 2*hour), 0.3, 1, 0))
		m.room(x, x.level+size*1.2)
	}},
	{name: "day and night", n: 12, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.1, 1.5)
		x.causes = append(x.causes, m.daily(size))
		m.room(x, x.level+size*1.6)
	}},
	{name: "cache in the process", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 3)
		x.causes = append(x.causes, m.fills(size, m.between(hour, 8*day)))
		if m.chance(0.5) {
			x.causes = append(x.causes, m.daily(x.level*m.between(0.05, 0.4)))
		}
		m.room(x, x.level+size*1.5)
	}},
	{name: "page cache or dentries", n: 6, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.5, 8)
		x.cache = m.fills(size, m.between(hour, 20*day))
		m.room(x, x.level+size)
	}},
	{name: "batch job", n: 8, make: func(m maker, x *model, _ *month) {
		x.every = []float64{hour, 2 * hour, 6 * hour, day, day, day}[m.IntN(6)]
		x.job = x.every * m.even(0.05, 0.8)
		room := x.level * m.between(1, 8)
		x.limit = x.level + room
		x.restarts = nil
		rate := room * m.even(0.4, 0.8) / x.job
		x.causes = append(x.causes, steadily(rate, 0))
	}},
	{name: "restarted every night", n: 6, make: func(m maker, x *model, _ *month) {
		at := m.even(0, day)
		x.restarts = nil
		for t := at; t < span; t += day {
			x.restarts = append(x.restarts, t)
		}
		size := x.level * m.between(0.1, 2)
		x.causes = append(x.causes, m.fills(size, m.between(600, 10*hour)))
		if m.chance(0.6) {
			x.causes = append(x.causes, m.daily(x.level*m.between(0.1, 0.8)))
		}
		m.room(x, 2*x.level+size*1.5)
	}},
	{name: "a step", n: 5, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.1, 1.5)
		for range 1 + m.IntN(3) {
			x.causes = append(x.causes, stepAt(size, m.even(1, 29)*day, m.between(60, 6*hour)))
		}
		m.room(x, x.level+size*3.5)
	}},
	{name: "deploys at other levels", n: 5, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.1, 1.5)
		x.causes = append(x.causes, m.levels(size))
		x.restarts = m.deploys(m.even(2, 15))
		m.room(x, x.level+size*1.5)
	}},
	{name: "spikes", n: 5, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.5, 4)
		x.causes = append(x.causes, m.spikes(size, m.between(6*hour, 5*day), m.between(600, 4*hour)))
		x.limit = x.level + size*m.even(0.9, 1.6)
	}},
	{name: "wanders", n: 7, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.1, 1)
		x.causes = append(x.causes, m.wanders(size, m.between(hour, 3*day)))
		m.room(x, x.level+size*1.5)
	}},
	{name: "weekly load", n: 5, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.2, 1.5)
		x.causes = append(x.causes, m.weekly(size))
		m.room(x, x.level+size*1.4)
	}},
	{name: "fills with the load", n: 5, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.3, 3)
		x.causes = append(x.causes, m.served(size/m.between(2*hour, 4*day), size, 0))
		m.room(x, x.level+size*1.2)
	}},
	{name: "a job each night", n: 4, make: func(m maker, x *model, _ *month) {
		size := x.level * m.between(0.3, 3)
		x.causes = append(x.causes, m.nightly(size))
		m.room(x, x.level+size*1.2)
	}},
	{name: "teeth and load", n: 5, make: func(m maker, x *model, out *month) {
		name, c, _ := m.runtimes(x.level)
		out.kind += " " + name
		size := x.level * m.between(0.1, 0.6)
		x.causes = append(x.causes, c, m.wanders(size, m.between(hour, 2*day)), m.weekly(size))
		m.room(x, x.level*5)
	}},

	{name: "leak, linear", n: 22, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, steadily(out.rate, out.begin))
	}},
	{name: "leak, stairs", n: 10, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, m.stairs(out.rate, m.between(600, min(day, 0.1*x.level/out.rate)), out.begin))
	}},
	{name: "leak with the load", n: 10, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, byLoad(out.rate, out.begin, m.Float64()))
	}},
	{name: "leak under day and night", n: 12, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		size := x.level * m.between(0.05, 0.5)
		if x.limit > 0 {
			x.limit += 1.3 * size
		}
		x.causes = append(x.causes, steadily(out.rate, out.begin), m.daily(size))
	}},
	{name: "leak with teeth", n: 20, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		name, c, peak := m.runtimes(x.level)
		out.kind += " " + name
		x.causes = append(x.causes, steadily(out.rate, out.begin), c)
		if x.limit > 0 {
			x.limit += peak
		}
	}},
	{name: "leak beside a fill", n: 8, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		size := x.level * m.between(0.1, 0.5)
		if x.limit > 0 {
			x.limit += size
		}
		x.causes = append(x.causes, steadily(out.rate, out.begin), m.fills(size, m.between(600, day)))
	}},
	{name: "leak, restarted every night", n: 5, leaks: true, make: func(m maker, x *model, out *month) {
		room := x.level * m.between(0.5, 5)
		x.limit = x.level + room
		out.rate = room / m.between(1.5*day, 10*day)
		at := m.even(0, day)
		x.restarts = nil
		for t := at; t < span; t += day {
			x.restarts = append(x.restarts, t)
		}
		x.causes = append(x.causes, steadily(out.rate, 0))
	}},
	{name: "leak by requests of the week", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, m.served(out.rate, 0, out.begin))
	}},
	{name: "leak, deployed often", n: 5, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		out.begin = 0
		x.restarts = m.deploys(m.even(6, 20))
		x.causes = append(x.causes, steadily(out.rate, 0))
	}},
	{name: "leak behind page cache", n: 6, leaks: true, make: func(m maker, x *model, out *month) {
		m.leak(x, out)
		x.causes = append(x.causes, steadily(out.rate, out.begin))
		x.cache = m.fills(x.level*m.between(0.2, 2), m.between(hour, 5*day))
	}},
}
