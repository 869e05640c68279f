package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/warn"
)

// topOptions say how rows are laid out.
type topOptions struct {
	// width is that of the terminal; 0 cuts nothing.
	width  int
	colour bool
	// from and rows are which rows to show; 0 rows are all.
	from, rows int
}

// topColumns are the columns; the first is aligned left, and takes what is left.
var topColumns = []struct {
	title string
	cell  func(*warn.Row) string
	left  bool
}{
	{"CONTAINER", func(r *warn.Row) string { return incident.Sanitize(r.Name) }, true},
	{"MEMORY", func(r *warn.Row) string { return incident.FormatBytes(r.Memory) }, false},
	{"HELD", func(r *warn.Row) string { return sizeOr(r.Held) }, false},
	{"LIMIT", func(r *warn.Row) string { return sizeOr(r.Limit) }, false},
	{"ROOM", func(r *warn.Row) string { return sizeOr(r.Headroom) }, false},
	{"STALL", func(r *warn.Row) string { return percentOr(r.StalledFull) }, false},
	{"TREND", trendCell, false},
	{"LIMIT IN", limitCell, false},
	{"HITS", func(r *warn.Row) string { return numberOr(r.LimitHits) }, false},
	{"PIDS", func(r *warn.Row) string { return numberOr(r.PIDs) }, false},
	{"WARNINGS", func(r *warn.Row) string { return incident.Sanitize(strings.Join(r.Warnings, " ")) }, true},
}

func sizeOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return incident.FormatBytes(*n)
}

func numberOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func percentOr(p *float64) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", *p)
}

// trendCell is the shape, with the slope where it means something.
func trendCell(r *warn.Row) string {
	if r.Trend == "leak" && r.Slope != nil {
		return "leak +" + incident.FormatBytes(int64(*r.Slope*60)) + "/min"
	}
	return incident.Sanitize(r.Trend)
}

func limitCell(r *warn.Row) string {
	if r.TimeToLimit == nil {
		return "-"
	}
	s := incident.FormatDuration(time.Duration(*r.TimeToLimit * float64(time.Second)).Round(time.Second))
	if r.TimeToLimitError != nil {
		s += " ± " + incident.FormatDuration(time.Duration(*r.TimeToLimitError*float64(time.Second)).Round(time.Second))
	}
	return s
}

// maxNameColumn bounds the names, which anybody may make as long as they like.
const maxNameColumn = 32

// writeTop writes a table of rows.
func writeTop(w io.Writer, list []*warn.Row, opt topOptions) error {
	_, err := io.WriteString(w, topTable(list, opt))
	return err
}

// topTable lays rows out, the most in danger first, as they come.
func topTable(list []*warn.Row, opt topOptions) string {
	shown := list
	if opt.from > 0 {
		shown = list[min(opt.from, len(list)):]
	}
	if opt.rows > 0 && len(shown) > opt.rows {
		shown = shown[:opt.rows]
	}
	cells := make([][]string, len(shown)+1)
	wide := make([]int, len(topColumns))
	for c, col := range topColumns {
		cells[0] = append(cells[0], col.title)
		wide[c] = utf8.RuneCountInString(col.title)
	}
	for i, r := range shown {
		for c, col := range topColumns {
			s := clipRunes(col.cell(r), maxNameColumn)
			cells[i+1] = append(cells[i+1], s)
			wide[c] = max(wide[c], utf8.RuneCountInString(s))
		}
	}
	dim, warned, near := lipgloss.NewStyle().Faint(true), lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red), lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	var b strings.Builder
	for i, row := range cells {
		var line strings.Builder
		for c, s := range row {
			gap := strings.Repeat(" ", wide[c]-utf8.RuneCountInString(s))
			if c > 0 {
				line.WriteString("  ")
			}
			if topColumns[c].left {
				line.WriteString(s + gap)
			} else {
				line.WriteString(gap + s)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if opt.width > 0 {
			text = clipRunes(text, opt.width)
		}
		switch {
		case !opt.colour:
		case i == 0:
			text = dim.Render(text)
		case len(shown[i-1].Warnings) > 0:
			text = warned.Render(text)
		case shown[i-1].Danger >= 0.8:
			text = near.Render(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

func clipRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(n-1, 0)]) + "…"
}
