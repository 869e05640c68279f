package cri

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/observe"
)

// run is the state of one Run. Everything not marked otherwise belongs to loop, the one
// goroutine that emits.
type run struct {
	s    *Source
	emit func(observe.Observation)

	// Shared with the connection and the workers.
	inbox   *inbox
	conn    atomic.Pointer[connection] // nil while there is none
	listNow chan struct{}
	jobs    chan job
	answers chan answer

	known map[string]*known
	pods  podCache
	timed map[*known]bool // with something due by the clock
	state observe.SourceState
	said  bool // state was emitted at least once

	first      bool // the list that comes is the first of a connection
	full       *fullList
	reconciled time.Time
	overflow   []job // that wait for a worker

	cursor, cursorSaid time.Time // the newest event, and what the last Cursor said
	cursorAt           time.Time // when it was said
}

// known is what is known of a container, or of a sandbox.
type known struct {
	id string
	// told is true once its Container was emitted: it is a container of the runtime's.
	told   bool
	toldAt time.Time
	// pod is true for a sandbox, of which nothing is told.
	pod   bool
	asked bool // an answer is awaited
	again bool // and one more question is to follow
	tries int
	retry time.Time

	pid       int
	startedAt time.Time // by the runtime's status
	ended     bool      // an Exit was emitted
	last      *status
	held      []moment // until it is known what it is

	// created is when it was seen created, for one that has not started yet.
	created time.Time
	check   int // how often it was asked since
}

// maxKnown bounds the containers and sandboxes that are remembered, maxHeld the moments
// that wait for one of them.
const (
	maxKnown = 20000
	maxHeld  = 16
)

func newRun(s *Source, emit func(observe.Observation)) *run {
	return &run{s: s, emit: emit, inbox: newInbox(s.pace.ring), listNow: make(chan struct{}, 1),
		jobs: make(chan job, workers), answers: make(chan answer, workers), known: map[string]*known{}, timed: map[*known]bool{},
		pods: podCache{all: map[string]*sandbox{}}}
}

// loop takes what comes and emits, until ctx ends.
func (r *run) loop(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var jobs chan<- job
		var next job
		if len(r.overflow) > 0 {
			jobs, next = r.jobs, r.overflow[0]
		}
		var due <-chan time.Time
		if r.busy() {
			due = tick.C // only while something is due by the clock
		}
		select {
		case <-ctx.Done():
			return
		case jobs <- next:
			r.overflow = r.overflow[1:]
		case <-r.inbox.ready:
			r.drain()
		case a := <-r.answers:
			r.answered(a)
		case <-due:
		}
		r.onTime(time.Now())
	}
}

// drain takes all that waits in the inbox.
func (r *run) drain() {
	moments, notes, lost := r.inbox.take()
	if lost > 0 {
		now := time.Now()
		r.emit(observe.Observation{At: now, Lost: &incident.Gap{Source: r.s.Name(), From: now, To: now, Lost: lost, Reason: "the runtime's events came faster than oomwatch could read them"}})
		r.first = true // a full list makes it good
		r.wantList()
	}
	for _, m := range moments {
		r.moment(m)
	}
	for _, n := range notes {
		r.note(n)
	}
}

// note takes a word from the connection.
func (r *run) note(n note) {
	switch {
	case n.connected != nil:
		h := n.connected.host
		r.emit(observe.Observation{At: n.at, Host: &h})
		r.say(observe.SourceState{Name: r.s.Name(), Kind: observe.KindEngine, Up: true}, n.at)
		r.first, r.full = true, nil
	case n.listed != nil:
		if n.listed.conn == r.conn.Load() {
			r.listed(n.listed)
		}
	case n.trouble != nil:
		if r.s.opts.Optional && !r.said && (n.trouble.absent || n.trouble.mute) {
			r.s.log.Debug("no runtime is followed here", zap.String("socket", r.s.socket), zap.String("reason", n.trouble.reason))
			return
		}
		r.full = nil
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

// moment takes an event.
func (r *run) moment(m moment) {
	if m.id == "" {
		return
	}
	if m.at.After(r.cursor) {
		r.cursor = m.at
	}
	k := r.get(m.id)
	switch m.topic {
	case "/containers/create":
		r.watchStart(k, m.at)
		return
	case "/tasks/start":
		k.pid, k.created, k.check = m.pid, time.Time{}, 0
		k.tries, k.retry = 0, time.Time{}
		k.held = append(k.held, m)
		r.ask(job{id: m.id, kind: jobStart})
		return
	}
	if k.pod || len(k.held) >= maxHeld {
		if m.topic == "/containers/delete" {
			delete(r.known, m.id)
		}
		return
	}
	if !k.told || k.startedAt.IsZero() {
		k.held = append(k.held, m)
		return
	}
	r.tell(k, m)
}

// tell emits a moment of a container whose start was emitted.
func (r *run) tell(k *known, m moment) {
	switch m.topic {
	case "/tasks/oom":
		r.emit(observe.Observation{At: m.at, Event: &observe.Event{ID: k.id, Kind: observe.OOM, Raw: m.raw()}})
	case "/tasks/exit":
		r.ends(k, exitOf(&m))
	case "/containers/delete":
		r.emit(observe.Observation{At: m.at, Event: &observe.Event{ID: k.id, Kind: observe.Removed, Raw: m.raw()}})
		if !k.asked {
			delete(r.known, k.id)
		}
	}
}

// raw is an event as ctr events prints it, shortened.
func (m *moment) raw() string {
	return m.at.Format(time.RFC3339Nano) + " " + namespace + " " + m.topic + " " + m.id
}

// ends emits an end once, and has what can still be learned of it asked for.
func (r *run) ends(k *known, x incident.Exit) {
	if k.ended {
		return
	}
	k.ended = true
	x.At = notBefore(x.At, k.startedAt)
	o := observe.Exit{ID: k.id, Exit: x, DetailPending: true}
	if s := k.last; s != nil {
		o.Name, o.Image = s.name, s.image
	}
	r.emit(observe.Observation{At: x.At, Exit: &o})
	r.ask(job{id: k.id, kind: jobDeath, at: x.At, logs: r.s.opts.LogLines > 0 && x.ExitCode != 0, last: k.last})
}

// get returns what is known of an id.
func (r *run) get(id string) *known {
	k := r.known[id]
	if k == nil {
		if len(r.known) >= maxKnown {
			for old := range r.known {
				delete(r.known, old)
				break
			}
		}
		k = &known{id: id}
		r.known[id] = k
	}
	return k
}

// wantList has the connection list at once.
func (r *run) wantList() {
	select {
	case r.listNow <- struct{}{}:
	default:
	}
}

// isGone is true where the runtime knows no such container: it is a sandbox, or removed.
func isGone(err error) bool { return grpcread.IsCode(err, grpcread.NotFound) }
