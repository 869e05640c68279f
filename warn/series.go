package warn

import (
	"time"

	"github.com/oomwatch/oomwatch/trend"
)

const (
	maxSeconds = 90 // readings as they came
	maxMinutes = 60 // the highest of each minute
	// minFit and minFitTime are what a forecast needs at least.
	minFit     = 6
	minMinutes = 12
	minFitTime = 12 * time.Second
	// ahead bounds how far is foretold, in multiples of what was seen.
	ahead = 4
	// news is by how much of the limit a container must hold more than ever
	// before: what it held before and gave back is no sign.
	news = 0.02
)

// point is what could not be reclaimed at a moment, in milliseconds since 1970:
// there are many of them.
type point struct{ at, held int64 }

// since is the time from one point to another.
func (p point) since(q point) time.Duration {
	return time.Duration(p.at-q.at) * time.Millisecond
}

// series is what a container has held since it started: the last minutes as read,
// the last hour by the minute.
type series struct {
	seconds []point
	minutes []minute
}

// minute is the highest of a minute, by when that began, and the lowest.
type minute struct {
	point
	low int64
}

// highs are the highest of each minute.
func (s *series) highs() []point {
	out := make([]point, len(s.minutes))
	for i, m := range s.minutes {
		out[i] = m.point
	}
	return out
}

func (s *series) add(at time.Time, held int64) {
	p := point{at.UnixMilli(), held}
	s.seconds = bounded(s.seconds, p, maxSeconds)
	n := len(s.minutes)
	if n == 0 || p.since(s.minutes[n-1].point) >= time.Minute {
		s.minutes = bounded(s.minutes, minute{p, held}, maxMinutes)
		return
	}
	m := &s.minutes[n-1]
	m.held, m.low = max(m.held, held), min(m.low, held)
}

// ramp is the readings from the lowest of the last minutes on, and the most that
// was held before it.
func (s *series) ramp() (p []point, before int64) {
	low := 0
	for i, q := range s.seconds {
		if q.held < s.seconds[low].held {
			low = i
		}
	}
	if len(s.seconds) == 0 {
		return nil, 0
	}
	for _, q := range s.seconds[:low] {
		before = max(before, q.held)
	}
	for _, m := range s.minutes {
		// A minute's value is its highest, from its beginning on.
		if s.seconds[low].since(m.point) > time.Minute {
			before = max(before, m.held)
		}
	}
	return s.seconds[low:], before
}

// forecast tells when the limit is reached, if it will be: by the last minutes,
// else by the last hour; where it rises and falls, by what is left after the falls.
// Nothing is foretold of what was held before and given back, in this run or by those
// before, nor of what slows down.
func (s *series) forecast(limit, former int64) (trend.Forecast, bool) {
	if len(s.seconds) == 0 || s.seconds[len(s.seconds)-1].held < former+int64(news*float64(limit)) {
		return trend.Forecast{}, false
	}
	now := s.seconds[len(s.seconds)-1]
	if t := s.teeth(limit); !t.over(now) {
		return t.forecast(limit, now)
	}
	p, before := s.ramp()
	if f, ok := foretell(p, before, limit); ok {
		return f, true
	}
	minutes := s.highs()
	n := len(minutes)
	if n < minMinutes {
		return trend.Forecast{}, false
	}
	// The present minute is not over; the least of the last hour begins it.
	low := 0
	for i := range n - 1 {
		if minutes[i].held < minutes[low].held {
			low = i
		}
	}
	before = 0
	for _, m := range minutes[:low] {
		before = max(before, m.held)
	}
	return foretell(minutes[low:], before, limit)
}

func foretell(p []point, before, limit int64) (trend.Forecast, bool) {
	n := len(p)
	if n < minFit || p[n-1].since(p[0]) < minFitTime || p[n-1].held < before+int64(news*float64(limit)) {
		return trend.Forecast{}, false
	}
	fit := points(p)
	f, ok := trend.ToLimit(fit, float64(limit))
	if !ok || f.Error > f.Seconds/4+3 || f.Seconds > ahead*trend.Span(fit) {
		return trend.Forecast{}, false
	}
	// What fills towards a plateau slows down: its newer half says so.
	if late, ok := trend.ToLimit(fit[n-max(n/2, 4):], float64(limit)); !ok || late.Seconds > 2*f.Seconds+5 {
		return trend.Forecast{}, false
	}
	return f, true
}

// points puts the readings on a clock of seconds before the last of them.
func points(p []point) []trend.Point {
	out := make([]trend.Point, len(p))
	for i, q := range p {
		out[i] = trend.Point{T: q.since(p[len(p)-1]).Seconds(), V: float64(q.held)}
	}
	return out
}

// bounded appends and drops the oldest beyond most.
func bounded[T any](s []T, v T, most int) []T {
	if len(s) >= most {
		copy(s, s[len(s)-most+1:])
		s = s[:most-1]
	}
	return append(s, v)
}
