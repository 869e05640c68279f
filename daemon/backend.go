package daemon

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/watcher/leaks"
	"github.com/oomwatch/oomwatch/watcher/sampler"
	"github.com/oomwatch/oomwatch/watcher/signals"
	"github.com/oomwatch/oomwatch/web"
)

// aliveFor is how long the main loop may stand still: one write to a slow disk.
const aliveFor = 30 * time.Second

// backend answers the web server from the daemon's parts.
type backend struct {
	started time.Time
	path    string
	tune    *tuner
	store   *store.Store
	watcher *watcher.Watcher
	kernel  *kernlog.Source
	signals *signals.Source
	deaths  deaths
	since   *stateClock
	outbox  *notify.Outbox
	keep    *keeper
	log     *zap.Logger
	host    incident.Host

	sampler  *sampler.Source // nil where there are no control groups
	recorder *recorder.Recorder
	history  *store.History
	leaks    *leaks.Source
	auditing *auditing
}

// Incidents implements web.Backend.
func (b *backend) Incidents(ctx context.Context, q web.Query, each func(web.Found) error) error {
	sq, err := storeQuery(q)
	if err != nil {
		return err
	}
	defer b.tune.read()()
	return b.store.EachBody(ctx, sq, found(each))
}

// Explain implements web.Backend.
func (b *backend) Explain(ctx context.Context, what string, all bool, each func(web.Found) error) error {
	if all {
		defer b.tune.read()()
	}
	return b.store.Explain(ctx, what, all, found(each))
}

func found(each func(web.Found) error) func(store.Place, []byte) error {
	return func(p store.Place, body []byte) error { return each(web.Found{Place: p.String(), Body: body}) }
}

// Alive implements web.Backend.
func (b *backend) Alive() bool { return time.Since(b.watcher.Beat()) < aliveFor }

// Status implements web.Backend.
func (b *backend) Status(ctx context.Context) web.Status {
	st := web.Status{
		Version: build.Version(), PID: os.Getpid(), StartedAt: b.started, Store: b.path,
		Alive: b.Alive(),
	}
	states := b.watcher.Sources()
	for _, s := range states {
		src := web.SourceStatus{Name: s.Name, Up: s.Up, Reason: s.Reason, Fix: s.Fix, Since: b.since.of(s.Name)}
		if s.Name == b.kernel.Name() {
			read := b.kernel.Stats()
			src.Read, src.Lost = read.Read, read.Lost
		}
		if b.signals != nil && s.Name == b.signals.Name() {
			src.Read, src.Lost = b.signals.Counts()
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
	st.Ready, st.Reason = b.deaths.ready(states)
	accounts, err := b.store.Accounts(ctx)
	if err != nil {
		b.log.Warn("deliveries cannot be counted", zap.Error(err))
	}
	down, names := b.outbox.Down(), b.keep.recipients.Load().names()
	for _, a := range accounts {
		d := DeliveryStatus(a)
		if b.store.InMemory() {
			d.Unstored = a.Pending
		}
		d.Down, d.Configured = down[a.Receiver], slices.Contains(names, a.Receiver)
		st.Deliveries = append(st.Deliveries, d)
	}
	for _, name := range names {
		if !slices.ContainsFunc(st.Deliveries, func(d web.DeliveryStatus) bool { return d.Receiver == name }) {
			st.Deliveries = append(st.Deliveries, DeliveryStatus(store.Account{Receiver: name}))
			st.Deliveries[len(st.Deliveries)-1].Configured = true
		}
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

// Test implements web.Control. The receiver's own timeouts bound it.
func (b *backend) Test(ctx context.Context, receiver string) error {
	return b.outbox.Test(ctx, receiver, verdict.Sample(time.Now(), b.host))
}

// Memory implements web.Backend.
func (b *backend) Memory(ctx context.Context, what string, from, to time.Time) (recorder.Series, error) {
	service, id := what, ""
	for _, row := range b.Top(ctx) {
		if row.Name == what || len(what) >= 8 && strings.HasPrefix(row.ID, what) {
			id = row.ID
			break
		}
	}
	b.recorder.Each(func(l recorder.Live) {
		if id != "" && l.ID == id {
			service = l.Service
		}
	})
	if b.history == nil {
		return recorder.Series{Service: service, Step: recorder.StepRead, Readings: between(b.recorder.Latest(service), from, to)}, nil
	}
	s, err := b.history.Series(ctx, service, kept.StepFor(to.Sub(from)), from, to)
	if err != nil {
		return s, err
	}
	if n := len(s.Readings); s.Step == recorder.StepRead { // what the store has not been handed yet
		fresh := b.recorder.Latest(service)
		for len(fresh) > 0 && n > 0 && !fresh[0].At.After(s.Readings[n-1].At) {
			fresh = fresh[1:]
		}
		s.Readings = append(s.Readings, between(fresh, from, to)...)
	}
	return s, nil
}

// between drops the readings outside two times.
func between(list []recorder.Reading, from, to time.Time) []recorder.Reading {
	return slices.DeleteFunc(slices.Clone(list), func(r recorder.Reading) bool { return r.At.Before(from) || r.At.After(to) })
}

// Audit implements web.Backend.
func (b *backend) Audit(ctx context.Context) (*audit.Report, error) { return b.auditing.report(ctx) }

// LastAudit implements web.Audited.
func (b *backend) LastAudit() *audit.Report { return b.auditing.latest.Load() }

// Top implements web.Backend. Only what triage calls a leak is called one.
func (b *backend) Top(context.Context) []warn.Row {
	rows := b.watcher.Top()
	services := map[string]string{}
	b.recorder.Each(func(l recorder.Live) { services[l.ID] = l.Service })
	for i := range rows {
		var s triage.Service
		ok := false
		if b.leaks != nil {
			s, ok = b.leaks.Of(services[rows[i].ID])
		}
		judgeRow(&rows[i], &s, ok)
	}
	return rows
}

// judgeRow calls the trend of a row as the last look at what is kept does; known is false
// where none was made.
func judgeRow(r *warn.Row, s *triage.Service, known bool) {
	if !known {
		r.Trend = incident.TrendFor(r.Trend, "")
		return
	}
	r.Class = string(s.Class)
	r.Trend = incident.TrendFor(r.Trend, r.Class)
	if s.Class == triage.Leak {
		r.Slope = s.Rate
	}
}
