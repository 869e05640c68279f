package render

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// outline is an alert in parts, the most important first: what every chat
// receiver shows. Its texts are foreign: each receiver escapes them in its own
// way and cuts to its own limits, the least important first.
type Outline struct {
	severity incident.Severity
	over     bool   // what it tells of is over
	Title    string // a headline
	Lead     string // the summary
	Cause    string
	Sure     string // how sure that is
	Facts    []Fact
	Advice   []string
	Gaps     string
	Lists    []Listing
	Foot     []string
	At       time.Time
	// body is the user's own template, escaped already; it stands in place of all
	// but the title and the foot.
	Body string
}

// listing are lines of which as many are shown as there is room for.
type Listing struct {
	Title  string
	Lines  []string
	Most   int  // characters
	newest bool // the last lines matter, not the first
	Prose  bool // sentences, not lines as they were written
}

// mark is the sign before a headline.
func (o *Outline) Mark() string {
	switch {
	case o.over:
		return "🟢"
	case o.severity == incident.Critical:
		return "🔴"
	case o.severity == incident.Warning:
		return "🟠"
	}
	return "🔵"
}

// warningTitles say in a headline what a warning is about.
var warningTitles = map[string]string{
	"headroom": "little memory left", "forecast": "memory will run out", "pressure": "memory pressure", "throttled": "throttled",
	"limit_hits": "hits its limit again and again", "restart_loop": "restarts again and again", "unhealthy": "unhealthy", "pids": "near its pids limit",
	incident.SelfBlind: "a source is blind", incident.SelfLost: "records were lost", incident.SelfParked: "alerts were given up",
	incident.SelfDown: "a receiver takes no alerts", incident.SelfStore: "the store is in trouble", incident.SelfRestored: "the store was replaced",
	incident.SelfKilled: "it was killed itself",
}

// headline names what it happened to and what happened, in a few words.
func Headline(inc *incident.Incident) string {
	subject := who(inc)
	if subject == "-" {
		subject = "host"
		if inc.Host != nil && inc.Host.Name != "" {
			subject = redact.Sanitize(inc.Host.Name)
		}
	}
	if inc.Warning != nil && inc.Warning.Self {
		subject = "oomwatch on " + subject
	}
	what := inc.Cause.Info().Title
	if inc.Kind == incident.KindWarning {
		what = "warning: " + what
		if w := inc.Warning; w != nil && warningTitles[w.What] != "" {
			what = "warning: " + warningTitles[w.What]
		}
	}
	return Clip(subject, 80) + ": " + what
}

// outlineOf lays an alert out for somebody who was woken by it: what died, why,
// how sure; the numbers; what to do; the last log lines; where to look further.
// What a receiver has had already (an Update) comes short when brief is true.
func OutlineOf(a incident.Alert, brief bool) *Outline {
	inc := a.Incident
	o := &Outline{severity: inc.Severity, over: !inc.ResolvedAt.IsZero(), Title: Headline(inc), Lead: inc.Summary,
		Cause: string(inc.Cause), Sure: ConfidenceWords(inc), At: inc.Time}
	if inc.Count > 1 {
		o.Title += fmt.Sprintf(" (x%d)", inc.Count)
	}
	switch {
	case o.over:
		o.Title += " (over)"
		o.Lead = "Over" + overAfter(inc) + ": " + inc.Summary
	case a.Update:
		o.Title += " (update)"
	}
	if a.Repeat {
		o.Title += " (repeat)"
	}
	o.Foot = []string{"oomwatch"}
	if inc.ID != "" {
		o.Foot[0] += " explain " + inc.ID
	}
	for _, s := range []string{when(inc), hostLine(inc.Host)} {
		if s != "" {
			o.Foot = append(o.Foot, s)
		}
	}
	if a.Update && brief {
		return o
	}
	o.Facts = Facts(inc)
	o.Advice = inc.Advice
	o.Gaps = GapsLine(inc.Gaps)
	o.Lists = []Listing{
		{Title: "Last log lines", Lines: inc.LogTail, Most: 3000, newest: true},
		{Title: "Largest processes", Lines: ProcessLines(inc), Most: 1000},
		{Title: "Evidence", Lines: EvidenceLines(inc), Most: 2000},
	}
	return o
}

