package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/units"
)

// writeTriage tells services to a person: a table, then each with its reasons.
// What is in them was made safe for a terminal where it was put there.
func writeTriage(w io.Writer, list []triage.Service, total, width int, colour bool) error {
	var b strings.Builder
	paint := func(code, s string) string {
		if !colour {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	triageTable(&b, list, width, paint)
	if total > len(list) {
		fmt.Fprintf(&b, "The first %d of %d; more: --limit N.\n", len(list), total)
	}
	for i := range list {
		s := &list[i]
		b.WriteByte('\n')
		head := fmt.Sprintf("%d. %s: %s", s.Rank, s.Service, s.Class.Words())
		if s.Confidence != "" {
			head += ", " + string(s.Confidence)
		}
		for j, line := range wrap(head, width-3) {
			if j > 0 {
				line = "   " + line
			}
			b.WriteString(paint("1", line) + "\n")
		}
		if at := when(s.Kills); at != "" {
			bullets(&b, []string{at}, width)
		}
		bullets(&b, s.Reasons, width)
		for _, win := range s.Windows {
			bullets(&b, []string{fmt.Sprintf("%s: %s, %s", units.Seconds(win.Seconds), win.Shape, win.Reason)}, width)
		}
		if len(s.Advice) > 0 {
			b.WriteString("   Do next\n")
			for _, a := range s.Advice {
				for _, line := range wrap(a, width-5) {
					b.WriteString("     " + line + "\n")
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// when is from when to when it was killed.
func when(k *triage.Kills) string {
	switch {
	case k == nil:
		return ""
	case !k.First.IsZero() && k.Times == 1:
		return "on " + units.Clock(k.First)
	case !k.First.IsZero():
		return fmt.Sprintf("from %s to %s", units.Clock(k.First), units.Clock(k.Last))
	case k.FirstUptime == nil:
		return ""
	case k.Times == 1:
		return units.Seconds(*k.FirstUptime) + " after boot; the log has no dates"
	}
	return fmt.Sprintf("from %s to %s after boot; the log has no dates", units.Seconds(*k.FirstUptime), units.Seconds(*k.LastUptime))
}

func bullets(b *strings.Builder, list []string, width int) {
	for _, s := range list {
		mark := "   - "
		for _, line := range wrap(s, width-5) {
			b.WriteString(mark + line + "\n")
			mark = "     "
		}
	}
}

// triageTable writes one line for each service.
func triageTable(b *strings.Builder, list []triage.Service, width int, paint func(code, s string) string) {
	rows := [][]string{{"#", "CLASS", "SURE", "KILLS", "EVERY", "GROWS", "LIMIT", "SERVICE"}}
	for i := range list {
		s := &list[i]
		row := []string{fmt.Sprint(s.Rank), s.Class.Words(), cmp.Or(string(s.Confidence), "-"), "-", "-", "-", "-", s.Service}
		if k := s.Kills; k != nil {
			row[3] = fmt.Sprint(k.Count)
			if k.Interval != nil {
				row[4] = units.Seconds(*k.Interval)
			}
		}
		if s.Rate != nil {
			row[5] = units.Rate(*s.Rate)
		}
		if s.Limit != nil {
			row[6] = units.Bytes(*s.Limit)
		}
		rows = append(rows, row)
	}
	wide := make([]int, len(rows[0])-1)
	for _, r := range rows {
		for i := range wide {
			wide[i] = max(wide[i], utf8.RuneCountInString(r[i]))
		}
	}
	for n, r := range rows {
		line := ""
		for i, cell := range r {
			if i < len(wide) {
				cell += strings.Repeat(" ", wide[i]-utf8.RuneCountInString(cell)+2)
			}
			line += cell
		}
		if r := []rune(line); len(r) > width {
			line = string(r[:width-1]) + "…"
		}
		if n == 0 {
			line = paint("2", line)
		}
		b.WriteString(line + "\n")
	}
}
