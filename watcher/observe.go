package watcher

import (
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

func (c *Correlator) entry(id string) *entry {
	e := c.entries[id]
	if e == nil {
		e = newEntry(id)
		c.entries[id] = e
	}
	return e
}

// seeContainer takes the engine's word on a container that can still be asked, and
// returns the run that it is about; nil where it never ran. Kills are given to the runs
// by the caller, once it has noted the end that the word may be of.
func (c *Correlator) seeContainer(in *observe.Container, at time.Time) *run {
	if in.ID == "" {
		return nil
	}
	e := c.entry(in.ID)
	e.dirty = true
	e.heard(at)
	e.Spec = mergeSpec(e.Spec, *in)
	if in.StartedAt.IsZero() {
		return nil
	}
	r := e.began(in.StartedAt, true, in.PID)
	if r == e.current() && at.After(r.listed) {
		r.listed = at
	}
	r.seeHealth(in.Health, at)
	if in.PID != 0 && in.Exit == nil {
		if r.PID != in.PID {
			r.PID = in.PID
			if r.Told && r.unexplained() && r.Exit != nil && incident.ExitSignal(r.Exit.ExitCode) != 0 {
				// Its signals, and their absence, tell something only now.
				r.Amend = true
				c.open[e] = true
			}
			c.pids[in.PID] = owner{id: in.ID, first: in.StartedAt, last: c.now}
		}
	}
	return r
}

// heard notes that the engine spoke of a container.
func (e *entry) heard(at time.Time) {
	e.dirty = true
	if at.After(e.LastWord) {
		e.LastWord = at
	}
}

// mergeSpec keeps what was known where the newer word is silent.
func mergeSpec(old, in observe.Container) observe.Container {
	out := in
	if out.Name == "" {
		out.Name = old.Name
	}
	if out.Image == "" {
		out.Image = old.Image
	}
	if out.Runtime == "" {
		out.Runtime = old.Runtime
	}
	if out.Labels == nil {
		out.Labels = old.Labels
	}
	if out.Compose == nil {
		out.Compose = old.Compose
	}
	if out.Pod == nil {
		out.Pod = old.Pod
	}
	if out.MemoryLimit == nil {
		out.MemoryLimit = old.MemoryLimit
	}
	if out.SwapLimit == nil {
		out.SwapLimit = old.SwapLimit
	}
	if out.RestartPolicy == "" {
		out.RestartPolicy = old.RestartPolicy
	}
	if out.RestartCount == nil {
		out.RestartCount = old.RestartCount
	}
	if out.StopSignal == "" {
		out.StopSignal = old.StopSignal
	}
	if out.StopGraceSecond == nil {
		out.StopGraceSecond = old.StopGraceSecond
	}
	if out.CgroupPath == "" {
		out.CgroupPath = old.CgroupPath
	}
	if out.State == "" {
		out.State = old.State
	}
	out.AutoRemove = out.AutoRemove || old.AutoRemove
	out.Exit, out.Health = nil, nil // a run's, not the container's
	return out
}

// reconcile takes the engine's full list. Ends that it shows and that were not
// seen are ends missed; containers that it lacks are gone.
func (c *Correlator) reconcile(rec *observe.Reconcile, at time.Time) {
	c.listed = true
	listed := make(map[string]bool, len(rec.Containers))
	for i := range rec.Containers {
		in := &rec.Containers[i]
		listed[in.ID] = true
		c.listedContainer(in, at)
	}
	for id, e := range c.entries {
		if listed[id] || !e.Removed.IsZero() || e.LastWord.After(at) {
			continue // what began while the list was made is not in it
		}
		e.Removed, e.dirty = at, true
		if r := e.current(); r != nil {
			c.missedEnd(e, r)
		}
	}
}

// listedContainer takes one container of the engine's list, or of a saved inspect,
// with the end that it shows.
func (c *Correlator) listedContainer(in *observe.Container, at time.Time) {
	r := c.seeContainer(in, at)
	e := c.entries[in.ID]
	if e == nil {
		return
	}
	if in.Exit != nil {
		c.rightEnds(e)
		c.missedExit(e, r, in)
	}
	c.rehome(e)
	c.supersede(e)
}

// missedEnd notes that a run is over and that nobody saw how it ended.
func (c *Correlator) missedEnd(e *entry, r *run) {
	if r.Exit == nil && !r.Told && r.ExitSeen.IsZero() {
		r.Missed, r.ExitSeen, e.dirty = true, c.now, true
		c.open[e] = true
	}
}

// rightEnds gives an end to the run that it was of, where that one's start was missed
// and its "die" taken for the end of the run before: no run ends after the next began.
func (c *Correlator) rightEnds(e *entry) {
	for _, q := range e.Runs {
		if q.Exit == nil {
			continue
		}
		r := e.runOf(endOf(q))
		if r == nil || r == q || r.Exit != nil || !q.Start.Before(r.Start) {
			continue
		}
		from := r.Start.Add(-early)
		r.Exit, r.ExitSeen, r.StopDone, r.detailPending = q.Exit, q.ExitSeen, q.StopDone, q.detailPending
		r.logTail, r.rawTail, r.noLog, r.disks, r.disksUnread = q.logTail, q.rawTail, q.noLog, q.disks, q.disksUnread
		q.Signals, r.Signals = divide(q.Signals, r.Signals, func(s incident.Signal) bool { return s.At.Before(from) })
		q.Sent, r.Sent = divide(q.Sent, r.Sent, func(s incident.Sent) bool { return s.At.Before(from) })
		q.OOMs, r.OOMs = divide(q.OOMs, r.OOMs, func(at time.Time) bool { return at.Before(from) })
		q.Exit, q.ExitSeen, q.StopDone, q.Missed, q.Amend = nil, c.now, time.Time{}, true, q.Told
		r.repeated, q.repeated = q.repeated, time.Time{}
		q.logTail, q.rawTail, q.noLog, q.disks, q.disksUnread, q.detailPending = nil, nil, "", nil, "", false
		c.open[e], e.dirty = true, true
	}
}

// divide parts a list: what stays, and the rest added to another.
func divide[T any](from, to []T, stays func(T) bool) (kept, moved []T) {
	for _, x := range from {
		if stays(x) {
			kept = append(kept, x)
		} else {
			to = append(to, x)
		}
	}
	return kept, to
}

// missedExit notes an end that inspect tells, of the run that it tells of, and
// that no event told.
func (c *Correlator) missedExit(e *entry, r *run, in *observe.Container) {
	x := *in.Exit
	if x.FinishedAt.IsZero() && x.Error == "" {
		return
	}
	if x.At.IsZero() {
		x.At = x.FinishedAt
	}
	if r == nil {
		r = e.current()
	}
	if r == nil {
		r = e.madeUp(x.At)
	}
	if r.Exit != nil {
		if !r.Exit.Inspected {
			adoptInspect(r.Exit, &x)
			e.dirty = true
		}
		return
	}
	if r.Told && !r.ToldOpen {
		return
	}
	x.Inspected = true
	// Of a start that failed no event tells: who was there has missed nothing.
	noStart := x.Error != "" && x.FinishedAt.IsZero()
	r.Exit, r.ExitSeen, r.Missed, e.dirty = &x, c.now, !noStart || c.replayed(x.At), true
	r.detailPending = in.DetailPending
	r.engineDown = c.wasDown("docker", endOf(r))
	c.open[e] = true
}

// supersede marks runs before the present one that were never seen to end.
func (c *Correlator) supersede(e *entry) {
	for i, r := range e.Runs {
		if i < len(e.Runs)-1 {
			c.missedEnd(e, r)
		}
	}
}

// adoptInspect adds to an exit what only inspect knows.
func adoptInspect(x, in *incident.Exit) {
	x.Inspected = true
	if !in.FinishedAt.IsZero() {
		x.FinishedAt = in.FinishedAt
	}
	x.OOMKilled = in.OOMKilled
	if x.Error == "" {
		x.Error = in.Error
	}
}

// action takes an engine event that is neither an end nor a signal.
func (c *Correlator) action(a *observe.Action, at time.Time) {
	e := c.entries[a.ID]
	if e == nil {
		if a.Action == "destroy" {
			return
		}
		e = c.entry(a.ID)
	}
	e.Spec = mergeSpec(e.Spec, observe.Container{Container: incident.Container{ID: a.ID, Name: a.Name, Image: a.Image, Labels: a.Labels}, PID: e.Spec.PID})
	e.heard(at)
	if status, ok := strings.CutPrefix(a.Action, "health_status: "); ok {
		if r := c.runFor(e, 0, at); r != nil && (r.Health == nil || !r.Health.Since.After(at)) {
			r.Health = &incident.Health{Status: status, Since: at}
		}
		return
	}
	switch a.Action {
	case "start":
		r := e.began(at, false, 0)
		c.rehome(e)
		if r == e.current() && r.Exit == nil && r.PID == 0 {
			// A new run has a new cgroup, and its counter begins at zero.
			e.OOMKills, e.FirstOOMKills, e.Attributed, e.rises, e.counted = 0, 0, 0, nil, time.Time{}
		}
		c.supersede(e)
	case "oom":
		// Just after an end it can be late word on that run, or word on the
		// next, whose start was missed: it is nobody's then.
		r := c.runAt(e, at)
		if !at.After(endOf(r).Add(late)) && !containsTime(r.OOMs, at) {
			r.OOMs = appendBounded(r.OOMs, at, 32)
			c.open[e] = true
		}
	case "stop":
		r := e.runOf(at)
		switch {
		case r == nil:
		case r.Exit == nil:
			r.StopDone = at // newer engines say it before the "die", which can be missed too
		case r.StopDone.IsZero() && at.Sub(r.Exit.At) < 30*time.Second:
			r.StopDone = at
			if asked, killed := r.requests(); asked && killed && r.Told {
				// Told as a kill on request: now it is known to have been a
				// stop that took too long.
				r.Amend = true
				c.open[e] = true
			}
		}
	case "destroy":
		e.Removed = at
		if r := e.current(); r != nil {
			// An engine that was away removes what ended meanwhile, and tells no end.
			c.missedEnd(e, r)
		}
	}
}

// seeHealth takes what inspect says of the health check at a moment. An event is
// the better word on since when.
func (r *run) seeHealth(h *incident.Health, at time.Time) {
	switch {
	case h == nil:
	case r.Health == nil:
		r.Health = h
	case r.Health.Status == h.Status:
		r.Health.FailingStreak, r.Health.Output = h.FailingStreak, h.Output
	case !r.Health.Since.After(at):
		r.Health = h
	}
}

// runAt returns the run that the engine spoke of at a moment. Where that is none
// that is known its start was missed, but for the second in which an event about
// an end can follow the event of that end.
func (c *Correlator) runAt(e *entry, at time.Time) *run {
	if r := c.runFor(e, 0, at); r != nil {
		return r
	}
	if r := e.current(); r != nil && !at.Before(r.Start) && at.Sub(endOf(r)) < time.Second {
		return r
	}
	return e.madeUp(at)
}

// signal takes a request to the engine to send a signal.
func (c *Correlator) signal(s *observe.Signal) {
	e := c.entry(s.ID)
	r := c.runAt(e, s.At)
	for _, old := range r.Signals {
		if old.At.Equal(s.At) && old.Number == s.Number {
			return
		}
	}
	r.Signals = appendBounded(r.Signals, s.Signal, 16)
	e.dirty = true
}

// exit takes the engine's "die".
func (c *Correlator) exit(x *observe.Exit) {
	e := c.entry(x.ID)
	e.Spec = mergeSpec(e.Spec, observe.Container{Container: incident.Container{ID: x.ID, Name: x.Name, Image: x.Image, Labels: x.Labels}, PID: e.Spec.PID})
	e.dirty = true
	r := e.runOf(x.At)
	if r == nil || r.Exit != nil {
		if old := e.nearestEnd(x.At); old != nil {
			if old.Exit.Raw == "" {
				old.Exit.Raw, old.repeated = x.Raw, x.At
				old.detailPending = old.detailPending || x.DetailPending && !old.Told
			}
			return
		}
		r = e.madeUp(x.At)
	}
	if r.Told && !r.ToldOpen {
		return
	}
	end := x.Exit
	r.Exit, r.ExitSeen, r.detailPending = &end, c.now, x.DetailPending
	r.Replayed = c.replayed(x.At)
	if r.Missed && r.Told {
		r.Amend = true
	}
	c.rehome(e)
	c.open[e] = true
	if since, down := c.downs["docker"]; down {
		// The last words of an engine that was already seen to go.
		c.engineStopped(since)
	}
}

// runOf returns the run of a moment: the last that began before it.
func (e *entry) runOf(at time.Time) *run {
	for i := len(e.Runs) - 1; i >= 0; i-- {
		if r := e.Runs[i]; !r.Start.After(at) {
			return r
		}
	}
	return nil
}

// nearestEnd returns a run whose known end a "die" at that time repeats: a
// replay, or one that inspect had told first.
func (e *entry) nearestEnd(at time.Time) *run {
	for i := len(e.Runs) - 1; i >= 0; i-- {
		r := e.Runs[i]
		if r.Exit == nil {
			continue
		}
		if r.Exit.At.Equal(at) || at.Sub(r.Exit.At).Abs() < 10*time.Second || at.Sub(endOf(r)).Abs() < 10*time.Second {
			return r
		}
		// An end cannot come twice without a start between: a later stamp on
		// the newest run is the same end, processed late by a frozen engine.
		if i == len(e.Runs)-1 && r.Missed {
			return r
		}
	}
	return nil
}

// detail takes what could still be learned after a death.
func (c *Correlator) detail(d *observe.Detail) {
	e := c.entries[d.ID]
	if e == nil {
		return
	}
	for _, r := range e.Runs {
		if r.Exit == nil || !r.Exit.At.Equal(d.DiedAt) && !r.repeated.Equal(d.DiedAt) {
			continue
		}
		r.detailPending = false
		r.logTail, r.rawTail = d.LogTail, d.RawTail
		if r.noLog = ""; len(d.LogTail) == 0 {
			r.noLog = d.Problem
		}
		r.disks, r.disksUnread = d.Filesystems, d.FilesystemsUnread
		if r.Told && r.unexplained() && len(d.RawTail) > 0 {
			// It came late, and its last words may explain it.
			r.Amend = true
			c.open[e] = true
		}
		if in := d.Inspect; in != nil {
			e.dirty = true
			pid := e.Spec.PID
			e.Spec = mergeSpec(e.Spec, *in)
			e.Spec.PID = pid
			if !in.StartedAt.IsZero() && in.Exit != nil && (r.Guessed || !r.Exact) && !in.StartedAt.After(r.Exit.At) {
				r.Start, r.Exact, r.Guessed = in.StartedAt, true, false
			}
			if in.Exit != nil && in.Exit.ExitCode == r.Exit.ExitCode {
				adoptInspect(r.Exit, in.Exit)
				r.seeHealth(in.Health, r.Exit.At)
			}
		}
		return
	}
}

// appendBounded appends and drops the oldest beyond most.
func appendBounded[T any](s []T, v T, most int) []T {
	if len(s) >= most {
		copy(s, s[len(s)-most+1:])
		s = s[:most-1]
	}
	return append(s, v)
}

func containsTime(ts []time.Time, t time.Time) bool {
	for _, x := range ts {
		if x.Equal(t) {
			return true
		}
	}
	return false
}
