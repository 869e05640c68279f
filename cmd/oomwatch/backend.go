package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/explain"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/watcher/sampler"
	"github.com/oomwatch/oomwatch/web"
)

// aliveFor is how long the main loop may stand still: one write to a slow disk.
const aliveFor = 30 * time.Second

// backend answers the web server from the daemon's parts.
type backend struct {
	started time.Time
	path    string
	store   *store.Store
	watcher *watcher.Watcher
	kernel  *kernlog.Source
	since   *stateClock
	outbox  *notify.Outbox
	keep    *keeper
	log     *zap.Logger

	sampler  *sampler.Source // nil where there are no control groups
	recorder *recorder.Recorder
	history  *store.History
}

// Incidents implements web.Backend.
func (b *backend) Incidents(ctx context.Context, q web.Query) ([]*incident.Incident, error) {
	return listIncidents(ctx, b.store, q)
}

// Explain implements web.Backend.
func (b *backend) Explain(ctx context.Context, what string, all bool) ([]*incident.Incident, error) {
	list, err := listIncidents(ctx, b.store, web.Query{})
	if err != nil {
		return nil, err
	}
	return explain.Pick(list, what, all), nil
}

// Status implements web.Backend.
func (b *backend) Status(ctx context.Context) web.Status {
	st := web.Status{
		Version: build.Version(), PID: os.Getpid(), StartedAt: b.started, Store: b.path,
		Alive: time.Since(b.watcher.Beat()) < aliveFor,
	}
	states := b.watcher.Sources()
	for _, s := range states {
		src := web.SourceStatus{Name: s.Name, Up: s.Up, Reason: s.Reason, Fix: s.Fix, Since: b.since.of(s.Name)}
		if s.Name == b.kernel.Name() {
			read := b.kernel.Stats()
			src.Read, src.Lost = read.Read, read.Lost
		}
		st.Sources = append(st.Sources, src)
	}
	if b.sampler != nil {
		r := &web.RecorderStatus{Containers: b.recorder.Containers(), PeriodSeconds: b.sampler.Period().Seconds()}
		if b.history != nil {
			var err error
			if r.HistoryBytes, err = b.history.Size(ctx); err != nil {
				b.log.Warn("history cannot be measured", zap.Error(err))
			}
		}
		st.Recorder = r
	}
	st.Ready, st.Reason = ready(states)
	accounts, err := b.store.Accounts(ctx)
	if err != nil {
		b.log.Warn("deliveries cannot be counted", zap.Error(err))
	}
	down, told, unstored := b.outbox.Down(), b.keep.told.Load().names(), b.outbox.Unstored()
	for _, a := range accounts {
		d := deliveryStatus(a)
		d.Unstored = unstored[a.Receiver]
		d.Down, d.Configured = down[a.Receiver], slices.Contains(told, a.Receiver)
		st.Deliveries = append(st.Deliveries, d)
	}
	return st
}

// Silences implements web.Control.
func (b *backend) Silences(context.Context) ([]incident.Silence, error) {
	return b.keep.silences.active(time.Now()), nil
}

// AddSilence implements web.Control.
func (b *backend) AddSilence(ctx context.Context, x incident.Silence) (incident.Silence, error) {
	x, err := b.keep.silences.add(ctx, x, time.Now())
	if err == nil {
		b.log.Info("silence begins", zap.String("id", x.ID), zap.Time("until", x.Until), zap.String("by", x.By), zap.String("reason", x.Reason))
	}
	return x, err
}

// ExpireSilence implements web.Control.
func (b *backend) ExpireSilence(ctx context.Context, id string) (incident.Silence, error) {
	x, err := b.keep.silences.expire(ctx, id, time.Now())
	if err == nil {
		b.log.Info("silence ended", zap.String("id", x.ID))
	}
	return x, err
}

// Retry implements web.Control.
func (b *backend) Retry(ctx context.Context, receiver string) (int, error) {
	n, err := b.store.Retry(ctx, receiver)
	if err == nil {
		b.outbox.Retry(receiver)
	}
	return n, err
}

// witnesses are the sources that see deaths; the control groups alone see none.
var witnesses = []string{"docker", "kmsg"}

// Top implements web.Backend.
func (b *backend) Top(context.Context) []warn.Row { return b.watcher.Top() }

