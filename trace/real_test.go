package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKillByAShell(t *testing.T) {
	in := open(t, Options{})
	victim, _, _ := start(t, "hold")
	from := time.Now()
	shell := exec.Command("sh", "-c", "kill -9 $0; read x", strconv.Itoa(victim.Process.Pid))
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	s := next(t, in, "kill -9", signalTo(victim.Process.Pid)).Signal
	stdin.Close()
	shell.Wait()
	victim.Wait()
	near(t, s.Time, from)
	if s.Sig != 9 || s.Code != CodeUser || s.Result != Delivered || !s.Group || s.Repeats != 0 {
		t.Errorf("%+v", s)
	}
	from0 := s.Sender()
	if from0 == nil || from0.PID != shell.Process.Pid || from0.Comm != "sh" || from0.PPID != os.Getpid() || from0.Exe == "" || from0.Gone {
		t.Errorf("sender %+v, want the shell %d", from0, shell.Process.Pid)
	}
	self, ok := readProcess("/proc", os.Getpid())
	if !ok || from0.Cgroup != self.Cgroup || from0.Cgroup == "" || from0.Start < self.Start {
		t.Errorf("sender %+v, its parent is %+v", from0, self)
	}
}

// A program that ends with its signal has most often ended before it can be
// looked up. Its name is told all the same.
func TestKillByAProgramThatEndsAtOnce(t *testing.T) {
	in := open(t, Options{})
	for range 20 {
		victim, _, _ := start(t, "hold")
		killer := exec.Command("/bin/kill", "-9", strconv.Itoa(victim.Process.Pid))
		if err := killer.Run(); err != nil {
			t.Fatal(err)
		}
		victim.Wait() // by now it has been read or is gone, either way
		s := next(t, in, "kill", signalTo(victim.Process.Pid)).Signal
		if from := s.Sender(); from == nil || from.TID != killer.Process.Pid || from.Comm != "kill" {
			t.Fatalf("sender %+v, want kill %d", from, killer.Process.Pid)
		} else if !from.Gone {
			t.Fatalf("sender %+v: it was waited for, and is found", from)
		}
	}
}

func TestTermByItsParent(t *testing.T) {
	in := open(t, Options{})
	deaf, _, _ := start(t, "deaf")
	held, _, _ := start(t, "hold")
	for cmd, want := range map[*exec.Cmd]Result{deaf: Ignored, held: Delivered} {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s := next(t, in, "SIGTERM", signalTo(cmd.Process.Pid)).Signal
		if s.Sig != 15 || s.Result != want {
			t.Errorf("%+v, want result %d", s, want)
		}
		// It was sent by a thread of this process, which is what is named.
		if from := s.Sender(); from == nil || from.PID != os.Getpid() || from.TID == 0 {
			t.Errorf("sender %+v, want %d", from, os.Getpid())
		}
	}
}

func TestHostileNames(t *testing.T) {
	in := open(t, Options{})
	victim, _, _ := start(t, "named")
	killer, _, say := start(t, "kill")
	say(strconv.Itoa(victim.Process.Pid))
	s := next(t, in, "kill -9", signalTo(victim.Process.Pid)).Signal
	if s.Sig != 9 || s.Target.Comm != "\n\\xff) pid=1" {
		t.Errorf("signal %d to %q", s.Sig, s.Target.Comm)
	}
	if from := s.Sender(); from == nil || from.PID != killer.Process.Pid || from.Comm != hostileName {
		t.Errorf("sender %+v, want %d", from, killer.Process.Pid)
	}
}

