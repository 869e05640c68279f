package triage

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
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
	// patient is how old a run must be that has used up little of its room; seven
	// tenths of both are enough where it grows as straight as straight says, less than half
	// where the rate is sharp, too.
	patient, little = 10 * day, 0.45
	straight        = 0.85
	// sharp is how much of the rate the lower end of its interval is at least where the
	// rate is well known.
	sharp = 0.6
)

// course is how one run went.
type course struct {
	trend.Growth
	start, end float64
	top        float64 // the highest that it held for a while
	limit      float64
	oom        bool
	run        int // its place in the record
	// before is what was held before it in the same run, for the end of a run that
	// began to grow on its way.
	before float64
}

// used is what part of its room to the limit it has used up since its start;
// without a limit the room is taken to be as much as it began with.
func (c *course) used() float64 {
	room := c.limit - c.First
	if c.limit <= 0 {
		room = c.First
	}
	if room <= 0 {
		return 1
	}
	return (c.Usual - c.First) / room
}

// near tells growth that uses up its room within a month: what many runs that are each cut
// short have in common matters then.
func (c *course) near() bool {
	room := c.limit - c.First
	if c.limit <= 0 {
		room = c.First
	}
	return room <= 3*patient*c.Rate
}

// enough tells a run that was seen for long enough, or has come far enough, for
// its growth to be no mere way to a level of its own.
func (c *course) enough(seen float64) bool {
	part := 1.0
	switch {
	case c.Late >= straight && c.Low >= sharp*c.Rate:
		part = 0.45
	case c.Late >= straight:
		part = 0.7
	}
	return seen >= part*patient || c.used() >= part*little
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
		out = append(out, course{Growth: trend.Grow(p), start: p[0].T, end: p[len(p)-1].T, top: j.top(p), limit: j.limits[i], oom: j.oom[i], run: i})
		if c := &out[len(out)-1]; c.Course != trend.Grows && (c.oom || i == len(j.held)-1) {
			if tail, ok := j.tail(c); ok {
				out = append(out, tail)
			}
		}
	}
	return out
}

// tails are the stretches at the end of a run that are looked at by themselves, and by
// what factor what is held now must lie above all before.
var tails = []struct{ span, above float64 }{{10 * day, 1.15}, {7 * day, 1.15}, {4 * day, 1.25}, {day, 1.25}}

// tail is the newest part of a run that began to grow on its way: by itself a run,
// where it now holds clearly more than ever before.
func (j *record) tail(c *course) (course, bool) {
	p := j.held[c.run]
	for _, x := range tails {
		from := c.end - x.span
		if c.Age < min(2.2*x.span, x.span+5*day) || c.Age < 3*day {
			continue
		}
		rest := since([][]trend.Point{p}, from)
		before := until(p, from)
		if len(rest) == 0 || len(before) < minRun {
			continue
		}
		high := j.top(before)
		if j.lately(rest[0]) < x.above*high {
			continue
		}
		g := trend.Grow(rest[0])
		if g.Course != trend.Grows || g.Late < 0.75 || g.Floor < x.above*high {
			continue
		}
		if earlier := (g.First - c.First) / (c.Age - x.span); g.Rate < 1.5*earlier {
			continue // it grew before as well, and slows down
		}
		t := *c
		t.Growth, t.start, t.top, t.before = g, from, j.top(rest[0]), high
		if x.span < young && !t.fast() {
			continue // a load, or work of a day or two, rises as long
		}
		return t, true
	}
	return course{}, false
}

// lately is the middle of the last tenth of the readings.
func (j *record) lately(p []trend.Point) float64 {
	p = p[len(p)-max(1, len(p)/10):]
	v := j.room.floats(len(p))
	for i, q := range p {
		v[i] = q.V
	}
	return trend.Share(v, 0.5)
}

// until are the points before a time.
func until(p []trend.Point, end float64) []trend.Point {
	i, _ := slices.BinarySearchFunc(p, end, func(q trend.Point, t float64) int { return cmp.Compare(q.T, t) })
	return p[:i]
}

// top is the level that a hundredth of the readings, three at least, lie above.
func (j *record) top(p []trend.Point) float64 {
	v := j.room.floats(len(p))
	for i, q := range p {
		v[i] = q.V
	}
	return trend.Share(v, 1-max(0.01, min(3/float64(len(v)), 0.25)))
}

