package notify

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Follower is a Notifier whose receiver keeps what it was told open, or on show,
// until it is told how it went on: such a message never goes into a digest.
type Follower interface {
	// Follows does nothing: to have it is the answer.
	Follows()
}

// setApart marks what a Follower must be told by itself.
func (w *worker) setApart(list []message) {
	if _, ok := w.r.Notifier.(Follower); !ok {
		return
	}
	for i := range list {
		list[i].single = list[i].update() || over(list[i].newest().Incident)
	}
}

// update is true for more on what was told before.
func (m message) update() bool { return m.deliveries[0].Rev > 0 }

// newest is the delivery whose incident stands for all of the message: the last
// one, but of several the last that goes on, as it would else be told as over.
func (m message) newest() *incident.Delivery {
	last := &m.deliveries[len(m.deliveries)-1]
	seen := map[string]bool{}
	for i := range slices.Backward(m.deliveries) {
		d := &m.deliveries[i]
		if !seen[d.Incident.ID] && !over(d.Incident) {
			return d
		}
		seen[d.Incident.ID] = true
	}
	return last
}

// over is true when there is nothing to be woken for any more.
func over(inc *incident.Incident) bool { return ended(inc.ResolvedAt, inc.Cause) }

// ended is true for what has ended, or was nothing bad after all.
func ended(resolved time.Time, cause incident.Cause) bool {
	return !resolved.IsZero() || cause == incident.ExitOK
}

// mark notes the lanes of a message.
func (m message) mark(lanes map[string]bool) {
	for i := range m.deliveries {
		lanes[m.deliveries[i].Lane] = true
	}
}
