package warn

import "time"

// level is how a sign stands at one moment.
type level uint8

const (
	calm level = iota
	// between is neither: a sign that is on stays on, one that is off stays off.
	between
	alarm
)

// over compares a value with its threshold, with hysteresis below it.
func over(value, threshold, back float64) level {
	switch {
	case value >= threshold:
		return alarm
	case value > back:
		return between
	}
	return calm
}

// sign is one thing to warn of, in one container.
type sign struct {
	on bool
	// since is when the present alarm began, zero while there is none; last is
	// when it was last not calm, zero for one that an earlier program left on.
	since time.Time
	last  time.Time
	// of is the warning it belongs to while it is on.
	of string
}

// see takes the level at a moment. It turns on after hold of alarm, and off
// after rest of calm.
func (s *sign) see(l level, at time.Time, hold, rest time.Duration) {
	switch l {
	case alarm:
		if s.since.IsZero() {
			s.since = at
		}
		s.last = at
		s.on = s.on || at.Sub(s.since) >= hold
	case between:
		if s.on {
			s.last = at
		}
	case calm:
		if s.on && s.last.IsZero() {
			s.last = at
		}
		if !s.on || at.Sub(s.last) >= rest {
			*s = sign{}
		}
	}
}

// counters are what only rises, at one reading; -1 where it is not told.
type counters struct {
	at                  time.Time
	hits, highs, stalls int64
	some, full          int64 // microseconds
	refaults            int64 // pages
	periods, throttled  int64 // of its CPU quota
}

// rises tells how a counter stands: alarm when it rises again and again, calm when
// it did not rise within the last recently; and by how much it rose in that time.
func rises(c []counters, of func(*counters) int64) (l level, by int64) {
	if len(c) == 0 {
		return calm, 0
	}
	end := c[len(c)-1].at
	var first, last time.Time
	times := 0
	for i := 1; i < len(c); i++ {
		if end.Sub(c[i].at) > recently {
			continue
		}
		if a, b := of(&c[i-1]), of(&c[i]); a >= 0 && b > a {
			if times++; times == 1 {
				first = c[i].at
			}
			last, by = c[i].at, by+b-a
		}
	}
	switch {
	case times == 0:
		return calm, 0
	case times >= sustained && last.Sub(first) >= lasting:
		return alarm, by
	}
	return between, by
}

// share is the part of the last recently, in percent, by which a counter of
// microseconds rose; -1 where that is not known.
func share(c []counters, of func(*counters) int64) float64 {
	if len(c) == 0 || of(&c[len(c)-1]) < 0 {
		return -1
	}
	end := c[len(c)-1].at
	first := len(c) - 1
	for first > 0 && end.Sub(c[first-1].at) <= recently && of(&c[first-1]) >= 0 {
		first--
	}
	span := end.Sub(c[first].at)
	if span < recently/2 {
		return -1
	}
	return 100 * float64(of(&c[len(c)-1])-of(&c[first])) / float64(span.Microseconds())
}
