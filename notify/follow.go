package notify

import (
	"slices"

	"github.com/oomwatch/oomwatch/incident"
)

// setApart marks what a receiver that keeps alerts open must get by itself.
func (w *worker) setApart(list []message) {
	if !w.traits.KeepsOpen {
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
		lanes[laneOf(&m.deliveries[i])] = true
	}
}
