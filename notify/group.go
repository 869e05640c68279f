package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// GroupOptions say when several incidents are told in one message. They only
// ever join what waits in the queue together: nothing is held back for them.
type GroupOptions struct {
	// Window joins incidents of the same container and cause no further apart
	// than this into one alert with a count; 0 joins none.
	Window time.Duration
	// StormPerMinute is how many alerts a receiver gets in a minute; what
	// goes beyond is told as a digest. 0 is no bound.
	StormPerMinute int
}

// message is what is sent in one go: one incident, several of a kind, or a digest.
type message struct {
	deliveries []incident.Delivery
	digest     bool
}

// messages turns what is due into messages, in order: in a container's lane
// nothing overtakes what came before it.
func (g GroupOptions) messages(due []incident.Delivery) []message {
	var out []message
	open := map[string]int{} // lane → its last message's index in out
	for _, d := range due {
		if i, ok := open[d.Lane]; ok && g.joins(&out[i].deliveries[0], &d) {
			out[i].deliveries = append(out[i].deliveries, d)
			continue
		}
		open[d.Lane] = len(out)
		out = append(out, message{deliveries: []incident.Delivery{d}})
	}
	return out
}

// joins says whether b is a's thing again, in the same container.
func (g GroupOptions) joins(a, b *incident.Delivery) bool {
	x, y := a.Incident, b.Incident
	return g.Window > 0 && y.Container != nil && x.Cause == y.Cause && x.Kind == y.Kind && y.Time.Sub(x.Time).Abs() <= g.Window
}

// behind is true when something in the message waits behind a failure in its lane.
func (m message) behind(failed map[string]bool) bool {
	return slices.ContainsFunc(m.deliveries, func(d incident.Delivery) bool { return failed[d.Lane] })
}

// id is the delivery's, or one made of all of them: another set of incidents is
// another message, and a receiver that drops repeats must drop none of them.
func (m message) id() string {
	if len(m.deliveries) == 1 {
		return m.deliveries[0].ID
	}
	ids := make([]string, len(m.deliveries))
	for i := range m.deliveries {
		ids[i] = m.deliveries[i].ID
	}
	return incident.DeliveryID(strings.Join(ids, " "), m.deliveries[0].Receiver)
}

// alert is what the receiver is given: the newest of several incidents of a
// kind, with their count and the ids of the others.
func (m message) alert() Alert {
	newest := m.deliveries[len(m.deliveries)-1]
	a := Alert{DeliveryID: m.id(), Attempt: m.deliveries[0].Attempts + 1, Incident: newest.Incident,
		Repeat: slices.ContainsFunc(m.deliveries, func(d incident.Delivery) bool { return d.Unknown })}
	if len(m.deliveries) > 1 {
		inc := *newest.Incident
		inc.Count = 0
		inc.Related = slices.Clone(inc.Related)
		for _, d := range m.deliveries {
			inc.Count += max(d.Incident.Count, 1)
			if d.Incident.ID != inc.ID && !slices.Contains(inc.Related, d.Incident.ID) {
				inc.Related = append(inc.Related, d.Incident.ID)
			}
		}
		a.Incident = &inc
	}
	return a
}

// digest sums up a storm.
func digest(ds []incident.Delivery) *Digest {
	out := &Digest{Schema: DigestSchema, ByCause: map[incident.Cause]int{}}
	for _, d := range ds {
		inc := d.Incident
		n := max(inc.Count, 1)
		out.Count += n
		out.ByCause[inc.Cause] += n
		if out.From.IsZero() || inc.Time.Before(out.From) {
			out.From = inc.Time
		}
		if inc.Time.After(out.To) {
			out.To = inc.Time
		}
		item := DigestEntry{ID: inc.ID, Kind: inc.Kind, Cause: inc.Cause, Severity: inc.Severity, Summary: inc.Summary}
		if inc.Container != nil {
			item.Container = &DigestContainer{ID: inc.Container.ID, Name: inc.Container.Name}
		}
		out.Incidents = append(out.Incidents, item)
	}
	causes := slices.SortedFunc(maps.Keys(out.ByCause), func(a, b incident.Cause) int {
		return cmp.Or(out.ByCause[b]-out.ByCause[a], cmp.Compare(a, b))
	})
	out.Summary = fmt.Sprintf("%d incidents within %s", out.Count, incident.FormatDuration(out.To.Sub(out.From)))
	for i, c := range causes {
		if i == 3 {
			break
		}
		out.Summary += fmt.Sprintf(", %d %s", out.ByCause[c], c)
	}
	return out
}
