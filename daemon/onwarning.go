package daemon

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
)

const (
	// maxHooks bounds the commands that run at once: a heap dump costs memory
	// and time on a host that may be short of both.
	maxHooks = 2
	// maxWaiting bounds those that wait for that.
	maxWaiting = 16
	// defaultHooks is how many are started in a minute at most.
	defaultHooks = 6
)

// hook runs a command when a warning begins: once, at once, and not again if it
// fails, since what it is for (a heap dump before the kill) does not wait.
type hook struct {
	log  *zap.Logger
	wake chan *incident.Incident

	mu      sync.Mutex
	run     notify.Notifier // nil for none
	every   int
	started []time.Time // within the last minute
}

func newHook(log *zap.Logger) *hook {
	return &hook{log: log, wake: make(chan *incident.Incident, maxWaiting)}
}

// set puts a command into force.
func (h *hook) set(c *config.OnWarning) error {
	run, err := c.Notifier()
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.run, h.every = run, int(c.PerMinute)
	if h.every == 0 {
		h.every = defaultHooks
	}
	return nil
}

// fire asks for the command to be run; it does not wait for it.
func (h *hook) fire(inc *incident.Incident, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run == nil {
		return
	}
	for len(h.started) > 0 && now.Sub(h.started[0]) >= time.Minute {
		h.started = h.started[1:]
	}
	if len(h.started) >= h.every {
		h.log.Warn("the command for warnings is not run: enough were started in this minute", zap.String("incident", inc.ID), zap.Int("per_minute", h.every))
		return
	}
	select {
	case h.wake <- inc:
		h.started = append(h.started, now)
	default:
		h.log.Warn("the command for warnings is not run: too many wait for it", zap.String("incident", inc.ID))
	}
}

// Run runs commands until ctx ends; those that run then are killed.
func (h *hook) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for range maxHooks {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case inc := <-h.wake:
					h.one(ctx, inc)
				}
			}
		})
	}
	return nil
}

func (h *hook) one(ctx context.Context, inc *incident.Incident) {
	h.mu.Lock()
	run := h.run
	h.mu.Unlock()
	if run == nil {
		return // a reload took it away
	}
	began := time.Now()
	if err := run.Notify(ctx, notify.Alert{DeliveryID: inc.ID, Incident: inc, Attempt: 1}); err != nil {
		h.log.Error("the command for warnings", zap.String("incident", inc.ID), zap.Error(err))
		return
	}
	h.log.Info("the command for warnings ran", zap.String("incident", inc.ID), zap.Duration("for", time.Since(began)))
}
