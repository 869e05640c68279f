package notify

import (
	"context"
	"errors"
	"fmt"
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
	// Begin notes that an attempt at deliveries is about to be made, together
	// under the id batch where that is not "".
	Begin(ctx context.Context, batch string, ds ...incident.Delivery) error
	// Settle notes how it ended for all of them.
	Settle(ctx context.Context, o incident.Outcome, ds ...incident.Delivery) error
	// NextDue is when the next delivery of a receiver may be tried, not
	// counting those that wait behind another in their lane; zero for none.
	NextDue(ctx context.Context, receiver string) (time.Time, error)
	// Told returns what a receiver has had of: every warning that is not over, and
	// what else it was first tried to be told since a time; oldest first. Of a
	// Delivery only Receiver, Incident and FirstAttempt are set.
	Told(ctx context.Context, receiver string, since time.Time) ([]incident.Delivery, error)
}

// Receiver is a place that alerts are sent to.
type Receiver struct {
	Name     string
	Notifier Notifier
	// Every is the least time between two messages once Burst have gone out
	// without it; zero is no bound.
	Every time.Duration
	Burst int
	// Settings stand for all that the Notifier is made with: where they are the
	// same after a reload, what is known of the receiver still holds. It has no secret.
	Settings string
}

// Trouble is what a receiver's worker cannot mend by itself.
type Trouble struct {
	Receiver string
	// Gone is true when the receiver will take nothing more (410).
	Gone bool
	// Parked is how many deliveries were given up, Reason why.
	Parked int
	Reason string
}

// Outbox delivers what a Queue holds: at least once, in order for each container,
// with patience. One worker for each receiver, so that a slow one holds up nobody else.
type Outbox struct {
	queue   Queue
	log     *zap.Logger
	group   GroupOptions
	link    string
	trouble func(Trouble)
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
	Queue     Queue
	Receivers []Receiver
	Group     GroupOptions
	// ExternalURL is where people reach the page; "" for alerts without an address.
	ExternalURL string
	// Trouble is told of deliveries that are given up; nil for nobody. It is
	// called from the workers and must not wait for them.
	Trouble    func(Trouble)
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// NewOutbox returns an Outbox; Run starts it.
func NewOutbox(opt OutboxOptions) *Outbox {
	o := &Outbox{queue: opt.Queue, log: opt.Logger, group: opt.Group, link: opt.ExternalURL, trouble: opt.Trouble, workers: map[string]*worker{},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_delivery_attempts_total", Help: "Attempts to deliver, by receiver and outcome."}, []string{"receiver", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oomwatch_delivery_seconds", Help: "Time a receiver took to answer.", Buckets: []float64{.005, .02, .1, .5, 2, 10}}, []string{"receiver"}),
	}
	if o.trouble == nil {
		o.trouble = func(Trouble) {}
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
	for _, w := range o.all() {
		w.kick()
	}
}

// Retry forgets that a receiver ("" for every one) is down, gone or asked for
// peace, and tries what it is owed at once.
func (o *Outbox) Retry(receiver string) {
	for _, w := range o.all() {
		if receiver == "" || receiver == w.r.Name {
			w.again.Store(true)
			w.kick()
		}
	}
}

// Beat is when the slowest worker last went round; zero before the first round of
// each. An attempt is bounded, so that one that is much older is stuck.
func (o *Outbox) Beat() time.Time {
	var slowest time.Time
	for i, w := range o.all() {
		if t := time.Unix(0, w.beat.Load()); i == 0 || t.Before(slowest) {
			slowest = t
		}
	}
	return slowest
}

// Down names the receivers that are out of reach or gone, with the reason.
func (o *Outbox) Down() map[string]string {
	out := map[string]string{}
	for _, w := range o.all() {
		if s := w.down.Load(); s != nil && *s != "" {
			out[w.r.Name] = *s
		}
	}
	return out
}

// ErrNoReceiver is returned for a name that no receiver has.
var ErrNoReceiver = errors.New("there is no receiver of this name")

// Test sends a receiver one incident at once, beside its queue and without another try.
func (o *Outbox) Test(ctx context.Context, receiver string, inc *incident.Incident) error {
	o.mu.Lock()
	w := o.workers[receiver]
	o.mu.Unlock()
	if w == nil {
		return fmt.Errorf("%w: %q", ErrNoReceiver, receiver)
	}
	return w.r.Notifier.Notify(ctx, incident.Alert{DeliveryID: incident.DeliveryID(inc.HostName(), inc.ID, receiver), Incident: inc, Attempt: 1})
}

// all is the workers at this moment.
func (o *Outbox) all() []*worker {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]*worker, 0, len(o.workers))
	for _, w := range o.workers {
		out = append(out, w)
	}
	return out
}

// Receivers replaces the receivers; what one that stays is owed is kept.
func (o *Outbox) Receivers(list []Receiver) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := map[string]bool{}
	for _, r := range list {
		keep[r.Name] = true
		w := newWorker(o, r)
		if old := o.workers[r.Name]; old != nil {
			w.follow(old)
		}
		o.workers[r.Name] = w
		if o.started {
			o.launch(w)
		}
	}
	for name, w := range o.workers {
		if !keep[name] {
			w.leave()
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
// It does not wait for an attempt that Run's worker has under way: Run does.
func (o *Outbox) Drain(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range o.all() {
		all.Add(1)
		o.wg.Go(func() {
			defer all.Done()
			defer w.close()
			for ctx.Err() == nil {
				if n := w.round(ctx, ctx, true); n == 0 {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	o.wg.Go(func() { all.Wait(); close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// launch starts a worker; o.mu is held.
func (o *Outbox) launch(w *worker) {
	ctx, cancel := context.WithCancel(o.ctx)
	w.cancel, w.done = cancel, make(chan struct{})
	o.wg.Go(func() {
		defer close(w.done)
		w.takeOver()
		if w.traits.Run != nil {
			o.wg.Go(func() { w.traits.Run(ctx) })
		}
		w.run(ctx, o.ctx)
		w.close()
	})
}
