package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestSalvage damages one page in the middle: what else was kept, owed and noted
// is there again.
func TestSalvage(t *testing.T) {
	p := path(t)
	s := open(t, p)
	for i := range 400 {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0)
		x.Evidence = []incident.Evidence{{Source: "kmsg", Text: strings.Repeat("x", 800)}}
		save(t, s, Entry{Incident: x, Receivers: []string{"hook"}})
	}
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"cursor/kmsg": []byte("boot:77"), "roster/c1": []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	due, err := s.Due(ctx, "hook", time.Now(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range due {
		if err := s.Settle(ctx, incident.Outcome{State: incident.Delivered, At: time.Now()}, d); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	// A leaf of the incidents: its rows hold the long text.
	hit := 0
	for at := len(b) / 2 / 4096 * 4096; at < len(b); at += 4096 {
		if b[at] == 0x0d && strings.Count(string(b[at:at+4096]), "xxxxxxxxxxxxxxxx") > 1 {
			for i := range 100 {
				b[at+i] = 0xff
			}
			hit++
			break
		}
	}
	if hit == 0 {
		t.Fatal("no page of incidents was found")
	}
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, p)
	if s.Recovered() == "" || !strings.Contains(s.Recovered(), "carried over") {
		t.Fatalf("recovered: %q", s.Recovered())
	}
	t.Log(s.Recovered())
	list, err := s.List(ctx, Query{})
	if err != nil || len(list) < 390 || len(list) >= 400 {
		t.Errorf("%d of 400 incidents, %v", len(list), err)
	}
	state, err := s.State(ctx)
	if err != nil || string(state["cursor/kmsg"]) != "boot:77" || len(state) != 2 {
		t.Errorf("state %q, %v", state, err)
	}
	counts, err := s.Deliveries(ctx)
	if err != nil || counts["hook"][incident.Delivered] < 90 || counts["hook"][incident.Delivered] > 100 || counts["hook"][incident.Pending] < 290 {
		t.Errorf("deliveries %v, %v", counts, err)
	}
}

func TestAStoreThatVanishedIsNoticed(t *testing.T) {
	p := path(t)
	s := open(t, p)
	if s.Recovered() != "" {
		t.Errorf("a first store: %s", s.Recovered())
	}
	save(t, s, Entry{Incident: inc("a", "c", t0)})
	s.Close()
	s = open(t, p)
	if s.Recovered() != "" {
		t.Errorf("a store in good order: %s", s.Recovered())
	}
	s.Close()
	if err := os.Truncate(p, 0); err != nil {
		t.Fatal(err)
	}
	s = open(t, p)
	if !strings.Contains(s.Recovered(), "gone or empty") {
		t.Errorf("an emptied store: %q", s.Recovered())
	}
}

func TestRetentionGoesOnWhileItRuns(t *testing.T) {
	s, err := Open(ctx, Options{Path: path(t), MaxAge: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	save(t, s, Entry{Incident: inc("old", "c", now.Add(-25*time.Hour))}, Entry{Incident: inc("owed", "c", now.Add(-25*time.Hour)), Receivers: []string{"hook"}})
	s.pruned.Store(now.Add(-2 * pruneEvery).Unix())
	save(t, s, Entry{Incident: inc("new", "c", now)})
	list, err := s.List(ctx, Query{})
	if err != nil || len(list) != 2 || list[0].ID != "owed" || list[1].ID != "new" {
		t.Errorf("%d incidents, %v", len(list), err)
	}
}

// What version 2 told is carried over with the name of the host it spoke of.
func TestSalvageOfVersion2(t *testing.T) {
	s := open(t, path(t))
	n := s.salvage(ctx, copied(t, "v2.db"))
	if n.incidents != 3 || n.lost != 0 {
		t.Fatalf("%s", n)
	}
	var host, thread string
	if err := s.db.QueryRow("SELECT host, thread FROM told").Scan(&host, &thread); err != nil || host != "node-7" || thread != "th" {
		t.Errorf("told: %q %q %v", host, thread, err)
	}
}
