//go:build vm

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// What must not be done to a machine that is used for anything else. test/vm/lab
// runs these in machines that are made for it.

// show is an incident for a failed test.
func show(i incident.Incident) string {
	b, _ := json.MarshalIndent(i, "", " ") // an Incident always marshals
	return string(b)
}

// cgroupOf is the directory of a process's cgroup (v2).
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if !ok {
		lab.Skip(t, "no cgroup v2 here: %q", b)
	}
	return filepath.Join("/sys/fs/cgroup", path)
}

// gate is a shell that waits for the file /dev/shm/go and then becomes something else.
const gate = `while [ ! -e /dev/shm/go ]; do sleep 0.1; done; `

// open lets a container that waits at the gate go on.
func open(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/dev/shm/go", pid), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOOMGroup has the kernel kill every process of a container at once.
func TestOOMGroup(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "memory.oom.group")
	id := e.MustRun(t, "--name", "group", "-m", "32m", lab.Image, "sh", "-c", "sleep 1000 & sleep 1001 & "+gate+"tail /dev/zero; sleep 1002")
	pid, err := e.MainPID(timeout(t, time.Minute), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cgroupOf(t, pid), "memory.oom.group"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, pid)
	got := hook.waitFor(t, id, 1, 10*time.Second)[0]
	if got.Cause != incident.OOMContainer || got.Confidence != incident.Certain || got.Kind != incident.KindDeath {
		t.Errorf("%s %s %s, want a certain oom.container", got.Kind, got.Cause, got.Confidence)
	}
	// The shell, two sleeps and tail.
	if got.OOM == nil || !got.OOM.Group || got.OOM.Kills != 4 {
		t.Errorf("want a group of 4 kills")
	}
	time.Sleep(settled)
	if n := len(hook.of(id)); n != 1 {
		t.Errorf("told %d times", n)
	}
	if t.Failed() {
		t.Log(show(got))
	}
}

// TestHostOOM runs the whole machine out of memory: one container without a limit
// holds most of it, another, which the kernel prefers, is the one killed.
func TestHostOOM(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.host", "another-holds-it")
	ctx := timeout(t, 2*time.Minute)
	batch := e.MustRun(t, "--name", "batch", lab.Image, "prog", "eat", "-comm", "batch-job", "-size", size(t, 45), "-then", "1h")
	waitFor(t, "batch has eaten", time.Minute, func() bool { return available(t) < total(t)*55/100 })
	id := e.MustRun(t, "--name", "db", "--oom-score-adj", "600", lab.Image, "prog", "eat", "-comm", "db-server", "-rate", "100000000")
	if _, err := e.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	got := hook.waitFor(t, id, 1, 15*time.Second)[0]
	if got.Cause != incident.OOMHost || got.Confidence != incident.Certain || got.Kind != incident.KindDeath || got.Container.Name != "db" {
		t.Errorf("%s %s %s of %s, want a certain oom.host of db", got.Kind, got.Cause, got.Confidence, got.Container.Name)
	}
	if got.Victim == nil || got.Victim.Comm != "db-server" || got.OOM == nil || got.OOM.Constraint != "none" {
		t.Errorf("the victim is not db-server without a constraint")
	}
	if got.Hog == nil || got.Hog.Container != "batch" || got.Hog.Comm != "batch-job" {
		t.Errorf("who held the most is not batch")
	}
	if !strings.Contains(strings.Join(got.Advice, " "), "batch") {
		t.Errorf("the advice does not name batch")
	}
	time.Sleep(settled)
	if n := len(hook.of(id)); n != 1 {
		t.Errorf("db told %d times", n)
	}
	if n := len(hook.of(batch)); n != 0 {
		t.Errorf("batch, which lives, told %d times", n)
	}
	if t.Failed() {
		t.Log(show(got))
	}
}

// TestHostProcess has the whole machine's lack of memory kill a process that is
// in no container.
func TestHostProcess(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.host", "host-process")
	cmd := hungry(t, "host-job", "1000")
	if err := cmd.Run(); err == nil {
		t.Fatal("nobody was killed")
	}
	var got *incident.Incident
	waitFor(t, "the kill is told", 15*time.Second, func() bool {
		hook.mu.Lock()
		defer hook.mu.Unlock()
		for i := range hook.got {
			if x := &hook.got[i]; x.Victim != nil && x.Victim.PID == cmd.Process.Pid {
				got = x
			}
		}
		return got != nil
	})
	if got.Kind != incident.KindHost || got.Cause != incident.OOMHost || got.Confidence != incident.Certain || got.Container != nil {
		t.Errorf("%s %s %s, want a certain oom.host of the host", got.Kind, got.Cause, got.Confidence)
	}
	if got.Victim.Comm != "host-job" || got.Hog == nil || got.Hog.PID != cmd.Process.Pid {
		t.Errorf("victim and hog are not host-job")
	}
	if t.Failed() {
		t.Log(show(*got))
	}
}

// TestNodeOOM runs one memory node out of memory, of a machine with two.
func TestNodeOOM(t *testing.T) {
	if _, err := os.Stat("/sys/devices/system/node/node1"); err != nil {
		lab.Skip(t, "one memory node: %v", err)
	}
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.node", "cpuset-mems")
	id := e.MustRun(t, "--name", "node", "--cpuset-mems", "1", lab.Image, "prog", "eat", "-comm", "numa")
	got := hook.waitFor(t, id, 1, time.Minute)[0]
	if got.Cause != incident.OOMNode || got.Confidence != incident.Certain || got.OOM == nil || got.OOM.Constraint != "cpuset" || got.Kind != incident.KindDeath {
		t.Errorf("%s %s %s, want a certain oom.node\n%s", got.Kind, got.Cause, got.Confidence, show(got))
	}
}

