package triage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// verdict is one judgement at work.
type verdict struct {
	*Service
	*chain
}

func (v *verdict) judge() {
	n := len(v.seconds)
	switch {
	case n == 0 && v.Kills.Count == 1:
		v.undecided("one kill only: too little to judge")
	case n == 0 && v.Kills.Times == 1:
		v.undecided(fmt.Sprintf("%d of its processes killed at one time only: too little to judge", v.Kills.Count))
	case n == 0:
		v.undecided("the log has no times, so the intervals between kills are not known")
	case v.starting():
		v.tooSmall(incident.Likely, fmt.Sprintf("killed again about %s after each kill: it cannot start in this limit", units.Seconds(median(v.seconds))))
	case v.backingOff():
		v.tooSmall(incident.Likely, "its kills follow the engine's growing pause between restarts: it fills its limit soon after each start")
	case n >= 2 && median(v.seconds) < startUp:
		v.undecided(fmt.Sprintf("killed again about %s after each kill: the limit is full as soon as it starts, whoever fills it", units.Seconds(median(v.seconds))))
	case n == 1:
		v.undecided(fmt.Sprintf("killed twice, %s apart: one interval is no pattern", units.Seconds(v.seconds[0])))
		if rate := v.held[0] / v.seconds[0]; rate > 0 {
			v.Reasons = append(v.Reasons, "if it is a leak, it grows by up to "+units.Rate(rate))
		}
	case v.crowded():
	case v.bursting():
		v.bursts()
	case v.scheduled():
	case v.leaking():
	case v.loaded():
	case n == 2 && v.chance > 0 && v.chance <= chanceLikely && v.spread <= widest:
		v.undecided(fmt.Sprintf("%d occasions, at intervals of %s and %s: alike, but among this many services two alike occur by chance", v.Kills.Times, units.Seconds(v.seconds[0]), units.Seconds(v.seconds[1])))
	case n == 2:
		v.undecided(fmt.Sprintf("%d occasions, at intervals of %s and %s: two unlike intervals are no pattern", v.Kills.Times, units.Seconds(v.seconds[0]), units.Seconds(v.seconds[1])))
	default:
		v.irregular()
	}
}

func (v *verdict) undecided(why string) {
	v.Class, v.Confidence = NotEnoughData, ""
	v.Reasons = append(v.Reasons, why)
	v.tryLimit()
}

func (v *verdict) tooSmall(sure incident.Confidence, why string) {
	v.Class, v.Confidence = LimitTooSmall, sure
	v.Reasons = append(v.Reasons, why)
	v.tryLimit()
}

// tryLimit advises a limit, for what has not been seen to leak.
func (v *verdict) tryLimit() {
	if v.known().Scope == SharedLimit {
		v.Advice = append(v.Advice, "Look at who else is below that limit: raising this one's own would not help.")
	}
	if v.Limit == nil || v.known().Scope != OwnLimit {
		return
	}
	o := v.known()
	if how := rules.FilledAdvice(o.Shmem, o.Kernel, o.Limit, o.Pod != ""); how != "" {
		v.Advice = append(v.Advice, how)
		return
	}
	next, _ := rules.SuggestLimit(*v.Limit)
	v.Suggested = &next
	v.Advice = append(v.Advice, rules.LimitAdvice(*v.Limit, ""))
}

// starting tells a program that is killed again right away, more than once, by a
// limit that is its own: of another's nobody knows who fills it.
func (v *verdict) starting() bool {
	return len(v.seconds) >= 2 && v.known().Scope == OwnLimit && median(v.seconds) < startUp
}

// scheduled tells kills that come by the clock.
func (v *verdict) scheduled() bool {
	of := v.clocked()
	if beat := v.timed(); of == "" && beat > 0 {
		v.Class = Spike
		v.Reasons = append(v.Reasons, fmt.Sprintf("killed %d times, every %s by the clock: scheduled work; a leak's time drifts", v.Kills.Times, units.Seconds(beat)))
		v.Advice = append(v.Advice, advicePeak)
		return true
	}
	if of == "" {
		return false
	}
	v.Class = Spike
	v.Reasons = append(v.Reasons, fmt.Sprintf("killed %d times, always at about the same time of the %s: scheduled work or a daily peak; a leak's time would drift", v.Kills.Times, of))
	v.Advice = append(v.Advice, advicePeak)
	return true
}

// regular tells whether the intervals are more alike than chance makes them.
func (c *chain) regular() bool {
	n := len(c.seconds)
	if n == 2 && median(c.seconds) > day && c.spread > sameTwo {
		return false // of a few in weeks two intervals are alike by chance
	}
	return c.chance > 0 && c.chance <= possible(n) && c.adjusted <= chancePossible && c.mild <= mildPossible && c.spread <= widest
}

