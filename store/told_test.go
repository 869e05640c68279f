package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestTold: of what a receiver has had, the warnings that last and what is new.
func TestTold(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "o.db"))
	now := time.Now()
	for _, x := range []struct {
		id     string
		kind   incident.Kind
		ago    time.Duration
		change func(*incident.Incident)
	}{
		{"lasts", incident.KindWarning, 100 * time.Hour, func(*incident.Incident) {}},
		{"over", incident.KindWarning, time.Minute, func(i *incident.Incident) { i.ResolvedAt = now }},
		{"old", incident.KindDeath, 2 * time.Hour, func(*incident.Incident) {}},
		{"new", incident.KindDeath, time.Minute, func(*incident.Incident) {}},
	} {
		inc := &incident.Incident{ID: x.id, Kind: x.kind, Time: now.Add(-x.ago)}
		x.change(inc)
		save(t, s, Entry{Incident: inc, Receivers: []string{"am", "other"}})
		for _, d := range due(t, s, "am", now) {
			settle(t, s, incident.Outcome{State: incident.Delivered, At: inc.Time}, d)
		}
	}
	save(t, s, Entry{Incident: &incident.Incident{ID: "owed", Kind: incident.KindWarning, Time: now}, Receivers: []string{"am"}})
	list, err := s.Told(ctx, "am", now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		got = append(got, d.Incident.ID)
		if d.FirstAttempt.UnixNano() != d.Incident.Time.UnixNano() {
			t.Errorf("%s was told at %v", d.Incident.ID, d.FirstAttempt)
		}
	}
	if strings.Join(got, " ") != "lasts new" {
		t.Errorf("told %v", got)
	}
}
