package warn

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// forecastEvery is the time between two forecasts of one container, as long as
// the limit is not near: each costs up to a tenth of a millisecond.
const forecastEvery = 5 * time.Second

// judge looks at the last reading, and at what came before it, for every sign that is
// read of it.
func (st *state) judge(r *Rules) {
	for i := range signs {
		k := &signs[i]
		switch {
		case st.id == HostID && !k.host, k.disk != (st.disk != nil):
		case k.judge != nil:
			st.see(k.name, k.judge(st, r), st.last.At, k.hold, r.ResolveAfter)
		case k.readToo:
			k.event(st, r, st.last.At)
		}
	}
}

// limit is how much the container may hold, by the last reading: its own limit or, where
// one above leaves less, what it holds and what is left there; 0 where there is none.
func (st *state) limit() int64 {
	if st.above != nil {
		return st.held + st.above.Room()
	}
	return max(st.last.Limit, 0)
}

// part of the limit that is held, -1 where either is not known.
func (st *state) share() float64 {
	if st.held < 0 || st.limit() == 0 {
		return -1
	}
	return float64(st.held) / float64(st.limit())
}

// headroom: too little of the limit is left, whatever is reclaimed.
func (st *state) headroom(r *Rules) level {
	threshold := r.MemoryPercent
	if st.id == HostID {
		threshold = r.HostPercent
	}
	share := st.share()
	if threshold == 0 || share < 0 {
		return calm
	}
	left := st.limit() - st.held
	switch {
	case left > enoughHeadroom+enoughHeadroom/4:
		return calm
	case left > enoughHeadroom:
		return min(between, over(100*share, threshold, threshold-hysteresis))
	}
	return over(100*share, threshold, threshold-hysteresis)
}

// foreseen: at the present rate the limit is near.
func (st *state) foreseen(r *Rules) level {
	f := &st.forecast
	share := st.share()
	suspect := suspectShare
	if st.id != HostID && st.last.At.Sub(st.start) < r.Startup {
		suspect = startupShare
	}
	if r.TimeToLimit == 0 || share < suspect {
		f.ok = false
		return calm
	}
	if f.at.IsZero() || f.ok || share >= startupShare || st.last.At.Sub(f.at) >= forecastEvery {
		f.at = st.last.At
		got, ok := st.series.forecast(st.limit(), st.former)
		// Readings a second apart tell no time to a fraction of one.
		f.seconds, f.err, f.ok = got.Seconds, max(got.Error, 1), ok
	}
	switch {
	case !f.ok:
		return calm
	case f.seconds <= r.TimeToLimit.Seconds():
		return alarm
	case f.seconds <= 2*r.TimeToLimit.Seconds():
		return between
	}
	return calm
}

// pressed: all tasks stand still for lack of memory, again and again. Where the
// kernel notifies of it, that counts; how much of the time it was, where it tells.
func (st *state) pressed(r *Rules) level {
	if r.PressurePercent == 0 || st.thrasher != "" {
		return calm
	}
	stalled := share(st.counters, func(c *counters) int64 { return c.full })
	if st.last.PSIFull >= 0 && stalled < 0 {
		return calm // too short a time yet
	}
	l := calm
	if stalled >= 0 {
		l = over(stalled, r.PressurePercent, r.PressurePercent/2)
	}
	if st.counters[len(st.counters)-1].stalls < 0 {
		return l
	}
	notified, _ := rises(st.counters, func(c *counters) int64 { return c.stalls })
	if stalled < 0 {
		// v1's levels tell how hard reclaim finds it, and that is so too while
		// a file streams through a small limit: only with little to reclaim is
		// it a sign.
		return min(notified, over(st.share(), hitsShare, hitsShare-hysteresis/100.0))
	}
	return min(l, notified)
}

// throttled: memory.high slows the container down, and it shows.
func (st *state) throttled(r *Rules) level {
	if !r.Throttled {
		return calm
	}
	l, _ := rises(st.counters, func(c *counters) int64 { return c.highs })
	if some := share(st.counters, func(c *counters) int64 { return c.some }); st.last.PSISome >= 0 {
		threshold := r.PressurePercent
		if threshold == 0 {
			threshold = Default().PressurePercent
		}
		l = min(l, over(some, threshold, threshold/2))
	}
	return l
}

