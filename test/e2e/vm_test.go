//go:build vm

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// What must not be done to a machine that is used for anything else. test/vm/lab
// runs these in machines that are made for it.

// cgroupOf is the directory of a process's cgroup (v2).
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if !ok {
		real.Missing(t, "no cgroup v2 here: %q", b)
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
	d := startDaemon(t, e.Host, hook)
	// With a pid namespace of its own the end of the first process would take the
	// others before the kernel gets to them, and it counts only those it killed.
	id := e.MustRun(t, "--name", "group", "--pid", "host", "-m", "32m", lab.Image, "sh", "-c", "sleep 1000 & sleep 1001 & "+gate+"tail /dev/zero; sleep 1002")
	pid, err := e.MainPID(timeout(t, time.Minute), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cgroupOf(t, pid), "memory.oom.group"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, pid)
	// The shell, two sleeps and tail.
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "memory.oom.group", ExitCode: 137, Want: lab.Want{
		"cause": "oom.container", "confidence": "certain", "killer.kind": "kernel", "oom.constraint": "memcg",
		"oom.group": true, "oom.kills": 4, "oom.limit_bytes": 32 << 20, "advice": lab.Has("memory.oom.group")}})
	once(t, hook, id)
}

// TestSwap has a container outgrow its memory, then its swap: both limits count.
func TestSwap(t *testing.T) {
	swapOn(t)
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	id := e.MustRun(t, "--name", "swaps", "-m", "32m", "--memory-swap", "64m", lab.Image, "prog", "eat", "-comm", "swapper")
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "memory-and-swap", ExitCode: 137, Want: lab.Want{
		"cause": "oom.container", "confidence": "certain", "killer.kind": "kernel", "oom.constraint": "memcg",
		"oom.limit_bytes": 32 << 20, "container.memory_limit_bytes": 32 << 20, "container.swap_limit_bytes": 64 << 20,
		"victim.comm": "swapper", "memory.swap_bytes": lab.AtLeast(20 << 20)}})
	once(t, hook, id)
}

// swapOn gives the machine 256 MiB of swap for a test.
func swapOn(t *testing.T) {
	t.Helper()
	const script = `dd if=/dev/zero of=/tmp/swap bs=1M count=256 && modprobe loop && dev=$(losetup -f --show /tmp/swap) && mkswap "$dev" && swapon "$dev" && echo "$dev"`
	out, err := exec.CommandContext(timeout(t, time.Minute), "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("make swap: %v: %s", err, out)
	}
	lines := strings.Fields(string(out))
	dev := lines[len(lines)-1]
	t.Cleanup(func() {
		if out, err := exec.Command("sh", "-c", "swapoff "+dev+" && losetup -d "+dev).CombinedOutput(); err != nil {
			t.Errorf("take away the swap: %v: %s", err, out)
		}
	})
}

// TestHostOOM runs the whole machine out of memory: one container without a limit
// holds most of it, another, which the kernel prefers, is the one killed.
func TestHostOOM(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, 2*time.Minute)
	batch := e.MustRun(t, "--name", "batch", lab.Image, "prog", "eat", "-comm", "batch-job", "-size", size(t, 45), "-then", "1h")
	waitFor(t, "batch has eaten", time.Minute, func() bool { return available(t) < total(t)*55/100 })
	id := e.MustRun(t, "--name", "db", "--oom-score-adj", "600", lab.Image, "prog", "eat", "-comm", "db-server", "-rate", "100000000")
	if _, err := e.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "another-holds-it", ExitCode: 137, Want: lab.Want{
		"cause": "oom.host", "confidence": "certain", "container.name": "db", "victim.comm": "db-server", "victim.main": true,
		"killer.kind": "kernel", "oom.constraint": "none", "hog.container": "batch", "hog.comm": "batch-job", "hog.rss_bytes": lab.There,
		"summary": lab.Has("batch"), "advice": lab.Has("batch")}})
	once(t, hook, id)
	if n := len(hook.of(batch)); n != 0 {
		t.Errorf("batch, which lives, told %d times", n)
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
	var body []byte
	waitFor(t, "the kill is told", 15*time.Second, func() bool {
		hook.mu.Lock()
		defer hook.mu.Unlock()
		for i, x := range hook.got {
			if x.Victim != nil && x.Victim.PID == cmd.Process.Pid {
				body = hook.raw[i]
			}
		}
		return body != nil
	})
	want := lab.Want{"kind": "host", "cause": "oom.host", "confidence": "certain", "container": lab.Absent, "seen_live": true,
		"victim.comm": "host-job", "oom.constraint": "none", "hog.comm": "host-job", "hog.pid": cmd.Process.Pid, "killer.kind": "kernel"}
	if wrong := want.Wrong(body); len(wrong) > 0 {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), body)
	}
}

