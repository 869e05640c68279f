package daemon

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
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

func newPulse(cfg *config.Config, log *zap.Logger) (*pulse, error) {
	p := &pulse{every: time.Duration(cfg.Alerts.HeartbeatEvery), log: log}
	if cfg.Alerts.HeartbeatURL == "" {
		return p, nil
	}
	var err error
	p.to, err = cfg.Alerts.Heartbeat()
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
func turning(ctx context.Context, loop, workers time.Time, st *store.Store) error {
	if d := time.Since(loop); d > aliveFor {
		return fmt.Errorf("the main loop has not moved for %s", d.Round(time.Second))
	}
	if d := time.Since(workers); !workers.IsZero() && d > workerFor {
		return fmt.Errorf("a receiver's worker has not moved for %s", d.Round(time.Second))
	}
	if err := st.Probe(ctx); err != nil {
		return err
	}
	if why := st.Unwritable(); why != "" {
		return fmt.Errorf("the store takes no writes: %s", why)
	}
	return nil
}
