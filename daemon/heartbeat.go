package daemon

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/notify/receiver"
	"github.com/oomwatch/oomwatch/store"
)

// workerMoves is how long a receiver's worker may take for one round: the longest
// attempt, the note of it, and its sleep.
const workerMoves = 3 * time.Minute

// heartbeat is the dead man's switch: it is sent only while everything moves.
type heartbeat struct {
	to    *receiver.Heartbeat // nil for none
	every time.Duration
	log   *zap.Logger
}

func newHeartbeat(cfg *config.Config, log *zap.Logger) (*heartbeat, error) {
	p := &heartbeat{every: time.Duration(cfg.Alerts.HeartbeatEvery), log: log}
	if cfg.Alerts.HeartbeatURL == "" {
		return p, nil
	}
	var err error
	p.to, err = cfg.Alerts.Heartbeat()
	return p, err
}

func (p *heartbeat) close() error {
	if p.to != nil {
		p.to.Close()
	}
	return nil
}

// run sends until ctx ends, as long as check finds nothing wrong.
func (p *heartbeat) run(ctx context.Context, check func(context.Context) error) error {
	if p.to == nil {
		return nil
	}
	for {
		err := check(ctx)
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

// stuck says what does not move: the watcher's loop, a receiver's worker, or the store,
// which is written to find out. It returns nil where all moves.
func stuck(ctx context.Context, loop, workers time.Time, st *store.Store) error {
	if since := time.Since(loop); since > aliveFor {
		return fmt.Errorf("the main loop has not moved for %s", since.Round(time.Second))
	}
	if since := time.Since(workers); !workers.IsZero() && since > workerMoves {
		return fmt.Errorf("a receiver's worker has not moved for %s", since.Round(time.Second))
	}
	if err := st.Probe(ctx); err != nil {
		return err
	}
	if why := st.Unwritable(); why != "" {
		return fmt.Errorf("the store takes no writes: %s", why)
	}
	return nil
}
