package docker

import (
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/incident"
)

// inbox lies between the goroutine that reads the engine's stream and the one
// that hands on. Putting never blocks: a reader that is late makes the engine
// wait 100 ms for it at every event, and every caller of the engine with it. When it is
// full the oldest event goes, and is counted.
type inbox struct {
	ready chan struct{} // has one token when there is something to take

	mu    sync.Mutex
	most  int
	ring  []events.Message // grows to most; the thousands are for a storm alone
	head  int              // index of the oldest
	n     int
	notes []note
	lost  incident.Gap
}

// note is a word from the connection to the loop.
type note struct {
	at        time.Time
	connected *connection // set when events flow
	answers   bool        // pings are answered again
	trouble   *trouble    // set when there is no connection, or pings go unanswered
	reach     time.Time   // the oldest event that the engine still holds
}

func newInbox(size int) *inbox {
	return &inbox{ready: make(chan struct{}, 1), most: size}
}

// grow makes room for more, in a ring that is full.
func (b *inbox) grow() {
	more := make([]events.Message, min(max(16, 2*len(b.ring)), b.most))
	n := copy(more, b.ring[b.head:])
	copy(more[n:], b.ring[:b.head])
	b.ring, b.head = more, 0
}

func (b *inbox) kick() {
	select {
	case b.ready <- struct{}{}:
	default: // a token is there already
	}
}

// put takes an event.
func (b *inbox) put(m events.Message) {
	b.mu.Lock()
	if b.n == len(b.ring) && b.n < b.most {
		b.grow()
	}
	if b.n == len(b.ring) {
		old := b.ring[b.head]
		at := eventTime(old)
		if b.lost.Lost == 0 {
			b.lost.From = at
		}
		b.lost.To = at
		b.lost.Lost++
		b.head = (b.head + 1) % len(b.ring)
		b.n--
	}
	b.ring[(b.head+b.n)%len(b.ring)] = m
	b.n++
	b.mu.Unlock()
	b.kick()
}

// maxNotes bounds the notes that wait; only the newest matter.
const maxNotes = 64

// tell takes a word from the connection.
func (b *inbox) tell(n note) {
	b.mu.Lock()
	if len(b.notes) == maxNotes {
		b.notes = append(b.notes[:0], b.notes[1:]...)
	}
	b.notes = append(b.notes, n)
	b.mu.Unlock()
	b.kick()
}

// take returns up to max events in order, what was lost before them, and, when
// no event is left behind, the notes.
func (b *inbox) take(max int) (msgs []events.Message, lost incident.Gap, notes []note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost, b.lost = b.lost, incident.Gap{}
	for ; b.n > 0 && len(msgs) < max; b.n-- {
		msgs = append(msgs, b.ring[b.head])
		b.ring[b.head] = events.Message{}
		b.head = (b.head + 1) % len(b.ring)
	}
	if b.n == 0 {
		notes, b.notes = b.notes, nil
	}
	return msgs, lost, notes
}

// eventTime is when an event happened, by the engine's clock.
func eventTime(m events.Message) time.Time {
	if m.TimeNano != 0 {
		return time.Unix(0, m.TimeNano).UTC()
	}
	return time.Unix(m.Time, 0).UTC()
}

// seenSet remembers the newest keys it was shown.
type seenSet struct {
	most  int
	keys  map[seenKey]struct{}
	order []seenKey // up to most; then the oldest, at next, makes room
	next  int
}

type seenKey struct {
	id, action string
	nano       int64
}

// keyOf is what an event that the engine repeats is known by.
func keyOf(m events.Message) seenKey {
	return seenKey{m.Actor.ID, string(m.Action), eventTime(m).UnixNano()}
}

func newSeenSet(size int) *seenSet {
	return &seenSet{most: size, keys: map[seenKey]struct{}{}}
}

// add returns false when the key was there.
func (s *seenSet) add(k seenKey) bool {
	if _, ok := s.keys[k]; ok {
		return false
	}
	s.keys[k] = struct{}{}
	if len(s.order) < s.most {
		s.order = append(s.order, k)
		return true
	}
	delete(s.keys, s.order[s.next])
	s.order[s.next] = k
	s.next = (s.next + 1) % len(s.order)
	return true
}
