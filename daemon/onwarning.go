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
	// maxCommands bounds the commands that run at once: a heap dump costs memory
	// and time on a host that may be short of both.
	maxCommands = 2
	// maxWaiting bounds those that wait for that.
	maxWaiting = 16
	// commandsPerMinute is how many are started in a minute at most.
	commandsPerMinute = 6
)

// onWarning runs a command when a warning begins: once, at once, and not again if it
// fails, since what it is for (a heap dump before the kill) does not wait.
type onWarning struct {
	log  *zap.Logger
	wake chan *incident.Incident

	mu      sync.Mutex
	command notify.Notifier // nil for none
	every   int
	started []time.Time // within the last minute
}

func newOnWarning(log *zap.Logger) *onWarning {
	return &onWarning{log: log, wake: make(chan *incident.Incident, maxWaiting)}
}

// set puts a command into force.
func (h *onWarning) set(c *config.OnWarning) error {
	command, err := c.Notifier()
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.command, h.every = command, int(c.PerMinute)
	if h.every == 0 {
		h.every = commandsPerMinute
	}
	return nil
}

// fire asks for the command to be run; it does not wait for it.
func (h *onWarning) fire(inc *incident.Incident, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.command == nil {
		return
	}
	for len(h.started) > 0 && now.Sub(h.started[0]) >= time.Minute {
		h.started = h.started[1:]
	}
	if len(h.started) >= h.every {
		h.log.Warn("the command for warnings is not run: per_minute is reached", zap.String("incident", inc.ID), zap.Int("per_minute", h.every))
		return
	}
	select {
	case h.wake <- inc:
		h.started = append(h.started, now)
	default:
		h.log.Warn("the command for warnings is not run: too many wait for it", zap.String("incident", inc.ID))
	}
}

// run runs commands until ctx ends; those that run then are killed.
func (h *onWarning) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for range maxCommands {
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

func (h *onWarning) one(ctx context.Context, inc *incident.Incident) {
	h.mu.Lock()
	command := h.command
	h.mu.Unlock()
	if command == nil {
		return // a reload took it away
	}
	began := time.Now()
	if err := command.Notify(ctx, incident.Alert{DeliveryID: inc.ID, Incident: inc, Attempt: 1}); err != nil {
		h.log.Error("the command for warnings", zap.String("incident", inc.ID), zap.Error(err))
		return
	}
	h.log.Info("the command for warnings ran", zap.String("incident", inc.ID), zap.Duration("for", time.Since(began)))
}
