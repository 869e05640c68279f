package render

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// WriteTable writes one line for each incident, for lists. The error is w's.
func WriteTable(w io.Writer, list []*incident.Incident, opt TextOptions) error {
	t := newPage(opt)
	// The columns are as wide as what is in them, so that the last gets the most.
	rows := [][4]string{{"TIME", "CONTAINER", "CAUSE", "SURE"}}
	whats := []string{"WHAT"}
	for _, inc := range list {
		at := when(inc, time.Second)
		if inc.Time.IsZero() && inc.UptimeSeconds != nil {
			at = fmt.Sprintf("[%.6f]", *inc.UptimeSeconds)
		}
		rows = append(rows, [4]string{at, t.name(who(inc)), redact.Sanitize(string(inc.Cause)), redact.Sanitize(string(inc.Confidence))})
		whats = append(whats, what(inc))
	}
	var wide [4]int
	for _, r := range rows {
		for i, c := range r {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	for i, r := range rows {
		if i == 0 && opt.NoHeader {
			continue
		}
		row := fmt.Sprintf("%-*s  %-*s  %-*s  %-*s  %s", wide[0], r[0], wide[1], r[1], wide[2], r[2], wide[3], r[3], whats[i])
		style := func(s string) string { return s }
		if i == 0 {
			style = t.dim
		}
		t.row(strings.TrimRight(row, " "), style)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// name is a container's name in a column: on a screen it is cut.
func (t *page) name(s string) string {
	if !t.cut {
		return s
	}
	return Clip(s, max(16, t.opt.Width/4))
}

// who is the container's name, after its pod's, else its id, the unit, or nothing.
func who(inc *incident.Incident) string {
	switch c := inc.Container; {
	case c != nil && c.Name != "" && c.Pod != nil && c.Pod.Name != "":
		return redact.Sanitize(c.Pod.Name + "/" + c.Name)
	case c != nil && c.Name != "":
		return redact.Sanitize(c.Name)
	case c != nil && c.ID != "":
		return Short(redact.Sanitize(c.ID))
	case c != nil:
		return redact.Sanitize(c.Runtime)
	case inc.Unit != "":
		return redact.Sanitize(inc.Unit)
	}
	return "-"
}

// what is the rest of a row: the victim, or how it ended.
func what(inc *incident.Incident) string {
	var s string
	if w := inc.Warning; w != nil {
		s = "warning: " + strings.Join(w.Signs, ", ")
		if !inc.ResolvedAt.IsZero() {
			s += ", over"
		}
	} else if inc.Victim != nil {
		s = name(inc.Victim.Comm, inc.Victim.PID)
		if inc.Victim.AnonRSS != nil {
			s += " " + incident.FormatBytes(*inc.Victim.AnonRSS)
		}
	} else if inc.Container != nil && inc.Container.ExitCode != nil {
		s = fmt.Sprintf("exit %d", *inc.Container.ExitCode)
	}
	if inc.Count > 1 {
		s += fmt.Sprintf(" x%d", inc.Count)
	}
	if inc.Silenced != "" {
		s += " (silenced)"
	}
	return s
}
