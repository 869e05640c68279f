package notify

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// follow makes w the worker after old, which begins nothing more.
func (w *worker) follow(old *worker) {
	w.before, w.ready = old, make(chan struct{})
	if w.sameAs(old) {
		w.down.Store(old.down.Load())
	}
	old.leave()
}

// leave lets the worker end after the attempt that is under way. It is not cut short:
// the receiver may have the alert already, and would be told again.
func (w *worker) leave() {
	if w.cancel != nil {
		w.cancel()
	}
}

// sameAs is true when w tells the same receiver in the same way as old.
func (w *worker) sameAs(old *worker) bool {
	return w.r.Settings != "" && w.r.Settings == old.r.Settings
}

// takeOver waits for the worker before w, as two at once would tell twice, and goes
// on with what it knew. Of a receiver that was changed nothing is believed any
// longer: it may have been mended.
func (w *worker) takeOver() {
	old := w.before
	if old == nil {
		w.restore()
		return
	}
	defer close(w.ready)
	w.before = nil // or every worker that ever was would be held
	if old.done != nil {
		<-old.done
	}
	if w.traits.Inherit != nil {
		w.traits.Inherit(old.r.Notifier)
	}
	if old.again.Load() {
		w.again.Store(true)
	}
	if !w.sameAs(old) {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace, w.outage, w.hold, w.asked, w.gone, w.tokens, w.filled = old.pace, old.outage, old.hold, old.asked, old.gone, old.tokens, old.filled
}

// restore lets a Notifier know again what an earlier run told.
func (w *worker) restore() {
	if w.traits.Restore == nil {
		return
	}
	err := w.traits.Restore(func(since time.Time) ([]incident.Delivery, error) {
		return w.o.queue.Told(w.o.ctx, w.r.Name, since)
	})
	if err != nil && w.o.ctx.Err() == nil {
		w.o.log.Error("cannot read which alerts a receiver was sent: it may show active ones as resolved", zap.String("receiver", w.r.Name), zap.Error(err))
	}
}

// hasTakenOver waits for takeOver; false where ctx ended before.
func (w *worker) hasTakenOver(ctx context.Context) bool {
	if w.ready == nil {
		return true
	}
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
		return false
	}
}
