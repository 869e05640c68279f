package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stop removes the containers, ends dockerd and takes away all it left:
// processes, mounts, control groups, directories. It is safe after a Kill and a Freeze.
func (e *Engine) Stop() error {
	if !e.Private() {
		return e.leave()
	}
	var errs []error
	if e.pid != 0 {
		_ = e.Thaw()
		e.removeContainers()
		if err := e.Down(); err != nil {
			errs = append(errs, err, e.Kill())
		}
	}
	ids := e.containerIDs()
	e.killLeftovers()
	for _, id := range ids {
		removeCgroups(id)
	}
	unmountBelow(e.Dir)
	if err := os.RemoveAll(e.Dir); err != nil {
		errs = append(errs, fmt.Errorf("remove lab directory: %w", err))
	}
	return errors.Join(errs...)
}

func (e *Engine) removeContainers() {
	ctx, cancel := context.WithTimeout(context.Background(), Slow(20*time.Second))
	defer cancel()
	out, err := e.Docker(ctx, "ps", "-aq", "--no-trunc")
	if err != nil || out == "" {
		return
	}
	// Best effort: what stays is killed and unmounted below.
	_, _ = e.Docker(ctx, append([]string{"rm", "-fv"}, strings.Fields(out)...)...)
}

// containerIDs lists the containers that the engine left behind.
func (e *Engine) containerIDs() []string {
	entries, err := os.ReadDir(filepath.Join(e.dataRoot(), "containers"))
	if err != nil {
		return nil
	}
	var ids []string
	for _, d := range entries {
		ids = append(ids, d.Name())
	}
	return ids
}

// killLeftovers kills the containerd and the shims of this engine: processes
// whose command line names its directory or its namespace, which are unique.
func (e *Engine) killLeftovers() { e.killAll(isRuntime) }

func isRuntime(exe string) bool {
	return strings.HasPrefix(exe, "containerd") || exe == "docker-proxy" || exe == "runc"
}

// killAll kills this engine's processes of some programs until none is left.
func (e *Engine) killAll(which func(exe string) bool) {
	for range 250 {
		pids := e.processes(which)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (e *Engine) processes(which func(exe string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, d := range entries {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		if err != nil {
			continue
		}
		args := bytes.Split(line, []byte{0})
		exe := filepath.Base(string(args[0]))
		ours := bytes.Contains(line, []byte(e.execRoot()+"/")) || bytes.Contains(line, []byte("\x00"+e.namespace()+"\x00"))
		if ours && which(exe) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeCgroups kills what is in the control groups named after a container
// and removes them, in every hierarchy.
func removeCgroups(id string) {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/docker/", "/sys/fs/cgroup/*/docker/"} {
		found, err := filepath.Glob(pattern + id)
		if err == nil {
			dirs = append(dirs, found...)
		}
	}
	for _, dir := range dirs {
		removeCgroup(dir)
	}
}

// removeCgroup kills the members of a control group and removes it.
func removeCgroup(dir string) {
	for range 50 {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if syscall.Rmdir(dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unmountBelow detaches every mount under dir, the innermost first.
func unmountBelow(dir string) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	lines := strings.Split(string(b), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		f := strings.Fields(lines[i])
		if len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			_ = syscall.Unmount(f[4], syscall.MNT_DETACH)
		}
	}
}
