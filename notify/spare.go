package notify

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Bounds on what is held in memory while the queue on disk cannot be written.
const (
	maxSpare   = 1000  // deliveries that wait
	maxSettled = 10000 // outcomes that are to be noted yet
)

// spare stands before a Queue that may fail (a full disk): what cannot be kept
// there waits in memory, bounded, and what became of it is noted as soon as that
// is possible. An alert is told all the same, and not again and again.
type spare struct {
	queue Queue

	mu    sync.Mutex
	list  []*spareItem      // not in the queue, in order
	taken map[string]string // incident → its news, when all of it is in list
	owed  []settled         // what the queue could not note
	late  map[string]lateWord
	lost  int64
}

// lateWord is an outcome that the queue could not note.
type lateWord struct {
	incident string
	incident.Word
}

// spareItem is a delivery that is in memory only.
type spareItem struct {
	incident.Delivery
	out incident.Outcome // State is Pending until it is settled
}

// word is the item as those after it see it.
func (x *spareItem) word() incident.Word {
	return incident.Word{Rev: x.Rev, News: x.Incident.News(), Outcome: x.out}
}

// Unkept is an incident that cannot be kept, and is told all the same.
type Unkept struct {
	Incident *incident.Incident
	// Receivers are owed the first word on it. Where it is an Update, whoever has
	// had that is owed the news.
	Receivers []string
	Update    bool
	// Had is asked who has had what of it that is kept; nil for nobody.
	Had func() map[string]incident.Word
}

func newSpare(q Queue) *spare {
	return &spare{queue: q, taken: map[string]string{}, late: map[string]lateWord{}}
}

