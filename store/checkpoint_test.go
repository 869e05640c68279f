package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
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
		t.Fatal(err)
	}
	defer ro.Close()
	if list, err := ro.List(ctx, Query{}); err != nil || len(list) != n {
		t.Errorf("the file alone holds %d of %d: %v", len(list), n, err)
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