// leaking tells kills whose intervals are regular: what holds the same at each
// kill and takes the same time to get there grows steadily. Where the limit
// changed, so does the time: it is the time for each byte that is compared.
func (v *verdict) leaking() bool {
	if v.chance == 0 {
		return false
	}
	v.Kills.Chance = &v.chance
	if !v.regular() {
		return false
	}
	v.Class = Leak
	if v.adjusted <= chanceLikely && v.mild <= chanceMild && v.known().Scope == OwnLimit {
		v.Confidence = incident.Likely
	}
	v.Reasons = append(v.Reasons, fmt.Sprintf("killed %d times, %s apart (%s to %s): too regular for chance (%s)",
		v.Kills.Times, units.Seconds(*v.Kills.Interval), units.Seconds(*v.Kills.IntervalMin), units.Seconds(*v.Kills.IntervalMax), odds(v.chance)))
	if v.stride > 1 {
		v.Confidence = incident.Possible
		v.Reasons = append(v.Reasons, fmt.Sprintf("every %s kills take the same time: these may be %s replicas, each killed that often", numbers[v.stride], numbers[v.stride]))
	}
	if v.shared {
		v.Confidence = incident.Possible // whether each of them grows is not seen
	}
	rates := v.rates()
	if len(rates) == 0 {
		v.Advice = append(v.Advice, "Look for a leak before raising its limit; the log does not say how much it held.")
		return true
	}
	rate := median(rates)
	v.Rate, v.RateLow, v.RateHigh = new(rate), new(slices.Min(rates)), new(slices.Max(rates))
	v.Reasons = append(v.Reasons, v.grew(rate))
	var limit int64
	if v.Limit != nil {
		limit = *v.Limit
	}
	if limits := v.limits(); len(limits) > 1 {
		v.Confidence = incident.Likely
		v.Reasons = append(v.Reasons, "its limit was changed and it grew into the new one too: "+strings.Join(limits, ", then "))
	}
	v.Advice = append(v.Advice, rules.LeakAdvice(rate, limit))
	return true
}

// grew says what was held at the kills, and how fast that grows.
func (v *verdict) grew(rate float64) string {
	if v.shared {
		return fmt.Sprintf("about %d processes called %s fill the limit together; the kernel kills the largest, and until the next kill the others take what it held, %s: together they grow by %s",
			v.known().HogTasks, redact.Sanitize(v.known().Comm), units.Bytes(int64(median(v.held))), units.Rate(rate))
	}
	s := "held " + units.Bytes(*v.Kills.RSS)
	if v.Limit != nil {
		s += " of its " + units.Bytes(*v.Limit) + " limit"
	}
	return s + " when it was killed: if it starts from little, it grows by " + units.Rate(rate)
}

// limits are the limits it died at, one after another.
func (v *verdict) limits() []string {
	var out []string
	for _, o := range v.occasions {
		if o.Limit > 0 {
			out = append(out, units.Bytes(o.Limit))
		}
	}
	return slices.Compact(out)
}

// odds writes the chance that randomness alone does as much.
func odds(p float64) string {
	if p <= 1.0/draws {
		return fmt.Sprintf("p < %g", 1.0/draws)
	}
	return fmt.Sprintf("p = %.2g", p)
}

// crowded tells a limit that many small processes fill together.
func (v *verdict) crowded() bool {
	o := v.known()
	if o.Scope != OwnLimit || o.Limit == 0 || o.RSS == 0 || o.RSS*3 > o.Limit || o.HogTasks < 3 || o.HogHeld*2 < o.Limit {
		return false
	}
	sure := incident.Likely
	if v.regular() {
		if v.shared {
			return false // leaking tells
		}
		sure = incident.Possible // many that each grow a little look the same
	}
	v.tooSmall(sure, fmt.Sprintf("%d processes called %s held %s of its %s together, %s each on average",
		o.HogTasks, redact.Sanitize(o.Hog), units.Bytes(o.HogHeld), units.Bytes(o.Limit), units.Bytes(o.HogHeld/int64(o.HogTasks))))
	v.Advice = append(v.Advice, "Or run fewer of them.")
	return true
}

// bursts is for kills that come several at once, or shortly after one another,
// and then not for long.
func (v *verdict) bursts() {
	v.Class = Spike
	v.Reasons = append(v.Reasons, fmt.Sprintf("killed on %d occasions, %s to %s apart, several processes at once or shortly after one another: bursts of work, not growth",
		v.Kills.Times, units.Seconds(*v.Kills.IntervalMin), units.Seconds(*v.Kills.IntervalMax)))
	v.Advice = append(v.Advice, advicePeak)
}

// advicePeak is for what takes much at once.
const advicePeak = "Look at what it did at these times (requests, jobs, cron) and bound it; a higher limit helps only if the peak is bounded."

// irregular is for kills without a pattern: something takes much at once.
func (v *verdict) irregular() {
	apart := fmt.Sprintf("killed on %d occasions at irregular intervals, from %s to %s", v.Kills.Times, units.Seconds(*v.Kills.IntervalMin), units.Seconds(*v.Kills.IntervalMax))
	if *v.Kills.Interval < 3600 {
		v.tooSmall(incident.Possible, apart+": it needs more than its limit again and again, and does not grow steadily")
		return
	}
	v.Class = Spike
	v.Reasons = append(v.Reasons, apart+": now and then it takes much memory at once; it does not grow steadily")
	v.Advice = append(v.Advice, advicePeak)
}
