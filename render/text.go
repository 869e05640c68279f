// Package render holds the views of an incident: text for a terminal, a table,
// the outline of a message and a user's own template. It sends nothing.
package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// TextOptions say how WriteText lays out.
type TextOptions struct {
	// Width is the number of columns. Zero is for what is no screen: sentences are
	// wrapped at 80, and nothing is cut.
	Width int
	// Color allows ANSI colours.
	Color bool
	// NoHeader leaves a table's titles out: it goes on from one before.
	NoHeader bool
}

// How much of the longer parts is shown.
const (
	maxRows     = 8
	maxEvidence = 14
	maxGaps     = 12
	labelWidth  = 11
	// maxParagraph is in characters: a name of 10 kB is no reason to scroll.
	maxParagraph = 2000
)

// WriteText writes all of an incident for a person: what happened and how sure, the
// numbers, what to do, the log, the processes, then what each source said. All foreign
// text is made safe for a terminal. The error is w's.
func WriteText(w io.Writer, inc *incident.Incident, opt TextOptions) error {
	t := newPage(opt)
	t.headline(inc)
	t.facts(inc)
	t.list("Next", inc.Advice)
	t.logTail(inc)
	t.processes(inc)
	t.evidence(inc)
	t.gaps(inc)
	if link := Link(inc.URL); link != "" {
		t.line("")
		t.line("More: " + link)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func newPage(opt TextOptions) *page {
	t := &page{opt: opt, cut: opt.Width > 0}
	if opt.Width <= 0 {
		t.opt.Width = lineWidth
	}
	return t
}

// page collects lines no wider than the options say.
type page struct {
	b   strings.Builder
	opt TextOptions
	cut bool // what cannot be wrapped is cut at the width
}

// row writes a line that is not wrapped: on a screen it is cut, in a file it is whole.
func (t *page) row(s string, style func(string) string) {
	if t.cut {
		s = Clip(s, t.opt.Width)
	}
	if style != nil {
		s = style(s)
	}
	t.line(s)
}

func (t *page) line(s string) { t.b.WriteString(s); t.b.WriteByte('\n') }

func (t *page) paint(code, s string) string {
	if !t.opt.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *page) bold(s string) string { return t.paint("1", s) }

func (t *page) dim(s string) string { return t.paint("2", s) }

// wrapped writes words with a first and a following indent, no line wider than
// the page; words longer than a line are cut into pieces.
func (t *page) wrapped(first, rest, text string, style func(string) string) {
	// What the callers made safe already stays as it is.
	lines := wrap(Clip(redact.Sanitize(text), maxParagraph), t.opt.Width-utf8.RuneCountInString(first), t.opt.Width-utf8.RuneCountInString(rest))
	for i, l := range lines {
		if style != nil {
			l = style(l)
		}
		if i == 0 {
			t.line(first + l)
		} else {
			t.line(rest + l)
		}
	}
}

var severityColor = map[incident.Severity]string{incident.Critical: "1;31", incident.Warning: "1;33", incident.Info: "1;36"}

func (t *page) headline(inc *incident.Incident) {
	t.wrapped("", "", inc.Summary, func(s string) string { return t.paint(severityColor[inc.Severity], s) })
	parts := []string{string(inc.Kind), string(inc.Cause), ConfidenceWords(inc)}
	left := strings.Join(parts, " · ")
	right := when(inc, time.Millisecond)
	gap := t.opt.Width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if gap < 2 {
		t.wrapped("", "", left, t.dim)
		left, gap = "", t.opt.Width-utf8.RuneCountInString(right)
	}
	t.line(t.dim(left + strings.Repeat(" ", max(gap, 0)) + right))
	t.line("")
}

// ConfidenceWords is the confidence, with what takes from it.
func ConfidenceWords(inc *incident.Incident) string {
	s := string(inc.Confidence)
	if inc.Unverified {
		s += ", unverified"
	}
	if inc.Historic {
		s += ", from before the first run"
	} else if inc.SeenLive != nil && !*inc.SeenLive {
		s += ", found afterwards"
	}
	return s
}

// when is the incident's time as well as it is known, to the second or the millisecond.
func when(inc *incident.Incident, to time.Duration) string {
	switch {
	case !inc.Time.IsZero():
		return clock(inc.Time, to)
	case inc.UptimeSeconds != nil:
		return "at " + incident.FormatDuration(time.Duration(*inc.UptimeSeconds*float64(time.Second))) + " of uptime"
	}
	return ""
}

// processes writes the largest rows of the kernel's table.
func (t *page) processes(inc *incident.Incident) {
	if len(inc.Processes) < 2 {
		return
	}
	t.section(fmt.Sprintf("Processes (%d, largest first)", len(inc.Processes)))
	t.row(fmt.Sprintf("  %8s  %10s  %10s  %7s  %-16s %s", "PID", "RSS", "SWAP", "OOM_ADJ", "NAME", "CONTAINER"), t.dim)
	for _, p := range inc.Processes[:min(len(inc.Processes), maxRows)] {
		mark := " "
		if inc.Victim != nil && p.PID == inc.Victim.PID {
			mark = "*"
		}
		adj := ""
		if p.OOMScoreAdj != nil {
			adj = fmt.Sprint(*p.OOMScoreAdj)
		}
		row := fmt.Sprintf(" %s%8d  %10s  %10s  %7s  %-16s %s", mark, p.PID, bytesOr(p.RSS), bytesOr(p.Swap), adj,
			redact.Sanitize(p.Comm), redact.Sanitize(p.Container))
		t.row(strings.TrimRight(row, " "), nil)
	}
}

func bytesOr(n *int64) string {
	if n == nil {
		return ""
	}
	return incident.FormatBytes(*n)
}

func (t *page) section(title string) {
	t.line("")
	t.line(t.bold(title))
}

func (t *page) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	t.section(title)
	for _, s := range items {
		t.wrapped("  ", "  ", s, nil)
	}
}

// evidence writes what each source said, and below it what that means.
func (t *page) evidence(inc *incident.Incident) {
	if len(inc.Evidence) == 0 {
		return
	}
	t.section("Evidence")
	timed := slices.ContainsFunc(inc.Evidence, func(e incident.Evidence) bool { return !e.Time.IsZero() })
	for i, e := range inc.Evidence {
		if i == maxEvidence {
			t.line(t.dim(fmt.Sprintf("  ... and %d more: see -o json", len(inc.Evidence)-i)))
			return
		}
		first := "  "
		if timed {
			at := ""
			if !e.Time.IsZero() {
				at = e.Time.Local().Format("15:04:05.000")
			}
			first += fmt.Sprintf("%-12s ", at)
		}
		first += fmt.Sprintf("%-8s ", redact.Sanitize(e.Source))
		t.wrapped(first, strings.Repeat(" ", len(first)), shortIDs(redact.Sanitize(e.Text)), nil)
		if e.Means != "" {
			t.wrapped(strings.Repeat(" ", len(first))+"= ", strings.Repeat(" ", len(first))+"  ", shortIDs(redact.Sanitize(e.Means)), t.dim)
		}
	}
}

func (t *page) gaps(inc *incident.Incident) {
	if len(inc.Gaps) == 0 {
		return
	}
	t.section("Not seen")
	for i, g := range inc.Gaps {
		if i == maxGaps {
			t.line(t.dim(fmt.Sprintf("  ... and %d more: see -o json", len(inc.Gaps)-i)))
			return
		}
		s := g.Source
		if !g.From.IsZero() {
			s += " from " + g.From.Local().Format("15:04:05")
		}
		if !g.To.IsZero() {
			s += " to " + g.To.Local().Format("15:04:05")
		}
		if g.Lost > 0 {
			s += ", " + units.Count(int(g.Lost), "record") + " lost"
		}
		if g.Reason != "" {
			s += ": " + redact.Sanitize(g.Reason)
		}
		t.wrapped("  ", "    ", s, nil)
	}
}

func (t *page) logTail(inc *incident.Incident) {
	if len(inc.LogTail) == 0 {
		return
	}
	t.section("Last log lines")
	for _, l := range inc.LogTail {
		t.row("  | "+redact.Sanitize(l), nil)
	}
}
