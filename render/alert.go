package render

import (
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// WriteAlert writes an alert for a terminal or a log of plain lines, in at most
// MaxLines lines of 80 columns. All foreign text is made safe. The error is w's.
func WriteAlert(w io.Writer, a incident.Alert, opt TextOptions) error {
	return WriteOutline(w, OutlineOf(a, true), opt)
}

// WriteDigest writes a digest, in as many lines at most. The error is w's.
func WriteDigest(w io.Writer, d *incident.Digest, opt TextOptions) error {
	return WriteOutline(w, OutlineOfDigest(d), opt)
}

// WriteOutline writes an outline, or the user's own words in place of it. It shortens o
// until it fits. The error is w's.
func WriteOutline(w io.Writer, o *Outline, opt TextOptions) error {
	t := newPage(opt)
	for t.outline(o); strings.Count(t.b.String(), "\n") > MaxLines && o.shorten(); t.outline(o) {
		t.b.Reset()
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// outline writes the lines of an outline. The whole summary stands in place of a
// headline that is cut.
func (t *page) outline(o *Outline) {
	if o.Body != "" {
		t.b.WriteString(strings.TrimRight(o.Body, "\n") + "\n") // its own lines stay as they are
	} else {
		t.head(o)
	}
	wide := 0
	for _, l := range o.Lines {
		wide = max(wide, len(l.Label))
	}
	for _, l := range o.Lines {
		first := "  "
		if l.Label != "" {
			first += l.Label + strings.Repeat(" ", wide-len(l.Label)) + "  "
		}
		t.wrapped(first, strings.Repeat(" ", len(first)), redact.Sanitize(l.Text), nil)
	}
	more := o.Foot[0]
	if o.Link != "" {
		more = o.Link
	}
	if more != "oomwatch" {
		t.wrapped("", "  ", "More: "+more, t.dim)
	}
}

// head writes what happened, and how sure, when and where that is.
func (t *page) head(o *Outline) {
	head := o.Title
	if o.Lead != "" {
		head = o.Lead
	}
	t.wrapped("", "", head, func(s string) string { return t.paint(severityColor[o.Severity], s) })
	second := strings.Join(o.Foot[1:], " · ")
	if o.Cause != "" {
		second = strings.TrimSuffix(o.Cause+" · "+o.Sure+" · "+second, " · ")
	}
	if second != "" {
		t.wrapped("", "  ", second, t.dim)
	}
}
