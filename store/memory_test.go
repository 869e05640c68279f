package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/real"
)

// inMemory is a store that cannot read its file.
func inMemory(t *testing.T, p string) *Store {
	t.Helper()
	s := newStore(Options{Path: p, Logger: zap.NewNop()})
	if err := s.startMemory(ctx, nil, syscall.EROFS); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fails has every write to the file fail as on a disk that takes none, until the
// store has gone to memory.
func fails(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.db.ExecContext(ctx, "PRAGMA query_only = ON"); err != nil {
		t.Fatal(err)
	}
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

	s = inMemory(t, p)
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

func ids(t *testing.T, s *Store, q Query) string {
	t.Helper()
	list, err := s.List(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, inc := range list {
		out = append(out, inc.ID)
	}
	return strings.Join(out, " ")
}

func owed(ds []incident.Delivery) string {
	var out []string
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%s/%d", d.Incident.ID, d.Rev))
	}
	return strings.Join(out, " ")
}

// TestDiskTakesNoWrites: in the middle of its work the disk takes no more writes.
// What was owed is told, what was told is not told again, an update is one, what is
// kept can be read, and all of it is in the file afterwards.
func TestDiskTakesNoWrites(t *testing.T) {
	delivered := incident.Outcome{State: incident.Delivered, At: t0}
	for _, moment := range []string{"save", "settle", "silence"} {
		p := path(t)
		s := open(t, p)
		r := []string{"hook"}
		at := func(id, c string, n int) *incident.Incident { return inc(id, c, t0.Add(time.Duration(n)*time.Second)) }
		save(t, s, Entry{Incident: at("told", "a", 1), Receivers: r}, Entry{Incident: at("owed", "b", 2), Receivers: r})
		settle(t, s, delivered, due(t, s, "hook", time.Now())[0])
		if _, err := s.Save(ctx, Batch{State: map[string][]byte{"roster/a": []byte("1"), "roster/b": []byte("1")}}); err != nil {
			t.Fatal(err)
		}
		begun := due(t, s, "hook", time.Now())
		fails(t, s)
		switch moment {
		case "settle":
			settle(t, s, incident.Outcome{State: incident.Pending, At: t0, Next: t0}, begun...)
		case "silence":
			if err := s.PutSilence(ctx, incident.Silence{ID: "s", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		changed := at("told", "a", 1)
		changed.Cause = incident.KillRequest
		save(t, s, Entry{Incident: at("told", "a", 1), Receivers: r}, // a replay
			Entry{Incident: changed, Update: true, Receivers: r}, Entry{Incident: at("new", "c", 3), Receivers: r})
		if !s.InMemory() || !strings.Contains(s.Unwritable(), "readonly") {
			t.Fatalf("%s: in memory %t, %q", moment, s.InMemory(), s.Unwritable())
		}
		ds := due(t, s, "hook", time.Now())
		if got := owed(ds); got != "owed/0 told/1 new/0" {
			t.Errorf("%s: due %s", moment, got)
		}
		for _, d := range ds {
			if want := d.Incident.ID != "owed"; (d.Incident.NotStored != "") != want {
				t.Errorf("%s: %s says %q of being stored", moment, d.Incident.ID, d.Incident.NotStored)
			}
		}
		settle(t, s, delivered, ds...)
		if _, err := s.Save(ctx, Batch{State: map[string][]byte{"roster/a": nil, "roster/c": []byte("1")}}); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, s, Query{}) + "|" + ids(t, s, Query{Limit: 2}) + "|" + ids(t, s, Query{Limit: 1, NewestFirst: true}) + "|" + ids(t, s, Query{Container: "n-b"}); got != "told owed new|owed new|new|owed" {
			t.Errorf("%s: in memory %s are listed", moment, got)
		}
		if a := balanced(t, s)["hook"]; a.Generated != 4 || a.Delivered != 4 {
			t.Errorf("%s: in memory: %+v", moment, a)
		}
		save(t, s, Entry{Incident: at("last", "d", 4), Receivers: r})
		if err := s.toDisk(ctx); err != nil || s.InMemory() || s.Unwritable() != "" {
			t.Fatalf("%s: back: %v", moment, err)
		}
		for range 2 { // as it is, and after a restart
			if got := ids(t, s, Query{}); got != "told owed new last" {
				t.Errorf("%s: on disk %s", moment, got)
			}
			if got := owed(due(t, s, "hook", time.Now())); got != "last/0" {
				t.Errorf("%s: due on disk: %s", moment, got)
			}
			if a := balanced(t, s)["hook"]; a.Generated != 5 || a.Delivered != 4 || a.Pending != 1 {
				t.Errorf("%s: on disk: %+v", moment, a)
			}
			state, err := s.State(ctx)
			if diff := cmp.Diff(map[string][]byte{"roster/b": []byte("1"), "roster/c": []byte("1")}, state); err != nil || diff != "" {
				t.Errorf("%s: state: %v\n%s", moment, err, diff)
			}
			got, err := s.Incident(ctx, "new")
			if err != nil || got.NotStored != "" {
				t.Errorf("%s: %v, %+v", moment, err, got)
			}
			if list, err := s.Silences(ctx, t0); err != nil || len(list) != map[string]int{"silence": 1}[moment] {
				t.Errorf("%s: silences %v, %v", moment, list, err)
			}
			s.Close()
			s = open(t, p)
		}
	}
}

// TestMemoryIsBounded: with room neither on the disk nor in memory, what was told
// goes first, and what is owed stays.
func TestMemoryIsBounded(t *testing.T) {
	p := path(t)
	s := open(t, p)
	fails(t, s)
	delivered := incident.Outcome{State: incident.Delivered, At: t0}
	for i := range 700 {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0.Add(time.Duration(i)*time.Second))
		x.LogTail = []string{strings.Repeat("x", 40000)}
		save(t, s, Entry{Incident: x, Receivers: []string{"hook", "other"}})
		for _, r := range []string{"hook", "other"} {
			if i >= 10 { // the first are owed throughout
				settle(t, s, delivered, due(t, s, r, time.Now())[min(i, 10)])
			}
		}
	}
	var pages int
	if err := s.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil || pages > memoryPages {
		t.Errorf("%d pages in memory, %v", pages, err)
	}
	balanced(t, s)
	if err := s.toDisk(ctx); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(ctx, Query{})
	if err != nil || len(list) < 300 || len(list) == 700 || list[0].ID != "id0000" || list[len(list)-1].ID != "id0699" {
		t.Errorf("%d are kept, %v", len(list), err)
	}
	if a := balanced(t, s)["hook"]; a.Pending != 10 {
		t.Errorf("%+v", a)
	}
}

// TestMoreIsOwedThanMemoryHolds: what has no room is told from the file, when others
// are settled.
func TestMoreIsOwedThanMemoryHolds(t *testing.T) {
	const n = 600
	s := open(t, path(t))
	var all []Entry
	for i := range n {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0.Add(time.Duration(i)*time.Second))
		x.LogTail = []string{strings.Repeat("x", 40000)}
		all = append(all, Entry{Incident: x, Receivers: []string{"hook"}})
	}
	save(t, s, all...)
	fails(t, s)
	told := map[string]int{}
	for range n {
		ds := due(t, s, "hook", time.Now())
		if len(ds) == 0 {
			break
		}
		for _, d := range ds {
			told[d.Incident.ID]++
		}
		settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, ds...)
		if _, err := s.makeRoom(ctx); err != nil {
			t.Fatal(err)
		}
		s.more(ctx)
	}
	if len(told) != n {
		t.Errorf("%d of %d are told", len(told), n)
	}
	for id, times := range told {
		if times != 1 {
			t.Errorf("%s is told %d times", id, times)
		}
	}
	if err := s.toDisk(ctx); err != nil {
		t.Fatal(err)
	}
	if a := balanced(t, s)["hook"]; a.Generated != n || a.Pending+a.Delivered != n {
		t.Errorf("%+v", a)
	}
}

// TestGoneInMemory: the folder goes while the store is in memory, as when another
// disk is mounted in its place: what the file had is there again.
func TestGoneInMemory(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "a", "o.db")
	s := open(t, p)
	save(t, s, Entry{Incident: inc("before", "c", t0), Receivers: []string{"hook"}})
	fails(t, s)
	save(t, s, Entry{Incident: inc("between", "c", t0), Receivers: []string{"hook"}})
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := s.toDisk(ctx); err != nil {
		t.Fatal(err)
	}
	if said := <-s.said; said != "" {
		t.Errorf("said %q", said)
	}
	for range 2 {
		if got := ids(t, s, Query{}); got != "before between" {
			t.Errorf("on disk %s", got)
		}
		balanced(t, s)
		s.Close()
		s = open(t, p)
	}
}