// evidence is what speaks for a leak.
type evidence struct {
	*course
	sure incident.Confidence
	// again is true where runs before it grew alike.
	again bool
	// runs is how many grew alike, this one among them; before what the runs held
	// that did not grow, at the most.
	runs   int
	before float64
	// restarted is true for runs that each ended by a restart before it mattered.
	restarted bool
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
	var high, seen, longest float64
	jobs := 0
	for k := range i {
		if list[k].oom && list[k].Course == trend.Grows || list[k].run == c.run {
			continue // it was full at the end, or is the same run
		}
		high = max(high, list[k].top)
		seen += list[k].Age
		longest = max(longest, list[k].Age)
		if list[k].alike(c) {
			jobs++
		}
	}
	if c.before > 0 {
		e.before, e.runs = max(c.before, high), 1
		if c.Age < 7*day || c.Late < straight {
			e.sure = incident.Possible
		}
		return e, c.Floor >= clearly*e.before
	}
	above := c.Floor >= clearly*high
	e.before, e.runs = high, 1
	if c.Age < young {
		e.sure = incident.Possible
		if jobs >= 2 && above && c.Age >= 3*longest {
			return e, true // a job that does not end this time
		}
		if seen < 3*day {
			return e, above && c.fast() || i > 0 && list[i-1].twice(c)
		}
		return e, above && c.Age >= 6*3600
	}
	grown, against := c.Age, 0
	late := []float64{c.Late}
	for k := range i {
		switch o := &list[k]; {
		case o.alike(c) && o.Age >= day:
			grown += o.Age
			late = append(late, o.Late)
			e.again = true
			e.runs++
		case o.denies(c.Rate) && o.Age >= 0.8*c.Age:
			against++
		}
	}
	if e.again && against == 0 && (grown >= 1.5*patient && c.near() || c.enough(c.Age)) && goesOn(late) {
		return e, true
	}
	e.runs = 1
	return e, above && c.enough(c.Age)
}

// fast tells a first run that heads for its limit within a day or two. A day's load rises
// for half a day and no longer, and what fills up slows down before its room is used up.
func (c *course) fast() bool {
	if c.Age < 0.9*day {
		return false
	}
	if c.Late >= straight {
		return c.used() >= 0.4 && (c.Gain > c.First || c.used() >= 0.45)
	}
	return c.Late >= 0.7 && c.used() >= 0.55 && c.Gain > c.First
}

// twice tells two runs on end that each grew alike, as straight as a line, by more than half
// of their room and to more than twice what they held, without the pause of a job.
func (c *course) twice(next *course) bool {
	half := func(o *course) bool {
		return o.Age >= 0.4*day && o.Late >= straight && o.used() >= 0.55 && o.Gain > o.First
	}
	return c.alike(next) && half(c) && half(next) && !c.oom && next.start-c.end < 900
}

