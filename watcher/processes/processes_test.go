package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/proc"
)

// TestFilesCalmDown opens real files near this process's limit and closes them again, on a
// host with more processes than one round counts.
func TestFilesCalmDown(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 96, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
	var open []*os.File
	for range 60 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	self := os.Getpid()
	tasks := []proc.Task{{PID: self, Comm: "test", State: 'S'}}
	for i := range 3 * filesAtOnce {
		tasks = append(tasks, proc.Task{PID: 1<<23 + i, State: 'S'}) // above every pid_max: they have ended
	}
	s := New(Options{Proc: proc.DefaultRoot, Container: func(int) string { return "aa" }})
	for round := range 3 {
		got := s.filesOf(tasks)
		if len(got) != 1 || got[0].PID != self || got[0].Limit != 96 || got[0].Open < 60 {
			t.Fatalf("round %d: %+v", round, got)
		}
	}
	for _, f := range open {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]incident.OpenFiles{{Container: "aa"}}, s.filesOf(tasks)); diff != "" {
		t.Errorf("after they were closed: -want +got:\n%s", diff)
	}
	if got := s.filesOf(tasks); len(got) != 0 {
		t.Errorf("said twice: %+v", got)
	}
}

// TestLooksWhenCountsRise has all processes looked at where the host's counts rise, and
// seldom where they do not.
func TestLooksWhenCountsRise(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	counts := func(tasks, files int) {
		t.Helper()
		write("loadavg", fmt.Sprintf("0.20 0.18 0.12 1/%d 11206\n", tasks))
		write("sys/fs/file-nr", fmt.Sprintf("%d\t0\t9223372036854775807\n", files))
	}
	write("sys/kernel/pid_max", "4194304\n")
	write("sys/kernel/threads-max", "127000\n")
	write("77/stat", "77 (keeper) S 1 77\n")
	zombies := func(n int) {
		t.Helper()
		for i := range 30 {
			state := "S"
			if i < n {
				state = "Z"
			}
			write(fmt.Sprintf("%d/stat", 100+i), fmt.Sprintf("%d (x) %s 77 77\n", 100+i, state))
		}
	}
	s := New(Options{Proc: root, Container: func(int) string { return "aa" }})
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	step := func(after time.Duration, tasks, files, want int) {
		t.Helper()
		counts(tasks, files)
		at = at.Add(after)
		got, err := s.round(at)
		if err != nil || got.Host == nil || got.Host.Tasks != int64(tasks) {
			t.Fatalf("%+v %v", got, err)
		}
		n := -1
		if len(got.Zombies) > 0 {
			n = got.Zombies[0].N
		}
		if n != want {
			t.Errorf("at %s: %d zombies, want %d", at.Format("15:04:05"), n, want)
		}
	}
	zombies(0)
	step(0, 200, 1000, -1) // the first look
	zombies(25)
	step(10*time.Second, 210, 1010, -1) // nothing has risen
	step(10*time.Second, 190, 1000, -1)
	step(10*time.Second, 211, 1000, 25) // by 21 from the lowest
	step(10*time.Second, 211, 1000, 25) // while there are some, each time
	zombies(0)
	step(10*time.Second, 190, 1000, 0)
	zombies(22)
	step(10*time.Second, 190, 1047, -1)
	step(10*time.Second, 190, 1048, 22)
	zombies(0)
	step(10*time.Second, 190, 1000, 0)
	zombies(23)
	step(40*time.Second, 190, 1000, -1)
	step(20*time.Second, 190, 1000, 23) // a minute after the last look
}
