package notify

import (
	"slices"

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
		list[i].single = list[i].update() || list[i].newest().Incident.Over()
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
		if !seen[d.Incident.ID] && !d.Incident.Over() {
			return d
		}
		seen[d.Incident.ID] = true
	}
	return last
}

// mark notes the lanes of a message.
func (m message) mark(lanes map[string]bool) {
	for i := range m.deliveries {
		lanes[m.deliveries[i].Lane] = true
	}
}
