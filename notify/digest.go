package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// DigestSchema names the JSON form of a Digest.
const DigestSchema = "oomwatch.digest/v1"

// Digest is many incidents told in one message.
type Digest struct {
	Schema  string    `json:"schema"` // DigestSchema
	Summary string    `json:"summary"`
	Host    string    `json:"host,omitempty"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	// Count and ByCause are of what is told here first. Updates is how many of
	// Incidents are more on what was told before.
	Count     int                    `json:"count"`
	Updates   int                    `json:"updates,omitempty"`
	ByCause   map[incident.Cause]int `json:"by_cause"`
	Incidents []DigestEntry          `json:"incidents"`
}

// DigestEntry is one incident in a Digest.
type DigestEntry struct {
	ID        string            `json:"id"`
	Kind      incident.Kind     `json:"kind"`
	Cause     incident.Cause    `json:"cause"`
	Severity  incident.Severity `json:"severity"`
	Summary   string            `json:"summary"`
	Container *DigestContainer  `json:"container,omitempty"`
	// ResolvedAt is when it was over; zero while it lasts, and for what has no end.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// Update is true when the receiver was told of it before.
	Update bool `json:"update,omitempty"`
}

// DigestContainer names the container of a DigestEntry.
type DigestContainer struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// over is true for an entry that nobody need be woken for any more.
func (e *DigestEntry) over() bool { return ended(e.ResolvedAt, e.Cause) }

// news is what is to be said of the entry beside its summary; "" for nothing.
func (e *DigestEntry) news() string {
	switch {
	case e.over():
		return "over"
	case e.Update:
		return "update"
	}
	return ""
}

// line is the entry in a list for people.
func (e *DigestEntry) line() string {
	words := string(e.Cause)
	if n := e.news(); n != "" {
		words += ", " + n
	}
	return e.Summary + " (" + words + ")"
}

// title says how many there are in the words of a headline.
func (d *Digest) title() string {
	if d.Count == 0 {
		return plural(d.Updates, "update")
	}
	return plural(d.Count, "incident") + " at once"
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

// digest sums up what is not told one by one.
func digest(m message, receiver string) *Digest {
	out := &Digest{Schema: DigestSchema, ByCause: map[incident.Cause]int{}}
	first := map[string]bool{} // incidents that the receiver has not been told of
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.Rev == 0 {
			first[d.Incident.ID] = true
		}
	}
	names := map[string]bool{}
	for _, inc := range m.incidents() {
		if h := inc.Host; h != nil && out.Host == "" {
			out.Host = h.Name // one daemon watches one host
		}
		item := DigestEntry{ID: inc.ID, Kind: inc.Kind, Cause: inc.Cause, Severity: inc.Severity, Summary: inc.Summary, ResolvedAt: inc.ResolvedAt, Update: !first[inc.ID]}
		if inc.Container != nil {
			item.Container = &DigestContainer{ID: inc.Container.ID, Name: inc.Container.Name}
		}
		out.Incidents = append(out.Incidents, item)
		if item.Update {
			out.Updates++
			if len(first) > 0 {
				continue // it began long before the others, maybe
			}
		} else {
			n := max(inc.Count, 1)
			out.Count += n
			out.ByCause[inc.Cause] += n
			if c := inc.Container; c != nil {
				names[cmp.Or(c.Name, c.ID)] = true
			}
		}
		if out.From.IsZero() || inc.Time.Before(out.From) {
			out.From = inc.Time
		}
		if inc.Time.After(out.To) {
			out.To = inc.Time
		}
	}
	out.Summary = out.sum(m, receiver, len(names))
	return out
}

// sum is the summary: how many, when, of how many containers, and why.
func (d *Digest) sum(m message, receiver string, containers int) string {
	const known = " on what was told before"
	s := plural(d.Count, "incident")
	if d.Count == 0 {
		s = plural(d.Updates, "update") + known
	}
	if d.Host != "" {
		s += " on " + redact.Sanitize(d.Host)
	}
	switch {
	case m.late > 0:
		s += " while " + receiver + " was unreachable for " + incident.FormatDuration(m.late)
	case d.Count > 0:
		s += " within " + incident.FormatDuration(d.To.Sub(d.From))
	}
	if containers > 1 {
		s += fmt.Sprintf(", %d containers", containers)
	}
	causes := slices.SortedFunc(maps.Keys(d.ByCause), func(a, b incident.Cause) int {
		return cmp.Or(d.ByCause[b]-d.ByCause[a], cmp.Compare(a, b))
	})
	for _, c := range causes[:min(len(causes), 3)] {
		s += fmt.Sprintf(", %d %s", d.ByCause[c], c)
	}
	if d.Count > 0 && d.Updates > 0 {
		s += ", and " + plural(d.Updates, "update") + known
	}
	return s
}
