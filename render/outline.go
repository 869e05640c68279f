package render

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// MaxLines is how many lines a message has at most, on a screen of lineWidth columns.
const MaxLines = 12

const (
	// lineWidth is how much of a text stands on one line: a terminal, about a chat.
	lineWidth = 80
	// maxTitle is the shortest of the services' limits for a headline (Slack's).
	maxTitle = 140
	// maxStep is how long the next step may be, maxLogLine the log's line.
	maxStep    = 240
	maxLogLine = 160
)

// Outline is an alert in at most MaxLines lines, the most important first: what every
// message shows. Its texts are foreign: each receiver escapes them in its own way.
type Outline struct {
	Severity incident.Severity
	Over     bool   // nothing of it goes on
	Title    string // what died and why, in a line
	Lead     string // the whole summary, where Title is not all of it
	Cause    string
	Sure     string // how sure that is
	Lines    []Line
	// Foot says when and where, and the command that shows more.
	Foot []string
	// Link is the address of the page that shows more; "" without external_url.
	Link string
	At   time.Time
	// Body is the user's own template, escaped already; it stands in place of Lead,
	// Cause and Lines.
	Body string
}

// Line is one labelled line of a message.
type Line struct {
	Label, Text string
	// Code is true for a line that a program wrote: it is shown as it is.
	Code bool
}

// Level is 3 for what is critical, 2 for a warning, 1 for information, 0 for what is over.
func (o *Outline) Level() int {
	switch {
	case o.Over:
		return 0
	case o.Severity == incident.Critical:
		return 3
	case o.Severity == incident.Warning:
		return 2
	}
	return 1
}

// Mark is the sign before a headline.
func (o *Outline) Mark() string { return [...]string{"🟢", "🔵", "🟠", "🔴"}[o.Level()] }

// OutlineOf lays an alert out for somebody who was woken by it: what died, why, how
// sure; the limit and who held it; the log's reason; the trend; one next step; where
// to look further. An update of what a receiver has had comes without the numbers
// where brief is true.
func OutlineOf(a incident.Alert, brief bool) *Outline {
	inc := a.Incident
	o := &Outline{Severity: inc.Severity, Over: !inc.ResolvedAt.IsZero(), Cause: string(inc.Cause), Sure: ConfidenceWords(inc), At: inc.Time, Link: Link(inc.URL)}
	said := cmp.Or(strings.TrimSpace(inc.Summary), Headline(inc))
	if o.Over {
		said = resolved(inc)
	}
	news := ""
	if inc.Count > 1 && !strings.Contains(inc.Summary, " time today)") {
		news += " (x" + strconv.Itoa(inc.Count) + ")"
	}
	if a.Update && !o.Over {
		news += " (update)"
	}
	if a.Repeat {
		news += " (repeat)"
	}
	o.Title = Clip(said, maxTitle-Runes(news)) + news
	if utf8.RuneCountInString(said) > maxTitle-Runes(news) {
		o.Lead = said
	}
	o.Foot = foot(inc)
	if a.Update && brief {
		return o
	}
	o.Lines = lines(inc)
	o.fit()
	return o
}

// foot says when and where, and the command that shows more.
func foot(inc *incident.Incident) []string {
	out := []string{"oomwatch"}
	if inc.ID != "" {
		out[0] += " explain " + inc.ID
	}
	if at := when(inc, time.Second); at != "" {
		out = append(out, at)
	}
	if h := inc.Host; h != nil && h.Name != "" {
		out = append(out, redact.Sanitize(h.Name))
	}
	return out
}

// Labels of the lines that fit looks for.
const (
	labelSeen  = "Not seen"
	labelTrend = "Memory"
	labelState = "Status"
	labelNext  = "Next"
	labelLog   = "Log"
)

// lines are an alert's numbers and what to do.
func lines(inc *incident.Incident) []Line {
	memory := aboutMemory(inc)
	var out []Line
	add := func(label, text string, shown bool) {
		if shown && text != "" {
			out = append(out, Line{Label: label, Text: text})
		}
	}
	add("Limit", alertLimit(inc), memory)
	add("Held by", heldBy(inc), memory)
	add(labelState, statusLine(inc), true)
	if l := logLine(inc); l != "" {
		out = append(out, Line{Label: labelLog, Text: l, Code: true})
	}
	history := untilKill(inc)
	add(labelTrend, HistoryLine(history), memory && !flatLine(history))
	if len(inc.Advice) > 0 {
		add(labelNext, nextStep(inc.Advice[0], maxStep), true)
	}
	add("Silenced", redact.Sanitize(inc.Silenced), true)
	add("Not stored", redact.Sanitize(inc.NotStored), true)
	add(labelSeen, Clip(GapsLine(inc.Gaps), lineWidth), true)
	return out
}

