package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/test/real"
)

// files are the names, sizes and times of all in a store's folder.
func files(t *testing.T, p string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(filepath.Dir(p))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(p), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "-shm") {
			b = nil // readers meet there
		}
		out[e.Name()] = string(b)
	}
	return out
}

// reads opens p for reading and says how many incidents it sees.
func reads(t *testing.T, p string) int {
	t.Helper()
	s, err := Open(ctx, Options{Path: p, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.List(ctx, Query{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(ctx, Batch{Entries: []Entry{{Incident: inc("x", "c", t0)}}}); err == nil {
		t.Error("a store that is open for reading took an incident")
	}
	return len(list)
}

func TestReadOnlyBesideALiveDaemon(t *testing.T) {
	p := path(t)
	s := open(t, p)
	for i, id := range []string{"a", "b", "c"} {
		save(t, s, Entry{Incident: inc(id, "c", t0)})
		if n := reads(t, p); n != i+1 {
			t.Errorf("a reader sees %d incidents, want %d", n, i+1)
		}
	}
}

func TestReadOnlyAfterTheDaemon(t *testing.T) {
	p := path(t)
	s := open(t, p)
	save(t, s, Entry{Incident: inc("a", "c", t0)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, p)
	if n := reads(t, p); n != 1 {
		t.Errorf("a reader sees %d incidents, want 1", n)
	}
	if d := cmp.Diff(before, files(t, p)); d != "" {
		t.Errorf("reading changed the folder: %s", d)
	}
}

func TestReadOnlyAfterAKilledDaemon(t *testing.T) {
	p := path(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKill9$")
	cmd.Env = append(os.Environ(), "OOMWATCH_TEST_WRITER="+p, "OOMWATCH_TEST_ROUND=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked, buf := 0, make([]byte, 1<<16)
	for acked < 20 {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		acked += strings.Count(string(buf[:n]), "acked")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	before := files(t, p)
	if st, err := os.Stat(p + "-wal"); err != nil || st.Size() == 0 {
		t.Fatalf("the killed daemon left no log to read from: %v", err)
	}
	if n := reads(t, p); n < acked {
		t.Errorf("a reader sees %d incidents, %d were acknowledged", n, acked)
	}
	if d := cmp.Diff(before, files(t, p)); d != "" {
		t.Errorf("reading changed the folder: %s", d)
	}
	s := open(t, p)
	if list, err := s.List(ctx, Query{}); err != nil || len(list) < acked {
		t.Errorf("the next daemon sees %d incidents, %v", len(list), err)
	}
}

// TestReadOnlyWithoutRights: a user who may read the files but not write the folder.
func TestReadOnlyWithoutRights(t *testing.T) {
	if p := os.Getenv("OOMWATCH_TEST_READER"); p != "" {
		if n := reads(t, p); n != 1 {
			t.Errorf("a reader sees %d incidents, want 1", n)
		}
		return
	}
	if os.Geteuid() != 0 {
		real.Missing(t, "needs root, to become a user without rights")
	}
	for _, live := range []bool{true, false} {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		p := filepath.Join(dir, "oomwatch.db")
		s := open(t, p)
		save(t, s, Entry{Incident: inc("a", "c", t0)})
		if !live {
			s.Close()
		}
		list, err := filepath.Glob(p + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if err := os.Chmod(f, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		exe := filepath.Join(dir, "test")
		b, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, b, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run", "^TestReadOnlyWithoutRights$")
		cmd.Dir = "/"
		cmd.Env = []string{"OOMWATCH_TEST_READER=" + p, "TMPDIR=/tmp"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("live=%v: %v\n%s", live, err, out)
		}
	}
}

// TestReaderDoesNotKeepTheDaemonOut: a reader takes no lock that a daemon needs.
func TestReaderDoesNotKeepTheDaemonOut(t *testing.T) {
	p := path(t)
	s := open(t, p)
	save(t, s, Entry{Incident: inc("a", "c", t0)})
	s.Close()
	r, err := Open(ctx, Options{Path: p, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s = open(t, p)
	save(t, s, Entry{Incident: inc("b", "c", t0.Add(time.Second)), Receivers: []string{"hook"}})
	if list, err := s.List(ctx, Query{}); err != nil || len(list) != 2 {
		t.Errorf("%d incidents, %v", len(list), err)
	}
}
