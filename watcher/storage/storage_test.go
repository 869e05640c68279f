package storage

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

func running(id, name string, p incident.Places) observe.Observation {
	return observe.Observation{Container: &observe.Container{Container: incident.Container{ID: id, Name: name, Running: new(true)}, PID: os.Getpid(), Places: &p}}
}

// TestFilesystems looks at real ones: this test's folder, and this process's /dev/shm.
func TestFilesystems(t *testing.T) {
	dir := t.TempDir()
	s := New(Options{Proc: "/proc", Roots: func(string) []string { return []string{"/no/such/root", "/"} }})
	s.Hear("docker", running("aa", "web", incident.Places{Filesystems: []incident.Filesystem{
		{Mount: "/", Kind: "layer", Source: dir}, {Mount: "/data", Kind: "bind", Source: dir}, {Mount: "/dev/shm", Kind: "tmpfs"},
		{Mount: "/gone", Kind: "volume", Source: dir + "/gone"}, {Mount: "/p", Kind: "bind", Source: "/proc"},
	}}))
	s.adopt(t.Context())
	if len(s.disks) != 2 {
		t.Fatalf("%d filesystems: %+v", len(s.disks), s.disks)
	}
	for _, d := range s.disks {
		switch {
		case d.holds && len(d.uses) == 2 && d.real == dir:
		case !d.holds && len(d.uses) == 1 && strings.HasSuffix(d.real, "/root/dev/shm"):
		default:
			t.Errorf("%+v", d)
		}
	}
	now := time.Now()
	s.readDisks(t.Context(), now)
	for _, d := range s.disks {
		if d.last.Size <= 0 || d.last.Free < 0 || !d.read.Equal(now) {
			t.Errorf("%+v", d)
		}
	}
	// Who ended is not looked at any more.
	s.Hear("docker", observe.Observation{Exit: &observe.Exit{ID: "aa"}})
	if s.adopt(t.Context()); len(s.disks) != 0 {
		t.Errorf("%+v", s.disks)
	}
	// What another engine lists says nothing of it.
	s.Hear("docker", running("aa", "web", incident.Places{}))
	s.Hear("podman", observe.Observation{List: &observe.List{}})
	if len(s.containers) != 1 {
		t.Error("another engine's list ends it")
	}
	if s.Hear("docker", observe.Observation{List: &observe.List{}}); len(s.containers) != 0 {
		t.Error("its own engine's list does not end it")
	}
}

// TestLogs writes a real file and looks at how it grows.
func TestLogs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x-json.log")
	s := New(Options{Proc: "/proc", Roots: func(string) []string { return []string{dir} }})
	s.Hear("docker", running("aa", "web", incident.Places{LogPath: "/x-json.log", LogUnbounded: true, Filesystems: []incident.Filesystem{{Mount: "/", Kind: "layer", Source: "/"}}}))
	s.adopt(t.Context())
	at := time.Unix(1000, 0)
	write := func(n int) {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(logsEvery)
		s.readLogs(at)
	}
	for range 5 {
		write(20 << 20) // all of it at the start
		if got := s.growing(at); len(got) != 0 {
			t.Errorf("what was written at the start is told as growth: %+v", got)
		}
	}
	write(0)
	for i := range 3 {
		if got := s.growing(at); len(got) != 0 {
			t.Errorf("told after %d readings: %+v", i+1, got)
		}
		write((i + 1) * 2 << 20) // 2 MiB in 10 s: 720 MiB in an hour
	}
	got := s.growing(at)
	if len(got) != 1 || got[0].Bytes != 6<<20 || got[0].PerHour != 720<<20 || !got[0].Unbounded {
		t.Fatalf("%+v", got)
	}
	if again := s.growing(at.Add(tickEvery)); len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	for _, d := range s.disks {
		fill := s.fill(d)
		if len(fill) != 1 || fill[0].Kind != "log" || *fill[0].PerHour != 720<<20 {
			t.Errorf("%+v", fill)
		}
	}
	write(1000) // rotated
	if got := s.growing(at); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestUsageIsSeldom holds how often an engine is asked what is on its disk.
func TestUsageIsSeldom(t *testing.T) {
	asked := make(chan string, 10)
	s := New(Options{Proc: "/proc", Roots: func(string) []string { return []string{"/"} }, Usage: func(_ context.Context, engine string) (*incident.DiskUsage, error) {
		asked <- engine
		return &incident.DiskUsage{At: time.Unix(int64(1000+len(asked)*3600), 0), Fill: []incident.DiskFill{{Kind: "images", Bytes: int64(len(asked)) << 30}}}, nil
	}})
	d := &disk{id: "disk:1", engine: "docker", holds: true, read: time.Unix(1, 0), last: incident.Disk{Size: 100, Free: 50}}
	s.disks["disk:1"] = d
	answers := make(chan answer, 10)
	now := time.Unix(10_000, 0)
	s.ask(t.Context(), now, answers)
	if len(asked) != 0 {
		t.Fatal("asked though half of it is free")
	}
	d.last.Free = 10
	for range 5 {
		s.ask(t.Context(), now, answers)
		now = now.Add(time.Minute)
	}
	s.asking.Wait()
	s.answered(<-answers)
	s.ask(t.Context(), now.Add(time.Hour), answers)
	s.asking.Wait()
	s.answered(<-answers)
	if len(asked) != 2 {
		t.Errorf("asked %d times, want once an hour", len(asked))
	}
	if f := s.fill(d); len(f) != 1 || f[0].PerHour == nil || *f[0].PerHour != 1<<30 {
		t.Errorf("%+v", f)
	}
}
