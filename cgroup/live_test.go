package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/real"
)

// childMode makes the test binary a process to be watched instead.
const childMode = "OOMWATCH_TEST_CHILD"

const mib = 1 << 20

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		child(mode)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child says it is there, waits until it is in its cgroup, does what mode says
// and stays until its standard input ends.
func child(mode string) {
	fmt.Println("here")
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	switch mode {
	case "hold": // 20 MiB of anonymous memory
		touch(20 * mib)
	case "hog": // more than any limit here
		touch(256 * mib)
	case "stall": // allocate again and again beyond memory.high, where the kernel makes it wait
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			touch(12 * mib)
			if err := unix.Munmap(held[0]); err != nil {
				panic(err)
			}
			held = held[1:]
		}
	case "everything": // some of all that is counted
		touch(20 * mib)
		if fd, err := unix.MemfdCreate("shmem", unix.MFD_CLOEXEC); err == nil {
			for range 4 {
				unix.Write(fd, make([]byte, mib))
			}
		}
		if f, err := os.Open(os.Getenv("OOMWATCH_TEST_FILE")); err == nil {
			io.Copy(io.Discard, f)
			f.Close()
		}
		lazily(40 * mib)
		for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		}
	case "thrash": // little room, and a file that does not fit into it
		touch(8 * mib)
		for range 40 {
			if f, err := os.Open(os.Getenv("OOMWATCH_TEST_FILE")); err == nil {
				io.Copy(io.Discard, f)
				f.Close()
			}
		}
	}
	fmt.Println("done")
	io.Copy(io.Discard, in)
}

func touch(n int) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err)
	}
	for i := 0; i < n; i += 4096 {
		mem[i] = 1
	}
	held = append(held, mem)
}

// held is what touch has made.
var held [][]byte

// liveGroup makes a cgroup of this host's with the given limit and removes it
// at the end. It gives its path and directory.
func liveGroup(tb testing.TB, fs *FS, limit int64) (path, dir string) {
	tb.Helper()
	path = fmt.Sprintf("/oomwatch-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	dir, err := fs.dir(path)
	if err != nil {
		real.Missing(tb, "%s", err.Error())
	}
	if fs.version == 2 {
		// A host without systemd may not have given it to the groups yet; that
		// it was not needed, or could not be done, shows below.
		_ = os.WriteFile(filepath.Join(filepath.Dir(dir), "cgroup.subtree_control"), []byte("+memory"), 0)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		real.Missing(tb, "%s", "cannot make a cgroup (needs root): "+err.Error())
	}
	tb.Cleanup(func() {
		// A cgroup stays busy for a moment after its last process.
		for range 200 {
			if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		tb.Errorf("left behind: %v", err)
	})
	name := "memory.max"
	if fs.version == 1 {
		name = "memory.limit_in_bytes"
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		real.Missing(tb, "%s", "cannot limit a cgroup: "+err.Error())
	}
	// Without swap a full cgroup is an OOM at once; a host without swap
	// accounting has no such file.
	if fs.version == 1 {
		os.WriteFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), []byte(strconv.FormatInt(limit, 10)), 0)
	} else {
		os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0)
	}
	return path, dir
}

// startIn runs the test binary as a child in the cgroup dir. The child goes on
// when release is called, which waits for it to be done unless it was killed.
func startIn(tb testing.TB, dir, mode string, env ...string) (cmd *exec.Cmd, release func(), stop func()) {
	tb.Helper()
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, childMode+"="+mode)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			in.Close()
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	tb.Cleanup(stop)
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		tb.Fatalf("child: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
		tb.Fatal(err)
	}
	release = func() {
		io.WriteString(in, "go\n")
		lines.ReadString('\n')
	}
	return cmd, release, stop
}

// lazily uses memory that the kernel may take back when it needs room, and does
// so beyond any limit here: the limit is hit, and nothing is killed.
func lazily(n int) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err)
	}
	for from := 0; from < n; from += mib {
		for i := from; i < from+mib; i += 4096 {
			mem[i] = 1
		}
		unix.Madvise(mem[from:from+mib], unix.MADV_FREE)
	}
	unix.Munmap(mem)
}

func openHost(tb testing.TB) *FS {
	tb.Helper()
	fs, err := Open(DefaultRoot, DefaultProc)
	if err != nil {
		real.Missing(tb, "%s", err.Error())
	}
	tb.Cleanup(func() { fs.Close() })
	return fs
}