// TestStartsInMemory: a file system that takes no writes at the start: what the file
// has is known, what was told is not told again, and Close or Run moves it back.
func TestStartsInMemory(t *testing.T) {
	p := path(t)
	s := open(t, p)
	r := []string{"hook"}
	save(t, s, Entry{Incident: inc("told", "a", t0), Receivers: r}, Entry{Incident: inc("owed", "b", t0), Receivers: r})
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, due(t, s, "hook", time.Now())[0])
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"cursor/kmsg": []byte("7")}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	dir := filepath.Dir(p)
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		real.Missing(t, "the right to mount: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // the temporary folder says so
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	s = open(t, p)
	if !s.InMemory() {
		t.Fatal("it is not in memory")
	}
	if state, err := s.State(ctx); err != nil || string(state["cursor/kmsg"]) != "7" {
		t.Errorf("state %q, %v", state, err)
	}
	save(t, s, Entry{Incident: inc("told", "a", t0), Receivers: r}, Entry{Incident: inc("new", "c", t0), Receivers: r})
	ds := due(t, s, "hook", time.Now())
	if got := owed(ds); got != "owed/0 new/0" {
		t.Errorf("due %s", got)
	}
	settle(t, s, incident.Outcome{State: incident.Delivered, At: t0}, ds...)
	if err := s.toDisk(ctx); err == nil {
		t.Error("it went back to a disk that takes no writes")
	}
	remount(0)
	run, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	for s.InMemory() && run.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil || s.InMemory() {
		t.Fatalf("in memory %t, %v", s.InMemory(), err)
	}
	if got := ids(t, s, Query{}); got != "told owed new" {
		t.Errorf("on disk %s", got)
	}
	if a := balanced(t, s)["hook"]; a.Delivered != 3 || a.Generated != 3 {
		t.Errorf("%+v", a)
	}
}