// add owes what cannot be kept, once however often it is offered.
func (s *spare) add(u Unkept, now time.Time) {
	inc, news := u.Incident, u.Incident.News()
	s.mu.Lock()
	done := s.taken[inc.ID] == news
	s.mu.Unlock()
	if done {
		return
	}
	last := map[string]incident.Word{}
	if u.Had != nil {
		last = u.Had()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine, waiting := map[string]*spareItem{}, 0
	for _, x := range s.list {
		if x.out.State == incident.Pending {
			waiting++
		}
		if x.Incident.ID == inc.ID && x.Rev >= last[x.Receiver].Rev {
			last[x.Receiver], mine[x.Receiver] = x.word(), x
		}
	}
	names := slices.Clone(u.Receivers)
	if u.Update {
		for _, name := range slices.Sorted(maps.Keys(last)) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	all := true
	for _, name := range names {
		was, known := last[name]
		x := mine[name]
		if w, ok := s.late[incident.UpdateID(inc.ID, was.Rev, name)]; ok && x == nil {
			was.Outcome = w.Outcome
		}
		rev := 0
		switch {
		case known && (!u.Update || was.News == news):
			continue
		case x != nil && x.out.At.IsZero() && !x.Unknown:
			x.Incident, x.Key = inc, inc.Key() // it has not gone out: it tells the news itself
			continue
		case known && x == nil && was.Outcome.State == incident.Pending:
			all = false // the queue's own goes first
			continue
		case known:
			rev = was.Rev + 1
		}
		if waiting >= maxSpare || len(s.list) >= maxSettled {
			s.lost++
			all = false
			continue
		}
		waiting++
		s.push(inc, name, rev, now)
	}
	if all {
		if len(s.taken) >= maxSettled {
			clear(s.taken)
		}
		s.taken[inc.ID] = news
	}
}

// push adds a delivery; s.mu is held.
func (s *spare) push(inc *incident.Incident, receiver string, rev int, now time.Time) {
	s.list = append(s.list, &spareItem{out: incident.Outcome{State: incident.Pending}, Delivery: incident.Delivery{
		ID: incident.UpdateID(inc.ID, rev, receiver), Receiver: receiver, Rev: rev, Incident: inc, Lane: inc.Lane(), Key: inc.Key(), KeptAt: now}})
}

// past is what became so far of an incident's deliveries that are in memory only, or
// whose outcome is, by their ids; nil where there are none.
func (s *spare) past(id string) map[string]incident.Word {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]incident.Word{}
	for delivery, w := range s.late {
		if w.incident == id {
			out[delivery] = w.Word
		}
	}
	for _, x := range s.list {
		if x.Incident.ID == id {
			out[x.ID] = x.word()
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// kept notes that an incident is in the queue now, with the past that was asked for.
func (s *spare) kept(id string, past map[string]incident.Word) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, id)
	rest := s.list[:0]
	for _, x := range s.list {
		if x.Incident.ID != id {
			rest = append(rest, x)
			continue
		}
		if was := past[x.ID].Outcome; was.State != x.out.State || was.At != x.out.At {
			s.owe(x.out, x.Delivery) // it was settled meanwhile
		}
	}
	clear(s.list[len(rest):])
	s.list = rest
}

// owe notes an outcome for the queue to take later; s.mu is held.
func (s *spare) owe(out incident.Outcome, ds ...incident.Delivery) {
	if len(s.owed) >= maxSettled {
		s.lost++
		return
	}
	ds = slices.Clone(ds)
	for i := range ds {
		w := lateWord{Word: incident.Word{Rev: ds[i].Rev, Outcome: out}}
		if inc := ds[i].Incident; inc != nil {
			w.incident, w.News = inc.ID, inc.News()
		}
		s.late[ds[i].ID] = w
		ds[i].Incident = nil // it is not needed any more
	}
	s.owed = append(s.owed, settled{out, ds})
}

// repay notes in the queue what it could not note before; s.mu is held.
func (s *spare) repay(ctx context.Context) {
	for len(s.owed) > 0 {
		if s.queue.Settle(ctx, s.owed[0].out, s.owed[0].ds...) != nil {
			return
		}
		for _, d := range s.owed[0].ds {
			delete(s.late, d.ID)
		}
		s.owed = s.owed[1:]
	}
}

// Due implements Queue.
func (s *spare) Due(ctx context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error) {
	s.mu.Lock()
	s.repay(ctx)
	s.mu.Unlock()
	due, err := s.queue.Due(ctx, receiver, now, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.late) > 0 {
		kept := due[:0]
		for _, d := range due {
			if w, ok := s.late[d.ID]; !ok || w.Outcome.State == incident.Pending && !w.Outcome.Next.After(now) {
				kept = append(kept, d)
			}
		}
		due = kept
	}
	waiting := map[string]bool{} // lanes
	for _, x := range s.list {
		if x.Receiver != receiver || x.out.State != incident.Pending || waiting[x.Lane] || len(due) >= limit {
			continue
		}
		if x.out.Next.After(now) {
			waiting[x.Lane] = !x.out.Held
			continue
		}
		due = append(due, x.Delivery)
	}
	if len(due) > 0 {
		return due, nil
	}
	return nil, err
}

// Begin implements Queue.
func (s *spare) Begin(ctx context.Context, batch string, ds ...incident.Delivery) error {
	s.mu.Lock()
	rest := s.split(ds, func(x *spareItem, _ incident.Delivery) { x.Unknown, x.Batch = true, batch })
	s.mu.Unlock()
	if len(rest) == 0 {
		return nil
	}
	return s.queue.Begin(ctx, batch, rest...)
}

// Settle implements Queue. It does not fail: what cannot be noted is noted later.
func (s *spare) Settle(ctx context.Context, o incident.Outcome, ds ...incident.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.split(ds, func(x *spareItem, d incident.Delivery) {
		x.out, x.Unknown, x.Last = o, d.Unknown && o.State == incident.Pending || o.Unknown, d.Last
		if !x.Unknown {
			x.Batch = ""
		}
		if !o.NotTried {
			x.Attempts++
			if x.FirstAttempt.IsZero() {
				x.FirstAttempt = o.At
			}
		}
		if newer := x.Incident; !o.NotTried && newer.News() != d.Incident.News() {
			x.Incident = d.Incident // brought up to date while it was on its way
			s.push(newer, x.Receiver, x.Rev+1, o.At)
		}
	})
	if len(rest) == 0 {
		return nil
	}
	if len(s.owed) > 0 {
		s.owe(o, rest...) // in order
		return nil
	}
	if err := s.queue.Settle(ctx, o, rest...); err != nil {
		s.owe(o, rest...)
		return err
	}
	return nil
}

// split hands those that are in memory only to f, and returns the others; s.mu is held.
func (s *spare) split(ds []incident.Delivery, f func(*spareItem, incident.Delivery)) (rest []incident.Delivery) {
	if len(s.list) == 0 {
		return ds
	}
	for _, d := range ds {
		mine := false
		for _, x := range s.list {
			if x.ID == d.ID {
				f(x, d)
				mine = true
			}
		}
		if !mine {
			rest = append(rest, d)
		}
	}
	return rest
}

// NextDue implements Queue.
func (s *spare) NextDue(ctx context.Context, receiver string) (time.Time, error) {
	next, err := s.queue.NextDue(ctx, receiver)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owed) > 0 || err != nil {
		// The queue is in trouble: what it says of the time is not to be believed.
		next = time.Now().Add(troubleWait)
	}
	for _, x := range s.list {
		if x.Receiver == receiver && x.out.State == incident.Pending && (next.IsZero() || x.out.Next.Before(next)) {
			next = x.out.Next
			if next.IsZero() {
				next = time.Now()
			}
		}
	}
	return next, nil
}

// troubleWait is how often a queue that fails is tried.
const troubleWait = time.Second

// counts are the deliveries in memory only that wait, by receiver, and how many
// there was no room for.
func (s *spare) counts() (waiting map[string]int64, lost int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting = map[string]int64{}
	for _, x := range s.list {
		if x.out.State == incident.Pending {
			waiting[x.Receiver]++
		}
	}
	return waiting, s.lost
}
