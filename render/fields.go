package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// fact is one of an incident's numbers, in words.
type Fact struct{ Label, Value string }

// facts are the numbers with their units; what is not known is left out.
func Facts(inc *incident.Incident) []Fact {
	unit := ""
	if inc.Container == nil {
		unit = redact.Sanitize(inc.Unit)
	}
	all := []Fact{
		{"Container", containerLine(inc.Container)},
		{"Unit", unit},
		{"Warning", warningLine(inc)},
		{"Over", overLine(inc)},
		{"Running", runningLine(inc)},
		{"Ended", endLine(inc)},
		{"Killer", killerLine(inc.Killer)},
		{"Limit", limitLine(inc)},
		{"Limit of", limitOwner(inc)},
		{"Memory", memoryLine(inc.Memory)},
		{"Victim", victimLine(inc.Victim)},
		{"Trigger", triggerLine(inc)},
		{"Held most", hogLine(inc)},
		{"History", HistoryLine(inc.History)},
		{"Pressure", pressureLine(inc.Pressure)},
		{"Count", countLine(inc)},
		{"Not stored", redact.Sanitize(inc.NotStored)},
		{"Silenced", redact.Sanitize(inc.Silenced)},
	}
	return slices.DeleteFunc(all, func(f Fact) bool { return f.Value == "" })
}

// facts writes the numbers, a line each.
func (t *page) facts(inc *incident.Incident) {
	all := Facts(inc)
	if h := hostLine(inc.Host); h != "" {
		all = append(all, Fact{"Host", h})
	}
	for _, f := range all {
		first := fmt.Sprintf("  %-*s", labelWidth, f.Label)
		t.wrapped(first, strings.Repeat(" ", len(first)), f.Value, nil)
	}
}

