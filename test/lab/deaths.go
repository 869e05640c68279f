package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Death is one way to end a container, or a process in it, for real.
type Death struct {
	Name string
	// Means is what happens, in one line.
	Means string
	// Cause is the code the verdict must have; "" where nothing may be told.
	Cause string
	// ExitCode is the container's; -1 where the container lives on.
	ExitCode int
	// Do causes it on an engine and returns when it is over. name is the
	// container's; flags go to "docker run" ("--rm").
	Do func(ctx context.Context, e *Engine, name string, flags ...string) (id string, err error)
}

// Deaths are all the ways, each by a name of its own.
func Deaths() []Death {
	return []Death{
		{"oom", "a process outgrows the container's own limit", "oom.container", 137, ends("-m", "32m", Image, "tail", "/dev/zero")},
		{"oom-shmem", "shared memory fills the limit", "oom.container", 137, ends("-m", "32m", "--shm-size", "64m", Image, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=64k")},
		{"oom-leak", "a slow leak reaches the limit", "oom.container", 137, ends("-m", "48m", Image, "prog", "eat", "-comm", "leaky", "-rate", "8000000")},
		{"oom-hostile-name", "the victim's name imitates a kernel line", "oom.container", 137, ends("-m", "32m", Image, "prog", "eat", "-comm", "x) total-vm:1kB")},
		{"oom-child", "a child is killed, the container lives on", "oom.container", -1, childKilled},
		{"oom-ancestor", "the limit of the cgroup above is reached", "oom.ancestor", 137, ancestor},
		{"stop-timeout", "ignores SIGTERM, killed when the grace period ends", "kill.stop_timeout", 137, then([]string{Image, "prog", "stubborn"}, "stop", "-t", "1")},
		{"stop", "asked to stop, and stops", "stop.request", 0, then([]string{Image, "prog", "polite"}, "stop", "-t", "5")},
		{"kill", "somebody asks the engine to kill it", "kill.request", 137, then([]string{Image, "prog", "stubborn"}, "kill")},
		{"hup", "somebody asks the engine to send SIGHUP, and it ends", "kill.request", 129, then([]string{Image, "prog", "polite"}, "kill", "-s", "HUP")},
		{"kill-outside", "a process on the host kills it", "kill.unknown", 137, killOutside},
		{"segv", "writes to address 0", "crash.signal", 139, ends(Image, "prog", "crash", "SEGV")},
		{"abort", "abort", "crash.signal", 134, ends(Image, "prog", "crash", "ABRT")},
		{"exec-missing", "its program does not exist", "exec.failed", 127, startFails(Image, "no-such-program")},
		{"exec-denied", "its program is not executable", "exec.failed", 126, startFails(Image, "/etc")},
		{"heap", "the program's own memory limit is reached, far below the container's", "oom.runtime", 1, ends("-m", "512m", Image, "sh", "-c", "ulimit -v 900000; exec prog eat -comm heap")},
		{"pids", "a shell cannot fork: the pids limit", "limit.pids", 2, ends("--pids-limit", "6", Image, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait")},
		{"disk", "a full volume", "limit.disk", 1, ends("--tmpfs", "/data:size=1m", Image, "dd", "if=/dev/zero", "of=/data/x", "bs=64k")},
		{"exit3", "exits 3 by itself", "exit.error", 3, ends(Image, "prog", "exit", "3")},
		{"exit137", "exits 137 by itself: no kill at all", "kill.unknown", 137, ends(Image, "prog", "exit", "137")},
		{"exit0", "ends well", "", 0, ends(Image, "true")},
	}
}

// Told is the code the verdict must have: Cause, or what is known besides where
// the sender of a fatal signal is traced.
func (d Death) Told(traced bool) string {
	switch {
	case traced && d.Name == "kill-outside":
		return "kill.process"
	case traced && d.Name == "exit137":
		return "exit.error"
	}
	return d.Cause
}

// FindDeath returns a death by its name.
func FindDeath(name string) (Death, error) {
	var names []string
	for _, d := range Deaths() {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Death{}, fmt.Errorf("unknown death %q: one of %s", name, strings.Join(names, ", "))
}

func run(ctx context.Context, e *Engine, name string, flags, rest []string) (string, error) {
	args := append([]string{"--name", name}, flags...)
	return e.Run(ctx, append(args, rest...)...)
}

// over waits until a container has ended; one that was removed has.
func over(ctx context.Context, e *Engine, id string) error {
	if _, err := e.Wait(ctx, id); err != nil && !strings.Contains(err.Error(), "No such container") {
		return err
	}
	return nil
}

// ends is a death that comes by itself.
func ends(rest ...string) func(context.Context, *Engine, string, ...string) (string, error) {
	return func(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
		id, err := run(ctx, e, name, flags, rest)
		if err != nil {
			return "", err
		}
		return id, over(ctx, e, id)
	}
}

// then is a death by a docker command, given once the program is ready.
func then(rest []string, command ...string) func(context.Context, *Engine, string, ...string) (string, error) {
	return func(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
		id, err := run(ctx, e, name, flags, rest)
		if err != nil {
			return "", err
		}
		if err := e.WaitLog(ctx, id, "ready"); err != nil {
			return id, err
		}
		if _, err := e.Docker(ctx, append(command, id)...); err != nil {
			return id, err
		}
		return id, over(ctx, e, id)
	}
}

// startFails is a container that never runs: "docker run" reports it, and the
// id is asked afterwards.
func startFails(rest ...string) func(context.Context, *Engine, string, ...string) (string, error) {
	return func(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
		args := append([]string{"--network", "none", "--name", name}, flags...)
		id, err := e.Docker(ctx, append(append([]string{"create"}, args...), rest...)...)
		if err != nil {
			return "", err
		}
		if _, err := e.Docker(ctx, "start", id); err == nil {
			return id, fmt.Errorf("container %s started, though it could not", name)
		}
		return id, nil
	}
}

func childKilled(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{"-m", "32m", Image, "prog", "child", "--", "eat", "-comm", "worker"})
	if err != nil {
		return "", err
	}
	return id, e.WaitLog(ctx, id, "child ended")
}

func ancestor(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	parent, remove, err := Parent("oomwatch-lab-"+name, 32<<20)
	if err != nil {
		return "", err
	}
	defer remove()
	id, err := run(ctx, e, name, flags, []string{"--cgroup-parent", parent, Image, "tail", "/dev/zero"})
	if err != nil {
		return "", err
	}
	return id, over(ctx, e, id)
}

func killOutside(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{Image, "sleep", "1000"})
	if err != nil {
		return "", err
	}
	pid, err := e.MainPID(ctx, id)
	if err != nil {
		return id, err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return id, fmt.Errorf("kill the container's process: %w", err)
	}
	return id, over(ctx, e, id)
}

// Parent makes a cgroup at the top of the memory hierarchy with a limit in
// bytes, to be given as --cgroup-parent. remove takes it away once it is empty.
func Parent(name string, limit int64) (path string, remove func(), err error) {
	dir, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(dir); err != nil {
		dir, file = "/sys/fs/cgroup", "memory.max"
		if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte("+memory"), 0o644); err != nil {
			return "", nil, fmt.Errorf("delegate the memory controller: %w", err)
		}
	}
	full := filepath.Join(dir, name)
	if err := os.Mkdir(full, 0o755); err != nil {
		return "", nil, fmt.Errorf("make parent cgroup: %w", err)
	}
	remove = func() {
		// The engine removes the container's own group a moment after the
		// exit, and leaves the parent's in the other hierarchies behind.
		deadline := time.Now().Add(5 * time.Second)
		for {
			err := syscall.Rmdir(full)
			others, _ := filepath.Glob("/sys/fs/cgroup/*/" + name) // the pattern is well formed
			for _, d := range others {
				_ = syscall.Rmdir(d)
			}
			if (err == nil || err == syscall.ENOENT) && len(others) == 0 || time.Now().After(deadline) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := os.WriteFile(filepath.Join(full, file), fmt.Appendf(nil, "%d", limit), 0o644); err != nil {
		remove()
		return "", nil, fmt.Errorf("set the parent's limit: %w", err)
	}
	return "/" + name, remove, nil
}
