package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// Fit returns the first lines that there is room for, escaped, and of those that are
// left out how many: size is what a line takes of the room, widest a line's bound in
// characters.
func Fit(lines []string, room, widest int, escape func(string) string, size func(string) int) (kept []string, out int) {
	for i, line := range lines {
		line = ClipEscaped(escape(line), widest)
		if room -= size(line); room < 0 {
			return kept, len(lines) - i
		}
		kept = append(kept, line)
	}
	return kept, 0
}

// FitNewest is Fit for lines of which the last ones matter.
func FitNewest(lines []string, room, widest int, escape func(string) string, size func(string) int) (kept []string, out int) {
	lines = slices.Clone(lines)
	slices.Reverse(lines)
	kept, out = Fit(lines, room, widest, escape, size)
	slices.Reverse(kept)
	return kept, out
}

// ProcessLines are the largest rows of the kernel's table, the victim marked.
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

// EvidenceLines are what each source said and what it means.
func EvidenceLines(inc *incident.Incident) []string {
	const most = 6
	var lines []string
	for i, e := range inc.Evidence {
		if i == most {
			return append(lines, fmt.Sprintf("and %d more", len(inc.Evidence)-i))
		}
		lines = append(lines, e.Source+": "+Clip(shortIDs(e.Text), 240))
		if e.Means != "" {
			lines = append(lines, "  = "+Clip(shortIDs(e.Means), 160))
		}
	}
	return lines
}

// GapsLine names the sources that were blind, and why.
func GapsLine(gaps []incident.Gap) string {
	var s []string
	for _, g := range gaps {
		one := g.Source
		if g.Lost > 0 {
			one += " lost " + units.Count(int(g.Lost), "record")
		}
		if g.Reason != "" {
			one += " (" + g.Reason + ")"
		}
		s = append(s, one)
	}
	return strings.Join(s, ", ")
}
