package triage

import (
	"fmt"
	"math"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// What grows with the load takes longer by night. The load is tried as a wave by the day,
// of some heights and phases: with the right one the work between kills is alike.

const (
	// byLoadFrom is how many intervals that takes, loadedFrom and loadedTo what they
	// take in the middle.
	byLoadFrom           = 7
	loadedFrom, loadedTo = 3600, 3 * day
	// sameWork is how much the work may vary, calmed how much less than the times.
	sameWork, calmed = 0.07, 2.5
	phases           = 48
)

// heights are by what part the load swings about its middle.
var heights = []float64{0.3, 0.5, 0.7, 0.85}

// loaded tells a leak that grows with the load by day and night.
func (v *verdict) loaded() bool {
	n := len(v.seconds)
	if n < byLoadFrom || n != len(v.occasions)-1 || v.stride > 1 || v.known().Scope != OwnLimit {
		return false
	}
	if mid := median(v.seconds); mid < loadedFrom || mid > loadedTo {
		return false
	}
	least := math.Inf(1)
	work := make([]float64, n)
	for _, height := range heights {
		for phase := range phases {
			for i := range work {
				work[i] = served(v.occasions[i].end.seconds, v.occasions[i+1].at.seconds, height, float64(phase)/phases)
			}
			least = min(least, deviates(work))
		}
	}
	if least > sameWork || least*calmed > deviates(v.seconds) {
		return false
	}
	v.Class, v.Confidence = Leak, incident.Possible
	v.Reasons = append(v.Reasons, fmt.Sprintf("killed %d times, %s apart (%s to %s): if its load follows the day, it does the same work between any two kills",
		v.Kills.Times, units.Seconds(*v.Kills.Interval), units.Seconds(*v.Kills.IntervalMin), units.Seconds(*v.Kills.IntervalMax)))
	if rates := v.rates(); len(rates) > 0 {
		rate := median(rates)
		v.Rate = &rate
		var limit int64
		if v.Limit != nil {
			limit = *v.Limit
		}
		v.Advice = append(v.Advice, rules.LeakAdvice(rate, limit))
	}
	return true
}

// served is the load between two times, in seconds of the middle load.
func served(from, to, height, phase float64) float64 {
	f := func(t float64) float64 {
		return t - height*day/(2*math.Pi)*math.Sin(2*math.Pi*(t/day+phase))
	}
	return f(to) - f(from)
}
