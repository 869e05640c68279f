package warn

import (
	"time"

	"github.com/oomwatch/oomwatch/trend"
)

// minFall is what part of the limit a fall is at least: what moves less is noise.
const minFall = 1.0 / 32

// teeth are what a garbage collector, a cache or a job does to a series: it rises, and
// falls again. What is left after the falls tells whether it grows, not the tooth.
type teeth struct {
	// peaks are the highest before each fall, lows what was left after it.
	peaks, lows []point
	// longest is the longest time between two falls.
	longest time.Duration
	falls   int // in the last readings
	// unseen is by how much a peak may be higher than it was read: readings lie apart.
	unseen int64
}

// teeth finds the falls of the last hour.
func (s *series) teeth(limit int64) (t teeth) {
	depth := max(int64(minFall*float64(limit)), 1<<20)
	var first, peak, trough point
	down := false
	see := func(p point) {
		if first.at == 0 {
			first, peak = p, p
		}
		switch {
		case !down && p.held >= peak.held:
			peak = p
		case !down && p.held <= peak.held-depth:
			down, trough = true, p
		case down && p.held <= trough.held:
			trough = p
		case down && p.held >= trough.held+depth:
			t.add(peak, trough, first)
			down, peak = false, p
		}
	}
	for _, m := range s.minutes {
		if len(s.seconds) > 0 && s.seconds[0].since(m.point) < time.Minute {
			break // as it was read from here on
		}
		// What came first within the minute is not known: a rise is no fall.
		see(point{m.at, m.low})
		see(m.point)
	}
	before := len(t.lows)
	for _, p := range s.seconds {
		see(p)
	}
	t.falls = len(t.lows) - before
	if down {
		t.add(peak, trough, first)
	}
	for i := 1; i < len(s.seconds); i++ {
		t.unseen = max(t.unseen, (s.seconds[i].held-s.seconds[i-1].held)/2)
	}
	if n := len(s.minutes) - 1; n >= minFit && t.falls >= 2 {
		within := s.seconds[len(s.seconds)-1].since(s.seconds[0])
		t.unseen /= max(1, int64(time.Minute*time.Duration(t.falls)/max(within, time.Second)))
		// Many to a minute: each minute has seen the whole of one.
		t.peaks, t.lows = s.highs()[:n], make([]point, n)
		for i, m := range s.minutes[:n] {
			t.lows[i] = point{m.at, m.low}
		}
	}
	return t
}

func (t *teeth) add(peak, trough, first point) {
	before := first
	if n := len(t.lows); n > 0 {
		before = t.lows[n-1]
	}
	t.longest = max(t.longest, trough.since(before))
	t.peaks, t.lows = append(t.peaks, peak), append(t.lows, trough)
}

// over is true where the present rise has gone on for so long that it is no tooth like
// those before.
func (t *teeth) over(now point) bool {
	n := len(t.lows)
	return n == 0 || now.since(t.lows[n-1]) > 2*t.longest
}

// forecast tells when the peaks reach the limit, if what is left after the falls grows.
func (t *teeth) forecast(limit int64, now point) (trend.Forecast, bool) {
	low := 0
	for i, q := range t.lows {
		if q.held < t.lows[low].held {
			low = i
		}
	}
	floors := points(t.lows[low:])
	n := len(floors)
	if n < minFit {
		return trend.Forecast{}, false
	}
	all, ok := trend.TheilSen(floors, 0.95)
	late, lateOK := trend.TheilSen(floors[n-max(n/2, 4):], 0.95)
	if !ok || !lateOK || all.Low <= 0 || late.PerSecond < all.PerSecond/2 {
		return trend.Forecast{}, false // what is left does not grow, or slows down
	}
	// The peaks may rise faster than the floors: a collector lets the heap double.
	peaks, ok := foretell(t.peaks[low:], 0, limit-t.unseen)
	if !ok {
		return trend.Forecast{}, false
	}
	// It ends at a peak, and not between two.
	peaks.Seconds = max(peaks.Seconds-now.since(t.peaks[len(t.peaks)-1]).Seconds(), 0)
	peaks.Error += t.longest.Seconds()/2 + float64(t.unseen)/all.PerSecond
	return peaks, true
}
