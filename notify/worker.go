package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
)

// GiveUp is how long what is owed is tried, or waits, before it is parked.
const GiveUp = 72 * time.Hour

// How long a failing delivery waits, and what bounds a worker.
const (
	// A message that failed is tried again soon, at most quickWait apart, for
	// quickTries attempts; then it is the message that is bad, and it comes rarely.
	firstWait   = 500 * time.Millisecond
	quickWait   = 15 * time.Second
	quickTries  = 20
	longestWait = 30 * time.Minute
	// atOnce bounds the deliveries that are read from the queue together, and
	// with it those of one digest.
	atOnce = 500
	// idle is how long a receiver's worker sleeps when nothing is owed.
	idle = time.Minute
	// threadLife is how long after the last message a thread is added to.
	threadLife = 24 * time.Hour
	// settleWait bounds one try to note an outcome; troubleWait lies between two.
	settleWait  = 10 * time.Second
	troubleWait = time.Second
)

// worker delivers to one receiver.
type worker struct {
	o      *Outbox
	r      Receiver
	traits Traits
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	ready  chan struct{} // closed when the worker before it has ended; nil where there was none
	before *worker       // the one of the same name that it takes over from; nil for none
	beat   atomic.Int64  // unix nanoseconds of the last round
	down   atomic.Pointer[string]

	again atomic.Bool // somebody asked to try anew

	mu     sync.Mutex // one round at a time
	pace   pace
	outage outage
	hold   time.Time // the receiver asked for peace until then
	asked  time.Time // when somebody last asked to try anew
	gone   bool      // the receiver is no more
	tokens float64
	filled time.Time
}

func newWorker(o *Outbox, r Receiver) *worker {
	w := &worker{o: o, r: r, traits: r.Notifier.Traits(), wake: make(chan struct{}, 1), tokens: float64(r.Burst), filled: time.Now()}
	if w.traits.Digest != nil {
		w.pace.perMinute, w.pace.budget = o.group.StormPerMinute, o.group.Budget
	}
	w.beat.Store(time.Now().UnixNano())
	return w
}

func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run goes round until ctx ends; attempts outlive it, and end with their own.
func (w *worker) run(ctx, attempts context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			if n := w.round(ctx, attempts, false); n == 0 {
				break
			}
		}
		timer.Reset(w.sleep(ctx))
	}
}

// close ends the receiver's idle connections; after the last attempt, as the one that
// is under way makes another.
func (w *worker) close() {
	if w.traits.Close != nil {
		w.traits.Close()
	}
}

