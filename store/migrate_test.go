package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

// copied is a copy of a file of testdata.
func copied(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "o.db")
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestVersion2 opens a file that version 2 wrote, with 3 incidents on node-7 to 2
// receivers: of hook's, one is delivered, one parked, one begun and then changed.
func TestVersion2(t *testing.T) {
	p := copied(t, "v2.db")
	ro, err := Open(ctx, Options{Path: p, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, ro, Query{}) + "|" + ids(t, ro, Query{Container: "api"}); got != "id0000 id0001 id0002|id0002" {
		t.Errorf("read as it is: %s", got)
	}
	ro.Close()
	for range 2 { // brought up to date, and opened again
		s := open(t, p)
		if s.Recovered() != "" {
			t.Error(s.Recovered())
		}
		acc := balanced(t, s)
		if a := acc["hook"]; a.Generated != 4 || a.Delivered != 1 || a.Parked != 1 || a.Pending != 2 || a.Error != "400" {
			t.Errorf("hook: %+v", a)
		}
		if a := acc["slack"]; a.Pending != 3 {
			t.Errorf("slack: %+v", a)
		}
		ds := due(t, s, "hook", time.Now())
		if owed(ds) != "id0002/0 id0002/1" || !ds[0].Unknown || ds[0].Batch != "b1" || ds[0].Host != "node-7" {
			t.Errorf("due: %+v", ds)
		}
		if got := ids(t, s, Query{Container: "api"}) + "|" + ids(t, s, Query{Container: "c000"}) + "|" + ids(t, s, Query{Container: "n-c" + ds[0].Incident.Container.ID[1:]}); got != "id0002|id0000 id0001 id0002|id0002" {
			t.Errorf("by name: %s", got)
		}
		// A replay tells nobody, and what repeats goes into the old thread.
		again := inc("id0000", "x", t0)
		again.Host = &incident.Host{Name: "node-7"}
		if saved := save(t, s, Entry{Incident: again, Receivers: []string{"hook", "slack"}}); saved.Owed != 0 || len(saved.New) != 0 {
			t.Errorf("a replay: %+v", saved)
		}
		var host, thread string
		if err := s.db.QueryRow("SELECT host, thread FROM told").Scan(&host, &thread); err != nil || host != "node-7" || thread != "th" {
			t.Errorf("told: %q %q %v", host, thread, err)
		}
		state, err := s.State(ctx)
		if diff := cmp.Diff(map[string][]byte{"cursor/kmsg": []byte("b:7")}, state); err != nil || diff != "" {
			t.Errorf("state: %v\n%s", err, diff)
		}
		if list, err := s.Silences(ctx, t0); err != nil || len(list) != 1 {
			t.Errorf("silences: %v, %v", list, err)
		}
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		s.Close()
	}
}

// TestHostsOfOneName: two hosts have a container of the same name, and an incident of
// the same id: neither touches the other's rows, nor waits for it.
func TestHostsOfOneName(t *testing.T) {
	s := open(t, path(t))
	on := func(host string) *incident.Incident {
		x := inc("same", "c", t0)
		x.Host, x.Summary = &incident.Host{Name: host}, "web died on "+host
		return x
	}
	r := []string{"hook"}
	if saved := save(t, s, Entry{Incident: on("a"), Receivers: r}, Entry{Incident: on("b"), Receivers: r}); saved.Owed != 2 {
		t.Errorf("%+v", saved)
	}
	ds := due(t, s, "hook", time.Now())
	if len(ds) != 2 || ds[0].Host != "a" || ds[1].Incident.Summary != "web died on b" {
		t.Fatalf("due: %+v", ds)
	}
	ds[0].Last = incident.Last{At: t0, Wait: time.Hour, Thread: "of a"}
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, ds[0])
	settle(t, s, incident.Outcome{State: incident.Pending, At: t0, Next: time.Now().Add(time.Hour)}, ds[1])
	later := on("a")
	later.ID = "later"
	after := on("b")
	after.ID = "behind"
	save(t, s, Entry{Incident: later, Receivers: r}, Entry{Incident: after, Receivers: r})
	ds = due(t, s, "hook", time.Now())
	if len(ds) != 1 || ds[0].Incident.ID != "later" || ds[0].Last.Thread != "of a" {
		t.Errorf("due while b waits: %+v", ds)
	}
	ds = due(t, s, "hook", time.Now().Add(2*time.Hour))
	if len(ds) != 3 || ds[0].Last.Thread != "" {
		t.Errorf("due after it: %+v", ds)
	}
	balanced(t, s)
}
