package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// Queue is where deliveries wait; a store is one.
type Queue interface {
	// Due returns what a receiver is owed now, oldest first.
	Due(ctx context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error)
	// Begin notes that an attempt is about to be made.
	Begin(ctx context.Context, ids ...string) error
	// Settle notes how it ended.
	Settle(ctx context.Context, d incident.Delivery, o incident.Outcome) error
	// NextDue is when the next delivery of a receiver may be tried, not
	// counting those that wait behind another in their lane; zero for none.
	NextDue(ctx context.Context, receiver string) (time.Time, error)
}

// How long a failing delivery waits and when it is given up.
const (
	firstWait   = 5 * time.Second
	longestWait = 30 * time.Minute
	giveUp      = 72 * time.Hour
	// atOnce bounds the deliveries that are read from the queue together.
	atOnce = 64
	// idle is how long a receiver's worker sleeps when nothing is owed.
	idle = time.Minute
)

// Receiver is somebody who is told.
type Receiver struct {
	Name     string
	Notifier Notifier
	// Every is the least time between two messages once Burst have gone out
	// without it; zero is no bound.
	Every time.Duration
	Burst int
}

// Outbox delivers what a Queue holds: at least once, in order for each container,
// with patience. One worker for each receiver, so that a slow one holds up nobody else.
type Outbox struct {
	queue   Queue
	log     *zap.Logger
	group   GroupOptions
	results *prometheus.CounterVec
	latency *prometheus.HistogramVec

	mu      sync.Mutex
	workers map[string]*worker
	started bool
	ctx     context.Context
	wg      sync.WaitGroup
}

// OutboxOptions are what NewOutbox needs.
type OutboxOptions struct {
	Queue      Queue
	Receivers  []Receiver
	Group      GroupOptions
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// NewOutbox returns an Outbox; Run starts it.
func NewOutbox(opt OutboxOptions) *Outbox {
	o := &Outbox{queue: opt.Queue, log: opt.Logger, group: opt.Group, workers: map[string]*worker{},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_delivery_attempts_total", Help: "Attempts to deliver, by receiver and outcome."}, []string{"receiver", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oomwatch_delivery_seconds", Help: "Time a receiver took to answer.", Buckets: []float64{.005, .02, .1, .5, 2, 10}}, []string{"receiver"}),
	}
	if opt.Registerer != nil {
		opt.Registerer.MustRegister(o.results, o.latency)
	}
	for _, r := range opt.Receivers {
		o.workers[r.Name] = newWorker(o, r)
	}
	return o
}

// Kick says that something has been added to the queue.
func (o *Outbox) Kick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.workers {
		w.kick()
	}
}

// Receivers sets anew who is told; what a receiver that stays is owed is kept.
func (o *Outbox) Receivers(list []Receiver) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := map[string]bool{}
	for _, r := range list {
		keep[r.Name] = true
		w := newWorker(o, r)
		if old := o.workers[r.Name]; old != nil {
			old.stop()
			w.before = old.done
		}
		o.workers[r.Name] = w
		if o.started {
			o.launch(w)
		}
	}
	for name, w := range o.workers {
		if !keep[name] {
			w.stop()
			delete(o.workers, name)
		}
	}
}

// Run delivers until ctx ends, then waits for the attempts under way.
func (o *Outbox) Run(ctx context.Context) error {
	o.mu.Lock()
	o.ctx, o.started = ctx, true
	for _, w := range o.workers {
		o.launch(w)
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.wg.Wait()
	return nil
}

// Drain makes one attempt at everything that is due, and returns when that is
// done or ctx ends. It is for the last seconds of a program, while Run goes on or after it.
func (o *Outbox) Drain(ctx context.Context) {
	o.mu.Lock()
	workers := make([]*worker, 0, len(o.workers))
	for _, w := range o.workers {
		workers = append(workers, w)
	}
	o.mu.Unlock()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if n := w.round(ctx, true); n == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
}

// launch starts a worker; o.mu is held.
func (o *Outbox) launch(w *worker) {
	ctx, cancel := context.WithCancel(o.ctx)
	w.cancel, w.done = cancel, make(chan struct{})
	o.wg.Go(func() {
		defer close(w.done)
		if w.before != nil {
			<-w.before // two workers at once would tell twice
		}
		w.run(ctx)
	})
}

// worker tells one receiver.
type worker struct {
	o      *Outbox
	r      Receiver
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	before chan struct{} // the done of the worker it took over from

	mu     sync.Mutex // one round at a time
	storm  storm
	owed   map[string]incident.Outcome // what the queue could not note yet, by delivery
	hold   time.Time                   // the receiver asked for peace until then
	gone   bool                        // the receiver is no more
	tokens float64
	filled time.Time
}

func newWorker(o *Outbox, r Receiver) *worker {
	w := &worker{o: o, r: r, wake: make(chan struct{}, 1), tokens: float64(r.Burst), filled: time.Now(), owed: map[string]incident.Outcome{}}
	if _, ok := r.Notifier.(DigestNotifier); ok {
		w.storm.perMinute = o.group.StormPerMinute
	}
	return w
}

func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) stop() {
	if w.cancel != nil {
		w.cancel()
	}
}

func (w *worker) run(ctx context.Context) {
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
			if n := w.round(ctx, false); n == 0 {
				break
			}
		}
		timer.Reset(w.sleep(ctx))
	}
}

