package docker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// run is the state of one Run. Everything not marked otherwise belongs to loop,
// the one goroutine that emits.
type run struct {
	s    *Source
	emit func(observe.Observation)

	// Shared with the connection and the workers.
	inbox       *inbox
	conn        atomic.Pointer[connection] // nil while there is none
	lastEvent   atomic.Int64               // time of the newest event read, in ns
	connectedAt atomic.Int64               // time of the first connection, in ns
	slow        chan job
	quick       chan job
	deaths      chan job
	answers     chan answer
	lists       chan listing

	wg     *sync.WaitGroup // for the goroutines of reconciles
	known  map[string]*known
	seen   *seenSet
	checks map[string]*check
	rec    reconcile
	state  observe.SourceState
	said   bool // state was emitted at least once

	cursor     time.Time // newest event emitted
	cursorSaid time.Time // what the last Cursor said
	cursorDue  time.Time
}

// known is what the source itself must know of a container.
type known struct {
	tty, rm  bool
	started  bool // or its end was seen: it is no matter of a start that failed
	failed   bool // a failed start was told
	cleaned  bool // Podman cleaned up after a start that failed
	shadow   shadow
	begun    time.Time // of its present run, by the engine's event
	ended    time.Time // the newest end whose last words were asked for
	listed   bool      // a list told that end
	disks    []incident.Filesystem
	detailed time.Time // the end of which a detail was emitted last
}

// maxKnown bounds the containers remembered; beyond it an arbitrary one goes,
// which costs a detail and no death.
const maxKnown = 20000

func newRun(s *Source, emit func(observe.Observation)) *run {
	r := &run{
		s: s, emit: emit, inbox: newInbox(s.pace.ring),
		slow: make(chan job, 512), quick: make(chan job, 512), deaths: make(chan job, 512),
		answers: make(chan answer), lists: make(chan listing),
		known: map[string]*known{}, seen: newSeenSet(2048), checks: map[string]*check{},
		cursor: s.opts.Since, cursorSaid: s.opts.Since,
	}
	if !s.opts.Since.IsZero() {
		r.lastEvent.Store(s.opts.Since.UnixNano())
	}
	return r
}

// loop takes what comes and emits, until ctx ends.
func (r *run) loop(ctx context.Context, wg *sync.WaitGroup) {
	r.wg = wg
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.inbox.ready:
			r.drain(ctx)
		case a := <-r.answers:
			r.answered(a)
		case l := <-r.lists:
			r.listed(l)
		case <-timer.C:
		}
		now := time.Now()
		r.runChecks(now)
		r.stepReconcile(ctx, now)
		r.sayCursor(now)
		timer.Reset(max(0, r.next(now).Sub(now)))
	}
}

// next is when the loop has something to do by itself.
func (r *run) next(now time.Time) time.Time {
	next := now.Add(time.Minute)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	for _, c := range r.checks {
		if !c.asked {
			sooner(c.due)
		}
	}
	sooner(r.rec.due)
	if !r.cursor.Equal(r.cursorSaid) {
		sooner(r.cursorDue)
	}
	return next
}

// drain takes everything that waits in the inbox.
func (r *run) drain(ctx context.Context) {
	for ctx.Err() == nil {
		msgs, lost, notes := r.inbox.take(256)
		if lost.Lost > 0 {
			lost.Source, lost.Reason = r.s.Name(), "the engine's events came faster than oomwatch could read them"
			r.s.metrics.dropped.Add(float64(lost.Lost))
			r.emit(observe.Observation{At: lost.To, Lost: &lost})
			r.rec.again = true
		}
		for _, m := range msgs {
			r.event(m)
		}
		for _, n := range notes {
			r.note(n)
		}
		if len(msgs) == 0 {
			return
		}
	}
}

// event takes one event of the engine.
func (r *run) event(m events.Message) {
	m = asDocker(m)
	at := eventTime(m)
	if !r.seen.add(keyOf(m)) {
		r.s.metrics.duplicates.Inc()
		return
	}
	id := m.Actor.ID
	k := r.get(id)
	k.shadow.learn(m)
	o, ok := observation(m, k.shadow)
	if !ok {
		r.s.metrics.events.WithLabelValues("other").Inc()
		return
	}
	r.s.metrics.events.WithLabelValues(string(m.Action)).Inc()
	r.rec.touch(id)
	if at.After(r.cursor) || r.cursor.Sub(at) > setBack {
		r.cursor = at
		if r.cursorDue.IsZero() {
			r.cursorDue = time.Now().Add(r.s.pace.cursor)
		}
	}
	switch m.Action {
	case events.ActionCreate:
		r.emit(o)
		r.offer(job{kind: jobCreate, id: id, at: at})
		r.watchStart(id, time.Now())
	case events.ActionStart:
		if k.started, k.begun = true, at; k.detailed.Sub(at) > setBack {
			k.detailed = time.Time{} // that was an earlier run
		}
		delete(r.checks, id)
		o.Event.Owed = r.offer(job{kind: jobStart, id: id, at: at})
		r.emit(o)
	case events.ActionRename, events.ActionUpdate:
		r.emit(o)
		r.offer(job{kind: jobChange, id: id, at: at})
	case events.ActionDie:
		k.started = true
		delete(r.checks, id)
		r.died(o, k)
	case events.ActionDestroy:
		r.destroyed(o, k)
	case podmanCleanup:
		if c := r.checks[id]; c != nil && !k.started {
			k.cleaned, c.due = true, time.Now()
		}
	default:
		r.emit(o)
	}
}