// TestNodeOOM runs one memory node out of memory, of a machine with two.
func TestNodeOOM(t *testing.T) {
	if _, err := os.Stat("/sys/devices/system/node/node1"); err != nil {
		real.Missing(t, "one memory node: %v", err)
	}
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	id := e.MustRun(t, "--name", "node", "--cpuset-mems", "1", lab.Image, "prog", "eat", "-comm", "numa")
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "cpuset-mems", ExitCode: 137, Want: lab.Want{
		"cause": "oom.node", "confidence": "certain", "oom.constraint": "cpuset", "victim.comm": "numa", "killer.kind": "kernel", "advice": lab.Has("cpuset")}})
	once(t, hook, id)
}

// TestEarlyoom has earlyoom kill a container's process before the kernel would.
func TestEarlyoom(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx, cancel := context.WithCancel(timeout(t, 3*time.Minute))
	// SIGKILL at once (both percentages are the same), no reports.
	cmd := exec.CommandContext(ctx, "earlyoom", "-r", "0", "-m", "40,40", "-s", "100,100", "--avoid", "oomwatch|e2e.test|dockerd|containerd")
	out := &harness.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }() // it ends by our signal
	id := e.MustRun(t, "--name", "early", lab.Image, "prog", "eat", "-comm", "hungry", "-size", size(t, 60), "-then", "1h")
	// Not in its own unit here, so anybody could call itself that.
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "earlyoom", ExitCode: 137, Want: byUserspace("earlyoom", "likely").With(lab.Want{
		"killer.pid": cmd.Process.Pid})})
	once(t, hook, id)
	if t.Failed() {
		t.Logf("earlyoom said:\n%s", out)
	}
}

// byUserspace is a kill by a program that relieves memory pressure.
func byUserspace(comm, confidence string) lab.Want {
	return lab.Want{"cause": "kill.userspace_oom", "confidence": confidence, "container.signal": "SIGKILL", "oom": lab.Absent,
		"killer.kind": "userspace_oom", "killer.comm": comm, "killer.pid": lab.There, "summary": lab.Has(comm), "advice": lab.Has(comm)}
}

// TestEarlyoomUnit is the same with earlyoom as a service of systemd.
func TestEarlyoomUnit(t *testing.T) {
	wantSystemd(t)
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	conf := "EARLYOOM_ARGS=\"-r 0 -m 60,60 -s 100,100 --avoid (oomwatch|e2e.test|dockerd|containerd)\"\n"
	if err := os.WriteFile("/etc/default/earlyoom", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "start", "earlyoom.service")
	t.Cleanup(func() { systemctl(t, "stop", "earlyoom.service") })
	id := e.MustRun(t, "--name", "early", lab.Image, "prog", "eat", "-comm", "hungry", "-size", size(t, 55), "-then", "1h")
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "earlyoom.service", ExitCode: 137, Want: byUserspace("earlyoom", "certain").With(lab.Want{
		"killer.name": "earlyoom.service"})})
	once(t, hook, id)
}

// TestSystemdOomd has systemd-oomd kill a container whose slice is under
// memory pressure.
func TestSystemdOomd(t *testing.T) {
	wantSystemd(t)
	swapOn(t) // it leaves alone who has nothing that could be reclaimed
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
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
	expect(t, platform(t, e), hook, d, id, lab.Death{Name: "systemd-oomd.service", ExitCode: 137, Want: byUserspace("systemd-oomd", "certain").With(lab.Want{
		"killer.name": "systemd-oomd.service"})})
	once(t, hook, id)
}

