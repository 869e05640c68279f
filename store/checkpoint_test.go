package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCheckpointBesideTheWriter: what a checkpoint has moved is in the file itself,
// without its log.
func TestCheckpointBesideTheWriter(t *testing.T) {
	p := path(t)
	s := open(t, p)
	const n = 60
	for i := range n {
		save(t, s, Entry{Incident: inc(fmt.Sprint("id", i), "c", t0), Receivers: []string{"hook"}})
	}
	if got := s.commits.Load(); got < n {
		t.Errorf("%d commits are counted after %d", got, n)
	}
	if err := s.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if got := inFileAlone(t, p); got != n {
		t.Errorf("the file alone holds %d of %d", got, n)
	}
	// The writer goes on, and begins its log anew.
	before, err := os.Stat(p + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, Entry{Incident: inc("more", "c", t0)})
	if after, err := os.Stat(p + "-wal"); err != nil || after.Size() != before.Size() {
		t.Errorf("the log has grown from %d to %d: %v", before.Size(), after.Size(), err)
	}
}

// TestCheckpointWhenQuiet: once commits are enough and pause, the log is moved.
func TestCheckpointWhenQuiet(t *testing.T) {
	p := path(t)
	s := open(t, p)
	go s.Run(t.Context()) //nolint:errcheck // it ends with the test
	const n = checkpointAfter + 10
	for i := range n {
		save(t, s, Entry{Incident: inc(fmt.Sprint("id", i), "c", t0), Receivers: []string{"hook"}})
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if s.commits.Load() == 0 && inFileAlone(t, p) == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d commits are not moved; the file alone holds %d of %d", s.commits.Load(), inFileAlone(t, p), n)
		}
	}
}

// inFileAlone is how many incidents a store's file holds without its log.
func inFileAlone(t *testing.T, p string) int {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "alone.db")
	if err := os.WriteFile(alone, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ro, err := Open(ctx, Options{Path: alone, ReadOnly: true})
	if err != nil {
		return 0 // not a store yet
	}
	defer ro.Close()
	list, err := ro.List(ctx, Query{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
