package kmsg

import (
	"bufio"
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

	"github.com/oomwatch/oomwatch/test/real"
)

// openReal opens this machine's kernel log.
func openReal(t testing.TB, opt ReaderOptions) *Reader {
	t.Helper()
	r, err := OpenReader(opt)
	if errors.As(err, new(*AccessError)) {
		real.Missing(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// readHistory reads r until it is caught up.
func readHistory(t testing.TB, r *Reader) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var got []Record
	for {
		rec, err := r.Next(ctx)
		if errors.Is(err, ErrCaughtUp) {
			return got
		}
		if err != nil {
			t.Fatalf("after %d records: %v", len(got), err)
		}
		got = append(got, *rec)
	}
}

// testCgroup is a memory cgroup with a limit, of either version.
type testCgroup struct {
	dir string // where cgroup.procs is
	own string // its path as the kernel prints it
}

// newCgroup makes a memory cgroup limited to limit bytes that this test alone uses.
func newCgroup(t testing.TB, limit int64) testCgroup {
	t.Helper()
	root, v2 := memoryHierarchy(t)
	own := fmt.Sprintf("/oomwatch-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	dir := filepath.Join(root, own)
	if err := os.Mkdir(dir, 0o755); err != nil {
		real.Missing(t, "no memory cgroup can be made here: %v", err)
	}
	t.Cleanup(func() {
		// A killed process stays in it until it is reaped.
		for range 100 {
			if err := os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("cgroup %s is still in use", dir)
	})
	set := func(file string, value int64, optional bool) {
		err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(value, 10)), 0o644)
		if err != nil && !(optional && errors.Is(err, os.ErrNotExist)) {
			real.Missing(t, "no limit can be set: %v", err)
		}
	}
	if v2 {
		set("memory.max", limit, false)
		set("memory.swap.max", 0, true)
	} else {
		set("memory.limit_in_bytes", limit, false)
		set("memory.memsw.limit_in_bytes", limit, true)
	}
	return testCgroup{dir: dir, own: own}
}

// memoryHierarchy finds where memory cgroups are made on this machine.
func memoryHierarchy(t testing.TB) (root string, v2 bool) {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		before, after, _ := strings.Cut(s.Text(), " - ")
		mount := strings.Fields(before)[4]
		fs := strings.Fields(after)
		switch {
		case fs[0] == "cgroup" && strings.Contains(","+fs[2]+",", ",memory,"):
			return mount, false
		case fs[0] == "cgroup2":
			on := filepath.Join(mount, "cgroup.subtree_control")
			if b, err := os.ReadFile(on); err == nil && strings.Contains(string(b), "memory") || os.WriteFile(on, []byte("+memory"), 0o644) == nil {
				root, v2 = mount, true
			}
		}
	}
	if root == "" {
		real.Missing(t, "no memory cgroup hierarchy is mounted")
	}
	return root, v2
}

// kill runs a process in the cgroup until the kernel kills it for want of
// memory, and returns its pid.
func (c testCgroup) kill(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperEatMemory$")
	cmd.Env = append(os.Environ(), "OOMWATCH_TEST_EAT="+filepath.Join(c.dir, "cgroup.procs"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended otherwise: %v\n%s", err, out)
	}
	return exit.Pid()
}

// idle starts a process in the cgroup that does nothing, and is too small for
// the kernel to choose it as a victim; it ends with the test.
func (c testCgroup) idle(t testing.TB) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // already gone is as good
		_ = cmd.Wait()         // killed, as told
	})
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(filepath.Join(c.dir, "cgroup.procs"), []byte(pid), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestHelperEatMemory is no test: it is the process that kill runs.
func TestHelperEatMemory(t *testing.T) {
	procs := os.Getenv("OOMWATCH_TEST_EAT")
	if procs == "" {
		return
	}
	if err := os.WriteFile(procs, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 1024 { // 1 GiB and no more, should there be no limit after all
		b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
	t.Fatal("the limit did not hold")
}

// writeKmsg writes text into the kernel log, as a program can, until a reader
// saw it: the kernel lets only a few such records pass in 5 s, and says nothing
// of the others.
func writeKmsg(t testing.TB, text string, seen func() bool) {
	t.Helper()
	f, err := os.OpenFile(DefaultPath, os.O_WRONLY, 0)
	if err != nil {
		real.Missing(t, "the kernel log cannot be written: %v", err)
	}
	defer f.Close()
	for range 60 {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if seen() {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
	}
	t.Fatalf("the kernel never let %q pass", text)
}