// TestEarlyoom has earlyoom kill a container's process before the kernel would.
func TestEarlyoom(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "kill.userspace_oom", "earlyoom")
	ctx, cancel := context.WithCancel(timeout(t, 3*time.Minute))
	// SIGKILL at once (both percentages are the same), no reports.
	cmd := exec.CommandContext(ctx, "earlyoom", "-r", "0", "-m", "40,40", "-s", "100,100", "--avoid", "oomwatch|e2e.test|dockerd|containerd")
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }() // it ends by our signal
	id := e.MustRun(t, "--name", "early", lab.Image, "prog", "eat", "-comm", "hungry", "-size", size(t, 60), "-then", "1h")
	got := hook.waitFor(t, id, 1, time.Minute)[0]
	if got.Cause != incident.KillUserspaceOOM || got.Killer == nil || got.Killer.Kind != "userspace_oom" || got.Killer.Comm != "earlyoom" || got.Killer.PID != cmd.Process.Pid {
		t.Errorf("%s by %+v, want kill.userspace_oom by earlyoom\n%s\nearlyoom said:\n%s", got.Cause, got.Killer, show(got), out)
	}
}

// TestEarlyoomUnit is the same with earlyoom as a service of systemd.
func TestEarlyoomUnit(t *testing.T) {
	wantSystemd(t)
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "kill.userspace_oom", "earlyoom.service")
	conf := "EARLYOOM_ARGS=\"-r 0 -m 60,60 -s 100,100 --avoid (oomwatch|e2e.test|dockerd|containerd)\"\n"
	if err := os.WriteFile("/etc/default/earlyoom", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "start", "earlyoom.service")
	t.Cleanup(func() { systemctl(t, "stop", "earlyoom.service") })
	id := e.MustRun(t, "--name", "early", lab.Image, "prog", "eat", "-comm", "hungry", "-size", size(t, 55), "-then", "1h")
	got := hook.waitFor(t, id, 1, time.Minute)[0]
	if got.Cause != incident.KillUserspaceOOM || got.Confidence != incident.Certain || got.Killer == nil || got.Killer.Comm != "earlyoom" || got.Killer.Name != "earlyoom.service" {
		t.Errorf("%s %s by %+v, want a certain kill.userspace_oom by earlyoom.service\n%s", got.Cause, got.Confidence, got.Killer, show(got))
	}
}

// TestSystemdOomd has systemd-oomd kill a container whose slice is under
// memory pressure.
func TestSystemdOomd(t *testing.T) {
	wantSystemd(t)
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "kill.userspace_oom", "systemd-oomd.service")
	if err := os.MkdirAll("/etc/systemd/oomd.conf.d", 0o755); err != nil {
		t.Fatal(err)
	}
	slice := "[Slice]\nMemoryHigh=48M\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=5%\n"
	for name, text := range map[string]string{
		"/etc/systemd/oomd.conf.d/lab.conf": "[OOM]\nDefaultMemoryPressureDurationSec=2s\n",
		"/run/systemd/system/squeeze.slice": slice,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	systemctl(t, "daemon-reload")
	systemctl(t, "start", "systemd-oomd.service", "squeeze.slice")
	t.Cleanup(func() { systemctl(t, "stop", "systemd-oomd.service") })
	id := e.MustRun(t, "--name", "squeezed", "--cgroup-parent", "squeeze.slice", lab.Image, "prog", "eat", "-comm", "squeezed", "-size", "400000000", "-then", "1h")
	got := hook.waitFor(t, id, 1, time.Minute)[0]
	if got.Cause != incident.KillUserspaceOOM || got.Confidence != incident.Certain || got.Killer == nil || got.Killer.Comm != "systemd-oomd" {
		t.Errorf("%s %s by %+v, want a certain kill.userspace_oom by systemd-oomd\n%s", got.Cause, got.Confidence, got.Killer, show(got))
	}
}

func wantSystemd(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/run/systemd/private"); err != nil {
		lab.Skip(t, "systemd is not process 1: %v", err)
	}
}

func systemctl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(timeout(t, time.Minute), "systemctl", args...).CombinedOutput(); err != nil {
		t.Errorf("systemctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// hungry is a process on the host that eats without end; adj is its oom_score_adj.
func hungry(t *testing.T, comm, adj string) *exec.Cmd {
	t.Helper()
	prog := os.Getenv(lab.ProgEnv)
	if prog == "" {
		lab.Skip(t, "%s does not name the program that eats", lab.ProgEnv)
	}
	return exec.CommandContext(timeout(t, 2*time.Minute), "sh", "-c", `echo `+adj+` >/proc/self/oom_score_adj && exec "$0" "$@"`, prog, "eat", "-comm", comm)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, wait time.Duration, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(lab.Slow(wait)); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %s: %s", wait, what)
		}
	}
}

// size is some percent of the machine's memory, in bytes.
func size(t *testing.T, percent int64) string { return fmt.Sprint(total(t) * percent / 100) }

func total(t *testing.T) int64     { return meminfo(t, "MemTotal") }
func available(t *testing.T) int64 { return meminfo(t, "MemAvailable") }

// meminfo reads one line of /proc/meminfo, in bytes.
func meminfo(t *testing.T, name string) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	t.Fatalf("/proc/meminfo has no %s", name)
	return 0
}