// overAfter is how long a warning lasted: " after 5 min".
func overAfter(inc *incident.Incident) string {
	since := inc.Time
	if inc.Warning != nil && !inc.Warning.Since.IsZero() {
		since = inc.Warning.Since
	}
	if since.IsZero() || !inc.ResolvedAt.After(since) {
		return ""
	}
	return " after " + incident.FormatDuration(inc.ResolvedAt.Sub(since))
}

// fit returns the lines that there is room for, escaped, and the title, which
// says how many of them that is. It returns nothing when none fits. size is
// what a line takes of the room.
func (l *Listing) Fit(room, widest int, escape func(string) string, size func(string) int) (title string, kept []string) {
	lines := slices.Clone(l.Lines)
	if l.newest {
		slices.Reverse(lines)
	}
	for _, line := range lines {
		line = ClipEscaped(escape(line), widest)
		if room -= size(line); room < 0 {
			break
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		return l.Title, nil
	}
	title = l.Title
	switch {
	case len(kept) == len(lines):
	case l.newest:
		title += fmt.Sprintf(" (newest %d of %d)", len(kept), len(lines))
	default:
		title += fmt.Sprintf(" (first %d of %d)", len(kept), len(lines))
	}
	if l.newest {
		slices.Reverse(kept)
	}
	return title, kept
}

// leftOut says in the foot which parts there was no room for.
func (o *Outline) LeftOut(titles []string) {
	if len(titles) > 0 {
		o.Foot = append(o.Foot, "left out, too long: "+strings.ToLower(strings.Join(titles, ", ")))
	}
}

// runes is the size of a line in characters, its end included.
func Runes(s string) int { return utf8.RuneCountInString(s) + 1 }

// processLines are the largest rows of the kernel's table, the victim marked.
func ProcessLines(inc *incident.Incident) []string {
	const rows = 5
	if len(inc.Processes) < 2 {
		return nil
	}
	var lines []string
	for _, p := range inc.Processes[:min(len(inc.Processes), rows)] {
		mark := " "
		if inc.Victim != nil && p.PID == inc.Victim.PID {
			mark = "×"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %10s  %-15s  %7d  %s", mark, bytesOr(p.RSS), redact.Sanitize(p.Comm), p.PID, redact.Sanitize(p.Container)), " "))
	}
	if n := len(inc.Processes) - rows; n > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", n))
	}
	return lines
}

// evidenceLines are what each source said and what it means.
func EvidenceLines(inc *incident.Incident) []string {
	const most = 6
	var lines []string
	for i, e := range inc.Evidence {
		if i == most {
			return append(lines, fmt.Sprintf("and %d more", len(inc.Evidence)-i))
		}
		lines = append(lines, e.Source+": "+Clip(e.Text, 240))
		if e.Means != "" {
			lines = append(lines, "  = "+Clip(e.Means, 160))
		}
	}
	return lines
}

func GapsLine(gaps []incident.Gap) string {
	var s []string
	for _, g := range gaps {
		one := g.Source
		if g.Lost > 0 {
			one += fmt.Sprintf(" lost %d records", g.Lost)
		}
		if g.Reason != "" {
			one += " (" + g.Reason + ")"
		}
		s = append(s, one)
	}
	return strings.Join(s, ", ")
}

// lineOf is an alert in one line.
func LineOf(a incident.Alert) string {
	inc := a.Incident
	o := OutlineOf(a, true)
	s := o.Lead
	if inc.Count > 1 {
		s += fmt.Sprintf(" (x%d)", inc.Count)
	}
	s += " [" + o.Cause + ", " + o.Sure + "]"
	if len(o.Advice) > 0 {
		s += " Do next: " + o.Advice[0]
	}
	if inc.ID != "" {
		s += " More: oomwatch explain " + inc.ID
	}
	return redact.Sanitize(s)
}
