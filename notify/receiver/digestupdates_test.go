package receiver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/render"
)

// endable is a delivery of a warning about a container of its own; rev 1 says that it is over.
func endable(n, rev int, at time.Time) incident.Delivery {
	name := fmt.Sprint("web", n)
	inc := &incident.Incident{ID: fmt.Sprint("w", n), Kind: incident.KindWarning, Time: at, Severity: incident.Warning, Cause: incident.UnknownCause,
		Confidence: incident.Certain, Summary: name + " is at 95 %", Count: 1, Container: &incident.Container{ID: name + "-id", Name: name},
		Host: &incident.Host{Name: "node-7"}, Warning: &incident.WarningFacts{What: "headroom", Since: at}}
	if rev > 0 {
		inc.ResolvedAt = at.Add(time.Minute)
	}
	return incident.Delivery{Incident: inc, Rev: rev}
}

// TestDigestOfUpdates: what the receiver knew is not counted again, and what is over is said to be.
func TestDigestOfUpdates(t *testing.T) {
	at := time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC)
	death := endable(5, 0, at.Add(time.Hour))
	death.Incident.Kind, death.Incident.Cause, death.Incident.Severity = incident.KindDeath, incident.OOMContainer, incident.Critical
	for name, tt := range map[string]struct {
		list            []incident.Delivery
		late            time.Duration
		count           int
		summary, causes string
		severity        incident.Severity
	}{
		"ends":           {[]incident.Delivery{endable(1, 1, at), endable(2, 1, at)}, 0, 0, "2 updates on earlier alerts on node-7", "map[]", incident.Info},
		"ends, late":     {[]incident.Delivery{endable(1, 1, at), endable(2, 1, at)}, time.Hour, 0, "2 updates on earlier alerts on node-7 while pager was unreachable for 1 h", "map[]", incident.Info},
		"a death beside": {[]incident.Delivery{endable(1, 1, at), death}, 0, 1, "1 incident on node-7, 1 oom.container, and 1 update on earlier alerts", "map[oom.container:1]", incident.Critical},
		"never told":     {[]incident.Delivery{endable(1, 0, at), endable(1, 1, at), death}, 0, 2, "2 incidents on node-7 within 1 h, 2 containers, 1 oom.container, 1 unknown", "map[oom.container:1 unknown:1]", incident.Critical},
	} {
		d := incident.NewDigest(tt.list, "pager", tt.late)
		if d.Count != tt.count || d.Summary != tt.summary || fmt.Sprint(d.ByCause) != tt.causes || d.Severity() != tt.severity || d.Host != "node-7" {
			t.Errorf("%s: %d of %s, %q, %s, of %q", name, d.Count, fmt.Sprint(d.ByCause), d.Summary, d.Severity(), d.Host)
		}
	}
	d := incident.NewDigest([]incident.Delivery{endable(1, 1, at), death}, "pager", 0)
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"resolved_at":"2026-11-21T07:01:00Z","update":true`, `"updates":1`, `"host":"node-7"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	for name, v := range map[string]any{"slack": slackMessageOf(render.OutlineOfDigest(d)), "discord": discordMessageOf(render.OutlineOfDigest(d)), "teams": teamsMessageOf(render.OutlineOfDigest(d))} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "unknown, over") || !strings.Contains(string(b), " node-7") && !strings.Contains(string(b), " node\\\\-7") {
			t.Errorf("%s does not say that one is over, or where: %s", name, b)
		}
	}
	if o := render.OutlineOfDigest(incident.NewDigest([]incident.Delivery{endable(1, 1, at), endable(2, 1, at)}, "pager", 0)); o.Mark() != "🟢" || o.Title != "2 updates" {
		t.Errorf("of ends alone: %s %s", o.Mark(), o.Title)
	}
}
