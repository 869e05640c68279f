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

// TestNewsOnTheWay: what is brought up to date after it was handed out is told with
// the old news, and the new are owed then.
func TestNewsOnTheWay(t *testing.T) {
	now := time.Now()
	at := func(c incident.Confidence, update bool) Entry {
		return Entry{Incident: &incident.Incident{ID: "a", Kind: incident.KindDeath, Cause: incident.OOMContainer, Confidence: c, Time: now}, Receivers: []string{"hook"}, Update: update}
	}
	for name, tt := range map[string]struct {
		state              incident.DeliveryState
		begun              bool // before the update: then that is one of its own
		delivered, pending int64
	}{
		"told":           {incident.Delivered, false, 1, 1},
		"not yet":        {incident.Pending, false, 0, 1}, // it tells the news the next time
		"begun and told": {incident.Delivered, true, 1, 1},
	} {
		s := open(t, filepath.Join(t.TempDir(), "o.db"))
		save(t, s, at(incident.Possible, false))
		ds := due(t, s, "hook", now)
		if tt.begun {
			if err := s.Begin(ctx, "", ds...); err != nil {
				t.Fatal(err)
			}
		}
		save(t, s, at(incident.Likely, true))
		if err := s.Begin(ctx, "", ds...); err != nil {
			t.Fatal(err)
		}
		settle(t, s, incident.Outcome{State: tt.state, At: now, Next: now}, ds...)
		if a := balanced(t, s)["hook"]; a.Delivered != tt.delivered || a.Pending != tt.pending {
			t.Errorf("%s: %d delivered and %d pending, want %d and %d", name, a.Delivered, a.Pending, tt.delivered, tt.pending)
		}
		ds = due(t, s, "hook", now)
		if len(ds) != 1 || ds[0].Rev > 0 != (tt.state == incident.Delivered) || ds[0].Incident.Confidence != incident.Likely {
			t.Errorf("%s: due then: %+v", name, ds)
		}
		settle(t, s, incident.Outcome{State: incident.Delivered, At: now}, ds...)
		save(t, s, at(incident.Likely, true))
		if ds = due(t, s, "hook", now); len(ds) != 0 {
			t.Errorf("%s: told anew: %+v", name, ds)
		}
	}
}
