package render

import (
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// What is drawn of the memory before an OOM ends at the kill, though the readings missed
// the growth; what stayed as it was is not drawn in an alert.
func TestHistoryEndsAtTheKill(t *testing.T) {
	const mib = 1 << 20
	points := func(bytes ...int64) *incident.History {
		h := &incident.History{Trend: "unknown"}
		for i, b := range bytes {
			h.Points = append(h.Points, incident.Point{T: float64(i - len(bytes)), Bytes: b * mib})
		}
		return h
	}
	usage := int64(64 * mib)
	for name, tt := range map[string]struct {
		inc   incident.Incident
		end   string // of the line in explain
		drawn bool   // in the alert
	}{
		"missed":  {incident.Incident{Kind: incident.KindDeath, Cause: incident.OOMContainer, OOM: &incident.OOM{Usage: &usage}, History: points(1, 1, 1)}, "1 MiB to 64 MiB in 3.0 s", true},
		"seen":    {incident.Incident{Kind: incident.KindDeath, Cause: incident.OOMContainer, OOM: &incident.OOM{Usage: &usage}, History: points(1, 30, 60)}, "1 MiB to 60 MiB in 2.0 s", true},
		"flat":    {incident.Incident{Kind: incident.KindDeath, Cause: incident.KillUnknown, History: points(5, 5, 5)}, "5 MiB to 5 MiB in 2.0 s", false},
		"another": {incident.Incident{Kind: incident.KindKill, Cause: incident.OOMAncestor, OOM: &incident.OOM{Usage: &usage}, History: points(1, 1, 1)}, "1 MiB to 1 MiB in 2.0 s", false},
	} {
		before := len(tt.inc.History.Points)
		if got := HistoryLine(untilKill(&tt.inc)); !strings.HasSuffix(got, tt.end) {
			t.Errorf("%s: %q, want %q at its end", name, got, tt.end)
		}
		drawn := false
		for _, l := range lines(&tt.inc) {
			drawn = drawn || l.Label == labelTrend
		}
		if drawn != tt.drawn || len(tt.inc.History.Points) != before {
			t.Errorf("%s: drawn %v, want %v; %d points, had %d", name, drawn, tt.drawn, len(tt.inc.History.Points), before)
		}
	}
}
