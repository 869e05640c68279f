package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// maxGroups is how many groups a digest's message names: a line each, with the
// headline, the host and the foot no more than MaxLines.
const maxGroups = 8

// GroupLine is a group of a digest in one line: how many, of which container, of which
// cause; the newest in its own words where there is one only.
func GroupLine(g *incident.DigestGroup) string {
	words := string(g.Cause)
	switch {
	case g.Over:
		words += ", over"
	case g.Update:
		words += ", update"
	case g.FirstEver:
		words += ", first time"
	}
	if g.Count == 1 {
		return redact.Sanitize(g.Summary) + " (" + words + ")"
	}
	s := fmt.Sprintf("%d × ", g.Count)
	if c := g.Container; c != nil && c.Name+c.ID != "" {
		name := c.Name
		if name == "" {
			name = Short(c.ID)
		}
		s += Clip(redact.Sanitize(name), 40) + ": "
	}
	return s + strings.TrimSuffix(g.Cause.Info().Title+" ("+words+")", " ()") + ", the last: " + redact.Sanitize(g.Summary)
}

// digestTitle says how many there are in the words of a headline, and within which
// time; at once only where that is so.
func digestTitle(d *incident.Digest) string {
	if d.Count == 0 {
		return units.Count(d.Updates, "update")
	}
	s := units.Count(d.Count, "incident")
	switch within := d.To.Sub(d.From); {
	case d.Count == 1:
	case within < time.Second:
		s += " at once"
	default:
		s += " within " + incident.FormatDuration(within)
	}
	return s
}

// OutlineOfDigest lays a storm out: a line for each container and cause, what the
// receiver never had first. What there is no room for is counted.
func OutlineOfDigest(d *incident.Digest) *Outline {
	o := &Outline{Severity: d.Severity(), Over: d.Over(), Title: digestTitle(d), Lead: redact.Sanitize(d.Summary), At: d.To,
		Foot: []string{"oomwatch history"}, Link: Link(d.URL)}
	if d.Host != "" {
		o.Foot = append(o.Foot, redact.Sanitize(d.Host))
	}
	width := 2*lineWidth - 20
	if len(d.Groups) > 3 {
		width = lineWidth - 4
	}
	rest, count := 0, 0
	for i := range d.Groups {
		if g := &d.Groups[i]; i < maxGroups || len(d.Groups) == maxGroups+1 {
			o.Lines = append(o.Lines, Line{Text: Clip(GroupLine(g), width)})
		} else {
			rest++
			count += g.Count
		}
	}
	if rest > 0 {
		o.Lines = append(o.Lines, Line{Text: fmt.Sprintf("and %d more in %s", count, units.Count(rest, "other group"))})
	}
	return o
}
