package correlate

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

const (
	// sameStart is how far an engine's event of a start may follow the start time that
	// it shows of the same run.
	sameStart = time.Second
	// slowStart is the same where the engine shows that run as its newest after the event.
	slowStart = 10 * time.Second
	// earlyEvent is how far such an event may lie before it, by the clocks.
	earlyEvent = 20 * time.Millisecond
	// restartDelay is less than what an engine waits before it starts a container again.
	restartDelay = 90 * time.Millisecond
	// sameEnd is how far an engine's event of an end may follow the moment at which it
	// first showed that end.
	sameEnd = time.Second
	// clockStep is how long before its start an end must lie for the host's clock to have
	// been set back: engines have shown ends that are a little before their starts.
	clockStep = 10 * time.Second
	// slowEnd is how far a slow engine stamps that event after the end itself.
	slowEnd = 10 * time.Second
	// early is how long before the engine's stamp of a start the kernel can already
	// have killed: the engine notes the start after the process runs.
	early = 200 * time.Millisecond
	// earlyMain is the same where the pid shows that it was this run.
	earlyMain = time.Second
	// late is how far after the engine's stamp of an end the kernel's stamp of what
	// caused it can lie, by the clocks.
	late = 100 * time.Millisecond
	// lateWord is how long after an end the engine may still speak of that run.
	lateWord = time.Second
	// offlineSkew is how far apart the clocks of saved files may be.
	offlineSkew = 5 * time.Second
)

// never is later than every time.
var never = time.Unix(1<<40, 0)

// run is one life of a container, from a start to the end that follows.
type run struct {
	start   time.Time // zero: not known
	lo, hi  time.Time // it lived between these; hi is never while it lives
	look    *look     // what the engine shows of it; nil for nothing
	event   time.Time // the engine's event of the start; zero for none
	seen    time.Time // arrival of the first word of the start
	pid     int
	end     *exit // the engine's event of the end
	exit    *incident.Exit
	ended   time.Time   // arrival of the first word of the exit
	failed  bool        // a start that failed
	over    bool        // it has ended, and nobody saw how
	overAt  time.Time   // arrival of the word that it is over
	bySpeed bool        // that word came from an answer of the engine, which may overtake its events
	stamps  []time.Time // by which an emission of it is found again

	// What was seen of it, in the order of time.
	asked   []incident.Signal // the engine was asked to send
	stopped time.Time         // the engine said that it has stopped it; zero where it did not
	ooms    []time.Time       // the engine's oom events
	faults  []kmsg.Fault
	sent    []observe.Sent // signals to its main process
	counts  []count        // values of its counter of kills
	kills   []given
	rises   []rise // of the counter, beyond the kills
}

// given is a kernel kill given to a run. main is true for that of its main process.
type given struct {
	*kill
	main    bool
	earlier bool // of a run before, by saved files
}

// alive is true while the run is not known to have ended.
func (r *run) alive() bool { return r.exit == nil && !r.over }

// endTime is when the run ended; zero where that is not known.
func (r *run) endTime() time.Time {
	if r.exit == nil {
		return time.Time{}
	}
	if !r.exit.FinishedAt.IsZero() {
		return r.exit.FinishedAt
	}
	return r.exit.At
}

// runs are the lives of the container, oldest first. They are derived of the facts
// alone, so that the order in which those arrived does not matter.
func (x *container) timeline() []*run {
	if x.runs == nil {
		all := x.shownRuns()
		all = x.addStarts(all)
		all = x.addEnds(all)
		x.bound(all)
		x.runs = all
		x.share()
	}
	return x.runs
}