// early is how long before the engine notes its start a program may write.
const early = 500 * time.Millisecond

// setBack is how far a new event must lie before what is known already for the host's clock
// to have been set back: engines repeat events of the last seconds only.
const setBack = 10 * time.Second

// sameEnd is how long after an end its "die" comes at the latest, but from an engine
// that hung: that asks twice.
const sameEnd = 10 * time.Second

// died emits a death and asks for what can still be learned of it.
func (r *run) died(o observe.Observation, k *known) {
	j := job{kind: jobDeath, id: o.Exit.ID, at: o.At, tty: k.tty, rm: k.rm, disks: k.disks}
	if !k.begun.IsZero() && !k.begun.After(o.At) {
		j.since = k.begun.Add(-early)
	}
	// Who ended well is not told of, and many do (jobs, health checks).
	j.logs = r.s.opts.LogLines > 0 && (o.Exit.ExitCode != 0 || k.shadow.exitCode)
	if k.listed && k.begun.Before(k.ended) && o.At.Sub(k.ended) < sameEnd && !k.shadow.exitCode {
		// A list told it first, and has asked.
		r.emit(o)
		return
	}
	k.ended, k.listed = o.At, false
	if k.shadow.exitCode {
		j.exit = &o // a label hides the exit code: the death waits for the engine's answer
		o.Exit.DetailPending = true
	}
	offered := r.offer(j)
	if offered && j.exit != nil {
		return
	}
	o.Exit.DetailPending = offered
	r.emit(o)
}

// note takes a word from the connection.
func (r *run) note(n note) {
	switch {
	case n.connected != nil:
		h := n.connected.host
		r.emit(observe.Observation{At: n.at, Host: &h})
		st := observe.SourceState{Name: r.s.Name(), Kind: observe.KindEngine, Up: true}
		if w := n.connected.weak; w != nil {
			st.Reason, st.Fix = w.reason, w.fix
		}
		r.say(st, n.at)
		r.rec.again = true
	case !n.reach.IsZero():
		r.emit(observe.Observation{At: n.at, Horizon: &incident.Horizon{Source: r.s.Name(), Read: true, From: n.reach}})
	case n.answers:
		r.say(observe.SourceState{Name: r.s.Name(), Kind: observe.KindEngine, Up: true}, n.at)
		r.rec.again = true
	case n.trouble != nil && r.s.opts.Optional && !r.said && n.trouble.absent:
	case n.trouble != nil:
		r.say(observe.SourceState{Name: r.s.Name(), Kind: observe.KindEngine, Reason: n.trouble.reason, Fix: n.trouble.fix}, n.at)
	}
}

// say emits the source's state when it has changed.
func (r *run) say(st observe.SourceState, at time.Time) {
	if r.said && st == r.state {
		return
	}
	r.said, r.state = true, st
	r.emit(observe.Observation{At: at, Source: &st})
}

// sayCursor emits how far the events have been read, now and then.
func (r *run) sayCursor(now time.Time) {
	if r.cursor.Equal(r.cursorSaid) || now.Before(r.cursorDue) {
		return
	}
	r.cursorSaid, r.cursorDue = r.cursor, time.Time{}
	r.emit(observe.Observation{At: r.cursor, Cursor: &observe.Cursor{Source: r.s.Name(), Value: r.cursor.Format(time.RFC3339Nano)}})
}

// get returns what is known of a container.
func (r *run) get(id string) *known {
	k := r.known[id]
	if k == nil {
		if len(r.known) >= maxKnown {
			for old := range r.known {
				delete(r.known, old)
				break
			}
		}
		k = &known{}
		r.known[id] = k
	}
	return k
}

// learn notes what the source needs of a container.
func (r *run) learn(d *document) {
	k := r.get(d.ID)
	if d.Config != nil {
		k.tty = d.Config.Tty
		k.shadow.learnLabels(d.Config.Labels)
	}
	if d.HostConfig != nil {
		k.rm, k.disks = d.HostConfig.AutoRemove, d.filesystems()
	}
}