// hits: allocations run into the limit again and again, and there is little to
// reclaim.
func (st *state) hits(r *Rules) level {
	if !r.LimitHits {
		return calm
	}
	l, _ := rises(st.counters, func(c *counters) int64 { return c.hits })
	// Of kernel memory on v1 nobody knows how much can be reclaimed.
	share := st.share()
	if st.id != HostID && st.limit() > 0 {
		share -= float64(st.last.Unsplit()) / float64(st.limit())
	}
	return min(l, over(share, hitsShare, hitsShare-hysteresis/100.0))
}

// pids: the limit of processes and threads is near.
func (st *state) pids(r *Rules) level {
	if r.PIDsPercent == 0 || st.last.PIDsLimit <= 0 || st.last.PIDs < 0 {
		return calm
	}
	return over(100*float64(st.last.PIDs)/float64(st.last.PIDsLimit), r.PIDsPercent, r.PIDsPercent-hysteresis)
}

// judgeHealth: the image's health check fails.
func (st *state) judgeHealth(r *Rules, at time.Time) {
	switch {
	case r.Unhealthy && !st.ill.IsZero():
		st.see(Unhealthy, alarm, at, 0, r.ResolveAfter)
	case st.signs[Unhealthy] != nil:
		st.see(Unhealthy, calm, at, 0, r.ResolveAfter)
	}
}

// judgeRestarts: it dies, is started, and dies again.
func (st *state) judgeRestarts(r *Rules, at time.Time) {
	for len(st.deaths) > 0 && at.Sub(st.deaths[0].at) > r.RestartWindow {
		st.deaths = st.deaths[1:]
	}
	n := len(st.deaths)
	if r.Restarts > 0 && n >= r.Restarts {
		st.see(RestartLoop, alarm, at, 0, 0)
	}
	if s := st.signs[RestartLoop]; s != nil && s.on {
		if n > 0 {
			s.last = st.deaths[n-1].at
		}
		st.see(RestartLoop, calm, at, 0, r.RestartWindow)
	}
}

const (
	// gaveUpAfter is how long after it was due a start must not have been seen.
	gaveUpAfter = 5 * time.Second
	// gaveUpFor is how long it is shown that an engine gave up, where nobody starts it again.
	gaveUpFor = 24 * time.Hour
)

// judgeGaveUp: it has been restarted as often as its policy allows, died, and the start
// that would be due does not come; until somebody starts it again.
func (st *state) judgeGaveUp(r *Rules, at time.Time) {
	if n := len(st.deaths); r.Restarts > 0 && n > 0 {
		last := &st.deaths[n-1]
		due := last.at.Add(backoff(st.deaths) + gaveUpAfter)
		if last.over > 0 && !at.Before(due) && !st.seen.After(last.at.Add(sameStart)) {
			st.see(GaveUp, alarm, at, 0, 0)
			return
		}
	}
	if s := st.signs[GaveUp]; s != nil && (st.seen.After(s.since) || at.Sub(s.since) > gaveUpFor) {
		st.see(GaveUp, calm, at, 0, 0)
	}
}

// of names the warning that a sign belongs to: signs of one cause are one warning.
func (st *state) of(name string) string {
	if signs.named(name).own {
		return name
	}
	return string(st.cause(name))
}

// cause is that of the death that a sign announces.
func (st *state) cause(name string) incident.Cause { return signs.named(name).cause(st) }

// memoryCause is that of a death for lack of memory.
func memoryCause(st *state) incident.Cause {
	if st.id == HostID {
		return incident.OOMHost
	}
	if st.above != nil {
		return incident.OOMAncestor
	}
	return incident.OOMContainer
}

// pressureCause: without a limit of its own, or far from it, it is the host's memory,
// or that of a group above, that is short, but where its own memory.high stops it.
func pressureCause(st *state) incident.Cause {
	if !st.heldBack() && (st.limit() == 0 || st.last.Used < st.limit()*9/10) {
		return incident.OOMHost
	}
	return memoryCause(st)
}

func lastCause(st *state) incident.Cause {
	if n := len(st.deaths); n > 0 {
		return st.deaths[n-1].cause
	}
	return incident.UnknownCause
}

// always is a cause that hangs on nothing.
func always(c incident.Cause) func(*state) incident.Cause {
	return func(*state) incident.Cause { return c }
}

// heldBack is true while its memory.high holds it back.
func (st *state) heldBack() bool {
	l, _ := rises(st.counters, func(c *counters) int64 { return c.highs })
	return l > calm
}