// sleep is how long there is nothing to do.
func (w *worker) sleep(ctx context.Context) time.Duration {
	next, err := w.o.queue.NextDue(ctx, w.r.Name)
	if err != nil || next.IsZero() {
		return idle
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range []time.Time{w.hold, w.storm.at} {
		if t.After(next) {
			next = t
		}
	}
	if len(w.owed) > 0 {
		next = time.Now().Add(time.Second) // the queue is in trouble: give it time
	}
	return min(max(time.Until(next), 10*time.Millisecond), idle)
}

// round makes one attempt at each delivery that is due, grouped, and returns how
// many were settled; 0 when there is nothing to do before the next one is due.
// hurry is true when the program is about to end.
func (w *worker) round(ctx context.Context, hurry bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hold.After(time.Now()) || !w.repay(ctx) {
		return 0
	}
	limit := atOnce
	if !w.storm.at.IsZero() {
		limit = digestMost
	}
	due, err := w.o.queue.Due(ctx, w.r.Name, time.Now(), limit)
	if err != nil {
		if ctx.Err() == nil {
			w.o.log.Error("what is owed cannot be read", zap.String("receiver", w.r.Name), zap.Error(err))
		}
		return 0
	}
	settled := 0
	failed := map[string]bool{} // lanes in which something failed: the rest waits behind it
	for _, m := range w.storm.sort(w.o.group.messages(due), time.Now(), hurry) {
		if ctx.Err() != nil || w.hold.After(time.Now()) || len(w.owed) > 0 {
			return settled
		}
		if m.behind(failed) {
			continue
		}
		if !w.permit(ctx) {
			return settled
		}
		if !w.send(ctx, m) {
			for _, d := range m.deliveries {
				failed[d.Lane] = true
			}
		}
		settled += len(m.deliveries)
	}
	if len(failed) > 0 {
		return 0 // the rest of those lanes is due later
	}
	return settled
}

// repay notes what the queue could not note before. Until that is done nothing
// more is told: it would be told again, and again.
func (w *worker) repay(ctx context.Context) bool {
	for id, out := range w.owed {
		if err := w.o.queue.Settle(ctx, incident.Delivery{ID: id, Receiver: w.r.Name}, out); err != nil {
			return false
		}
		delete(w.owed, id)
	}
	return true
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

// send makes one attempt and settles it; it returns whether the receiver has it.
func (w *worker) send(ctx context.Context, m message) bool {
	if w.gone {
		w.settle(m, incident.Outcome{State: incident.Parked, At: time.Now(), NotTried: true, Error: "the receiver is gone"}, nil)
		return true
	}
	ids := make([]string, len(m.deliveries))
	for i, d := range m.deliveries {
		ids[i] = d.ID
	}
	if err := w.o.queue.Begin(ctx, ids...); err != nil {
		// It is told all the same: a full disk must not silence an alert.
		w.o.log.Error("an attempt cannot be noted", zap.String("receiver", w.r.Name), zap.Error(err))
	}
	began := time.Now()
	err := w.notify(ctx, m)
	w.o.latency.WithLabelValues(w.r.Name).Observe(time.Since(began).Seconds())
	out := w.outcome(m, err)
	if out.State == incident.Delivered {
		w.storm.sent(m, out.At)
	}
	w.settle(m, out, err)
	return out.State != incident.Pending
}

// DigestNotifier is a Notifier that can tell a digest; to others a storm is told
// one by one.
type DigestNotifier interface {
	NotifyDigest(ctx context.Context, id string, d *Digest) error
}

// notify hands a message to the receiver's Notifier.
func (w *worker) notify(ctx context.Context, m message) error {
	if d, ok := w.r.Notifier.(DigestNotifier); ok && m.digest {
		return d.NotifyDigest(ctx, m.id(), digest(m.deliveries))
	}
	return w.r.Notifier.Notify(ctx, m.alert())
}

// outcome turns a Notifier's answer into what becomes of the delivery.
func (w *worker) outcome(m message, err error) incident.Outcome {
	now := time.Now()
	out := incident.Outcome{State: incident.Delivered, At: now}
	if err == nil {
		return out
	}
	out.Error = err.Error()
	var rejected *Rejected
	if errors.As(err, &rejected) {
		out.State = incident.Parked
		w.gone = w.gone || rejected.Gone
		return out
	}
	first := m.deliveries[0]
	if !first.FirstAttempt.IsZero() && now.Sub(first.FirstAttempt) > giveUp {
		out.State = incident.Parked
		return out
	}
	out.State = incident.Pending
	var unsure *Unsure
	out.Unknown = errors.As(err, &unsure)
	out.Next = now.Add(backoff(first.Attempts))
	var later *RetryAfter
	if errors.As(err, &later) && later.At.After(now) {
		// The receiver asks for peace from all, not from this one message.
		out.Next, w.hold = later.At, later.At
	}
	return out
}

// backoff doubles with each attempt and spreads, so that many watchers do not
// come back to a receiver in the same moment.
func backoff(attempts int) time.Duration {
	d := firstWait << min(attempts, 12)
	d = min(d, longestWait)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// settle writes the outcome for every delivery of a message. It must not be cut
// short by the end of the program: what was told would be told again.
func (w *worker) settle(m message, out incident.Outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, d := range m.deliveries {
		if serr := w.o.queue.Settle(ctx, d, out); serr != nil {
			w.owed[d.ID] = out
			w.o.log.Error("an outcome cannot be kept", zap.String("receiver", w.r.Name), zap.Error(serr))
		}
	}
	w.o.results.WithLabelValues(w.r.Name, string(out.State)).Inc()
	switch {
	case out.State == incident.Parked:
		w.o.log.Error("delivery given up", zap.String("receiver", w.r.Name), zap.String("incident", m.deliveries[0].Incident.ID), zap.String("reason", out.Error))
	case err != nil:
		w.o.log.Warn("delivery failed, trying again", zap.String("receiver", w.r.Name), zap.String("incident", m.deliveries[0].Incident.ID),
			zap.Time("next", out.Next), zap.String("reason", out.Error))
	}
}
