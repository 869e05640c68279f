package store

import (
	"fmt"
	"os"
	"testing"
	"time"

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
