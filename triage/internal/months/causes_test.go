package months

import (
	"math"
)

// steadily grows by rate for runs that start at begin or later.
func steadily(rate, begin float64) cause {
	return func(start float64) part {
		return func(age, _ float64) float64 {
			if start < begin {
				return 0
			}
			return rate * age
		}
	}
}

// stairs grows by one step each while, on average by rate.
func (m maker) stairs(rate, each, begin float64) cause {
	return func(start float64) part {
		next, held := m.ExpFloat64()*each, 0.0
		return func(age, _ float64) float64 {
			if start < begin {
				return 0
			}
			for age >= next {
				held += rate * each
				next += each * m.even(0.5, 1.5)
			}
			return held
		}
	}
}

// byLoad grows with the load: at night hardly.
func byLoad(rate, begin, phase float64) cause {
	return func(start float64) part {
		return func(age, t float64) float64 {
			if start < begin {
				return 0
			}
			// The integral of 1 - 0.9 cos.
			f := func(x float64) float64 {
				return x - 0.9*day/(2*math.Pi)*math.Sin(2*math.Pi*(x/day+phase))
			}
			return rate * (f(t) - f(t-age))
		}
	}
}

// daily is a load by day, with quieter weekends and days that differ.
func (m maker) daily(size float64) cause {
	power, weekend, first, phase := m.between(0.7, 3), m.even(0.3, 1), m.IntN(7), m.Float64()
	width := m.even(0, 0.15)
	var each [40]float64
	for i := range each {
		each[i] = 1 + width*m.NormFloat64()
	}
	return func(float64) part {
		return func(_, t float64) float64 {
			d := t/day + phase
			v := size * math.Pow((1-math.Cos(2*math.Pi*d))/2, power) * each[int(d)]
			if (int(d)+first)%7 >= 5 {
				v *= weekend
			}
			return v
		}
	}
}

// load is the share of the busiest hour at a time of the month: by day and by week,
// between 0 and 1.
func (m maker) load() func(t float64) float64 {
	phase, first, weekend := m.Float64(), m.IntN(7), m.even(0.1, 0.6)
	return func(t float64) float64 {
		d := t/day + phase
		v := (1 - 0.9*math.Cos(2*math.Pi*d)) / 1.9
		if (int(d)+first)%7 >= 5 {
			v *= weekend
		}
		return v
	}
}

// weekly holds more through the working days, as sessions and queues do, and lets go of
// it at the weekend.
func (m maker) weekly(size float64) cause {
	load, slow := m.load(), m.between(2*hour, 2*day)
	return func(float64) part {
		v := 0.0
		return func(_, t float64) float64 {
			v += (load(t) - v) * step / (slow + step)
			return size * v
		}
	}
}

// served piles up with the load that was served: without a bound by rate, else towards
// size.
func (m maker) served(rate, size, begin float64) cause {
	load := m.load()
	return func(start float64) part {
		done, last := 0.0, 0.0
		return func(age, t float64) float64 {
			done += (age - last) * load(t) * 2.5
			last = age
			switch {
			case start < begin:
				return 0
			case size > 0:
				return size * (1 - math.Exp(-rate*done/size))
			}
			return rate * done
		}
	}
}

// nightly is a job in the same program: it grows for some hours of each night, and lets
// go of it.
func (m maker) nightly(size float64) cause {
	at, long := m.Float64(), m.even(1, 8)*hour
	return func(float64) part {
		return func(_, t float64) float64 {
			into := math.Mod(t+at*day, day)
			if into < long {
				return size * into / long
			}
			return 0
		}
	}
}

// teeth pile up size bytes for about period, and fall back. The shape is how
// concave they are: 1 is a line, 0.5 slows down.
func (m maker) teeth(size, period, irregular, shape, left float64) cause {
	return func(float64) part {
		last, this, high := 0.0, period*m.Float64(), 1.0
		base := 0.0
		return func(age, _ float64) float64 {
			for age-last > this {
				last += this
				this = period * math.Exp(irregular*m.NormFloat64())
				high = math.Exp(0.3 * irregular * m.NormFloat64())
				base = left * m.Float64()
			}
			return size * (base + (high-base)*math.Pow((age-last)/this, shape))
		}
	}
}

// runtimes are the teeth of Go, the JVM, Node and Python, each of a size relative
// to the level.
func (m maker) runtimes(level float64) (name string, c cause, peak float64) {
	size := level
	switch m.IntN(5) {
	case 0: // Go collects every few minutes at twice the live heap
		size *= m.even(0.4, 1)
		return "go", m.teeth(size, m.between(20, 900), 0.3, 1, 0.1), 2 * size
	case 1: // the JVM's old generation fills for hours
		size *= m.between(0.2, 2)
		return "jvm", m.teeth(size, m.between(1800, 20*hour), 0.25, 1, 0.05), 2 * size
	case 2: // Node's major collections come at random
		size *= m.between(0.1, 1)
		return "node", m.teeth(size, m.between(300, 4*hour), 0.8, 0.7, 0.5), 2 * size
	case 3: // Python holds the highest it had for a while
		size *= m.between(0.05, 0.4)
		return "python", m.teeth(size, m.between(hour, 12*hour), 1, 0.3, 0.7), 2 * size
	}
	size *= m.between(0.05, 0.4)
	return "jvm young", m.teeth(size, m.between(5, 200), 0.2, 1, 0), 2 * size
}

// fills goes towards size: by shape exponentially, by a line that ends, by the
// logarithm, or as the highest of random requests so far.
func (m maker) fills(size, tau float64) cause {
	shape := m.IntN(4)
	return func(float64) part {
		high, lastAge := 0.0, 0.0
		scale := m.even(0.85, 1.15)
		return func(age, _ float64) float64 {
			x := age / tau
			switch shape {
			case 0:
				return scale * size * (1 - math.Exp(-x))
			case 1:
				return size * min(1, scale*x)
			case 2:
				return size * min(1, scale*math.Log1p(20*x)/math.Log1p(60))
			}
			// The record of draws: their number grows with the age.
			n := (age - lastAge) / tau * 30
			lastAge = age
			for ; n > 0; n-- {
				if n < 1 && !m.chance(n) {
					break
				}
				high = max(high, 1-math.Exp(-m.ExpFloat64()))
			}
			return size * high
		}
	}
}

// step holds size more from a time of the month on.
func stepAt(size, at, rise float64) cause {
	return func(float64) part {
		return func(_, t float64) float64 { return size * max(0, min(1, (t-at)/rise)) }
	}
}

// levels are what each deploy brings, more or less.
func (m maker) levels(size float64) cause {
	return func(float64) part {
		v := size * m.Float64()
		return func(_, _ float64) float64 { return v }
	}
}

// spikes are short and high.
func (m maker) spikes(size, apart, long float64) cause {
	return func(float64) part {
		next := m.ExpFloat64() * apart
		until, high := -1.0, 0.0
		return func(age, _ float64) float64 {
			if age > next {
				until, high = age+long*m.ExpFloat64(), size*m.Float64()
				next = until + m.ExpFloat64()*apart
			}
			if age < until {
				return high
			}
			return 0
		}
	}
}

// wanders is a slow walk that is drawn back to the middle.
func (m maker) wanders(size, tau float64) cause {
	return func(float64) part {
		v := size * m.Float64()
		k := math.Exp(-step / tau)
		return func(_, _ float64) float64 {
			v = size/2 + (v-size/2)*k + size/4*math.Sqrt(1-k*k)*m.NormFloat64()
			return max(v, 0)
		}
	}
}