// current is the newest run, or nil.
func (x *container) current() *run {
	if all := x.timeline(); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// shownRuns are those that the engine has shown.
func (x *container) shownRuns() []*run {
	all := make([]*run, 0, len(x.Looks))
	for i := range x.Looks {
		l := &x.Looks[i]
		r := &run{start: l.Started, lo: l.Started, look: l, seen: l.Seen, pid: l.PID, stamps: []time.Time{l.Started}}
		if !x.Booted.IsZero() && l.Started.Before(x.Booted) {
			r.pid = 0 // of another boot
		}
		if l.Exit != nil {
			shown := *l.Exit
			r.exit, r.ended = &shown, l.ExitSeen
			if r.setBack() {
				r.lo = shown.FinishedAt.Add(-sameEnd) // the time of its start says nothing of its end
			}
		}
		all = append(all, r)
	}
	return all
}

// addStarts gives the events of starts to the runs that they are of, and makes a run of
// each that is of none.
func (x *container) addStarts(all []*run) []*run {
	for i := range x.Starts {
		s := &x.Starts[i]
		if r := x.startedBy(all, s.At); r != nil {
			r.event = s.At
			r.stamps = append(r.stamps, s.At)
			continue
		}
		all = append(all, &run{start: s.At, lo: s.At, event: s.At, seen: s.Seen, stamps: []time.Time{s.At}})
		slices.SortStableFunc(all, func(a, b *run) int { return a.lo.Compare(b.lo) })
	}
	return all
}

// startedBy returns the shown run that an event of a start is of; nil for none.
func (x *container) startedBy(all []*run, at time.Time) (best *run) {
	for _, r := range all {
		d := at.Sub(r.start)
		if r.look != nil && r.look.Answers.Equal(at) {
			return r
		}
		if r.look == nil || !r.event.IsZero() || d < -earlyEvent || d > slowStart {
			continue
		}
		// A busy engine is slow to report a start; what it shows after that is no older run.
		shownAfter := r.look.Last.After(at)
		if end := r.endTime(); !shownAfter && (d > sameStart || !end.IsZero() && at.Sub(end) > restartDelay) {
			continue
		}
		ended := slices.ContainsFunc(x.Exits, func(e exit) bool { return e.At.After(r.start) && e.At.Before(at) })
		if !ended && (best == nil || d.Abs() < at.Sub(best.start).Abs()) {
			best = r
		}
	}
	return best
}

// addEnds gives the events of ends to the runs that they are of. One that is of none is
// the end of a run whose start nobody saw.
func (x *container) addEnds(all []*run) []*run {
	for i := range x.Exits {
		e := &x.Exits[i]
		n := len(all)
		for n > 0 && all[n-1].lo.After(e.At) {
			n--
		}
		var r *run
		if n > 0 {
			r = all[n-1]
		}
		if back := slices.IndexFunc(all, func(r *run) bool { return r.setBack() && r.end == nil && r.shows(e) }); back >= 0 {
			r = all[back]
		}
		switch {
		case r != nil && e.failed() && r.start.IsZero() && (r.failed || e.At.Sub(r.hi) < 10*time.Second):
			// The same failed start, found out again.
			r.failed = true
			r.stamps = append(r.stamps, e.At)
			keep(&r.exit.Error, e.Error)
		case r != nil && r.failed && e.At.Sub(r.hi) < 10*time.Second:
			r.stamps = append(r.stamps, e.At)
		case r != nil && !e.failed() && r.end == nil && (r.exit == nil || r.shows(e)):
			r.ends(e)
		default:
			unseen := &run{hi: e.At, failed: e.failed()}
			if r != nil {
				unseen.lo = later(r.hi, r.lo)
			}
			unseen.ends(e)
			all = slices.Insert(all, n, unseen)
			if unseen.lo.IsZero() {
				unseen.lo = x.Floor
			}
		}
	}
	return all
}

// setBack is true for a run that ended before it began: the host's clock was set back.
func (r *run) setBack() bool {
	return r.look != nil && r.exit != nil && !r.exit.FinishedAt.IsZero() && r.exit.FinishedAt.Before(r.start.Add(-clockStep))
}

// shows is true where an event of an end is that of the end which the engine shows. It
// shows an end only once it has reported it, but for a slow engine, which stamps the event by
// seconds later than the end.
func (r *run) shows(e *exit) bool {
	slow := e.ExitCode == r.exit.ExitCode && e.At.Sub(r.exit.FinishedAt).Abs() < slowEnd
	return slow || !e.At.After(r.look.Shown.Add(sameEnd))
}

// ends takes the engine's event of the end.
func (r *run) ends(e *exit) {
	r.end = e
	r.stamps = append(r.stamps, e.At)
	r.ended = earlier(r.ended, e.Seen, r.exit == nil)
	if r.exit == nil {
		r.exit = new(e.Exit)
		r.hi = r.endTime()
		return
	}
	// What was shown says when it finished and how; the event is the engine's own word.
	r.exit.At, r.exit.Raw, r.exit.ExitCode = e.At, e.Raw, e.ExitCode
	keep(&r.exit.Error, e.Error)
	r.hi = r.endTime()
}

// earlier is the earlier of two arrivals; first says that there is only the second.
func earlier(a, b time.Time, first bool) time.Time {
	if first || b.Before(a) {
		return b
	}
	return a
}

// gone is true for a container that was removed, as far as its engine has said.
func (x *container) gone() bool {
	if len(x.Gone) == 0 {
		return false
	}
	g, r := x.Gone[len(x.Gone)-1], x.current()
	return (!g.Listed || !x.spokenAfter(g.At)) && (r == nil || !r.alive() && !r.lo.After(g.At))
}

// bound says from when to when each run lived at the most, and which are over though
// nobody saw their end.
func (x *container) bound(all []*run) {
	for i, r := range all {
		if r.exit != nil {
			r.hi = later(r.endTime(), r.lo) // engines have shown ends before their starts
			continue
		}
		r.hi = never
		if i < len(all)-1 {
			next := all[i+1]
			r.over, r.hi, r.overAt = true, later(next.lo, r.lo), next.seen
			if next.start.IsZero() && next.end != nil {
				r.overAt = next.end.Seen
			}
			r.bySpeed = next.event.IsZero() && next.end == nil
		}
	}
	if len(all) == 0 || !all[len(all)-1].alive() {
		return
	}
	r := all[len(all)-1]
	for i := range x.Gone {
		g := &x.Gone[i]
		if g.At.Before(r.lo) || g.Listed && x.spokenAfter(g.At) {
			continue // what began while the list was made is not in it
		}
		r.over, r.overAt, r.hi = true, g.Seen, g.At
		return
	}
}

// spokenAfter is true where the engine spoke of the container as of one that is there,
// after a moment.
func (x *container) spokenAfter(at time.Time) bool {
	if n := len(x.Starts); n > 0 && x.Starts[n-1].At.After(at) {
		return true
	}
	if n := len(x.Exits); n > 0 && x.Exits[n-1].At.After(at) {
		return true
	}
	return slices.ContainsFunc(x.Looks, func(l look) bool { return l.LastRunning.After(at) })
}

// covers says whether a moment of the kernel's, about a pid, can lie in the run. pid 0
// is any process.
func (r *run) covers(pid int, at time.Time, offline bool) bool {
	before, after := early, late
	if pid != 0 && pid == r.pid {
		before = earlyMain
	}
	if offline {
		before, after = offlineSkew, offlineSkew
	}
	if r.start.IsZero() {
		before = 0 // lo is where the run before ended
	}
	return !at.Before(r.lo.Add(-before)) && !at.After(r.hi.Add(after))
}

// runAt returns the run that a moment of the kernel's, about a pid, lies in: the one
// whose main process had the pid, else the one that fits best; nil for none.
func (x *container) runAt(pid int, at time.Time, offline bool) *run {
	all := x.timeline()
	var fits *run
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		if !r.covers(pid, at, offline) {
			continue
		}
		if pid != 0 && r.pid == pid {
			return r
		}
		if fits == nil || at.Before(fits.lo) && !at.After(r.hi) {
			fits = r
		}
	}
	return fits
}

