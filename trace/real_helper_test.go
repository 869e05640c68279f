package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/real"
)

// childMode makes the test binary a process to be watched instead.
const childMode = "OOMWATCH_TEST_CHILD"

// quiet is a signal that nobody else on the host sends: what it tells is ours.
const quiet = syscall.Signal(63)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := child(strings.Fields(mode)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child says that it is there and does what mode says once a line comes in.
func child(mode []string) error {
	if mode[0] == "deaf" {
		signal.Ignore(unix.SIGTERM) // before it says that it is there
	}
	if mode[0] == "named" {
		if err := os.WriteFile("/proc/self/comm", []byte(hostileVictim), 0); err != nil {
			return err
		}
	}
	if mode[0] == "watch" {
		in, err := Open(Options{Root: mode[1], Signals: []syscall.Signal{quiet}})
		if err != nil {
			return err
		}
		fmt.Println(filepath.Base(in.dir))
		_, err = in.Next(context.Background())
		return err
	}
	fmt.Println("here")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return nil // the test is over
	}
	switch mode[0] {
	case "hog": // more than any limit here
		mem, err := unix.Mmap(-1, 0, 256<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < len(mem); i += 4096 {
			mem[i] = 1
		}
	case "kill": // whom the line says, under a name with which it lies
		if err := os.WriteFile("/proc/self/comm", []byte(hostileName), 0); err != nil {
			return err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

const (
	hostileName   = "x) sig=9\npid=1 "
	hostileVictim = "\n\xff) pid=1"
)

// tracefs mounts tracefs in a directory of the test's own: it shows what every
// mount of it shows, and disturbs nobody's.
func tracefs(tb testing.TB) string {
	tb.Helper()
	if os.Geteuid() != 0 {
		real.Missing(tb, "mounting tracefs needs root")
	}
	dir := tb.TempDir()
	if err := unix.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		real.Missing(tb, "%s", "mount tracefs: "+err.Error())
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			tb.Errorf("unmount tracefs: %v", err)
		}
	})
	return dir
}

// open opens an instance and closes it at the end, after which it is to be gone.
func open(tb testing.TB, opt Options) *Instance {
	tb.Helper()
	if opt.Root == "" {
		opt.Root = tracefs(tb)
	}
	in, err := Open(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := in.Close(); err != nil {
			tb.Error(err)
		}
		if _, err := os.Stat(in.dir); !errors.Is(err, os.ErrNotExist) {
			tb.Errorf("the instance %s is left behind: %v", in.dir, err)
		}
	})
	return in
}

// start runs the test binary as a child. say writes it a line, stop ends it.
func start(tb testing.TB, mode string) (cmd *exec.Cmd, first string, say func(string)) {
	tb.Helper()
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"="+mode)
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
	tb.Cleanup(func() {
		in.Close()
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	first, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("child: %v", err)
	}
	return cmd, strings.TrimSpace(first), func(s string) {
		if _, err := io.WriteString(in, s+"\n"); err != nil {
			tb.Error(err)
		}
	}
}

// next returns the first event that want accepts; others are of other people.
func next(tb testing.TB, in *Instance, what string, want func(Event) bool) Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		e, err := in.Next(ctx)
		if err != nil {
			tb.Fatalf("%s: %v; %+v", what, err, in.Stats())
		}
		if want(e) {
			return e
		}
	}
}

func signalTo(pid int) func(Event) bool {
	return func(e Event) bool { return e.Signal != nil && e.Signal.Target.PID == pid }
}

// near fails unless at is between from and now.
func near(t *testing.T, at, from time.Time) {
	t.Helper()
	const clocks = 50 * time.Millisecond // between reading one clock and the next
	if at.Before(from.Add(-clocks)) || at.After(time.Now().Add(clocks)) {
		t.Errorf("stamped %v, happened between %v and %v", at, from, time.Now())
	}
}

// group makes a memory cgroup with a limit, and removes it at the end.
func group(t *testing.T, limit int64) string {
	t.Helper()
	parent, file, noSwap := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	swap := strconv.FormatInt(limit, 10)
	if _, err := os.Stat(parent); err != nil {
		parent, file, noSwap, swap = "/sys/fs/cgroup", "memory.max", "memory.swap.max", "0"
	}
	dir := filepath.Join(parent, fmt.Sprintf("oomwatch-trace-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		real.Missing(t, "%s", "make a cgroup: "+err.Error())
	}
	t.Cleanup(func() {
		var err error
		for range 200 { // it stays busy for a moment after its last process
			if err = os.Remove(dir); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("left behind: %v", err)
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		real.Missing(t, "%s", "limit a cgroup: "+err.Error())
	}
	// Not there without swap accounting; without swap it changes nothing.
	_ = os.WriteFile(filepath.Join(dir, noSwap), []byte(swap), 0)
	return dir
}
