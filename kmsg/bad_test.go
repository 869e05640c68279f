package kmsg

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestABadFileTakesNothingFromTheOthers: with Bad the others are read, and of one
// that is cut short what came before, its last report too.
func TestABadFileTakesNothingFromTheOthers(t *testing.T) {
	const report = `[  100.000000] Memory cgroup out of memory: Killed process PID (tail) total-vm:34528kB, anon-rss:32384kB, file-rss:1296kB, shmem-rss:0kB, UID:0 pgtables:108kB oom_score_adj:0` + "\n"
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(strings.ReplaceAll(report, "PID", "1001"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names := []string{
		file("cut.gz", z.Bytes()[:z.Len()-8]), filepath.Join(dir, "missing"), file("head.gz", z.Bytes()[:5]), dir,
		file("whole", []byte(strings.ReplaceAll(report, "PID", "1002"))),
	}
	var bad []string
	var pids []int
	take := func(ev *Event) error {
		if ev.Episode != nil {
			pids = append(pids, ev.Episode.Kills[0].PID)
		}
		return nil
	}
	opt := ScanOptions{Bad: func(name string, err error) {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		bad = append(bad, filepath.Base(name))
	}}
	if _, err := ScanFiles(context.Background(), names, opt, take); err != nil {
		t.Fatal(err)
	}
	if len(pids) != 2 || pids[0]+pids[1] != 2003 {
		t.Errorf("killed: %v, want 1001 and 1002", pids)
	}
	if len(bad) != 4 {
		t.Errorf("told to be bad: %q", bad)
	}
	if _, err := ScanFiles(context.Background(), names, ScanOptions{}, take); err == nil {
		t.Error("without Bad a missing file is passed over")
	}
	full := errors.New("disk full")
	if _, err := ScanFiles(context.Background(), names, opt, func(*Event) error { return full }); !errors.Is(err, full) {
		t.Errorf("what the taker says: %v", err)
	}
}
