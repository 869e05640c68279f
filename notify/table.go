package notify

import (
	"fmt"
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// WriteTable writes one line for each incident, for lists. The error is w's.
func WriteTable(w io.Writer, list []*incident.Incident, opt TextOptions) error {
	if opt.Width <= 0 {
		opt.Width = 80
	}
	t := &page{opt: opt}
	t.line(t.dim(clip(fmt.Sprintf("%-19s  %-16s  %-16s  %-8s  %s", "TIME (UTC)", "CONTAINER", "CAUSE", "SURE", "WHAT"), opt.Width)))
	for _, inc := range list {
		at := when(inc)
		if !inc.Time.IsZero() {
			at = inc.Time.UTC().Format("2006-01-02 15:04:05")
		} else if inc.UptimeSeconds != nil {
			at = fmt.Sprintf("[%.6f]", *inc.UptimeSeconds)
		}
		row := fmt.Sprintf("%-19s  %-16s  %-16s  %-8s  %s", at, clip(who(inc), 16), inc.Cause, inc.Confidence, what(inc))
		t.line(clip(strings.TrimRight(row, " "), opt.Width))
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// who is the container's name, else its id, the unit, or nothing.
func who(inc *incident.Incident) string {
	switch c := inc.Container; {
	case c != nil && c.Name != "":
		return incident.Sanitize(c.Name)
	case c != nil && c.ID != "":
		return short(c.ID)
	case c != nil:
		return c.Runtime
	case inc.Unit != "":
		return incident.Sanitize(inc.Unit)
	}
	return "-"
}

// what is the rest of a row: the victim, or how it ended.
func what(inc *incident.Incident) string {
	var s string
	if inc.Victim != nil {
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
	return s
}
