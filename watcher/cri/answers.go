package cri

import (
	"cmp"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// checkAfter is when a container that was created and has not started is asked about,
// counted from its creation. The list shows what comes later.
var checkAfter = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second, 3 * time.Second}

// The pause before a question that got no answer is asked again, and how often it is.
const (
	retryAfter = 300 * time.Millisecond
	maxTries   = 20
)

// answered turns an answer into observations.
func (r *run) answered(a answer) {
	switch a.kind {
	case jobDeath:
		r.afterDeath(a)
		return
	case jobList:
		r.intoFull(a)
		return
	}
	k := r.known[a.id]
	if k == nil {
		return
	}
	k.asked = false
	switch {
	case a.status != nil:
		k.tries, k.retry = 0, time.Time{}
		r.looked(k, a)
	case isGone(a.err):
		if !k.told {
			k.pod, k.held = true, nil // a sandbox, or gone
		}
		delete(r.timed, k)
	default:
		if k.tries++; k.tries > maxTries {
			r.s.log.Debug("a container cannot be inspected", zap.String("id", a.id), zap.Error(a.err))
			k.held = nil
		} else if !errors.Is(a.err, errAway) || len(k.held) > 0 {
			k.retry = time.Now().Add(retryAfter)
			r.timed[k] = true
		}
	}
	if k.again {
		k.again = false
		r.ask(job{kind: a.kind, id: a.id})
	}
}

// looked takes the status of a container that is new, or has changed.
func (r *run) looked(k *known, a answer) {
	s := a.status
	k.last = s
	c := s.container(a.runtime, a.pod, k.pid)
	first := !k.told
	k.told = true
	if first {
		k.toldAt = time.Now()
	}
	at := time.Now()
	switch {
	case s.failed():
		r.notStarted(k, c)
	case s.state == created:
		if first {
			r.emit(observe.Observation{At: at, Container: &c})
		}
		if r.conn.Load() != nil {
			r.watchStart(k, at)
		}
	case s.started.IsZero():
		r.emit(observe.Observation{At: at, Container: &c})
	default:
		r.running(k, c)
	}
	r.flush(k)
}

// running tells a start, once, and the end where no event tells it.
func (r *run) running(k *known, c observe.Container) {
	delete(r.timed, k)
	x := c.Exit
	// The end is told by itself.
	c.Exit, c.ExitCode, c.FinishedAt = nil, nil, time.Time{}
	if k.startedAt.IsZero() {
		k.startedAt = c.StartedAt
		if c.PID == 0 {
			c.PID = cmp.Or(k.pid, k.last.pid) // it has ended meanwhile; CRI-O still says it
		}
		c.AnswersStart = c.StartedAt
		r.emit(observe.Observation{At: c.StartedAt, Event: &observe.Event{ID: k.id, Name: c.Name, Image: c.Image, Kind: observe.Started, Owed: true}})
		r.emit(observe.Observation{At: c.StartedAt, Container: &c})
	}
	if x != nil {
		r.flush(k) // the runtime's own event first
		r.ends(k, *x)
	}
}

// notStarted emits, once, the end of a container that never ran.
func (r *run) notStarted(k *known, c observe.Container) {
	delete(r.timed, k)
	if k.ended {
		return
	}
	k.ended = true
	x := *c.Exit
	if x.At.IsZero() {
		x.At = time.Now().UTC()
	}
	c.Exit, c.ExitCode, c.StartedAt, c.FinishedAt = nil, nil, time.Time{}, time.Time{}
	r.emit(observe.Observation{At: x.At, Container: &c})
	r.emit(observe.Observation{At: x.At, Exit: &observe.Exit{ID: k.id, Name: c.Name, Image: c.Image, Exit: x}})
}

// flush tells the moments that waited until it was known what they are of.
func (r *run) flush(k *known) {
	if k.startedAt.IsZero() {
		return
	}
	held := k.held
	k.held = nil
	for _, m := range held {
		if m.topic != "/tasks/start" {
			r.tell(k, m)
		}
	}
}

// afterDeath emits what was learned after a death.
func (r *run) afterDeath(a answer) {
	d := observe.Detail{ID: a.id, DiedAt: a.at, LogTail: a.tail.Shown, RawTail: a.tail.Raw, Problem: problem(&a), Filesystems: a.disks, FilesystemsUnread: a.unread}
	if a.status != nil && a.status.state == exited && !a.status.failed() {
		c := a.status.container(a.runtime, a.pod, 0)
		d.Inspect = &c
		if k := r.known[a.id]; k != nil {
			k.last = a.status
		}
	}
	r.emit(observe.Observation{At: a.at, Detail: &d})
}

// watchStart has a created container asked about until it runs.
func (r *run) watchStart(k *known, at time.Time) {
	if k.created.IsZero() {
		k.created = at
	}
	r.timed[k] = true
}

// busy is true while something is due by the clock.
func (r *run) busy() bool { return len(r.timed) > 0 || r.cursor.After(r.cursorSaid) }

// cursorEvery is the longest between an event and the cursor that covers it.
const cursorEvery = time.Second

// onTime asks what is due, and says how far the events have been read.
func (r *run) onTime(now time.Time) {
	if r.cursor.After(r.cursorSaid) && now.Sub(r.cursorAt) >= cursorEvery {
		r.cursorAt, r.cursorSaid = now, r.cursor
		r.emit(observe.Observation{At: r.cursor, Cursor: &observe.Cursor{Source: r.s.Name(), Value: r.cursor.Format(time.RFC3339Nano)}})
	}
	for k := range r.timed {
		switch {
		case k.asked:
		case !k.retry.IsZero():
			if !now.Before(k.retry) && r.conn.Load() != nil {
				k.retry = time.Time{}
				r.ask(job{kind: jobLook, id: k.id})
			}
		case k.created.IsZero() || k.check >= len(checkAfter):
			delete(r.timed, k)
		case now.Sub(k.created) >= checkAfter[k.check]:
			k.check++
			r.ask(job{kind: jobLook, id: k.id})
		}
	}
}

// notBefore is an end's time. The runtime notes a start when it has been told of it, by
// which time a program that exits at once has ended: a container has one run, and that
// begins before it ends.
func notBefore(end, start time.Time) time.Time {
	if !end.IsZero() && end.Before(start) {
		return start
	}
	return end
}

// exitOf is the end that an event tells.
func exitOf(m *moment) incident.Exit {
	at := m.end
	if at.IsZero() {
		at = m.at
	}
	return incident.Exit{At: at, ExitCode: m.code, Raw: m.raw()}
}
