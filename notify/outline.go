package notify

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
type outline struct {
	severity incident.Severity
	over     bool   // what it tells of is over
	title    string // a headline
	lead     string // the summary
	cause    string
	sure     string // how sure that is
	facts    []fact
	advice   []string
	gaps     string
	lists    []listing
	foot     []string
	at       time.Time
	// body is the user's own template, escaped already; it stands in place of all
	// but the title and the foot.
	body string
}

// listing are lines of which as many are shown as there is room for.
type listing struct {
	title  string
	lines  []string
	most   int  // characters
	newest bool // the last lines matter, not the first
	prose  bool // sentences, not lines as they were written
}

// mark is the sign before a headline.
func (o *outline) mark() string {
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
func headline(inc *incident.Incident) string {
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
	return clip(subject, 80) + ": " + what
}

// outlineOf lays an alert out for somebody who was woken by it: what died, why,
// how sure; the numbers; what to do; the last log lines; where to look further.
// What a receiver has had already (an Update) comes short when brief is true.
func outlineOf(a Alert, brief bool) *outline {
	inc := a.Incident
	o := &outline{severity: inc.Severity, over: !inc.ResolvedAt.IsZero(), title: headline(inc), lead: inc.Summary,
		cause: string(inc.Cause), sure: confidenceWords(inc), at: inc.Time}
	if inc.Count > 1 {
		o.title += fmt.Sprintf(" (x%d)", inc.Count)
	}
	switch {
	case o.over:
		o.title += " (over)"
		o.lead = "Over" + overAfter(inc) + ": " + inc.Summary
	case a.Update:
		o.title += " (update)"
	}
	if a.Repeat {
		o.title += " (repeat)"
	}
	o.foot = []string{"oomwatch"}
	if inc.ID != "" {
		o.foot[0] += " explain " + inc.ID
	}
	for _, s := range []string{when(inc), hostLine(inc.Host)} {
		if s != "" {
			o.foot = append(o.foot, s)
		}
	}
	if a.Update && brief {
		return o
	}
	o.facts = facts(inc)
	o.advice = inc.Advice
	o.gaps = gapsLine(inc.Gaps)
	o.lists = []listing{
		{title: "Last log lines", lines: inc.LogTail, most: 3000, newest: true},
		{title: "Largest processes", lines: processLines(inc), most: 1000},
		{title: "Evidence", lines: evidenceLines(inc), most: 2000},
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

// outlineOfDigest lays a storm out: a line for each incident.
func outlineOfDigest(d *Digest) *outline {
	o := &outline{severity: worst(d), over: allOver(d), title: d.title(), lead: d.Summary, at: d.To, foot: []string{"oomwatch history"}}
	if d.Host != "" {
		o.foot = append(o.foot, redact.Sanitize(d.Host))
	}
	var lines []string
	for _, e := range d.Incidents {
		lines = append(lines, e.line())
	}
	o.lists = []listing{{title: "Incidents", lines: lines, most: 1 << 20, prose: true}}
	return o
}

// allOver is true when nothing in a digest goes on.
func allOver(d *Digest) bool {
	return !slices.ContainsFunc(d.Incidents, func(e DigestEntry) bool { return !e.over() })
}

// worst is the gravest severity in a digest, of what is not over.
func worst(d *Digest) incident.Severity {
	out := incident.Info
	for _, e := range d.Incidents {
		if e.over() {
			continue
		}
		if e.Severity == incident.Critical || e.Severity == incident.Warning && out == incident.Info {
			out = e.Severity
		}
	}
	return out
}

// fit returns the lines that there is room for, escaped, and the title, which
// says how many of them that is. It returns nothing when none fits. size is
// what a line takes of the room.
func (l *listing) fit(room, widest int, escape func(string) string, size func(string) int) (title string, kept []string) {
	lines := slices.Clone(l.lines)
	if l.newest {
		slices.Reverse(lines)
	}
	for _, line := range lines {
		line = clipEscaped(escape(line), widest)
		if room -= size(line); room < 0 {
			break
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		return l.title, nil
	}
	title = l.title
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
func (o *outline) leftOut(titles []string) {
	if len(titles) > 0 {
		o.foot = append(o.foot, "left out, too long: "+strings.ToLower(strings.Join(titles, ", ")))
	}
}

// runes is the size of a line in characters, its end included.
func runes(s string) int { return utf8.RuneCountInString(s) + 1 }

// processLines are the largest rows of the kernel's table, the victim marked.
func processLines(inc *incident.Incident) []string {
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
func evidenceLines(inc *incident.Incident) []string {
	const most = 6
	var lines []string
	for i, e := range inc.Evidence {
		if i == most {
			return append(lines, fmt.Sprintf("and %d more", len(inc.Evidence)-i))
		}
		lines = append(lines, e.Source+": "+clip(e.Text, 240))
		if e.Means != "" {
			lines = append(lines, "  = "+clip(e.Means, 160))
		}
	}
	return lines
}

func gapsLine(gaps []incident.Gap) string {
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
