package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// sparks are the eighths of a column.
var sparks = []rune("▁▂▃▄▅▆▇█")

// HistoryLine draws the readings before the incident, oldest first.
func HistoryLine(h *incident.History) string {
	if h == nil || len(h.Points) < 2 {
		return ""
	}
	p := h.Points
	b := sparkline(p, 30)
	first, last := p[0], p[len(p)-1]
	s := fmt.Sprintf("%s %s to %s in %s", b, incident.FormatBytes(first.Bytes), incident.FormatBytes(last.Bytes),
		incident.FormatDuration(time.Duration((last.T-first.T)*float64(time.Second))))
	word := h.TrendWord()
	if word == incident.TrendUnknown {
		return s
	}
	s += ", " + redact.Sanitize(word)
	if h.Reason != "" {
		s += ": " + redact.Sanitize(h.Reason)
	}
	return s
}

// untilKill are the readings before an incident and, where a kill at the container's own
// limit came of a growth that they missed, what was in use at that kill.
func untilKill(inc *incident.Incident) *incident.History {
	h, o := inc.History, inc.OOM
	if h == nil || len(h.Points) == 0 || o == nil || o.Usage == nil || inc.Cause != incident.OOMContainer || inc.Kind == incident.KindWarning {
		return h
	}
	if last := h.Points[len(h.Points)-1]; last.T >= 0 || last.Bytes > *o.Usage/2 {
		return h
	}
	with := *h
	with.Points = append(slices.Clone(h.Points), incident.Point{Bytes: *o.Usage})
	return &with
}

// flatLine is true for readings that show nothing but that memory stayed what it was.
func flatLine(h *incident.History) bool {
	if h == nil {
		return false
	}
	if word := h.TrendWord(); word == incident.ClassLeak || word == incident.TrendGrowth {
		return false
	}
	if len(h.Points) == 0 {
		return true
	}
	least, most := h.Points[0].Bytes, h.Points[0].Bytes
	for _, p := range h.Points {
		least, most = min(least, p.Bytes), max(most, p.Bytes)
	}
	return most-least < most/16
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