// countLine says how often it happened, where that was more than once.
func countLine(inc *incident.Incident) string {
	if inc.Count <= 1 {
		return ""
	}
	s := fmt.Sprintf("%d of these", inc.Count)
	if d := inc.Time.Sub(inc.FirstTime); !inc.FirstTime.IsZero() && d > 0 {
		s += fmt.Sprintf(" within %s, the first at %s", incident.FormatDuration(d), inc.FirstTime.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return s
}

func triggerLine(inc *incident.Incident) string {
	tr := inc.Trigger
	if tr == nil || inc.Victim != nil && tr.Comm == inc.Victim.Comm && (tr.PID == 0 || tr.PID == inc.Victim.PID) {
		return ""
	}
	return name(tr.Comm, tr.PID) + " asked for the page that did not fit"
}

func containerLine(c *incident.Container) string {
	if c == nil {
		return ""
	}
	var s []string
	if c.Name != "" {
		s = append(s, redact.Sanitize(c.Name))
	}
	if c.ID != "" {
		s = append(s, Short(c.ID))
	}
	if len(s) == 0 && c.Runtime != "" {
		s = append(s, c.Runtime)
	}
	out := strings.Join(s, " ")
	if c.Image != "" {
		out += ", image " + redact.Sanitize(c.Image)
	}
	if c.Compose != nil {
		out += ", compose " + redact.Sanitize(c.Compose.Project) + "/" + redact.Sanitize(c.Compose.Service)
	}
	if c.Pod != nil {
		switch {
		case c.Pod.Name != "":
			out += ", pod " + redact.Sanitize(c.Pod.Namespace) + "/" + redact.Sanitize(c.Pod.Name)
		case c.Pod.UID != "":
			out += ", pod " + redact.Sanitize(c.Pod.UID)
		}
	}
	return out
}

func endLine(inc *incident.Incident) string {
	c := inc.Container
	if c == nil || inc.Kind == incident.KindWarning {
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
		s = append(s, "restart policy "+redact.Sanitize(c.RestartPolicy))
	}
	return strings.Join(s, ", ")
}

// warningLine says which signs there are, and what is foretold.
func warningLine(inc *incident.Incident) string {
	w := inc.Warning
	if w == nil {
		return ""
	}
	s := strings.Join(w.Signs, ", ")
	if s == "" {
		s = w.What
	}
	if !w.Since.IsZero() {
		s += ", since " + w.Since.UTC().Format("15:04:05 UTC")
	}
	if w.TimeToLimit != nil {
		s += "; limit in " + incident.FormatDuration(seconds(*w.TimeToLimit))
		if w.TimeToLimitError != nil {
			s += " ± " + incident.FormatDuration(seconds(*w.TimeToLimitError))
		}
	}
	return s
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}

// overLine says when a warning was over.
func overLine(inc *incident.Incident) string {
	if inc.ResolvedAt.IsZero() {
		return ""
	}
	return strings.TrimPrefix(overAfter(inc)+", at "+inc.ResolvedAt.UTC().Format("2006-01-02 15:04:05 UTC"), " ")
}

// runningLine says for how long a container had run when it was warned of.
func runningLine(inc *incident.Incident) string {
	c := inc.Container
	if c == nil || inc.Kind != incident.KindWarning || c.StartedAt.IsZero() || !inc.Time.After(c.StartedAt) {
		return ""
	}
	s := "for " + incident.FormatDuration(inc.Time.Sub(c.StartedAt))
	if c.RestartCount != nil && *c.RestartCount > 0 {
		s += fmt.Sprintf(", restarted %d times before", *c.RestartCount)
	}
	return s
}

func killerLine(k *incident.Killer) string {
	if k == nil {
		return ""
	}
	switch k.Kind {
	case "kernel":
		return "the kernel's OOM killer"
	case "engine":
		return "the container engine (" + redact.Sanitize(k.Name) + ")"
	}
	s := strings.TrimSpace(redact.Sanitize(k.Name))
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
func limitLine(inc *incident.Incident) string {
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
	if inc.OOM != nil && inc.OOM.Failcnt != nil && *inc.OOM.Failcnt > 0 {
		s += fmt.Sprintf(", hit %d times", *inc.OOM.Failcnt)
	}
	return s
}

// bar draws a share of a whole.
func bar(part, whole int64) string {
	const n = 16
	share := float64(part) / float64(whole)
	full := int(math.Round(min(max(share, 0), 1) * n))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", n-full) + fmt.Sprintf("] %.0f %%", share*100)
}

// limitOwner names whose limit it was, where that is not the container's own.
func limitOwner(inc *incident.Incident) string {
	if inc.OOM == nil || inc.Cause != incident.OOMAncestor {
		return ""
	}
	return redact.Sanitize(inc.OOM.OOMMemcg)
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
		s += ", in " + redact.Sanitize(h.Container)
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
		if n, stalls := p.Levels["stalled"]; stalls {
			out += fmt.Sprintf("notified of stalls %d times", n)
		} else {
			out += fmt.Sprintf("notified low %d, medium %d, critical %d times", p.Levels["low"], p.Levels["medium"], p.Levels["critical"])
		}
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
			s = append(s, redact.Sanitize(p))
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
	n := strings.TrimSpace(redact.Sanitize(comm))
	switch {
	case n == "":
		return fmt.Sprintf("pid %d", pid)
	case pid == 0:
		return n
	}
	return fmt.Sprintf("%s (pid %d)", n, pid)
}

// Short is the beginning of a container id that people recognise it by.
func Short(id string) string { return incident.ShortID(id) }

// sparks are the eighths of a column.
var sparks = []rune("▁▂▃▄▅▆▇█")

// historyLine draws the readings before the incident, oldest first.
func HistoryLine(h *incident.History) string {
	if h == nil || len(h.Points) < 2 {
		return ""
	}
	p := h.Points
	b := sparkline(p, 30)
	first, last := p[0], p[len(p)-1]
	s := fmt.Sprintf("%s %s to %s in %s", b, incident.FormatBytes(first.Bytes), incident.FormatBytes(last.Bytes),
		incident.FormatDuration(time.Duration((last.T-first.T)*float64(time.Second))))
	if h.Trend == "unknown" {
		return s
	}
	s += ", " + redact.Sanitize(h.Trend)
	if h.Reason != "" {
		s += ": " + redact.Sanitize(h.Reason)
	}
	return s
}

// sparkline draws points in columns of equal time, each as high as the highest of
// its points; fewer points than columns stand one beside the other.
func sparkline(p []incident.Point, width int) string {
	var top int64 = 1
	for _, q := range p {
		top = max(top, q.Bytes)
	}
	width = min(width, len(p))
	columns := make([]int64, width)
	span := p[len(p)-1].T - p[0].T
	for i, q := range p {
		at := i * width / len(p)
		if span > 0 && len(p) > width {
			at = int(min(max(float64(width)*(q.T-p[0].T)/span, 0), float64(width-1)))
		}
		columns[at] = max(columns[at], q.Bytes, 0)
	}
	var b strings.Builder
	for i, v := range columns {
		if v == 0 && i > 0 && len(p) > width {
			columns[i] = columns[i-1] // nothing was read then
			v = columns[i]
		}
		b.WriteRune(sparks[int(float64(v)/float64(top)*float64(len(sparks)-1))])
	}
	return b.String()
}
