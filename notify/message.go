package notify

import (
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// message is what is sent in one go: one incident, several of a kind, or a digest.
type message struct {
	deliveries []incident.Delivery
	digest     bool
	gathered   bool // it is what went beyond the pace
	single     bool // it never goes into a digest
	// late is how long the receiver was out of reach, for a digest because of that.
	late time.Duration
}

// update is true for more on an incident that the receiver had before.
func (m message) update() bool { return m.deliveries[0].Rev > 0 }

// newest is the delivery whose incident stands for the message: the last one, or of
// several incidents the last that still goes on. One that is over would else hide it.
func (m message) newest() *incident.Delivery {
	seen := map[string]bool{} // incidents of which a later word was looked at
	for i := range slices.Backward(m.deliveries) {
		d := &m.deliveries[i]
		if !seen[d.Incident.ID] && !d.Incident.Over() {
			return d
		}
		seen[d.Incident.ID] = true
	}
	return &m.deliveries[len(m.deliveries)-1]
}

// mark notes the lanes of a message.
func (m message) mark(lanes map[string]bool) {
	for i := range m.deliveries {
		lanes[laneOf(&m.deliveries[i])] = true
	}
}

// behind is true when something in the message waits behind a failure in its lane.
func (m message) behind(failed map[string]bool) bool {
	return slices.ContainsFunc(m.deliveries, func(d incident.Delivery) bool { return failed[laneOf(&d)] })
}

// fixed is true for a message that may have arrived as it is.
func (m message) fixed() bool { return m.deliveries[0].Batch != "" }

// mayHaveCome is true when an earlier attempt at the message may have arrived: it
// is repeated under its own id.
func (m message) mayHaveCome() bool { return m.fixed() || m.deliveries[0].Unknown }

// id is the delivery's, or one made of all of them: another set of incidents is
// another message, and a receiver that drops repeats must drop none of them.
func (m message) id() string {
	if len(m.deliveries) == 1 && !m.fixed() {
		return m.deliveries[0].ID
	}
	return m.batch()
}

// batch is the id of a message of several deliveries.
func (m message) batch() string {
	if m.fixed() {
		return m.deliveries[0].Batch
	}
	ids := make([]string, len(m.deliveries))
	for i := range m.deliveries {
		ids[i] = m.deliveries[i].ID
	}
	return incident.DeliveryID("", strings.Join(ids, " "), m.deliveries[0].Receiver)
}

// alert is what the receiver is given: the newest of several incidents of a
// kind, with their count, the ids of the others, and the address of its page below
// external, where there is one.
func (m message) alert(external string) incident.Alert {
	list := incident.IncidentsOf(m.deliveries)
	newest := m.newest()
	a := incident.Alert{DeliveryID: m.id(), Attempt: m.deliveries[0].Attempts + 1, Incident: newest.Incident, Update: m.update(),
		Repeat: slices.ContainsFunc(m.deliveries, func(d incident.Delivery) bool { return d.Unknown })}
	if time.Since(newest.Last.At) <= threadLife {
		a.Thread = newest.Last.Thread
	}
	if len(list) > 1 {
		inc := *newest.Incident
		inc.Count = 0
		inc.Related = slices.Clone(inc.Related)
		for _, x := range list {
			inc.Count += max(x.Count, 1)
			if inc.FirstTime.IsZero() || x.Time.Before(inc.FirstTime) {
				inc.FirstTime = x.Time
			}
			if x.ID != inc.ID && !slices.Contains(inc.Related, x.ID) {
				inc.Related = append(inc.Related, x.ID)
			}
		}
		a.Incident = &inc
	}
	if page := incident.PageURL(external, a.Incident.ID); page != "" {
		inc := *a.Incident
		inc.URL = page
		a.Incident = &inc
	}
	return a
}
