package notify

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
)

// TextOptions say how WriteText lays out.
type TextOptions struct {
	// Width is the number of columns, 80 when zero.
	Width int
	// Color allows ANSI colours.
	Color bool
	// NoFooter leaves out the line that says where to look further.
	NoFooter bool
}

// How much of the longer parts is shown.
const (
	maxRows     = 8
	maxEvidence = 14
	labelWidth  = 11
)

// WriteText writes an incident for a person: what happened and how sure, the
// numbers, what to do, then what each source said. All foreign text is made safe
// for a terminal. The error is w's.
func WriteText(w io.Writer, inc *incident.Incident, opt TextOptions) error {
	if opt.Width <= 0 {
		opt.Width = 80
	}
	t := &page{opt: opt}
	t.headline(inc)
	t.facts(inc)
	t.processes(inc)
	t.list("Do next", inc.Advice)
	t.evidence(inc)
	t.gaps(inc)
	t.logTail(inc)
	if !opt.NoFooter && inc.ID != "" {
		t.line("")
		t.wrapped("", "  ", "More: oomwatch explain -o json "+inc.ID, t.dim)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// page collects lines no wider than the options say.
type page struct {
	b   strings.Builder
	opt TextOptions
}

func (t *page) line(s string) { t.b.WriteString(s); t.b.WriteByte('\n') }

func (t *page) paint(code, s string) string {
	if !t.opt.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *page) bold(s string) string { return t.paint("1", s) }
func (t *page) dim(s string) string  { return t.paint("2", s) }

// wrapped writes words with a first and a following indent, no line wider than
// the page; words longer than a line are cut into pieces.
func (t *page) wrapped(first, rest, text string, style func(string) string) {
	// What the callers made safe already stays as it is.
	lines := wrap(incident.Sanitize(text), t.opt.Width-utf8.RuneCountInString(first), t.opt.Width-utf8.RuneCountInString(rest))
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

// wrap breaks text at blanks into lines of at most first and then rest columns.
func wrap(text string, first, rest int) []string {
	first, rest = max(first, 10), max(rest, 10)
	var lines []string
	line, width := "", first
	flush := func() {
		lines = append(lines, line)
		line, width = "", rest
	}
	for _, word := range strings.Fields(text) {
		for {
			have := utf8.RuneCountInString(line)
			n := utf8.RuneCountInString(word)
			space := 0
			if have > 0 {
				space = 1
			}
			if have+space+n <= width {
				if space == 1 {
					line += " "
				}
				line += word
				break
			}
			if n > width && width-have-space > width/3 {
				// Longer than any line: fill this one and go on.
				cut := runeIndex(word, width-have-space)
				// After a comma where there is one near: the kernel's lists read better.
				if c := strings.LastIndexByte(word[:cut], ',') + 1; c > cut/3 {
					cut = c
				}
				if space == 1 {
					line += " "
				}
				line += word[:cut]
				word = word[cut:]
			}
			flush()
			if word == "" {
				break
			}
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// runeIndex is the byte offset of the n-th rune of s.
func runeIndex(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

var severityColor = map[incident.Severity]string{incident.Critical: "1;31", incident.Warning: "1;33", incident.Info: "1;36"}

func (t *page) headline(inc *incident.Incident) {
	t.wrapped("", "", inc.Summary, func(s string) string { return t.paint(severityColor[inc.Severity], s) })
	parts := []string{string(inc.Kind), string(inc.Cause), confidenceWords(inc)}
	left := strings.Join(parts, " · ")
	right := when(inc)
	gap := t.opt.Width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if gap < 2 {
		t.wrapped("", "", left, t.dim)
		left, gap = "", t.opt.Width-utf8.RuneCountInString(right)
	}
	t.line(t.dim(left + strings.Repeat(" ", max(gap, 0)) + right))
	t.line("")
}

// confidenceWords is the confidence, with what takes from it.
func confidenceWords(inc *incident.Incident) string {
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

// when is the incident's time as well as it is known.
func when(inc *incident.Incident) string {
	switch {
	case !inc.Time.IsZero():
		return inc.Time.UTC().Format("2006-01-02 15:04:05.000 UTC")
	case inc.UptimeSeconds != nil:
		return "at " + incident.FormatDuration(time.Duration(*inc.UptimeSeconds*float64(time.Second))) + " of uptime"
	}
	return ""
}

// field writes "Label      value", wrapped.
func (t *page) field(label, value string) {
	if value == "" {
		return
	}
	first := fmt.Sprintf("  %-*s", labelWidth, label)
	t.wrapped(first, strings.Repeat(" ", len(first)), value, nil)
}

// facts writes the numbers, a line each; what is not known has no line.
func (t *page) facts(inc *incident.Incident) {
	t.field("Container", containerLine(inc.Container))
	if inc.Container == nil {
		t.field("Unit", incident.Sanitize(inc.Unit))
	}
	t.field("Ended", endLine(inc))
	t.field("Killer", killerLine(inc.Killer))
	t.field("Limit", t.limitLine(inc))
	t.field("Limit of", limitOwner(inc))
	t.field("Memory", memoryLine(inc.Memory))
	t.field("Victim", victimLine(inc.Victim))
	if tr := inc.Trigger; tr != nil && (inc.Victim == nil || tr.Comm != inc.Victim.Comm || tr.PID != 0 && tr.PID != inc.Victim.PID) {
		t.field("Trigger", name(tr.Comm, tr.PID)+" asked for the page that did not fit")
	}
	t.field("Held most", hogLine(inc))
	t.field("History", historyLine(inc.History))
	t.field("Pressure", pressureLine(inc.Pressure))
	if inc.Count > 1 {
		t.field("Count", fmt.Sprintf("%d of these", inc.Count))
	}
	t.field("Host", hostLine(inc.Host))
}

func containerLine(c *incident.Container) string {
	if c == nil {
		return ""
	}
	var s []string
	if c.Name != "" {
		s = append(s, incident.Sanitize(c.Name))
	}
	if c.ID != "" {
		s = append(s, short(c.ID))
	}
	if len(s) == 0 && c.Runtime != "" {
		s = append(s, c.Runtime)
	}
	out := strings.Join(s, " ")
	if c.Image != "" {
		out += ", image " + incident.Sanitize(c.Image)
	}
	if c.Compose != nil {
		out += ", compose " + incident.Sanitize(c.Compose.Project) + "/" + incident.Sanitize(c.Compose.Service)
	}
	if c.Pod != nil {
		switch {
		case c.Pod.Name != "":
			out += ", pod " + incident.Sanitize(c.Pod.Namespace) + "/" + incident.Sanitize(c.Pod.Name)
		case c.Pod.UID != "":
			out += ", pod " + incident.Sanitize(c.Pod.UID)
		}
	}
	return out
}

func endLine(inc *incident.Incident) string {
	c := inc.Container
	if c == nil {
		return ""
	}
	var s []string
	if c.ExitCode != nil {
		e := fmt.Sprintf("exit code %d", *c.ExitCode)
		if c.Signal != "" {
			e += " (128+" + c.Signal + ")"
		}
		s = append(s, e)
	} else if inc.Kind == incident.KindKill && c.Running != nil && *c.Running {
		s = append(s, "it has not: the container lives on")
	}
	if !c.StartedAt.IsZero() && !inc.Time.IsZero() && inc.Time.After(c.StartedAt) {
		s = append(s, "after "+incident.FormatDuration(inc.Time.Sub(c.StartedAt)))
	}
	if c.RestartCount != nil && *c.RestartCount > 0 {
		s = append(s, fmt.Sprintf("restarted %d times before", *c.RestartCount))
	}
	if c.RestartPolicy != "" && c.RestartPolicy != "no" {
		s = append(s, "restart policy "+incident.Sanitize(c.RestartPolicy))
	}
	return strings.Join(s, ", ")
}

func killerLine(k *incident.Killer) string {
	if k == nil {
		return ""
	}
	switch k.Kind {
	case "kernel":
		return "the kernel's OOM killer"
	case "engine":
		return "the container engine (" + incident.Sanitize(k.Name) + ")"
	}
	s := strings.TrimSpace(incident.Sanitize(k.Name))
	if k.Comm != "" || k.PID != 0 {
		if p := name(k.Comm, k.PID); s == "" {
			s = p
		} else {
			s = p + " in " + s
		}
	}
	return s
}

// limitLine draws usage against the limit that was reached.
func (t *page) limitLine(inc *incident.Incident) string {
	var limit, usage *int64
	if inc.OOM != nil {
		limit, usage = inc.OOM.Limit, inc.OOM.Usage
	}
	if limit == nil && inc.Container != nil {
		limit = inc.Container.MemoryLimit
	}
	if limit == nil || *limit <= 0 || *limit >= 1<<50 {
		if usage != nil {
			return "none, in use " + incident.FormatBytes(*usage)
		}
		return ""
	}
	s := incident.FormatBytes(*limit)
	if usage != nil {
		s += ", in use " + incident.FormatBytes(*usage) + " " + bar(*usage, *limit)
	}
	if inc.OOM != nil && inc.OOM.Failcnt != nil {
		s += fmt.Sprintf(", hit %d times", *inc.OOM.Failcnt)
	}
	return s
}

// bar draws a share of a whole.
func bar(part, whole int64) string {
	const n = 16
	share := float64(part) / float64(whole)
	full := int(math.Round(min(share, 1) * n))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", n-full) + fmt.Sprintf("] %.0f %%", share*100)
}

// limitOwner names whose limit it was, where that is not the container's own.
func limitOwner(inc *incident.Incident) string {
	if inc.OOM == nil || inc.Cause != incident.OOMAncestor {
		return ""
	}
	return incident.Sanitize(inc.OOM.OOMMemcg)
}

func memoryLine(m *incident.Memory) string {
	if m == nil {
		return ""
	}
	var s []string
	for _, p := range []struct {
		name string
		n    *int64
	}{{"anon", m.Anon}, {"file", m.File}, {"shmem", m.Shmem}, {"kernel", m.Kernel}, {"slab", m.Slab}, {"swap", m.Swap}} {
		if p.n != nil {
			s = append(s, p.name+" "+incident.FormatBytes(*p.n))
		}
	}
	return strings.Join(s, ", ")
}

func victimLine(p *incident.Process) string {
	if p == nil {
		return ""
	}
	s := name(p.Comm, p.PID)
	if p.Main != nil && *p.Main {
		s += ", the first process"
	} else if p.Main != nil {
		s += ", a child"
	}
	if p.AnonRSS != nil {
		s += ", anon " + incident.FormatBytes(*p.AnonRSS)
	}
	if p.FileRSS != nil {
		s += ", file " + incident.FormatBytes(*p.FileRSS)
	}
	if p.ShmemRSS != nil && *p.ShmemRSS > 0 {
		s += ", shmem " + incident.FormatBytes(*p.ShmemRSS)
	}
	if p.OOMScoreAdj != nil && *p.OOMScoreAdj != 0 {
		s += fmt.Sprintf(", oom_score_adj %d", *p.OOMScoreAdj)
	}
	return s
}

func hogLine(inc *incident.Incident) string {
	h := inc.Hog
	if h == nil || h.RSS == nil || inc.Victim != nil && h.PID == inc.Victim.PID {
		return ""
	}
	s := name(h.Comm, h.PID) + ", " + incident.FormatBytes(*h.RSS)
	if h.Container != "" {
		s += ", in " + incident.Sanitize(h.Container)
	}
	return s
}

func pressureLine(p *incident.Pressure) string {
	if p == nil {
		return ""
	}
	var s []string
	if p.SomeAvg10 != nil {
		s = append(s, fmt.Sprintf("some %.1f %%", *p.SomeAvg10))
	}
	if p.FullAvg10 != nil {
		s = append(s, fmt.Sprintf("full %.1f %%", *p.FullAvg10))
	}
	out := strings.Join(s, ", ")
	if out != "" {
		out += " of the last 10 s, of the " + p.Scope
	}
	if len(p.Levels) > 0 {
		if out != "" {
			out += "; "
		}
		out += fmt.Sprintf("notified low %d, medium %d, critical %d times", p.Levels["low"], p.Levels["medium"], p.Levels["critical"])
	}
	return out
}

func hostLine(h *incident.Host) string {
	if h == nil {
		return ""
	}
	var s []string
	for _, p := range []string{h.Name, prefixed("kernel ", h.Kernel), prefixed("cgroup ", h.Cgroup), h.Engine} {
		if p != "" {
			s = append(s, incident.Sanitize(p))
		}
	}
	return strings.Join(s, ", ")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// name is a process's name with its pid.
func name(comm string, pid int) string {
	n := strings.TrimSpace(incident.Sanitize(comm))
	switch {
	case n == "":
		return fmt.Sprintf("pid %d", pid)
	case pid == 0:
		return n
	}
	return fmt.Sprintf("%s (pid %d)", n, pid)
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// sparks are the eighths of a column.
var sparks = []rune("▁▂▃▄▅▆▇█")

// historyLine draws the readings before the incident, oldest first.
func historyLine(h *incident.History) string {
	if h == nil || len(h.Points) < 2 {
		return ""
	}
	const width = 30
	p := h.Points
	var top int64 = 1
	for _, q := range p {
		top = max(top, q.Bytes)
	}
	n := min(width, len(p))
	var b strings.Builder
	for i := range n {
		q := p[i*(len(p)-1)/max(n-1, 1)]
		b.WriteRune(sparks[int(q.Bytes*int64(len(sparks)-1)/top)])
	}
	first, last := p[0], p[len(p)-1]
	s := fmt.Sprintf("%s %s to %s in %s", b.String(), incident.FormatBytes(first.Bytes), incident.FormatBytes(last.Bytes),
		incident.FormatDuration(time.Duration((last.T-first.T)*float64(time.Second))))
	if h.Trend != "unknown" {
		s += ", " + h.Trend
	}
	return s
}

// processes writes the largest rows of the kernel's table.
func (t *page) processes(inc *incident.Incident) {
	if len(inc.Processes) < 2 {
		return
	}
	t.section(fmt.Sprintf("Processes (%d, largest first)", len(inc.Processes)))
	t.line(t.dim(clip(fmt.Sprintf("  %8s  %10s  %10s  %7s  %-16s %s", "PID", "RSS", "SWAP", "OOM_ADJ", "NAME", "CONTAINER"), t.opt.Width)))
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
			incident.Sanitize(p.Comm), incident.Sanitize(p.Container))
		t.line(clip(strings.TrimRight(row, " "), t.opt.Width))
	}
}

func bytesOr(n *int64) string {
	if n == nil {
		return ""
	}
	return incident.FormatBytes(*n)
}

func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return s[:runeIndex(s, width-1)] + "…"
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
				at = e.Time.UTC().Format("15:04:05.000")
			}
			first += fmt.Sprintf("%-12s ", at)
		}
		first += fmt.Sprintf("%-8s ", incident.Sanitize(e.Source))
		t.wrapped(first, strings.Repeat(" ", len(first)), incident.Sanitize(e.Text), nil)
		if e.Means != "" {
			t.wrapped(strings.Repeat(" ", len(first))+"= ", strings.Repeat(" ", len(first))+"  ", incident.Sanitize(e.Means), t.dim)
		}
	}
}

func (t *page) gaps(inc *incident.Incident) {
	if len(inc.Gaps) == 0 {
		return
	}
	t.section("Not seen")
	for _, g := range inc.Gaps {
		s := g.Source
		if !g.From.IsZero() {
			s += " from " + g.From.UTC().Format("15:04:05") + " to " + g.To.UTC().Format("15:04:05")
		}
		if g.Lost > 0 {
			s += fmt.Sprintf(", %d records lost", g.Lost)
		}
		if g.Reason != "" {
			s += ": " + incident.Sanitize(g.Reason)
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
		t.line(clip("  | "+incident.Sanitize(l), t.opt.Width))
	}
}
