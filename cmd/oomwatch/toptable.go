package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/warn"
)

// topOptions say how rows are laid out.
type topOptions struct {
	// width is that of the terminal; 0 cuts nothing.
	width  int
	colour bool
	// from and rows are which rows to show; 0 rows are all.
	from, rows int
	// chosen is the row to mark, counted from the first of all; -1 or beyond is none.
	chosen int
}

// topColumn is one column. Where the terminal is too narrow for all, those with
// the highest drop are left out first; 0 is never.
type topColumn struct {
	title string
	cell  func(*warn.Row) string
	left  bool
	drop  int
	// seldom is true for one that is shown only where it has something to show.
	seldom bool
}

var topColumns = []topColumn{
	{"CONTAINER", func(r *warn.Row) string { return redact.Sanitize(r.Name) }, true, 0, false},
	{"MEMORY", func(r *warn.Row) string { return incident.FormatBytes(r.Memory) }, false, 7, false},
	{"HELD", func(r *warn.Row) string { return sizeOr(r.Held) }, false, 0, false},
	{"LIMIT", limitSizeCell, false, 0, false},
	{"ROOM", func(r *warn.Row) string { return sizeOr(r.Headroom) }, false, 4, false},
	{"STALL", func(r *warn.Row) string { return percentOr(r.StalledFull) }, false, 5, false},
	{"TREND", trendCell, false, 6, false},
	{"LIMIT IN", limitCell, false, 1, false},
	{"HITS", func(r *warn.Row) string { return numberOr(r.LimitHits) }, false, 9, false},
	{"PIDS", func(r *warn.Row) string { return numberOr(r.PIDs) }, false, 8, false},
	{"RESTARTS", restartsCell, false, 5, true},
	{"ZOMBIES", func(r *warn.Row) string { return numberOr(r.Zombies) }, false, 5, true},
	{"LOG/H", func(r *warn.Row) string { return sizeOr(r.LogPerHour) }, false, 5, true},
	{"WARNINGS", func(r *warn.Row) string { return redact.Sanitize(strings.Join(r.Warnings, " ")) }, true, 3, false},
}

func sizeOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return incident.FormatBytes(*n)
}

// limitSizeCell is the limit that leaves the least room; ^ marks one of a group above.
func limitSizeCell(r *warn.Row) string {
	if r.LimitOf != "" {
		return "^" + sizeOr(r.Limit)
	}
	return sizeOr(r.Limit)
}

func numberOr(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// restartsCell leaves out what has never been restarted.
func restartsCell(r *warn.Row) string {
	if r.Restarts != nil && *r.Restarts == 0 {
		return "-"
	}
	return numberOr(r.Restarts)
}

func percentOr(p *float64) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", *p)
}

// trendCell is the shape, with the slope where it means something.
func trendCell(r *warn.Row) string {
	if (r.Trend == "leak" || r.Trend == "growth") && r.Slope != nil {
		return r.Trend + " +" + incident.FormatBytes(int64(*r.Slope*60)) + "/min"
	}
	return redact.Sanitize(r.Trend)
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

// maxNameColumn bounds the names, which anybody may make as long as they like; on a
// narrow screen they have a third of it.
const maxNameColumn = 32

func (o topOptions) nameColumn() int {
	if o.width == 0 {
		return 1 << 20
	}
	return min(maxNameColumn, max(o.width/3, 12))
}

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
	columns := slices.DeleteFunc(slices.Clone(topColumns), func(c topColumn) bool {
		return c.seldom && !slices.ContainsFunc(shown, func(r *warn.Row) bool { return c.cell(r) != "-" })
	})
	cells, wide := topCells(shown, columns, opt.nameColumn())
	room := opt.width
	if opt.rows > 0 {
		room -= 2 // for the mark of the chosen row
	}
	for opt.width > 0 && sum(wide)+2*(len(wide)-1) > room && len(columns) > 1 {
		least := slices.MaxFunc(columns, func(a, b topColumn) int { return cmp.Compare(a.drop, b.drop) })
		if least.drop == 0 {
			break
		}
		columns = slices.DeleteFunc(slices.Clone(columns), func(c topColumn) bool { return c.title == least.title })
		cells, wide = topCells(shown, columns, opt.nameColumn())
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
			if columns[c].left {
				line.WriteString(s + gap)
			} else {
				line.WriteString(gap + s)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if opt.chosen >= 0 && i > 0 && opt.from+i-1 == opt.chosen && opt.rows > 0 {
			text = "> " + text
		} else if opt.rows > 0 {
			text = "  " + text
		}
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

// topCells are the title and the cell of each row for each column, and how wide
// each column is.
func topCells(shown []*warn.Row, columns []topColumn, most int) (cells [][]string, wide []int) {
	cells, wide = make([][]string, len(shown)+1), make([]int, len(columns))
	for c, col := range columns {
		cells[0] = append(cells[0], col.title)
		wide[c] = utf8.RuneCountInString(col.title)
		for i, r := range shown {
			s := clipRunes(col.cell(r), most)
			cells[i+1] = append(cells[i+1], s)
			wide[c] = max(wide[c], utf8.RuneCountInString(s))
		}
	}
	return cells, wide
}

func sum(n []int) (total int) {
	for _, v := range n {
		total += v
	}
	return total
}

func clipRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(n-1, 0)]) + "…"
}
