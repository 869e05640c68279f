package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// Keeper keeps what the watcher decided. One call is one transaction: incidents,
// the sources' cursors and the roster outlive the program together or not at all.
type Keeper interface {
	Keep(ctx context.Context, k Kept) error
}

// Kept is what one call of Keeper keeps.
type Kept struct {
	Emissions []correlate.Emission
	// Roster is a value per container id, nil where it is to be forgotten.
	Roster map[string][]byte
	// Cursors is a value per source; empty while something seen waits to be emitted.
	Cursors map[string]string
	// Warnings are those that last, nil where they did not change.
	Warnings []byte
}

// Watcher runs the sources and joins what they see.
type Watcher struct {
	corr    *correlate.Correlator
	sources []observe.Source
	sampler *sampler.Source    // nil where there are no control groups
	round   []sampler.Snapshot // of its last round, memory that is used again
	keeper  Keeper
	log     *zap.Logger
	metrics *metrics
	sentry  *sentry // nil where nobody is to be warned
	host    string

	memoir memoir

	clock   clockWatch
	began   time.Time // from when the monotonic clock counts
	setBack time.Time // when a set-back of the host's clock was noticed last
	clocks  func() (k observe.Clock, ok bool)

	mu     sync.Mutex
	states []observe.SourceState

	beat    atomic.Int64 // unix nanoseconds of the loop's last round
	cursors map[string]string
	owed    Kept // what the keeper has refused so far
	moved   bool // who runs may have changed since the sampler was told
}

// WatcherOptions are what NewWatcher needs.
type WatcherOptions struct {
	// Host is the name of this host, Boot the id of its boot; "" where it is not known.
	Host, Boot string
	Correlator *correlate.Correlator
	Sources    []observe.Source
	// Sampler reads the cgroups of running containers; nil for none. It is one of Sources.
	Sampler    *sampler.Source
	Keeper     Keeper
	Logger     *zap.Logger
	Registerer prometheus.Registerer
	// Rules are the thresholds of warnings; nil for no warnings. Warnings are
	// those that lasted when an earlier Watcher kept them.
	Rules    *warn.Rules
	Warnings []byte
	// Chronicle is asked what led to a death; nil for the recorder alone. Judge is asked
	// what triage says of a service; nil for nothing.
	Chronicle Chronicle
	Judge     Judge
}

