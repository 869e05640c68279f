package trace

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A sweep finds what nobody was woken for.
func TestSweep(t *testing.T) {
	in := open(t, Options{Signals: []syscall.Signal{quiet}})
	alone(t, in)
	victim, _, _ := start(t, "hold")
	if err := syscall.Kill(victim.Process.Pid, quiet); err != nil {
		t.Fatal(err)
	}
	if err := in.round(nil); err != nil {
		t.Fatal(err)
	}
	if len(in.queue) != 1 || !signalTo(victim.Process.Pid)(in.queue[0]) {
		t.Errorf("%+v", in.queue)
	}
}

// The buffer of a processor that is offline reports an error without end. Here a
// pipe that nobody writes to does.
func TestProcessorThatIsOffline(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(p[1]); err != nil {
		t.Fatal(err)
	}
	in := &Instance{closing: make(chan struct{}), buf: make([]byte, 4096), ready: make([]unix.EpollEvent, 1)}
	in.dir = t.TempDir()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(ep, true); err != nil {
		t.Fatal(err)
	}
	in.poll = os.NewFile(uintptr(ep), "epoll")
	defer in.poll.Close()
	if in.pollRaw, err = in.poll.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	c := &cpu{fd: p[0], dir: filepath.Join(in.dir, "cpu0")}
	defer unix.Close(c.fd)
	in.cpus = []*cpu{c}
	if err := in.watch(0, ep); err != nil {
		t.Fatal(err)
	}
	ready, err := in.wait(context.Background())
	if err != nil || len(ready) != 1 {
		t.Fatalf("%v, %v", ready, err)
	}
	if err := in.round(ready); err != nil || c.polled {
		t.Errorf("still waited for: %v", err)
	}
	// Nothing wakes it any more.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if ready, err := in.wait(ctx); err != context.DeadlineExceeded {
		t.Errorf("%v, %v", ready, err)
	}
	if err := in.round(nil); err != nil || !c.polled {
		t.Errorf("the sweep does not try again: %v", err)
	}
}
