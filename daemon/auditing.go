package daemon

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/audit/gather"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher/cri"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// auditing audits what runs: now and then for the metric, and when somebody asks.
type auditing struct {
	cfg     *config.Config
	every   time.Duration
	exclude atomic.Pointer[[]audit.Exclusion]
	store   *store.Store
	history *store.History
	log     *zap.Logger

	findings, containers *prometheus.GaugeVec

	one    sync.Mutex // one audit at a time: each asks the engine of every container
	last   *audit.Report
	latest atomic.Pointer[audit.Report] // last, for who does not wait
	at     time.Time
}

const (
	// auditFresh is how old a report may be that is given instead of a new one.
	auditFresh = 15 * time.Second
	// firstAudit is when the first one is made: the engine has much to do at a boot.
	firstAudit = time.Minute
	// auditWait bounds one audit.
	auditWait = 30 * time.Second
)

func newAuditing(cfg *config.Config, st *store.Store, history *store.History, log *zap.Logger, reg prometheus.Registerer) *auditing {
	a := &auditing{cfg: cfg, every: time.Duration(cfg.Audit.Every), store: st, history: history, log: log,
		findings:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oomwatch_audit_findings", Help: "Containers that break a rule of the audit, the host counted as one."}, []string{"rule", "severity"}),
		containers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oomwatch_audit_containers", Help: "Containers that the last audit looked at."}, nil)}
	a.leaveOut(cfg.Audit.Exclusions())
	reg.MustRegister(a.findings, a.containers)
	return a
}

// Audited is where to look, by a configuration. Sockets that nobody named are asked where
// they are.
func Audited(cfg *config.Config) gather.Host {
	var h gather.Host
	if !noDocker(cfg) {
		h.Engines = cfg.Docker.Hosts()
	}
	for _, socket := range docker.FoundPodman(config.Named(cfg.Podman.Sockets)) {
		if !slices.Contains(h.Engines, socket) {
			h.Engines = append(h.Engines, socket)
		}
	}
	h.Runtimes, _ = cri.Sockets(config.Named(cfg.CRI.Sockets))
	return h
}

// leaveOut puts other exclusions into force, from the next audit on.
func (a *auditing) leaveOut(exclude []audit.Exclusion) { a.exclude.Store(&exclude) }

// run audits now and then until ctx ends.
func (a *auditing) run(ctx context.Context) error {
	if a.every == 0 {
		<-ctx.Done()
		return nil
	}
	next := time.NewTimer(firstAudit)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if _, err := a.report(ctx); err != nil && ctx.Err() == nil {
			a.log.Debug("no audit", zap.Error(err)) // the engine's source says that it is down
		}
		next.Reset(a.every)
	}
}

// report is one audit; one that was made just before is given again.
func (a *auditing) report(ctx context.Context) (*audit.Report, error) {
	a.one.Lock()
	defer a.one.Unlock()
	if a.last != nil && time.Since(a.at) < auditFresh {
		return a.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, auditWait)
	defer cancel()
	timeouts, err := a.store.List(ctx, store.Query{Kind: string(incident.KindDeath), Cause: string(incident.KillStopTimeout), Since: time.Now().Add(-gather.Month)})
	if err != nil {
		return nil, err
	}
	h := Audited(a.cfg)
	h.Timeouts = timeouts
	if a.history != nil {
		h.History = a.history
	}
	facts, err := h.Facts(ctx)
	if err != nil {
		return nil, err
	}
	a.last, a.at = audit.Judge(facts, *a.exclude.Load()), time.Now()
	a.latest.Store(a.last)
	a.count()
	return a.last, nil
}

// count sets the metric.
func (a *auditing) count() {
	type broken struct{ rule, severity string }
	n := map[broken]float64{}
	for _, f := range a.last.Findings {
		n[broken{f.Rule, string(f.Severity)}]++
	}
	a.findings.Reset()
	for k, v := range n {
		a.findings.WithLabelValues(k.rule, k.severity).Set(v)
	}
	a.containers.WithLabelValues().Set(float64(len(a.last.Containers)))
}