// NewWatcher returns a Watcher; Run starts it. It fails on Warnings that cannot
// be read.
func NewWatcher(opt WatcherOptions) (*Watcher, error) {
	w := &Watcher{host: opt.Host, corr: opt.Correlator, sources: opt.Sources, sampler: opt.Sampler, keeper: opt.Keeper,
		log: opt.Logger, metrics: newMetrics(opt.Registerer), cursors: map[string]string{},
		clocks: func() (observe.Clock, bool) { return readClocks(opt.Boot) },
		memoir: memoir{corr: opt.Correlator, chronicle: opt.Chronicle, judge: opt.Judge, log: opt.Logger, judged: map[string]time.Time{}}}
	if opt.Rules != nil {
		var err error
		if w.sentry, err = newSentry(opt.Correlator, opt.Sampler, &w.memoir, *opt.Rules, opt.Warnings); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// SetRules puts other thresholds of warnings into force.
func (w *Watcher) SetRules(r warn.Rules) {
	if w.sentry != nil {
		w.sentry.setRules(r)
	}
}

// Sources returns the last word of every source.
func (w *Watcher) Sources() []observe.SourceState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states
}

// Beat is when the loop last went round; a supervisor may restart a program
// whose loop is stuck.
func (w *Watcher) Beat() time.Time { return time.Unix(0, w.beat.Load()) }

const (
	// queue is how many observations may wait for the loop. The sources that
	// must not wait (the engine's events) have bounded buffers of their own.
	queue = 1024
	// keepEvery is how often cursors and roster are kept while nothing is emitted.
	keepEvery = 2 * time.Second
	// batch bounds the observations that one transaction may cover.
	batch = 256
)

// Run follows all sources until ctx ends, then emits what is still open and
// returns. It fails only when what was seen last cannot be kept.
func (w *Watcher) Run(ctx context.Context) error {
	obs := make(chan observe.Observation, queue)
	intake, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	emit := func(o observe.Observation) {
		o.Seen = time.Now()
		select {
		case obs <- o:
		case <-intake.Done():
			// The loop drains the queue before it ends; what comes later
			// is read again from the cursors.
			select {
			case obs <- o:
			default:
			}
		}
	}
	for _, s := range w.sources {
		emit := func(o observe.Observation) {
			keepFrom(&o, s)
			emit(o)
		}
		wg.Go(func() {
			if err := s.Run(intake, emit); err != nil && intake.Err() == nil {
				w.log.Error("source ended", zap.String("source", s.Name()), zap.Error(err))
				emit(observe.Down(s.Name(), time.Now(), err))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	w.loop(ctx, obs)
	stop()
	<-done
	// What the sources said last, and what still waited for its other half,
	// is emitted with what is known by now.
	var emitted []correlate.Emission
	for len(obs) > 0 {
		emitted = append(emitted, w.take(<-obs)...)
	}
	return w.keep(append(emitted, w.judged(w.corr.Finish())...))
}

// loop is the one owner of the correlator.
func (w *Watcher) loop(ctx context.Context, obs <-chan observe.Observation) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	var rounds <-chan struct{}
	if w.sampler != nil && w.sentry != nil {
		rounds = w.sampler.Rounds()
	}
	var emitted []correlate.Emission
	for {
		w.beat.Store(time.Now().UnixNano())
		if next := w.corr.Next(); next.IsZero() {
			due.Reset(time.Hour)
		} else {
			due.Reset(max(0, time.Until(next)))
		}
		keep := false
		select {
		case <-ctx.Done():
			return
		case o := <-obs:
			emitted = append(emitted, w.take(o)...)
			// Whatever else has arrived meanwhile goes into the same
			// transaction: one fsync for a storm's burst, not one each.
			for n := 0; n < batch && len(obs) > 0; n++ {
				emitted = append(emitted, w.take(<-obs)...)
			}
			w.follow()
		case <-due.C:
			now, first := w.clockNow()
			emitted = append(emitted, w.judged(append(first, w.corr.Due(now)...))...)
		case <-rounds:
			w.round = w.sampler.Snapshots(w.round[:0])
			emitted = append(emitted, w.sentry.read(w.round)...)
		case <-tick.C:
			_, first := w.clockNow()
			emitted = append(emitted, w.judged(first)...)
			keep = true
		}
		if len(emitted) == 0 && !keep {
			continue
		}
		if err := w.keep(emitted); err != nil {
			w.log.Error("incidents are not kept", zap.Error(err))
		}
		emitted = emitted[:0]
	}
}

// take hands one observation to the correlator and notes what concerns the
// watcher itself.
func (w *Watcher) take(o observe.Observation) []correlate.Emission {
	crashpoint.At("after-read")
	if o.Cursor != nil {
		w.cursors[o.Cursor.Source] = o.Cursor.Value
		return nil
	}
	w.metrics.saw(o)
	_, emitted := w.clockNow()
	if o.Seen.Before(w.setBack) {
		o.Seen = w.setBack // it was read off the old clock
	}
	if o.Episode != nil && w.sampler != nil {
		// Who shared a limit is known only now, while they still hold it.
		o.Members = w.sampler.Below(o.Episode)
	}
	if w.sampler != nil {
		// What led to it is read from the recorder now: the correlator is not
		// given every reading of every container as it is made.
		for _, id := range w.corr.Concerns(&o) {
			w.memoir.recall(id, time.Now(), killedAt(&o))
			if past := w.sampler.Past(id); len(past) > 0 {
				emitted = append(emitted, w.corr.Observe(observe.Observation{At: past[len(past)-1].At, Seen: o.Seen, Samples: past})...)
			}
		}
	}
	emitted = append(emitted, w.corr.Observe(o)...)
	if w.sentry != nil {
		emitted = append(emitted, w.sentry.take(&o, emitted)...)
	}
	switch {
	case o.Source != nil:
		w.noteSources(*o.Source)
	case o.Samples != nil:
	case o.Container != nil, o.List != nil, o.Exit != nil,
		o.Event != nil && o.Event.Kind != observe.Healthy && o.Event.Kind != observe.Unhealthy:
		w.moved = true
	}
	if w.sampler != nil && (o.Episode != nil || o.Marked != nil || o.Event != nil && o.Event.Kind == observe.OOM) {
		// The counters of a dying container can be read for some
		// milliseconds more, and not after.
		w.sampler.Nudge()
	}
	return emitted
}

// killedAt is when the kernel killed something, where an observation says so.
func killedAt(o *observe.Observation) time.Time {
	if o.Episode == nil {
		return time.Time{}
	}
	if at := o.Episode.Time; !at.IsZero() {
		return at
	}
	return o.At
}

// follow tells the sampler who runs, where that may have changed. It is a list of
// all, so that a burst of observations, as at the start, causes one.
func (w *Watcher) follow() {
	if w.moved && w.sampler != nil {
		w.sampler.Follow(w.corr.Running())
	}
	w.moved = false
}

// judged is what was emitted because time passed, and the warnings that begin or end
// with it.
func (w *Watcher) judged(emitted []correlate.Emission) []correlate.Emission {
	if w.sentry == nil {
		return emitted
	}
	return append(emitted, w.sentry.due(time.Now(), emitted)...)
}

// noteSources publishes the sources' states and logs a change once.
func (w *Watcher) noteSources(s observe.SourceState) {
	w.mu.Lock()
	w.states = w.corr.Sources()
	w.mu.Unlock()
	w.metrics.source(s)
	if s.Up {
		w.log.Info("source up", zap.String("source", s.Name), zap.String("note", s.Reason))
	} else {
		w.log.Warn("source down", zap.String("source", s.Name), zap.String("reason", s.Reason), zap.String("next_step", s.Fix))
	}
}

// keep writes what was emitted together with what a restart must know. The keeper
// takes it also while its disk takes no writes.
func (w *Watcher) keep(emitted []correlate.Emission) error {
	// What is kept is of the clock as it stands: a later run compares it with its own.
	_, first := w.clockNow()
	emitted = append(emitted, first...)
	if k, ok := w.clocks(); ok {
		w.corr.SetClock(k)
	}
	w.metrics.emitted(emitted)
	roster, err := w.corr.State()
	if err != nil {
		return err
	}
	k := w.owed.with(emitted, roster)
	if w.sentry != nil {
		open, changed, err := w.sentry.state()
		if err != nil {
			return err
		}
		if changed {
			k.Warnings = open
		}
	}
	if !w.corr.Open() && len(w.cursors) > 0 {
		k.Cursors = maps.Clone(w.cursors)
	}
	if len(k.Emissions) == 0 && len(k.Roster) == 0 && len(k.Cursors) == 0 && k.Warnings == nil {
		return nil
	}
	// Not the loop's context: what has been seen must be kept also while stopping,
	// however slow the disk is.
	if err := w.keeper.Keep(context.Background(), k); err != nil {
		w.owed = k
		w.metrics.unkept.Add(float64(len(emitted)))
		return fmt.Errorf("keep %d incidents: %w", len(k.Emissions), err)
	}
	w.owed = Kept{}
	if k.Cursors != nil {
		clear(w.cursors)
	}
	return nil
}

// maxOwed bounds the emissions that are offered to a keeper again.
const maxOwed = 4096

// with is what is owed and what is new, as one: the newer word on a row stands.
func (k Kept) with(emitted []correlate.Emission, roster map[string][]byte) Kept {
	all := append(slices.Clone(k.Emissions), emitted...)
	k.Emissions = all[max(0, len(all)-maxOwed):]
	if k.Roster == nil {
		k.Roster = roster
	} else {
		maps.Copy(k.Roster, roster)
	}
	return k
}

// AllBlind returns an error naming every source when none of them is up.
func AllBlind(states []observe.SourceState) error {
	var why []string
	for _, s := range states {
		if s.Up {
			return nil
		}
		why = append(why, s.Name+": "+s.Reason)
	}
	if len(why) == 0 {
		return nil
	}
	return errors.New("no source can be read: " + strings.Join(why, "; "))
}

// metrics are the watcher's own counters.
type metrics struct {
	up        *prometheus.GaugeVec
	records   *prometheus.CounterVec
	lost      *prometheus.CounterVec
	incidents *prometheus.CounterVec
	unkept    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		up:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oomwatch_source_up", Help: "1 while the source can be read."}, []string{"source"}),
		records:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_observations_total", Help: "Observations taken, by kind."}, []string{"kind"}),
		lost:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_source_lost_total", Help: "Records or events that a source lost before they were read."}, []string{"source"}),
		unkept:    prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_incidents_unkept_total", Help: "Incidents that the store took neither on disk nor in memory."}),
		incidents: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_incidents_total", Help: "Incidents emitted, by cause and kind; updates are not counted again."}, []string{"cause", "kind"}),
	}
	if r != nil {
		r.MustRegister(m.up, m.records, m.lost, m.incidents, m.unkept)
	}
	return m
}

func (m *metrics) saw(o observe.Observation) {
	kind := ""
	switch {
	case o.Container != nil:
		kind = "container"
	case o.Exit != nil:
		kind = "exit"
	case o.Detail != nil:
		kind = "detail"
	case o.Signal != nil:
		kind = "signal"
	case o.Event != nil:
		kind = "event"
	case o.List != nil:
		kind = "list"
	case o.Episode != nil:
		kind = "episode"
	case o.Fault != nil:
		kind = "fault"
	case o.Sent != nil:
		kind = "sent"
	case o.Marked != nil:
		kind = "marked"
	case o.Samples != nil:
		kind = "samples"
	case o.Voice != nil:
		kind = "voice"
	case o.Lost != nil:
		m.lost.WithLabelValues(o.Lost.Source).Add(float64(o.Lost.Lost))
		kind = "lost"
	default:
		return
	}
	m.records.WithLabelValues(kind).Inc()
}

func (m *metrics) source(s observe.SourceState) {
	up := 0.0
	if s.Up {
		up = 1
	}
	m.up.WithLabelValues(s.Name).Set(up)
}

func (m *metrics) emitted(all []correlate.Emission) {
	for _, e := range all {
		if !e.Update {
			m.incidents.WithLabelValues(string(e.Incident.Cause), string(e.Incident.Kind)).Inc()
		}
	}
}
