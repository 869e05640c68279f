package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func run(ctx context.Context, e *Engine, name string, flags, rest []string) (string, error) {
	args := append([]string{"--name", name}, flags...)
	return e.Run(ctx, append(args, rest...)...)
}

// over waits until a container has ended; one that was removed has.
func over(ctx context.Context, e *Engine, id string) error {
	if _, err := e.Wait(ctx, id); err != nil && !strings.Contains(err.Error(), "404 Not Found") {
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

// crashes is a program that lives for a moment, so that it is known whose the
// kernel's line of the fault is, and ends by a signal.
func crashes(signal string) func(context.Context, *Engine, string, ...string) (string, error) {
	return ends(Image, "sh", "-c", "sleep 0.3; exec prog crash "+signal)
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

// stopThrottled gets its quota once it runs: a runtime that starts a container with a
// hundredth of a CPU may need minutes for it.
func stopThrottled(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	const busy = "trap 'i=0; while [ $i -lt 999999 ]; do i=$((i+1)); done; exit 0' TERM; echo ready; while :; do :; done"
	id, err := run(ctx, e, name, flags, []string{Image, "sh", "-c", busy})
	if err != nil {
		return "", err
	}
	if err := e.WaitLog(ctx, id, "ready"); err != nil {
		return id, err
	}
	if _, err := e.Docker(ctx, "update", "--cpus", "0.01", id); err != nil {
		return id, err
	}
	time.Sleep(Slow(3 * time.Second)) // its quota is read meanwhile
	if _, err := e.Docker(ctx, "stop", "-t", "4", id); err != nil {
		return id, err
	}
	return id, over(ctx, e, id)
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

// childKilledAfterDeath is the same in a container whose name was another's before.
func childKilledAfterDeath(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	old, err := ends(Image, "prog", "exit", "3")(ctx, e, name, flags...)
	if err != nil {
		return "", err
	}
	if _, err := e.Docker(ctx, "rm", old); err != nil {
		return "", err
	}
	return childKilled(ctx, e, name, flags...)
}

// killChild has the main process kill a child of its own, once that has been seen, and
// live on for a while.
func killChild(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{Image, "sh", "-c", "sleep 1000 & sleep 2; kill -9 $!; wait; echo child ended; sleep 1000; true"})
	if err != nil {
		return "", err
	}
	return id, e.WaitLog(ctx, id, "child ended")
}

// killChildAtOnce leaves no time to read of what cgroup the child was.
func killChildAtOnce(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{Image, "sh", "-c", "sh -c 'sleep 2; sleep 1000 & kill -9 $!; wait; echo child ended; sleep 1000; true'; true"})
	if err != nil {
		return "", err
	}
	return id, e.WaitLog(ctx, id, "child ended")
}

// mounted is a container whose program is a file of the host with that content.
func mounted(content string) func(context.Context, *Engine, string, ...string) (string, error) {
	return func(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
		dir, err := os.MkdirTemp("", "oomwatch-lab-")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "program")
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			return "", err
		}
		return ends("-v", file+":/program", Image, "/program")(ctx, e, name, flags...)
	}
}

// notTheHog has one process hold most of the limit, spared by its
// oom_score_adj, while the container's first asks for the rest.
func notTheHog(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{"-m", "32m", Image, "sh", "-c",
		"prog eat -comm hog -size 20000000 -then 1h & sleep 0.5; echo 1000 >/proc/self/oom_score_adj; exec prog eat -comm small -rate 20000000"})
	if err != nil {
		return "", err
	}
	return id, over(ctx, e, id)
}

// inPod runs a container in the pid namespace of another, as the containers of a
// pod with a shared one: its first process is not PID 1 there, so that it can be
// killed from inside. remove takes the other one away.
func inPod(ctx context.Context, e *Engine, name string, flags []string, rest ...string) (id string, remove func(), err error) {
	pod, err := e.Run(ctx, "--name", name+"-pod", Image, "sleep", "1000")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _, _ = e.Docker(ctx, "rm", "-f", pod) }
	id, err = run(ctx, e, name, append([]string{"--pid", "container:" + pod}, flags...), append([]string{Image}, rest...))
	if err != nil {
		remove()
		return "", nil, err
	}
	return id, remove, nil
}

func killSidecar(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, remove, err := inPod(ctx, e, name, flags, "prog", "stubborn")
	if err != nil {
		return "", err
	}
	defer remove()
	if err := e.WaitLog(ctx, id, "ready"); err != nil {
		return id, err
	}
	pod := "container:" + name + "-pod"
	sidecar, err := e.Run(ctx, "--name", name+"-sidecar", "--pid", pod, Image, "sh", "-c", "sleep 1; kill -9 $(pidof prog); sleep 1000")
	if err != nil {
		return id, err
	}
	defer func() { _, _ = e.Docker(ctx, "rm", "-f", sidecar) }()
	return id, over(ctx, e, id)
}

func killInside(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, remove, err := inPod(ctx, e, name, flags, "sh", "-c", "me=$$; { sleep 1; kill -9 $me; sleep 5; } & exec prog stubborn")
	if err != nil {
		return "", err
	}
	defer remove()
	return id, over(ctx, e, id)
}

func ancestor(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	parent, remove, err := e.Parent(ctx, "oomwatch-lab-"+name, 32<<20)
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

// killedWithEngine ends a container with all that runs it, and starts the engine again.
func killedWithEngine(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
	id, err := run(ctx, e, name, flags, []string{Image, "prog", "stubborn"})
	if err != nil {
		return "", err
	}
	if err := e.WaitLog(ctx, id, "ready"); err != nil {
		return id, err
	}
	time.Sleep(time.Second) // who follows the engine has seen it
	pid, err := e.MainPID(ctx, id)
	if err != nil {
		return id, err
	}
	if err := e.KillAll(pid); err != nil {
		return id, err
	}
	return id, e.Up(ctx)
}

// In is the beginning of a command that runs in a cgroup that Parent has made.
func In(path string) []string {
	dir := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(dir); err != nil {
		dir = "/sys/fs/cgroup"
	}
	return []string{"sh", "-c", `echo $$ >"$0"/cgroup.procs && exec "$@"`, dir + path}
}

// Parent makes a cgroup with a limit in bytes to be given as --cgroup-parent, as this
// engine takes one: where systemd makes its cgroups, a slice. remove takes it away
// once it is empty.
func (e *Engine) Parent(ctx context.Context, name string, limit int64) (parent string, remove func(), err error) {
	driver, err := e.Docker(ctx, "info", "--format", "{{.CgroupDriver}}")
	if err != nil {
		return "", nil, err
	}
	if strings.TrimSpace(driver) != "systemd" {
		return Parent(name, limit)
	}
	slice := name + ".slice"
	for _, args := range [][]string{{"start", slice}, {"set-property", "--runtime", slice, fmt.Sprintf("MemoryMax=%d", limit)}} {
		if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return slice, func() { _ = exec.Command("systemctl", "stop", slice).Run() }, nil
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