func TestOOMKill(t *testing.T) {
	in := open(t, Options{})
	hog, _, say := start(t, "hog")
	dir := group(t, 16<<20)
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(hog.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	say("go")
	s := next(t, in, "SIGKILL", signalTo(hog.Process.Pid)).Signal
	near(t, s.Time, from)
	if s.Sig != 9 || s.Code != CodeKernel || !s.FromKernel() || s.Sender() != nil {
		t.Errorf("%+v: the kernel is nobody's sender", s)
	}
	v := next(t, in, "mark_victim", func(e Event) bool { return e.Victim != nil && e.Victim.Victim.PID == hog.Process.Pid }).Victim
	hog.Wait()
	if v.Uptime < s.Uptime || v.Victim.Comm != "exe" {
		t.Errorf("%+v after %v", v, s.Uptime)
	}
	if !v.Killed {
		t.Error("the kernel's SIGKILL was traced, and the mark does not know of it")
	}
	if v.Victim.Cgroup != "" && v.Victim.Cgroup != "/"+filepath.Base(dir) {
		t.Errorf("victim in %q, want /%s", v.Victim.Cgroup, filepath.Base(dir))
	}
	if v.AnonRSS != nil && (*v.AnonRSS < 8<<20 || *v.AnonRSS > 128<<20 || *v.TotalVM < *v.AnonRSS || v.UID == nil || *v.UID != 0) {
		t.Errorf("%+v: %d bytes of anonymous memory when a limit of 16 MiB stopped it", v, *v.AnonRSS)
	}
}

// alone keeps the OOM kills of others out of in, so that it can be counted on.
func alone(tb testing.TB, in *Instance) {
	tb.Helper()
	if err := in.write("events/oom/mark_victim/enable", "0"); err != nil {
		tb.Fatal(err)
	}
}

func TestOtherSignalsWakeNobody(t *testing.T) {
	in := open(t, Options{Signals: []syscall.Signal{quiet}})
	alone(t, in)
	victim, _, _ := start(t, "hold")
	for range 10000 {
		if err := syscall.Kill(victim.Process.Pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(victim.Process.Pid, quiet); err != nil {
		t.Fatal(err)
	}
	s := next(t, in, "the last one", signalTo(victim.Process.Pid)).Signal
	if st := in.Stats(); s.Sig != int(quiet) || st.Signals != 1 || st.Rounds != 1 || st.Lost != 0 {
		t.Errorf("after 10,000 others: %+v, %+v", s, st)
	}
}

func TestOverrunIsCounted(t *testing.T) {
	in := open(t, Options{Signals: []syscall.Signal{quiet}, BufferKB: 4})
	alone(t, in)
	deaf, _, _ := start(t, "hold")
	if err := syscall.Kill(deaf.Process.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const sent = 5000
	for range sent {
		if err := syscall.Kill(deaf.Process.Pid, quiet); err != nil && err != unix.EAGAIN { // its queue is full: told as OverflowFail
			t.Fatal(err)
		}
	}
	var told, lost uint64
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for told+lost < sent {
		e, err := in.Next(ctx)
		if err != nil {
			t.Fatalf("%d told and %d lost of %d: %v; %+v", told, lost, sent, err, in.Stats())
		}
		switch {
		case e.Signal != nil:
			told += 1 + uint64(e.Signal.Repeats)
		case e.Loss != nil:
			lost += e.Loss.Events
			if e.Loss.Events == 0 || e.Loss.To.IsZero() || e.Loss.To.Before(e.Loss.From) {
				t.Errorf("%+v", e.Loss)
			}
		}
	}
	st := in.Stats()
	if told+lost != sent || lost == 0 || st.Lost != lost || st.Signals != told || st.Malformed != 0 {
		t.Errorf("%d told and %d lost of %d: %+v", told, lost, sent, st)
	}
	// The kernel's counters outlive the instance in Stats.
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if after := in.Stats(); after != st {
		t.Errorf("after Close %+v, before %+v", after, st)
	}
}

func TestNextEnds(t *testing.T) {
	in := open(t, Options{Signals: []syscall.Signal{quiet}})
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	wait := func(ctx context.Context) {
		go func() {
			for {
				if _, err := in.Next(ctx); err != nil {
					got <- err
					return
				}
			}
		}()
	}
	result := func() error {
		select {
		case err := <-got:
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("Next does not end")
			return nil
		}
	}
	wait(ctx)
	time.Sleep(50 * time.Millisecond) // mostly it waits by then; where not, it must end all the same
	cancel()
	if err := result(); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	// The end of one context is not the end of the Instance.
	victim, _, _ := start(t, "hold")
	if err := syscall.Kill(victim.Process.Pid, quiet); err != nil {
		t.Fatal(err)
	}
	next(t, in, "after a cancel", signalTo(victim.Process.Pid))

	wait(context.Background())
	time.Sleep(50 * time.Millisecond)
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := result(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := in.Next(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestLeftoverOfAKilledReader(t *testing.T) {
	root := tracefs(t)
	reader, name, _ := start(t, "watch "+root)
	dir := filepath.Join(root, "instances", name)
	if name != namePrefix+strconv.Itoa(reader.Process.Pid) {
		t.Fatalf("the reader's instance is %q", name)
	}
	// While it lives it is left alone.
	in := open(t, Options{Root: root, Signals: []syscall.Signal{quiet}})
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the instance of a living process: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	reader.Process.Kill()
	reader.Wait()
	// Another process's Open may remove it as well as ours.
	open(t, Options{Root: root, Signals: []syscall.Signal{quiet}})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the instance of a killed process: %v", err)
	}
}

// What somebody looks into cannot be removed: it is turned off and said.
func TestCloseOfABusyInstance(t *testing.T) {
	root := tracefs(t)
	other, err := Open(Options{Root: root, Name: fmt.Sprintf("trace-busy-%d", os.Getpid()), Signals: []syscall.Signal{quiet}})
	if err != nil {
		t.Fatal(err)
	}
	busy, err := os.Open(filepath.Join(other.dir, "trace_pipe"))
	if err != nil {
		t.Fatal(err)
	}
	err = other.Close()
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "rmdir") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(filepath.Join(other.dir, "events/enable")); err != nil || strings.TrimSpace(string(b)) != "0" {
		t.Errorf("events/enable is %q, %v", b, err)
	}
	busy.Close()
	if err := removeUnheld(other.dir); err != nil {
		t.Errorf("when it is free: %v", err)
	}
}

func TestOpenWithoutRight(t *testing.T) {
	root := tracefs(t)
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Root: root})
	var refused *AccessError
	if !errors.As(err, &refused) || !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}
