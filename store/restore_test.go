package store

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

// TestRemovedWhileOpen: the file is removed under a running daemon; what was kept
// before and after is in it at the next start.
func TestRemovedWhileOpen(t *testing.T) {
	p := path(t)
	s := open(t, p)
	for i := range 5 {
		save(t, s, Entry{Incident: inc(fmt.Sprintf("id%04d", i), "c", t0), Receivers: []string{"hook"}})
		if i < 3 {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
			os.Remove(p + "-wal")
		}
	}
	if s.Restored() != 3 {
		t.Errorf("put back %d times", s.Restored())
	}
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, due(t, s, "hook", time.Now())[:2]...)
	s.Close()
	s = open(t, p)
	if s.Recovered() != "" {
		t.Error(s.Recovered())
	}
	if list, err := s.List(ctx, Query{}); err != nil || len(list) != 5 {
		t.Errorf("%d incidents, %v", len(list), err)
	}
	if a := balanced(t, s)["hook"]; a.Delivered != 2 || a.Pending != 3 {
		t.Errorf("%+v", a)
	}
}

// TestAnotherFileInItsPlace: a disk is mounted again, or a copy is put back. It is
// gone on with, and one that is no store is not written to.
func TestAnotherFileInItsPlace(t *testing.T) {
	p := path(t)
	s := open(t, p)
	save(t, s, Entry{Incident: inc("before", "c", t0), Receivers: []string{"hook"}})
	if err := s.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		other := p + ".other"
		if err := os.WriteFile(other, b, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(p + "-wal") // it belongs to the file that goes
		if err := os.Rename(other, p); err != nil {
			t.Fatal(err)
		}
	}
	nonsense := []byte(strings.Repeat("no store. ", 1000))
	put(nonsense)
	if _, err := s.Save(ctx, Batch{Entries: []Entry{{Incident: inc("between", "c", t0)}}}); err == nil {
		t.Error("it was kept in a file that is no store")
	}
	if now, err := os.ReadFile(p); err != nil || !bytes.Equal(now, nonsense) {
		t.Errorf("a file that is no store was written to: %v", err)
	}
	put(b)
	save(t, s, Entry{Incident: inc("after", "c", t0), Receivers: []string{"hook"}})
	s.Close()
	s = open(t, p)
	if list, err := s.List(ctx, Query{}); err != nil || len(list) != 2 || s.Recovered() != "" {
		t.Errorf("%d incidents, %v, %q", len(list), err, s.Recovered())
	}
	balanced(t, s)
}

// TestFromMemoryToDisk: a store that began in memory is one on disk as soon as that
// can be written, with what had been kept there before.
func TestFromMemoryToDisk(t *testing.T) {
	p := path(t)
	s := open(t, p)
	save(t, s, Entry{Incident: inc("told", "c", t0), Receivers: []string{"hook"}}, Entry{Incident: inc("owed", "c", t0), Receivers: []string{"hook"}},
		Entry{Incident: inc("both", "d", t0), Receivers: []string{"hook"}})
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, due(t, s, "hook", time.Now())[0])
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"cursor/kmsg": []byte("old"), "roster/gone": []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	s.Close()

	s, err := Open(ctx, Options{Path: p, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	save(t, s, Entry{Incident: inc("both", "d", t0), Receivers: []string{"hook"}}, Entry{Incident: inc("new", "d", t0), Receivers: []string{"hook", "slack"}})
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, due(t, s, "hook", time.Now())...)
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"cursor/kmsg": []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	begun := due(t, s, "slack", time.Now()) // this one is under way when it moves
	other := open(t, p)
	if err := s.toDisk(ctx); err == nil || !s.InMemory() {
		t.Fatalf("it moved to a store that another has open: %v", err)
	}
	other.Close()
	if err := s.toDisk(ctx); err != nil || s.InMemory() || len(s.said) != 1 || <-s.said != "" {
		t.Fatalf("in memory %t: %v", s.InMemory(), err)
	}
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, begun...)
	for range 2 { // as it is, and after a restart
		acc := balanced(t, s)
		if a := acc["hook"]; a.Generated != 4 || a.Delivered != 3 || a.Pending != 1 {
			t.Errorf("hook: %+v", a)
		}
		if a := acc["slack"]; a.Generated != 1 || a.Delivered != 1 {
			t.Errorf("slack: %+v", a)
		}
		if ds := due(t, s, "hook", time.Now()); len(ds) != 1 || ds[0].Incident.ID != "owed" {
			t.Errorf("due: %+v", ds)
		}
		state, err := s.State(ctx)
		if diff := cmp.Diff(map[string][]byte{"cursor/kmsg": []byte("new")}, state); err != nil || diff != "" {
			t.Errorf("state: %v\n%s", err, diff)
		}
		s.Close()
		s = open(t, p)
	}
}

func TestMemoryStore(t *testing.T) {
	s, err := Open(ctx, Options{Path: "/proc/nowhere/o.db", Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	save(t, s, Entry{Incident: inc("a", "c", t0), Receivers: []string{"hook"}})
	for range 2 {
		settle(t, s, incident.Outcome{State: incident.Pending, At: t0, Next: t0}, due(t, s, "hook", time.Now())...)
	}
	if list, err := s.List(ctx, Query{}); err != nil || len(list) != 1 {
		t.Errorf("%d incidents, %v", len(list), err)
	}
	balanced(t, s)
}