// TestUnit runs the systemd unit that is shipped, with all that it takes away from
// the program, and has it tell of an OOM to a receiver and the journal.
func TestUnit(t *testing.T) {
	wantSystemd(t)
	unit := os.Getenv("OOMWATCH_UNIT")
	if unit == "" {
		real.Missing(t, "OOMWATCH_UNIT does not name the unit's file")
	}
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	config := "alerts: {info: true, group_window: 0s}\n" + noWarnings +
		"receivers:\n  - {name: hook, type: webhook, url: \"" + hook.URL + "\"}\n  - {name: log, type: journal}\n"
	for _, file := range []struct {
		from, text, to string
		mode           os.FileMode
	}{
		{binary, "", "/usr/local/bin/oomwatch", 0o755},
		{unit, "", "/etc/systemd/system/oomwatch.service", 0o644},
		{"", config, "/etc/oomwatch/config.yaml", 0o600},
	} {
		b := []byte(file.text)
		if file.from != "" {
			var err error
			if b, err = os.ReadFile(file.from); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(file.to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file.to, b, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		out, err := exec.Command("journalctl", "-u", "oomwatch.service", "-o", "cat").CombinedOutput()
		t.Logf("the unit said (%v):\n%s", err, out)
	})
	systemctl(t, "daemon-reload")
	// It is a unit that says when it is ready.
	systemctl(t, "start", "systemd-journald.service", "oomwatch.service")
	d := &daemon{socket: "/run/oomwatch/oomwatch.sock"}
	waitFor(t, "its sources are up", 20*time.Second, func() bool {
		for _, source := range []string{"docker", "kmsg", "cgroup", "trace"} {
			if !d.sees(t, source) {
				return false
			}
		}
		return true
	})
	death, err := lab.FindDeath("oom")
	if err != nil {
		t.Fatal(err)
	}
	id, err := death.Do(timeout(t, time.Minute), e, "in-unit")
	if err != nil {
		t.Fatal(err)
	}
	death.Name = "oom-told-by-the-unit"
	expect(t, platform(t, e), hook, d, id, death)
	var entry []byte
	waitFor(t, "the journal has it", 20*time.Second, func() bool {
		entry, _ = exec.Command("journalctl", "-o", "json", "OOMWATCH_CAUSE=oom.container", "CONTAINER_NAME=in-unit").Output()
		return len(entry) > 0
	})
	out, errs, code := oomwatch(t, "explain", "in-unit")
	if code != 0 || !strings.Contains(out, "32 MiB") {
		t.Errorf("explain asks the unit: exit status %d\n%s%s", code, out, errs)
	}
	out, errs, code = oomwatch(t, "doctor")
	t.Logf("doctor, exit status %d:\n%s%s", code, out, errs)
	systemctl(t, "stop", "oomwatch.service")
	result, err := exec.Command("systemctl", "show", "-P", "Result", "oomwatch.service").Output()
	if err != nil || strings.TrimSpace(string(result)) != "success" {
		t.Errorf("it ended with %q (%v)", result, err)
	}
	if left, _ := filepath.Glob("/sys/kernel/tracing/instances/oomwatch-*"); len(left) > 0 { // the pattern is well formed
		t.Errorf("left behind: %v", left)
	}
	once(t, hook, id)
}

// TestReboot cuts the power of the machine under running containers. It runs
// twice, before and after, on a disk that stays (see ../vm/run, option -d).
func TestReboot(t *testing.T) {
	const disk = "/disk"
	if _, err := os.Stat(disk); err != nil {
		real.Missing(t, "no disk that outlives a reboot: %v", err)
	}
	notes := filepath.Join(disk, "containers")
	before, err := os.ReadFile(notes)
	again := err == nil
	if again {
		// /run, where an engine keeps these, is empty after a boot.
		if err := os.RemoveAll(filepath.Join(disk, "engine", "exec")); err != nil {
			t.Fatal(err)
		}
	}
	e := lab.Start(t, lab.Options{Dir: filepath.Join(disk, "engine")})
	hook := newReceiver(t)
	d := newDaemon(t, e.Host, hook, noWarnings, "--store", filepath.Join(disk, "store.db"))
	if !again {
		d.start(t)
		ended := e.MustRun(t, "--name", "ended", lab.Image, "prog", "exit", "3")
		hook.waitFor(t, ended, 1, 10*time.Second)
		runs := e.MustRun(t, "--name", "runs", lab.Image, "sleep", "1000")
		comesBack := e.MustRun(t, "--name", "comes-back", "--restart", "always", lab.Image, "sleep", "1000")
		removed := e.MustRun(t, "--name", "removed", "--rm", lab.Image, "sleep", "1000")
		if err := os.WriteFile(notes, []byte(strings.Join([]string{ended, runs, comesBack, removed}, " ")), 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lab.Slow(2 * time.Second)) // the daemon has kept whom it saw
		syscall.Sync()
		if err := os.WriteFile("/proc/sysrq-trigger", []byte("b"), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		t.Fatal("the machine did not reboot")
	}
	d.start(t)
	on := platform(t, e)
	ids := strings.Fields(string(before))
	went := lab.Want{"cause": "host.shutdown", "confidence": "likely", "severity": "warning", "seen_live": false, "killer": lab.Absent,
		"victim": lab.Absent, "oom": lab.Absent, "container.exit_code": lab.Any, "container.finished_at": lab.Any, "container.running": lab.Any}
	for i, name := range []string{"runs", "comes-back", "removed"} {
		expect(t, on, hook, d, ids[i+1], lab.Death{Name: "power-cut-" + name, Want: went.With(lab.Want{"container.name": name})})
	}
	once(t, hook, ids[1:]...)
	if n := len(hook.of(ids[0])); n != 0 {
		t.Errorf("what had ended, and was told, before the reboot is told %d times after it", n)
	}
}

func wantSystemd(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/run/systemd/private"); err != nil {
		real.Missing(t, "systemd is not process 1: %v", err)
	}
}

func systemctl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(timeout(t, time.Minute), "systemctl", args...).CombinedOutput(); err != nil {
		t.Errorf("systemctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// TestThrottled has memory.high slow a container down, far below its limit: it is
// warned of that, and of standing still as the kernel notifies of it, in one alert,
// and is the first that top shows.
func TestThrottled(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, quick())
	row(t, platform(t, e), "oom.container", "warned-at-memory-high")
	e.MustRun(t, "--name", "idle", "-m", "256m", lab.Image, "sleep", "1000")
	id := e.MustRun(t, "--name", "slowed", "-m", "256m", lab.Image, "sh", "-c", gate+"exec prog eat -comm slowed -size 120000000 -then 1h")
	pid, err := e.MainPID(timeout(t, time.Minute), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cgroupOf(t, pid), "memory.high"), []byte("32M"), 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, pid)
	told := warned(t, hook, id, 2*time.Minute)
	if told.Cause != incident.OOMContainer || told.Severity != incident.Warning {
		t.Errorf("%s %s: %s", told.Cause, told.Severity, told.Summary)
	}
	signs := told.Warning.Signs
	t.Logf("told with %v: %s", signs, told.Summary)
	defer func() {
		for _, file := range []string{"memory.current", "memory.events", "memory.pressure"} {
			b, err := os.ReadFile(filepath.Join(cgroupOf(t, pid), file))
			t.Logf("in the end: signs %v, %s: %s%v", signs, file, b, err)
		}
	}()
	waitFor(t, "throttled and pressure are its signs", 30*time.Second, func() bool {
		out, _, _ := oomwatch(t, "explain", "--socket", d.socket, "-o", "json", told.ID)
		signs = parseLines(t, out)[0].Warning.Signs
		return slices.Contains(signs, "throttled") && slices.Contains(signs, "pressure")
	})
	out, errs, code := oomwatch(t, "top", "--once", "--socket", d.socket, "-o", "json")
	if first, _, _ := strings.Cut(out, "\n"); code != 0 || !strings.Contains(first, `"name":"slowed"`) || !strings.Contains(first, `"throttled"`) {
		t.Errorf("top, exit status %d: %s%s", code, out, errs)
	}
	if n := len(hook.of(id)); n != 1 {
		t.Errorf("told %d times: %v", n, summaries(hook.of(id)))
	}
}

// hungry is a process on the host that eats without end; adj is its oom_score_adj.
func hungry(t *testing.T, comm, adj string) *exec.Cmd {
	t.Helper()
	prog := os.Getenv(lab.ProgEnv)
	if prog == "" {
		real.Missing(t, "%s does not name the program that eats", lab.ProgEnv)
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
