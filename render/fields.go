package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// Fact is one of an incident's numbers, in words.
type Fact struct{ Label, Value string }

// Facts are the numbers with their units; what is not known is left out.
func Facts(inc *incident.Incident) []Fact {
	unit := ""
	if inc.Container == nil {
		unit = redact.Sanitize(inc.Unit)
	}
	all := []Fact{
		{"Container", containerLine(inc.Container)},
		{"Unit", unit},
		{"Warning", warningLine(inc)},
		{"Resolved", overLine(inc)},
		{"Status", statusLine(inc)},
		{"Killer", killerLine(inc.Killer)},
		{"Limit", limitLine(inc)},
		{"Limit of", limitOwner(inc)},
		{"Memory", memoryLine(inc.Memory)},
		{"Victim", victimLine(inc.Victim)},
		{"Trigger", triggerLine(inc)},
		{"Held most", hogLine(inc)},
		{"History", HistoryLine(untilKill(inc))},
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
		s += fmt.Sprintf(" within %s, the first at %s", incident.FormatDuration(d), clock(inc.FirstTime, time.Second))
	}
	return s
}

func triggerLine(inc *incident.Incident) string {
	tr := inc.Trigger
	if tr == nil || inc.Victim != nil && tr.Comm == inc.Victim.Comm && (tr.PID == 0 || tr.PID == inc.Victim.PID) {
		return ""
	}
	return name(tr.Comm, tr.PID) + ": its allocation triggered the OOM"
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
	if len(s) == 0 && c.Runtime != "" && c.Pod == nil {
		s = append(s, "of "+c.Runtime+", without a name")
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

// statusLine says how a container ended or that it still runs, for how long it had
// run, and how often it was restarted.
func statusLine(inc *incident.Incident) string {
	c := inc.Container
	if c == nil {
		return ""
	}
	up := ""
	if !c.StartedAt.IsZero() && inc.Time.After(c.StartedAt) {
		up = incident.FormatDuration(inc.Time.Sub(c.StartedAt))
	}
	var s []string
	switch {
	case c.ExitCode != nil && inc.Kind != incident.KindWarning:
		e := fmt.Sprintf("exit code %d", *c.ExitCode)
		if c.Signal != "" {
			e += " (" + redact.Sanitize(c.Signal) + ")"
		}
		s = append(s, e, prefixed("after ", up))
	case inc.Kind == incident.KindWarning && inc.Warning != nil && inc.Warning.What == "gave_up":
		s = append(s, "down")
	case inc.Kind == incident.KindWarning, inc.Kind == incident.KindKill && c.Running != nil && *c.Running:
		if up != "" || inc.Kind == incident.KindKill {
			s = append(s, "still running", prefixed("up ", up))
		}
	case inc.Kind == incident.KindKill && c.Running != nil && up != "":
		s = append(s, "up "+up+" then, ended since")
	default:
		s = append(s, prefixed("ended after ", up))
	}
	s = append(s, restarts(c))
	if c.RestartPolicy != "" && c.RestartPolicy != "no" && inc.Kind != incident.KindWarning {
		s = append(s, "restart policy "+redact.Sanitize(c.RestartPolicy))
	}
	return strings.Join(slices.DeleteFunc(s, func(p string) bool { return p == "" }), ", ")
}

// restarts says how often a container was restarted before; "" for never, or not known.
func restarts(c *incident.Container) string {
	switch {
	case c.RestartCount == nil || *c.RestartCount <= 0:
		return ""
	case *c.RestartCount == 1:
		return "restarted once before"
	}
	return fmt.Sprintf("restarted %d times before", *c.RestartCount)
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
		s += ", since " + clock(w.Since, time.Second)
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
	return strings.TrimPrefix(overAfter(inc)+", at "+clock(inc.ResolvedAt, time.Second), " ")
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
	switch {
	case k.User != "":
		s += ", user " + redact.Sanitize(k.User)
	case k.UID != nil:
		s += fmt.Sprintf(", uid %d", *k.UID)
	}
	if k.Command != "" {
		s += ": " + redact.Sanitize(k.Command)
	}
	return s
}

// limitAndUsage are the limit that was reached, or the container's own, and what was in
// use. Each is nil where it is not known; a limit of 0 is none.
func limitAndUsage(inc *incident.Incident) (limit, usage *int64) {
	if inc.OOM != nil {
		limit, usage = inc.OOM.Limit, inc.OOM.Usage
	}
	if limit == nil && inc.Cause != incident.OOMAncestor && inc.Cause != incident.OOMHost && inc.Container != nil {
		limit = inc.Container.MemoryLimit
	}
	if limit != nil && (*limit <= 0 || *limit >= units.NoLimit) {
		limit = new(int64)
	}
	return limit, usage
}

// limitLine draws usage against the limit that was reached. A limit that is not known
// is called unknown, and none only where it is known that there is none.
func limitLine(inc *incident.Incident) string {
	limit, usage := limitAndUsage(inc)
	s := ""
	switch {
	case limit == nil && usage == nil:
		return ""
	case limit == nil:
		s = "unknown"
	case *limit == 0:
		s = "none"
	default:
		s = incident.FormatBytes(*limit)
	}
	if usage != nil {
		s += ", in use " + incident.FormatBytes(*usage)
		if limit != nil && *limit > 0 {
			s += " " + bar(*usage, *limit)
		}
	}
	if inc.OOM != nil && inc.OOM.Failcnt != nil && *inc.OOM.Failcnt > 0 {
		s += ", hit " + units.Times(int(*inc.OOM.Failcnt))
	}
	return s
}

// alertLimit is limitLine in few words: whose limit, and how much of it is in use.
func alertLimit(inc *incident.Incident) string {
	limit, usage := limitAndUsage(inc)
	if limit == nil {
		return ""
	}
	s := "none"
	if *limit > 0 {
		s = incident.FormatBytes(*limit)
	}
	if of := limitOwner(inc); of != "" {
		s += " of " + Clip(shortIDs(of), 50)
	}
	if usage != nil {
		s += ", in use " + incident.FormatBytes(*usage)
	}
	return s
}

// heldBy is who held the memory: the largest process, else the victim.
func heldBy(inc *incident.Incident) string {
	if h := inc.Hog; h != nil && h.RSS != nil && (h.Comm != "" || h.PID != 0) {
		s := name(h.Comm, h.PID) + ", " + incident.FormatBytes(*h.RSS)
		if h.Container != "" && h.Container != who(inc) {
			s += ", in " + redact.Sanitize(h.Container)
		}
		return Clip(s, 2*lineWidth)
	}
	if v := inc.Victim; v != nil && v.AnonRSS != nil && *v.AnonRSS > 0 {
		return Clip(name(v.Comm, v.PID)+", "+incident.FormatBytes(*v.AnonRSS)+" of anonymous memory", 2*lineWidth)
	}
	return ""
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
	file := m.File
	if file != nil && m.Shmem != nil && *m.Shmem <= *file {
		cache := *file - *m.Shmem // the kernel counts shared memory as file, too
		file = &cache
	}
	var s []string
	for _, p := range []struct {
		name string
		n    *int64
	}{{"anon", m.Anon}, {"file", file}, {"shmem", m.Shmem}, {"kernel", m.Kernel}, {"slab", m.Slab}, {"swap", m.Swap}} {
		if p.n != nil && *p.n != 0 {
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
		s += ", the main process"
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

// pressureLine is what stalled, waiting for memory; what is zero is left out.
func pressureLine(p *incident.Pressure) string {
	if p == nil {
		return ""
	}
	var s []string
	if v := p.SomeAvg10; v != nil && *v > 0 {
		s = append(s, fmt.Sprintf("some %.1f %%", *v))
	}
	if v := p.FullAvg10; v != nil && *v > 0 {
		s = append(s, fmt.Sprintf("full %.1f %%", *v))
	}
	out := strings.Join(s, ", ")
	if out != "" {
		out += " of the last 10 s, of the " + p.Scope
	}
	for _, level := range []string{"stalled", "critical"} {
		if n := p.Levels[level]; n > 0 {
			out = strings.TrimPrefix(out+"; the kernel reported "+map[string]string{"stalled": "stalls on memory ", "critical": "critical memory pressure "}[level]+units.Count(int(n), "time"), "; ")
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
