package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
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
	Count   int           `json:"count"`
	Updates int           `json:"updates,omitempty"`
	ByCause map[Cause]int `json:"by_cause"`
	// Groups are the incidents by container and cause, what the receiver never had
	// first. The counts of those that are no updates add up to Count.
	Groups    []DigestGroup `json:"groups"`
	Incidents []DigestEntry `json:"incidents"`
	// URL is the page that shows them all, where external_url is configured.
	URL string `json:"url,omitempty"`
}

// DigestGroup is what one container (or unit, or the host) had of one kind and cause.
type DigestGroup struct {
	Kind      Kind             `json:"kind"`
	Cause     Cause            `json:"cause"`
	Severity  Severity         `json:"severity"`
	Container *DigestContainer `json:"container,omitempty"`
	Count     int              `json:"count"`
	// FirstEver is true when the receiver never had an alert of this kind and cause
	// for this container.
	FirstEver bool `json:"first_ever,omitempty"`
	// Update is true for more on what the receiver had before, Over when none of it
	// goes on.
	Update bool `json:"update,omitempty"`
	Over   bool `json:"over,omitempty"`
	// ID and Summary are of the newest, From and To the times of the first and last.
	ID      string    `json:"id"`
	Summary string    `json:"summary"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	// Newest is the newest of them, whole, for a receiver that needs more than ID and Summary.
	Newest *Incident `json:"-"`
}

// DigestEntry is one incident in a Digest.
type DigestEntry struct {
	ID        string           `json:"id"`
	Kind      Kind             `json:"kind"`
	Cause     Cause            `json:"cause"`
	Severity  Severity         `json:"severity"`
	Summary   string           `json:"summary"`
	Container *DigestContainer `json:"container,omitempty"`
	// ResolvedAt is when it was over; zero while it lasts, and for what has no end.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// Update is true when the receiver was told of it before.
	Update bool `json:"update,omitempty"`
	// URL is its page, where external_url is configured.
	URL string `json:"url,omitempty"`
}

// DigestContainer names the container of a DigestEntry.
type DigestContainer struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Over is true for an entry that nobody need be woken for any more.
func (e *DigestEntry) Over() bool { return !e.ResolvedAt.IsZero() || e.Cause == ExitOK }

// Over is true when nothing in the digest goes on.
func (d *Digest) Over() bool {
	return !slices.ContainsFunc(d.Incidents, func(e DigestEntry) bool { return !e.Over() })
}

// Severity is the gravest in the digest, of what is not over.
func (d *Digest) Severity() Severity {
	out := Info
	for _, e := range d.Incidents {
		if e.Over() {
			continue
		}
		if e.Severity == Critical || e.Severity == Warning && out == Info {
			out = e.Severity
		}
	}
	return out
}

// NewDigest sums up deliveries that are sent in one message. late is how long their
// receiver was unreachable, where that is why they go together; else zero.
func NewDigest(deliveries []Delivery, receiver string, late time.Duration) *Digest {
	out := &Digest{Schema: DigestSchema, ByCause: map[Cause]int{}}
	first, firstEver := map[string]bool{}, map[string]bool{} // incidents that the receiver never had; and nothing of their key
	for i := range deliveries {
		if d := &deliveries[i]; d.Rev == 0 {
			first[d.Incident.ID] = true
			firstEver[d.Incident.ID] = d.Last.At.IsZero()
		}
	}
	names := map[string]bool{}
	var groups digestGroups
	for _, inc := range IncidentsOf(deliveries) {
		if h := inc.Host; h != nil && out.Host == "" {
			out.Host = h.Name // one daemon watches one host
		}
		item := DigestEntry{ID: inc.ID, Kind: inc.Kind, Cause: inc.Cause, Severity: inc.Severity, Summary: inc.Summary, ResolvedAt: inc.ResolvedAt, Update: !first[inc.ID]}
		if inc.Container != nil {
			item.Container = &DigestContainer{ID: inc.Container.ID, Name: inc.Container.Name}
		}
		out.Incidents = append(out.Incidents, item)
		groups.add(inc, &item, firstEver[inc.ID])
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
	out.Groups = groups.sorted()
	out.Summary = out.sum(receiver, late, len(names))
	return out
}

// sum says how many, when, of how many containers, and why.
func (d *Digest) sum(receiver string, late time.Duration, containers int) string {
	const known = " on earlier alerts"
	s := units.Count(d.Count, "incident")
	if d.Count == 0 {
		s = units.Count(d.Updates, "update") + known
	}
	if d.Host != "" {
		s += " on " + redact.Sanitize(d.Host)
	}
	switch {
	case late > 0:
		s += " while " + receiver + " was unreachable for " + FormatDuration(late)
	case d.Count > 1 && d.To.Sub(d.From) < time.Second:
		s += " at once"
	case d.Count > 1:
		s += " within " + FormatDuration(d.To.Sub(d.From))
	}
	if containers > 1 {
		s += fmt.Sprintf(", %d containers", containers)
	}
	causes := slices.SortedFunc(maps.Keys(d.ByCause), func(a, b Cause) int {
		return cmp.Or(d.ByCause[b]-d.ByCause[a], cmp.Compare(a, b))
	})
	rest := d.Count
	for _, c := range causes[:min(len(causes), 3)] {
		s += fmt.Sprintf(", %d %s", d.ByCause[c], c)
		rest -= d.ByCause[c]
	}
	if rest > 0 {
		s += fmt.Sprintf(", %d of other causes", rest)
	}
	if d.Count > 0 && d.Updates > 0 {
		s += ", and " + units.Count(d.Updates, "update") + known
	}
	return s
}

// IncidentsOf are the incidents of deliveries, each once, in order.
func IncidentsOf(deliveries []Delivery) []*Incident {
	var out []*Incident
	seen := map[string]bool{}
	for i := range deliveries {
		if inc := deliveries[i].Incident; !seen[inc.ID] {
			seen[inc.ID] = true
			out = append(out, inc)
		}
	}
	return out
}
