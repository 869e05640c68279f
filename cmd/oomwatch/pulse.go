package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/store"
)

// workerFor is how long a receiver's worker may take for one round: the longest
// attempt, the note of it, and its sleep.
const workerFor = 3 * time.Minute

// pulse is the dead man's switch: it goes out only while everything turns.
type pulse struct {
	to    *notify.Heartbeat // nil for none
	every time.Duration
	log   *zap.Logger
}

func newPulse(cfg *Config, log *zap.Logger) (*pulse, error) {
	p := &pulse{every: time.Duration(cfg.Alerts.HeartbeatEvery), log: log}
	if cfg.Alerts.HeartbeatURL == "" {
		return p, nil
	}
	opt := notify.HTTPOptions{URL: string(cfg.Alerts.HeartbeatURL), Version: programVersion()}
	if file := cfg.Alerts.HeartbeatCAFile; file != "" {
		pool, err := rootsWith(file)
		if err != nil {
			return nil, fmt.Errorf("alerts.heartbeat_ca_file: %w", err)
		}
		opt.TLS = &tls.Config{RootCAs: pool}
	}
	var err error
	p.to, err = notify.NewHeartbeat(opt)
	return p, err
}

func (p *pulse) close() {
	if p.to != nil {
		p.to.Close()
	}
}

// run beats until ctx ends, as long as turning finds nothing wrong.
func (p *pulse) run(ctx context.Context, turning func(context.Context) error) error {
	if p.to == nil {
		return nil
	}
	for {
		err := turning(ctx)
		if err == nil {
			err = p.to.Beat(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn("no heartbeat", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.every):
		}
	}
}

// turning says what does not move: the watcher's loop, a receiver's worker, or the
// store, which is written to find out.
func turning(ctx context.Context, loop, workers time.Time, st *store.Store, selves *selfReports) error {
	if d := time.Since(loop); d > aliveFor {
		return fmt.Errorf("the main loop has not moved for %s", d.Round(time.Second))
	}
	if d := time.Since(workers); !workers.IsZero() && d > workerFor {
		return fmt.Errorf("a receiver's worker has not moved for %s", d.Round(time.Second))
	}
	err := st.Probe(ctx)
	if ctx.Err() == nil {
		selves.kept(err)
	}
	return err
}

// checkHeartbeat reads and judges the heartbeat's URL.
func (d *document) checkHeartbeat(a *AlertsConfig) (warnings []string) {
	s := source{"heartbeat_url", &a.HeartbeatURL, a.HeartbeatURLFile, a.HeartbeatURLEnv}
	n := 0
	for _, v := range []string{string(a.HeartbeatURL), s.file, s.env} {
		if v != "" {
			n++
		}
	}
	switch {
	case n == 0:
		if a.HeartbeatCAFile != "" {
			d.problem("alerts.heartbeat_ca_file", "it is of use only beside a heartbeat_url")
		}
		return nil
	case n > 1:
		d.problem("alerts", "give at most one of heartbeat_url, heartbeat_url_file and heartbeat_url_env")
		return nil
	}
	v, warning, err := readSecret(a.HeartbeatURL, s.file, s.env)
	if err == nil {
		a.HeartbeatURL = v
		err = notify.CheckURL(string(v), false)
	}
	if err != nil {
		d.problem("alerts."+s.by(), err.Error())
	}
	if a.HeartbeatCAFile != "" {
		if _, err := rootsWith(a.HeartbeatCAFile); err != nil {
			d.problem("alerts.heartbeat_ca_file", err.Error())
		}
	}
	for _, w := range []string{warning, insideWarning("alerts.heartbeat_url", string(v))} {
		if w != "" {
			warnings = append(warnings, w)
		}
	}
	return warnings
}