func TestLiveKill(t *testing.T) {
	fs := openHost(t)
	path, dir := liveGroup(t, fs, 16*mib)
	h, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var s Sample
	if err := h.Read(&s, WithKills); err != nil || s.OOMKills != 0 || s.Limit != 16*mib {
		t.Fatalf("before: %+v, %v", s, err)
	}
	cmd, run, _ := startIn(t, dir, "hog")
	run()
	cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the hog ended with %v", cmd.ProcessState)
	}
	if err := h.Read(&s, WithKills); err != nil || s.OOMKills != 1 {
		t.Errorf("after the kill: %+v, %v", s, err)
	}
	eventually(t, "removal", func() bool { return os.Remove(dir) == nil })
	if err := h.Read(&s, everything); !errors.Is(err, ErrGone) {
		t.Errorf("after the removal: %v", err)
	}
	if _, err := fs.Open(path); !errors.Is(err, ErrGone) {
		t.Errorf("opened after the removal: %v", err)
	}
	// The same container started again: a new cgroup at the same path.
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.Read(&s, everything); !errors.Is(err, ErrGone) {
		t.Errorf("the old handle reads the new cgroup: %+v, %v", s, err)
	}
	h2, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h2.Close()
	if err := h2.Read(&s, WithKills); err != nil || s.OOMKills != 0 || s.Limit != Unlimited {
		t.Errorf("the new cgroup: %+v, %v", s, err)
	}
}

// TestLiveStalls makes the kernel notify of stalls: what goes beyond memory.high
// must wait.
func TestLiveStalls(t *testing.T) {
	fs := openHost(t)
	if fs.version != 2 || fs.noPSI != nil {
		return // v1 has levels; this kernel has no stalls to tell of
	}
	path, dir := liveGroup(t, fs, 24*mib)
	p, err := NewPressure(fs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if err := os.WriteFile(filepath.Join(dir, "memory.high"), []byte("6M"), 0); err != nil {
		t.Fatal(err)
	}
	threads := psiThreads(t)
	for range 2 { // watching twice is watching once
		if err := errors.Join(p.Watch(path), p.Watch(HostPressure)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("kernel threads for triggers: %d, %d before", psiThreads(t), threads)
	if err := p.Watch("/oomwatch-no-such"); !errors.Is(err, ErrGone) {
		t.Errorf("watching no cgroup: %v", err)
	}
	_, run, stop := startIn(t, dir, "stall")
	run()
	eventually(t, "stalls of the cgroup", func() bool { return p.Counts(path)[LevelStalled] >= 2 })
	stop()
	t.Logf("notifications: %v, of the host: %v", p.Counts(path), p.Counts(HostPressure))
	eventually(t, "removal", func() bool { return os.Remove(dir) == nil })
	eventually(t, "the end of the removed cgroup's trigger", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.fds) == 1 // the host's
	})
	p.Forget(path)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, most := fs.fds.left.Load(), fdLimit(); left != most {
		t.Errorf("%d descriptors left of %d", left, most)
	}
}

// psiThreads counts the kernel threads that serve triggers.
func psiThreads(t *testing.T) (n int) {
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range comms {
		if b, err := os.ReadFile(name); err == nil && string(b) == "psimon\n" {
			n++
		}
	}
	return n
}

func TestLivePressureLevels(t *testing.T) {
	fs := openHost(t)
	if fs.version != 1 {
		return // TestLiveStalls is for v2
	}
	path, dir := liveGroup(t, fs, 24*mib)
	p, err := NewPressure(fs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	for range 2 { // watching twice is watching once
		if err := p.Watch(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Watch("/oomwatch-no-such"); !errors.Is(err, ErrGone) {
		t.Errorf("watching no cgroup: %v", err)
	}
	if n := p.Counts(path); n != nil {
		t.Errorf("before any pressure: %v", n)
	}

	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, make([]byte, 64*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	// Only pages read by the child itself are charged to its cgroup.
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	f.Sync()
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	f.Close()
	_, run, stop := startIn(t, dir, "thrash", "OOMWATCH_TEST_FILE="+file)
	run()
	eventually(t, "a notification", func() bool { return p.Counts(path)[LevelLow] > 0 })
	stop()
	// Whatever is still on its way is taken by two looks after the last process.
	var last map[string]int64
	eventually(t, "quiet", func() bool {
		now := p.Counts(path)
		same := now[LevelLow] == last[LevelLow]
		last = now
		time.Sleep(2 * levelPause)
		return same
	})
	if last[LevelMedium] > last[LevelLow] || last[LevelCritical] > last[LevelMedium] {
		t.Errorf("a level counts for the lower ones too: %v", last)
	}
	t.Logf("notifications: %v", last)

	// The kernel notifies of a removal as if it were pressure.
	eventually(t, "removal", func() bool { return os.Remove(dir) == nil })
	eventually(t, "the removal's notifications", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.fds) == 0
	})
	if now := p.Counts(path); now[LevelLow] != last[LevelLow] || now[LevelCritical] != last[LevelCritical] {
		t.Errorf("counts moved with the removal: %v, then %v", last, now)
	}
	// A new cgroup at the path starts from zero.
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.Watch(path); err != nil || p.Counts(path) != nil {
		t.Errorf("the new cgroup: %v, %v", err, p.Counts(path))
	}
	p.Forget(path)
	p.Forget(path)
	if left, want := fs.fds.left.Load(), fdLimit(); left != want {
		t.Errorf("%d descriptors left in the budget, want %d", left, want)
	}
	if err := p.Watch(path); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := p.Watch(path); err == nil {
		t.Error("watching after the end")
	}
}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
