package store

import (
	"bytes"
	"fmt"
	"os"
	"strings"
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
	save(t, s, Entry{Incident: inc("between", "c", t0)})
	if !s.InMemory() || !strings.Contains(s.Unwritable(), "another file is in its place") {
		t.Errorf("in memory %t: %s", s.InMemory(), s.Unwritable())
	}
	if now, err := os.ReadFile(p); err != nil || !bytes.Equal(now, nonsense) {
		t.Errorf("a file that is no store was written to: %v", err)
	}
	put(b)
	save(t, s, Entry{Incident: inc("after", "c", t0), Receivers: []string{"hook"}})
	s.Close()
	s = open(t, p)
	if list, err := s.List(ctx, Query{}); err != nil || len(list) != 3 || s.Recovered() != "" {
		t.Errorf("%d incidents, %v, %q", len(list), err, s.Recovered())
	}
	balanced(t, s)
}
