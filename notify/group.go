package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// GroupOptions say when several incidents are told in one message. They only
// ever join what waits in the queue together: nothing is held back for them.
type GroupOptions struct {
	// Window joins incidents of the same container and cause no further apart
	// than this into one alert with a count; 0 joins none.
	Window time.Duration
	// StormPerMinute is how many alerts in a minute make a storm, which is
	// told as a digest; 0 is never.
	StormPerMinute int
}

// message is what is sent in one go: one incident, several of a kind, or a digest.
type message struct {
	deliveries []incident.Delivery
	digest     bool
}

// messages turns what is due into messages, in order.
func (g GroupOptions) messages(due []incident.Delivery) []message {
	if g.StormPerMinute > 0 && len(due) > g.StormPerMinute {
		return []message{{deliveries: due, digest: true}}
	}
	var out []message
	open := map[string]int{} // container and cause → index in out
	for _, d := range due {
		key := d.Lane + "\x00" + string(d.Incident.Cause) + "\x00" + string(d.Incident.Kind)
		if i, ok := open[key]; ok && g.Window > 0 && d.Incident.Container != nil {
			first := out[i].deliveries[0].Incident
			if d.Incident.Time.Sub(first.Time).Abs() <= g.Window {
				out[i].deliveries = append(out[i].deliveries, d)
				continue
			}
		}
		open[key] = len(out)
		out = append(out, message{deliveries: []incident.Delivery{d}})
	}
	return out
}

func (m message) lane() string {
	if m.digest {
		return ""
	}
	return m.deliveries[0].Lane
}

// alert is what the receiver is given: the newest of several incidents of a
// kind, with their count and the ids of the others.
func (m message) alert() Alert {
	newest := m.deliveries[len(m.deliveries)-1]
	a := Alert{DeliveryID: m.deliveries[0].ID, Attempt: newest.Attempts + 1, Repeat: m.deliveries[0].Unknown, Incident: newest.Incident}
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
	out := &Digest{Schema: DigestSchema, Count: len(ds), ByCause: map[incident.Cause]int{}}
	for _, d := range ds {
		inc := d.Incident
		out.ByCause[inc.Cause]++
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
