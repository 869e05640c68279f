package processes

import (
	"os"
	"syscall"
	"testing"

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
		got := s.files(tasks)
		if len(got) != 1 || got[0].PID != self || got[0].Limit != 96 || got[0].Open < 60 {
			t.Fatalf("round %d: %+v", round, got)
		}
	}
	for _, f := range open {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]incident.OpenFiles{{Container: "aa"}}, s.files(tasks)); diff != "" {
		t.Errorf("after they were closed: -want +got:\n%s", diff)
	}
	if got := s.files(tasks); len(got) != 0 {
		t.Errorf("said twice: %+v", got)
	}
}