// aboutMemory is true where the memory's numbers have to do with what happened.
func aboutMemory(inc *incident.Incident) bool {
	switch inc.Cause {
	case incident.ExitError, incident.ExitOK, incident.ExecFailed, incident.CrashSignal, incident.StopRequest, incident.KillRequest,
		incident.KillStopTimeout, incident.KillProbe, incident.LimitPids, incident.LimitDisk, incident.HostShutdown, incident.EngineStop:
		return false
	}
	return inc.Warning == nil || !inc.Warning.Self
}

// logLine is the line of the log that reads as the reason, where the headline has it
// not already; else the last one that says anything.
func logLine(inc *incident.Incident) string {
	reason := incident.ReasonLine(inc.LogTail)
	if reason != "" && strings.Contains(inc.Summary, reason) {
		return ""
	}
	if reason == "" {
		for _, l := range inc.LogTail {
			if l = strings.TrimSpace(l); l != "" {
				reason = l
			}
		}
	}
	return Clip(redact.Sanitize(reason), maxLogLine)
}

// nextStep is an advice in few words: what only says again who held the memory is left
// out.
func nextStep(s string, most int) string {
	if first, rest, more := strings.Cut(s, ". "); more && strings.Contains(first, " alone held ") {
		s = rest
	}
	return sentence(s, most)
}

// sentence shortens a text to whole sentences where some fit.
func sentence(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	head := s[:RuneIndex(s, most)]
	if i := strings.LastIndex(head, ". "); i > most/3 {
		return head[:i+1]
	}
	return Clip(s, most)
}

// fit takes away, the least important first, until no more than MaxLines are left.
func (o *Outline) fit() {
	for o.height() > MaxLines && o.shorten() {
	}
}

// shorten takes the least important part away; false when nothing is left to take.
func (o *Outline) shorten() bool {
	if o.drop(labelSeen) || o.drop(labelState) || o.clipStep() || o.drop(labelTrend) || o.drop(labelLog) {
		return true
	}
	for i := len(o.Lines) - 1; i >= 0; i-- {
		if n := utf8.RuneCountInString(o.Lines[i].Text); n > lineWidth/2 {
			o.Lines[i].Text = Clip(o.Lines[i].Text, max(n/2, lineWidth/2))
			return true
		}
	}
	if n := utf8.RuneCountInString(o.Lead); n > lineWidth {
		o.Lead = Clip(o.Lead, max(n/2, lineWidth))
		return true
	}
	if len(o.Lines) == 0 {
		return false
	}
	o.Lines = o.Lines[:len(o.Lines)-1]
	return true
}

// clipStep shortens the next step to two lines; false where it is no longer.
func (o *Outline) clipStep() bool {
	for i := range o.Lines {
		if l := &o.Lines[i]; l.Label == labelNext {
			short := sentence(l.Text, 2*lineWidth-len(labelNext)-2)
			was := l.Text
			l.Text = short
			return short != was
		}
	}
	return false
}

// drop takes the line of a label out; false where there is none.
func (o *Outline) drop(label string) bool {
	i := slices.IndexFunc(o.Lines, func(l Line) bool { return l.Label == label })
	if i < 0 {
		return false
	}
	o.Lines = slices.Delete(o.Lines, i, i+1)
	return true
}

// height is how many lines the outline takes.
func (o *Outline) height() int {
	n := linesOf(o.Title) + 2 // the cause, the foot
	if o.Lead != "" {
		n += linesOf(o.Lead)
	}
	if o.Link != "" {
		n++
	}
	for _, l := range o.Lines {
		n += linesOf(l.Label + ": " + l.Text)
	}
	return n
}

// linesOf is how many lines one text takes.
func linesOf(s string) int {
	return max((utf8.RuneCountInString(s)+lineWidth-1)/lineWidth, 1)
}

// Link is an address that may stand in a message as a link, or "" for a text that is
// no plain one of http: what external_url was checked to be, and nothing else.
func Link(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 500 {
		return ""
	}
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune("<>|\"'`()[]{}\\*~@&", r) {
			return ""
		}
	}
	return s
}

// Runes is the size of a line in characters, its end included.
func Runes(s string) int { return utf8.RuneCountInString(s) + 1 }

// LineOf is an alert in one line, for a log.
func LineOf(a incident.Alert) string {
	o := OutlineOf(a, true)
	s := cmp.Or(o.Lead, o.Title)
	if a.Incident.Count > 1 && o.Lead != "" {
		s += " (x" + strconv.Itoa(a.Incident.Count) + ")"
	}
	s += " [" + o.Cause + ", " + o.Sure + "]"
	for _, l := range o.Lines {
		if l.Label == labelNext {
			s += " Next: " + l.Text
		}
	}
	if a.Incident.ID != "" {
		s += " More: " + cmp.Or(o.Link, "oomwatch explain "+a.Incident.ID)
	}
	return redact.Sanitize(s)
}
