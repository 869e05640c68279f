package triage

import (
	"fmt"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
)

// What a leak takes.
const (
	// maxCourses is how many of the newest runs are looked at.
	maxCourses = 24
	// young is below what age one run alone makes no leak likely: a day's load
	// has not turned twice.
	young = 2 * day
	// clearly is by what factor a level lies clearly above another.
	clearly = 1.1
	// patient is how old a run must be that has used up little of its room.
	patient, little = 10 * day, 0.4
)

// course is how one run went.
type course struct {
	trend.Growth
	start, end float64
	top        float64 // the highest that it held for a while
	limit      float64
	oom        bool
}

// used is what part of its room to the limit it has used up since its start;
// without a limit the room is taken to be twice what it began with.
func (c *course) used() float64 {
	room := c.limit - c.First
	if c.limit <= 0 {
		room = 2 * c.First
	}
	if room <= 0 {
		return 1
	}
	return (c.Usual - c.First) / room
}

// denies tells a run that would show growth by rate, if it were there.
func (c *course) denies(rate float64) bool {
	expected := rate * c.Seen
	return (c.Course == trend.Stays || c.Course == trend.Fills) && expected > 1.5*c.Noise && c.Gain < 0.5*expected
}

// courses are those of the newest runs, oldest first.
func (j *record) courses() []course {
	var out []course
	for i := max(0, len(j.held)-maxCourses); i < len(j.held); i++ {
		p := j.held[i]
		if len(p) < minRun {
			continue
		}
		out = append(out, course{Growth: trend.Grow(p), start: p[0].T, end: p[len(p)-1].T, top: top(p), limit: j.limits[i], oom: j.oom[i]})
	}
	return out
}

// top is the level that a hundredth of the readings, three at least, lie above.
func top(p []trend.Point) float64 {
	v := make([]float64, len(p))
	for i, q := range p {
		v[i] = q.V
	}
	return share(v, 1-max(0.01, min(3/float64(len(v)), 0.25)))
}

// evidence is what speaks for a leak.
type evidence struct {
	*course
	sure incident.Confidence
	// again is true where runs before it grew alike.
	again bool
	why   string
}

// leaking looks for the newest evidence of a leak that no later run denies.
func leaking(list []course) (evidence, bool) {
	for i := len(list) - 1; i >= 0; i-- {
		e, ok := single(list, i)
		if !ok {
			e, ok = together(list, i)
		}
		if !ok {
			continue
		}
		for k := i + 1; k < len(list); k++ {
			if list[k].denies(e.Rate) {
				return e, false
			}
		}
		if i < len(list)-1 && list[len(list)-1].Course != trend.Grows {
			if !e.again && !e.oom {
				return e, false
			}
			e.sure = incident.Possible
		}
		return e, true
	}
	return evidence{}, false
}

// single judges run i by itself, with the runs before it for comparison.
func single(list []course, i int) (evidence, bool) {
	c := &list[i]
	e := evidence{course: c, sure: incident.Likely}
	if c.Course != trend.Grows {
		return e, false
	}
	var high, seen float64
	for k := range i {
		if list[k].oom && list[k].Course == trend.Grows {
			continue // it was full at the end
		}
		high = max(high, list[k].top)
		seen += list[k].Age
	}
	above := c.Floor >= clearly*high
	if c.Age < young {
		e.sure = incident.Possible
		if seen < 3*day {
			return e, above && c.Gain > c.First && c.Age >= day && c.used() >= 0.5
		}
		return e, above && c.Age >= 6*3600
	}
	grown, against := c.Age, 0
	for k := range i {
		switch o := &list[k]; {
		case o.alike(c) && o.Age >= day:
			grown += o.Age
			e.again = true
		case o.denies(c.Rate) && o.Age >= 0.8*c.Age:
			against++
		}
	}
	if e.again && against == 0 && (grown >= patient || c.used() >= little) {
		return e, true
	}
	return e, above && (c.used() >= little || c.Age >= patient)
}

// alike tells runs that grow at about the same rate.
func (c *course) alike(o *course) bool {
	return c.Course == trend.Grows && o.Course == trend.Grows && c.Rate < 3*o.Rate && o.Rate < 3*c.Rate
}

// together judges run i and those before it: each alone would say too little.
func together(list []course, i int) (evidence, bool) {
	c := &list[i]
	e := evidence{course: c, sure: incident.Likely, again: true}
	if c.Course != trend.Grows {
		return e, false
	}
	kills, long, against := 0, 0, 0
	for k := max(0, i-5); k <= i; k++ {
		o := &list[k]
		switch {
		case o.alike(c):
			if o.oom {
				kills++
			}
			if o.Age >= 20*3600 && (k == i || list[k+1].start-o.end < 900) {
				long++
			}
		case o.denies(c.Rate):
			against++
		}
	}
	if kills >= 2 && kills > against {
		return e, true
	}
	e.sure = incident.Possible
	return e, long >= 3 && against == 0 && c.Late > 0.75
}

// grows judges by the courses of the runs. It is false where they show no leak.
func (j *record) grows(list []course) bool {
	e, ok := leaking(list)
	if !ok {
		return false
	}
	c := e.course
	j.Class, j.Confidence = Leak, e.sure
	j.Rate, j.RateLow, j.RateHigh = &c.Rate, &c.Low, &c.High
	last := &list[len(list)-1]
	if last.Course == trend.Grows && last.end == j.to {
		if f, ok := last.ToLimit(j.limit); ok {
			j.SecondsToLimit, j.SecondsError = &f.Seconds, &f.Error
		}
	}
	j.Reasons = append(j.Reasons, fmt.Sprintf("age %s, gain %.0f of %.0f, late %.2f jump %.2f tau %.2f used %.2f", units.Seconds(c.Age), c.Gain/(1<<20), c.First/(1<<20), c.Late, c.Jump, c.Tau, c.used()))
	return true
}
