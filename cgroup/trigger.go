package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// LevelStalled is a pressure stall notification, as in Sample.Levels: all tasks
// stood still, waiting for memory for a tenth of stallWindow.
const LevelStalled = "stalled"

// stallTrigger is what the kernel is asked to notify of (Documentation/
// accounting/psi.rst): "full", 0.2 of 2 seconds. Only windows of a multiple of 2
// seconds can be had without CAP_SYS_RESOURCE.
const stallTrigger = "full 200000 2000000\x00"

// HostPressure names the whole host where a cgroup's path is asked for.
const HostPressure = ""

// openTrigger asks the kernel to notify of stalls in a pressure file.
func openTrigger(name string) (int, error) {
	// With the capability each trigger costs a kernel thread; without it the
	// kernel's own rounds of 2 seconds serve, from Linux 6.5 on.
	fd, err := without(unix.CAP_SYS_RESOURCE, func() (int, error) { return trigger(name) })
	if err == nil {
		return fd, nil
	}
	return trigger(name)
}

func trigger(name string) (int, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: gone(err)}
	}
	if _, err := unix.Write(fd, []byte(stallTrigger)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("ask for stalls in %s: %w", name, gone(err))
	}
	return fd, nil
}

// without runs f in a thread that lacks a capability. Where capabilities cannot
// be changed f runs with what there is.
func without(capability int, f func() (int, error)) (int, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		// The thread ends with the goroutine: no other inherits what it lacks.
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if unix.Capget(&hdr, &caps[0]) == nil {
			caps[capability/32].Effective &^= 1 << (capability % 32)
			_ = unix.Capset(&hdr, &caps[0]) // the trigger then costs a kernel thread
		}
		fd, err := f()
		done <- result{fd, err}
	}()
	r := <-done
	return r.fd, r.err
}

// registerStalls asks for stalls of a cgroup (v2), or of the host.
func (p *Pressure) registerStalls(w *watched) error {
	if p.fs.noPSI != nil {
		return p.fs.noPSI
	}
	fd, err := openTrigger(w.file)
	if err != nil {
		return err
	}
	w.fds = append(w.fds, fd)
	p.fds[int32(fd)] = levelFD{w, 0}
	return p.poll(fd, unix.EPOLLPRI)
}

// stallFile is the pressure file of a cgroup, or of the host.
func (fs *FS) stallFile(path, dir string) string {
	if path == HostPressure {
		return filepath.Join(fs.proc, "pressure/memory")
	}
	return filepath.Join(dir, "memory.pressure")
}

// errNoNotifications is returned where the kernel has neither kind.
var errNoNotifications = errors.New("no notifications of memory pressure")