// ready reports whether a witness works, and if not, why.
func ready(states []observe.SourceState) (bool, string) {
	var why []string
	for _, name := range witnesses {
		reason := "has not reported yet"
		for _, s := range states {
			if s.Name == name {
				if s.Up {
					return true, ""
				}
				reason = s.Reason
			}
		}
		why = append(why, name+": "+reason)
	}
	return false, strings.Join(why, "; ")
}

// blind returns an error when every witness has reported and none can see.
func blind(states []observe.SourceState) error {
	var seen []observe.SourceState
	for _, s := range states {
		for _, name := range witnesses {
			if s.Name == name {
				seen = append(seen, s)
			}
		}
	}
	if len(seen) < len(witnesses) {
		return nil
	}
	return watcher.AllBlind(seen)
}

// stateClock notes since when each source has been in its present state.
type stateClock struct {
	mu sync.Mutex
	up map[string]bool
	at map[string]time.Time
}

func newStateClock() *stateClock {
	return &stateClock{up: map[string]bool{}, at: map[string]time.Time{}}
}

func (c *stateClock) note(s observe.SourceState, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if up, known := c.up[s.Name]; !known || up != s.Up {
		c.up[s.Name], c.at[s.Name] = s.Up, now
	}
}

func (c *stateClock) of(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[name]
}

// noted is a source whose changes of state are noted.
type noted struct {
	observe.Source
	clock *stateClock
}

// Run implements watcher.Source.
func (n noted) Run(ctx context.Context, emit func(observe.Observation)) error {
	return n.Source.Run(ctx, func(o observe.Observation) {
		if o.Source != nil {
			n.clock.note(*o.Source, o.At)
		}
		emit(o)
	})
}

// overheard is a source whose observations another hears, too.
type overheard struct {
	observe.Source
	also func(observe.Observation)
}

// Run implements watcher.Source.
func (h overheard) Run(ctx context.Context, emit func(observe.Observation)) error {
	return h.Source.Run(ctx, func(o observe.Observation) {
		h.also(o)
		emit(o)
	})
}

// absent stands for a source that cannot be made: it says so, and waits.
type absent struct{ state observe.SourceState }

// Name implements watcher.Source.
func (a absent) Name() string { return a.state.Name }

// Run implements watcher.Source.
func (a absent) Run(ctx context.Context, emit func(observe.Observation)) error {
	emit(observe.Observation{At: time.Now(), Source: &a.state})
	<-ctx.Done()
	return nil
}

// recordCounts gives Prometheus what the kernel log's reader counts: records
// read and records lost add up to the span of sequence numbers.
type recordCounts struct {
	kernel                           *kernlog.Source
	read, lost, span, unread, forged *prometheus.Desc
}

func newRecordCounts(kernel *kernlog.Source) *recordCounts {
	return &recordCounts{
		kernel: kernel,
		read:   prometheus.NewDesc("oomwatch_records_read_total", "Records read from a source's log.", []string{"source"}, nil),
		lost:   prometheus.NewDesc("oomwatch_records_lost_total", "Records of a source's log that were overwritten before they were read.", []string{"source"}, nil),
		span:   prometheus.NewDesc("oomwatch_records_span_total", "Sequence numbers from the first record to the last; read and lost add up to it.", []string{"source"}, nil),
		unread: prometheus.NewDesc("oomwatch_kmsg_unrecognised_total", "Lines of OOM reports in a form that this version does not know.", nil, nil),
		forged: prometheus.NewDesc("oomwatch_kmsg_forged_total", "Records that read like the OOM killer's and were written by a program; they are not believed.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *recordCounts) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.read, c.lost, c.span, c.unread, c.forged} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *recordCounts) Collect(ch chan<- prometheus.Metric) {
	stats := c.kernel.Stats()
	ch <- prometheus.MustNewConstMetric(c.read, prometheus.CounterValue, float64(stats.Read), c.kernel.Name())
	ch <- prometheus.MustNewConstMetric(c.lost, prometheus.CounterValue, float64(stats.Lost), c.kernel.Name())
	ch <- prometheus.MustNewConstMetric(c.span, prometheus.CounterValue, float64(stats.Span), c.kernel.Name())
	unread, _ := c.kernel.Unrecognised()
	ch <- prometheus.MustNewConstMetric(c.unread, prometheus.CounterValue, float64(unread))
	ch <- prometheus.MustNewConstMetric(c.forged, prometheus.CounterValue, float64(stats.Forged))
}