// sleep is how long there is nothing to do.
func (w *worker) sleep(ctx context.Context) time.Duration {
	next, err := w.o.queue.NextDue(ctx, w.r.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || next.IsZero() {
		return idle
	}
	for _, t := range []time.Time{w.hold, w.outage.quietUntil(), w.pace.at} {
		if t.After(next) {
			next = t
		}
	}
	return min(max(time.Until(next), 10*time.Millisecond), idle)
}

// round makes one attempt at each delivery that is due, grouped, and returns how
// many were settled; 0 when there is nothing to do before the next one is due.
// When ctx ends no other attempt is begun; one under way ends with attempts, or by
// itself. hurry is true when the program is about to end.
func (w *worker) round(ctx, attempts context.Context, hurry bool) int {
	if !w.hasTakenOver(ctx) {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.beat.Store(now.UnixNano())
	defer w.say()
	if w.again.Swap(false) {
		w.gone, w.hold, w.outage, w.asked = false, time.Time{}, outage{}, now
	}
	if w.hold.After(now) {
		return 0
	}
	due, err := w.o.queue.Due(ctx, w.r.Name, now, atOnce)
	if err != nil {
		if ctx.Err() == nil {
			w.o.log.Error("cannot read the pending deliveries", zap.String("receiver", w.r.Name), zap.Error(err))
		}
		return 0
	}
	list, pausing := w.o.group.messages(due, now)
	w.setApart(list)
	count := w.putOff(ctx, attempts, pausing)
	if w.outage.suspect() || w.outage.refusesFor(now) > GiveUp {
		var old int
		list, old = w.expire(attempts, list, now)
		count += old
	}
	if w.traits.Digest != nil {
		list = w.outage.fold(list, now)
	}
	threads := map[string]string{} // what this round began
	failed := map[string]bool{}    // lanes in which something failed: the rest waits behind it
	for _, m := range w.pace.sort(list, now, hurry) {
		if ctx.Err() != nil || w.hold.After(time.Now()) {
			return count
		}
		if m.behind(failed) || !w.outage.mayTry(m, time.Now()) {
			continue
		}
		if !w.permit(ctx) {
			return count
		}
		w.beat.Store(time.Now().UnixNano())
		suspect := w.outage.suspect()
		told := w.send(attempts, m, threads)
		if suspect && !w.outage.suspect() {
			return count + len(m.deliveries) // now the rest is looked at anew
		}
		if !told {
			for _, d := range m.deliveries {
				failed[laneOf(&d)] = true
			}
		}
		count += len(m.deliveries)
	}
	if len(failed) > 0 || w.outage.quietUntil().After(time.Now()) {
		return 0 // the rest is due later
	}
	return count
}

// setApart marks what a receiver that keeps alerts open must get by itself.
func (w *worker) setApart(list []message) {
	if !w.traits.KeepsOpen {
		return
	}
	for i := range list {
		list[i].single = list[i].update() || list[i].newest().Incident.Over()
	}
}

// say publishes whether the receiver can be reached.
func (w *worker) say() {
	word := w.outage.reason
	if w.gone {
		word = "the receiver is gone (410)"
	}
	w.down.Store(&word)
}

// putOff leaves repeats in the queue until their pause is over.
func (w *worker) putOff(ctx, attempts context.Context, pausing []message) (n int) {
	for _, m := range pausing {
		if ctx.Err() != nil {
			break
		}
		first := m.deliveries[0]
		w.note(attempts, incident.Outcome{State: incident.Pending, At: time.Now(), NotTried: true, Held: true, Next: first.Last.At.Add(first.Last.Wait)}, m.deliveries)
		n += len(m.deliveries)
	}
	return n
}

// owedSince is when a message was kept or, where that is later, when it was first
// tried or somebody asked for it to be tried again: it is not given up at the next
// failure then.
func (w *worker) owedSince(m message) time.Time {
	since := w.asked
	for _, t := range []time.Time{m.deliveries[0].KeptAt, m.deliveries[0].FirstAttempt} {
		if t.After(since) {
			since = t
		}
	}
	return since
}

// expire gives up what a receiver that is down has been owed for too long.
func (w *worker) expire(ctx context.Context, all []message, now time.Time) (rest []message, n int) {
	for _, m := range all {
		if now.Sub(w.owedSince(m)) <= GiveUp {
			rest = append(rest, m)
			continue
		}
		n += len(m.deliveries)
		w.settle(ctx, m, incident.Outcome{State: incident.Parked, At: now, NotTried: true,
			Error: fmt.Sprintf("the receiver took nothing for %s: %s", incident.FormatDuration(GiveUp), w.outage.reason)}, nil)
	}
	return rest, n
}

// permit waits until another message may be sent.
func (w *worker) permit(ctx context.Context) bool {
	if w.r.Every <= 0 {
		return true
	}
	now := time.Now()
	w.tokens = min(w.tokens+now.Sub(w.filled).Seconds()/w.r.Every.Seconds(), float64(max(w.r.Burst, 1)))
	w.filled = now
	if w.tokens >= 1 {
		w.tokens--
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration((1 - w.tokens) * float64(w.r.Every))):
		w.tokens, w.filled = 0, time.Now()
		return true
	}
}

// send makes one attempt and settles it; it returns whether the receiver has it
// or never will. threads are those that this round began, by key.
func (w *worker) send(ctx context.Context, m message, threads map[string]string) bool {
	if w.gone {
		w.settle(ctx, m, incident.Outcome{State: incident.Parked, At: time.Now(), NotTried: true, Error: "the receiver is gone"}, nil)
		return true
	}
	batch := ""
	if len(m.deliveries) > 1 || m.fixed() {
		batch = m.batch()
	}
	begin := func() {
		if err := w.o.queue.Begin(ctx, batch, m.deliveries...); err != nil {
			// It is told all the same: a full disk must not silence an alert.
			w.o.log.Error("cannot note an attempt; the alert is sent all the same", zap.String("receiver", w.r.Name), zap.Error(err))
		}
	}
	var noted sync.WaitGroup
	if batch != "" {
		begin() // what goes together must be known before it goes
	} else {
		noted.Go(begin) // the alert does not wait for a note that only a crash needs
	}
	began := time.Now()
	thread, err := w.notify(ctx, m, threads)
	w.o.latency.WithLabelValues(w.r.Name).Observe(time.Since(began).Seconds())
	noted.Wait()
	if err == nil {
		crashpoint.At("after-2xx")
	}
	out := w.outcome(m, err)
	if out.State == incident.Delivered {
		w.pace.sent(m, out.At)
		w.o.group.told(&m, out.At, thread)
		if thread != "" {
			threads[keyOf(&m.deliveries[0])] = thread
		}
	}
	w.settle(ctx, m, out, err)
	return out.State != incident.Pending
}

// notify hands a message to the receiver's Notifier, and returns the thread that
// it is in.
func (w *worker) notify(ctx context.Context, m message, threads map[string]string) (string, error) {
	if m.digest && w.traits.Digest != nil {
		return "", w.traits.Digest(ctx, m.id(), incident.NewDigest(m.deliveries, w.r.Name, m.late).Linked(w.o.link))
	}
	a := m.alert(w.o.link)
	if t, ok := threads[keyOf(&m.deliveries[0])]; ok {
		a.Thread = t
	}
	if w.traits.Thread != nil {
		return w.traits.Thread(ctx, a)
	}
	return "", w.r.Notifier.Notify(ctx, a)
}

// outcome turns a Notifier's answer into what becomes of the delivery.
func (w *worker) outcome(m message, err error) incident.Outcome {
	now := time.Now()
	out := incident.Outcome{State: incident.Delivered, At: now}
	if err == nil {
		w.outage.over(now)
		return out
	}
	out.Error = err.Error()
	var rejected *Rejected
	if errors.As(err, &rejected) {
		w.outage.over(now) // it answers
		out.State = incident.Parked
		w.gone = w.gone || rejected.Gone
		return out
	}
	first := m.deliveries[0]
	out.Next = now.Add(backoff(first.Attempts))
	var later *RetryAfter
	if errors.As(err, &later) {
		// The receiver asks for peace from all, not from this one message.
		w.outage.refused(now, err)
		if later.At.After(now) {
			out.Next, w.hold = later.At, later.At
		}
	} else {
		out.Next = w.outage.failed(now, out.Next, m, err)
	}
	if !first.FirstAttempt.IsZero() && now.Sub(first.FirstAttempt) > GiveUp || w.outage.suspect() && now.Sub(w.owedSince(m)) > GiveUp {
		out.State = incident.Parked
		out.Error = fmt.Sprintf("given up after %s: %s", incident.FormatDuration(GiveUp), out.Error)
		return out
	}
	out.State = incident.Pending
	var unsure *Unsure
	out.Unknown = errors.As(err, &unsure)
	return out
}

// backoff is how long a message waits after so many attempts: it doubles, stays short
// for long, as the receiver may only fail now and then, and doubles on from there.
func backoff(attempts int) time.Duration {
	d := min(firstWait<<min(max(attempts, 0), 12), quickWait)
	if late := attempts - quickTries; late >= 0 {
		d = min(quickWait<<min(late, 12), longestWait)
	}
	return spread(d)
}

// spread makes a time up to a fifth longer or shorter, so that many watchers do not
// come back to a receiver in the same moment.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// note writes an outcome, and tries until the queue has it: what was sent would be
// sent again. When ctx ends it is tried once more, as the program is about to end.
func (w *worker) note(ctx context.Context, out incident.Outcome, ds []incident.Delivery) {
	crashpoint.At("before-mark")
	for said := false; ; said = true {
		ended := ctx.Err() != nil
		try, cancel := context.WithTimeout(context.Background(), settleWait)
		err := w.o.queue.Settle(try, out, ds...)
		cancel()
		if err == nil {
			return
		}
		if ended || !said {
			w.o.log.Error("cannot keep an outcome yet; nothing else is sent until it is kept", zap.String("receiver", w.r.Name), zap.Bool("given_up", ended), zap.Error(err))
		}
		if ended {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(troubleWait):
		}
	}
}

// settle writes the outcome for every delivery of a message, and says it.
func (w *worker) settle(ctx context.Context, m message, out incident.Outcome, err error) {
	w.note(ctx, out, m.deliveries)
	w.o.results.WithLabelValues(w.r.Name, string(out.State)).Inc()
	id := m.deliveries[0].Incident.ID
	switch {
	case out.State == incident.Parked:
		w.o.log.Error("alert dead-lettered", zap.String("receiver", w.r.Name), zap.String("incident", id), zap.Int("deliveries", len(m.deliveries)), zap.String("reason", out.Error))
		w.o.trouble(Trouble{Receiver: w.r.Name, Gone: w.gone, Parked: len(m.deliveries), Reason: out.Error})
	case err != nil:
		w.o.log.Warn("alert not delivered; it is tried again", zap.String("receiver", w.r.Name), zap.String("incident", id),
			zap.Time("next", out.Next), zap.String("reason", out.Error))
	}
}
