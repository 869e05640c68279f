package render

import (
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// digestNews is what is to be said of the entry beside its summary; "" for nothing.
func digestNews(e *incident.DigestEntry) string {
	switch {
	case e.Over():
		return "over"
	case e.Update:
		return "update"
	}
	return ""
}

// digestLine is the entry in a list for people.
func DigestLine(e *incident.DigestEntry) string {
	words := string(e.Cause)
	if n := digestNews(e); n != "" {
		words += ", " + n
	}
	return e.Summary + " (" + words + ")"
}

// digestTitle says how many there are in the words of a headline.
func digestTitle(d *incident.Digest) string {
	if d.Count == 0 {
		return units.Count(d.Updates, "update")
	}
	return units.Count(d.Count, "incident") + " at once"
}

// outlineOfDigest lays a storm out: a line for each incident.
func OutlineOfDigest(d *incident.Digest) *Outline {
	o := &Outline{severity: d.Severity(), over: d.Over(), Title: digestTitle(d), Lead: d.Summary, At: d.To, Foot: []string{"oomwatch history"}}
	if d.Host != "" {
		o.Foot = append(o.Foot, redact.Sanitize(d.Host))
	}
	var lines []string
	for _, e := range d.Incidents {
		lines = append(lines, DigestLine(&e))
	}
	o.Lists = []Listing{{Title: "Incidents", Lines: lines, Most: 1 << 20, Prose: true}}
	return o
}