// spokenOf returns the run that the engine spoke of at a moment. Just after an end it
// can be a late word on that run.
func (x *container) spokenOf(at time.Time) *run {
	if r := x.runAt(0, at, false); r != nil {
		return r
	}
	all := x.timeline()
	for i := len(all) - 1; i >= 0; i-- {
		if r := all[i]; !at.Before(r.lo) {
			if at.Sub(r.hi) < lateWord {
				return r
			}
			return nil
		}
	}
	return nil
}

// stopAfter is how long after an end the engine may say that it has stopped the container.
const stopAfter = 30 * time.Second

// share gives each fact to the run that it is of.
func (x *container) share() {
	for i := range x.Asked {
		if r := x.spokenOf(x.Asked[i].At); r != nil {
			r.asked = append(r.asked, x.Asked[i])
		}
	}
	for i := range x.Stops {
		at := x.Stops[i].At
		if r := x.lastBefore(at); r != nil && r.stopped.IsZero() && at.Sub(r.hi) < stopAfter {
			r.stopped = at
		}
	}
	for i := range x.OOMs {
		if r := x.runAt(0, x.OOMs[i].At, false); r != nil {
			r.ooms = append(r.ooms, x.OOMs[i].At)
		}
	}
	for i := range x.Faults {
		if r := x.runAt(x.Faults[i].PID, x.Faults[i].Time, x.offline); r != nil {
			r.faults = append(r.faults, x.Faults[i])
		}
	}
	for i := range x.Sent {
		if r := x.runAt(x.Sent[i].PID, x.Sent[i].At, x.offline); r != nil && r.pid == x.Sent[i].PID {
			r.sent = append(r.sent, x.Sent[i])
		}
	}
	for i := range x.Counts {
		if r := x.runAt(0, x.Counts[i].At, false); r != nil {
			r.counts = append(r.counts, x.Counts[i])
		}
	}
}

// health is the last word of the health check while the run lived; nil for none.
func (x *container) health(r *run) (h *incident.Health) {
	for i := range x.Health {
		w := &x.Health[i]
		shown := !w.Started.IsZero() && r.look != nil
		if shown && !w.Started.Equal(r.look.Started) || !shown && (w.At.Before(r.lo.Add(-early)) || w.At.After(r.hi.Add(late))) {
			continue
		}
		switch in := w.Health; {
		case h == nil:
			h = &in
		case w.Event:
			if !h.Since.After(w.At) {
				h = &in
			}
		case h.Status == in.Status:
			h.FailingStreak, h.Output = in.FailingStreak, in.Output
		case !h.Since.After(w.At):
			h = &in
		}
	}
	return h
}

// init is the main process as it was read last in the run; nil where it was not.
func (x *container) init(r *run) (in *incident.Init) {
	for i := range x.Inits {
		if at := x.Inits[i].At; !at.Before(r.lo.Add(-early)) && !at.After(r.hi.Add(late)) {
			in = &x.Inits[i].Init
		}
	}
	return in
}

// detail is what was learned after the end of the run; nil for nothing yet.
func (x *container) detailOf(r *run) *detail {
	for i := range x.Details {
		if slices.ContainsFunc(r.stamps, x.Details[i].DiedAt.Equal) || r.exit != nil && x.Details[i].DiedAt.Equal(r.exit.At) {
			return &x.Details[i]
		}
	}
	return nil
}

// owed is true while a detail of the end is still to come.
func (x *container) owed(r *run) bool {
	promised := r.end != nil && r.end.Owed || r.look != nil && r.look.Exit != nil && r.look.Owed
	return promised && x.detailOf(r) == nil
}