// goesOn tells growth that does not slow down within its runs, by their middle: what
// fills up after each restart slows down a little in each.
func goesOn(late []float64) bool { return median(late) >= straight }

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
	var late, rates []float64
	for k := max(0, i-5); k <= i; k++ {
		o := &list[k]
		switch {
		case o.alike(c):
			e.runs++
			late, rates = append(late, o.Late), append(rates, o.Rate)
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
	if c.Low <= 0 {
		// Under large teeth no run alone knows its rate. All that grew alike until they were
		// killed know it together, and this run has it from them.
		if kills < 3 || len(rates) < 4 || against > 0 || median(late) < 0.75 {
			return e, false
		}
		c.Rate, c.Low, c.High = median(rates), slices.Min(rates)/1.25, slices.Max(rates)*1.25
	}
	if kills >= 2 && kills > against {
		return e, true
	}
	// A run that lives longer speaks for itself.
	e.sure, e.restarted = incident.Possible, true
	return e, long >= 3 && against == 0 && c.Age < young && c.Low >= c.Rate/3 && c.near() && goesOn(late)
}

// leak says what the evidence is.
func (j *record) leak(list []course, e evidence) {
	c, last := e.course, &list[len(list)-1]
	j.Class, j.Confidence = Leak, e.sure
	low, high := c.week()
	j.Rate, j.RateLow, j.RateHigh = &c.Rate, &low, &high
	why := fmt.Sprintf("grew %s for %s", units.Rate(c.Rate), units.Seconds(c.Age))
	switch {
	case c.oom:
		why += ", until it was OOM-killed"
	case c != last:
		why += ", until its restart"
	}
	if e.runs > 1 {
		why = fmt.Sprintf("in %d runs, each from its start, it %s", e.runs, why)
	}
	j.Reasons = append(j.Reasons, fmt.Sprintf("%s (99 %% sure: %s to %s)", why, units.RateAs(c.Rate, low), units.RateAs(c.Rate, high)))
	if kind := j.kind(c.run); kind != "" {
		j.Reasons = append(j.Reasons, kind)
	}
	if e.before > 0 && e.runs <= 1 {
		since := "since the restart at "
		if c.before > 0 {
			since = "since about "
		}
		since += units.Clock(time.Unix(int64(c.start), 0))
		if image := j.images[c.run]; image != "" {
			since += ", image " + redact.Sanitize(image)
		}
		j.Reasons = append(j.Reasons, since+"; before, it held "+units.Bytes(int64(e.before))+" at the most")
	}
	if c.Age < young && e.runs <= 1 {
		j.Reasons = append(j.Reasons, "this run has been seen for less than two days")
	}
	j.toLimit(e, list, last)
	j.Advice = append(j.Advice, rules.LeakAdvice(c.Rate, int64(j.limit)))
}

// toLimit says when the limit is reached.
func (j *record) toLimit(e evidence, list []course, last *course) {
	if j.limit <= 0 {
		return
	}
	size := units.Bytes(int64(j.limit))
	if e.restarted {
		if left := j.limit - e.First; left > 0 && e.Rate > 0 {
			j.Reasons = append(j.Reasons, fmt.Sprintf("it would reach its limit of %s in %s without its restarts", size, units.Seconds(left/e.Rate)))
		}
	}
	if last.Course != trend.Grows || last.end != j.to {
		return
	}
	g := informed(list, last)
	f, ok := g.ToLimit(j.limit)
	if !ok {
		return
	}
	j.SecondsToLimit, j.SecondsError = &f.Seconds, &f.Error
	switch {
	case f.Seconds <= 0:
		j.Reasons = append(j.Reasons, "its peaks already reach its limit of "+size)
	case f.Error < f.Seconds && !e.restarted:
		j.Reasons = append(j.Reasons, fmt.Sprintf("at this rate it reaches its limit of %s in %s (± %s)", size, units.Seconds(f.Seconds), units.Seconds(f.Error)))
	}
}

// week is the interval of the rate, wider where the run has not seen a whole working week:
// growth may follow a load that rests at the weekend, and the days that were seen may be
// those.
func (c *course) week() (low, high float64) {
	if c.Age >= 5*day {
		return c.Low, c.High
	}
	return c.Low - 0.08*c.Rate, c.High + 0.4*c.Rate
}

// informed is how the newest run grows, by what the longest run before it has shown where it
// is young itself: it may have seen one tooth only, or the busiest hours of a day.
func informed(list []course, last *course) trend.Growth {
	g, longest := last.Growth, last
	if last.Age >= young {
		return g
	}
	for k := range list {
		if o := &list[k]; o.Course == trend.Grows && o.run != last.run && o.Low > 0 && o.Age > longest.Age {
			longest = o
		}
	}
	if longest == last || longest.Age < 1.5*last.Age {
		return g
	}
	low, high := longest.Low, longest.High
	if last.alike(longest) {
		high = max(high, g.High)
		if g.Low > 0 {
			low = min(low, g.Low)
		}
	}
	g.Rate, g.Low, g.High = longest.Rate, low, high
	g.Above, g.Spread = max(g.Above, longest.Above), max(g.Spread, longest.Spread)
	return g
}

// kind says which memory it is that grew, where nearly all of it is of one kind.
func (j *record) kind(run int) string {
	r := j.runs[run]
	n := len(r)
	if n < minRun {
		return ""
	}
	few := max(n/20, 3)
	first, last := average(r[n/20:n/20+few]), average(r[n-few:])
	grew := last.Held - first.Held
	if grew <= 0 {
		return ""
	}
	for _, k := range []struct {
		by    float64
		words string
	}{
		{last.Anon - first.Anon, "anonymous memory: heap, stacks, private mappings"},
		{last.Shmem - first.Shmem, "shared memory or tmpfs: files that nobody deletes"},
		{last.Kernel - first.Kernel, "kernel memory: sockets, pipes, threads, page tables"},
		{last.Swap - first.Swap, "in swap"},
	} {
		if k.by > 0.7*grew && last.Unsplit-first.Unsplit > 0.7*grew {
			k.words = "kernel memory, and may be reclaimable: cgroup v1 does not show how much is"
		}
		if k.by > 0.7*grew {
			return fmt.Sprintf("%.0f %% of what it grew by is %s", min(100, 100*k.by/grew), k.words)
		}
	}
	return ""
}

func average(r []Reading) (m Reading) {
	n := float64(len(r))
	for _, q := range r {
		m.Held += q.Held / n
		m.Anon += q.Anon / n
		m.Shmem += q.Shmem / n
		m.Kernel += q.Kernel / n
		m.Swap += q.Swap / n
		m.Unsplit += q.Unsplit / n
	}
	return m
}
