package lab

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Death is one way to end a container, or a process in it, for real, and what
// the alert must say of it, on every platform.
type Death struct {
	Name string
	// Means is what happens, in one line.
	Means string
	// ExitCode is the container's; -1 where the container lives on.
	ExitCode int
	// Want is what must be in the incident's JSON, besides what is the same for
	// all (see Told); nil where nothing may be told.
	Want Want
	// Blind is what it says otherwise where the senders of signals are not traced: a
	// cause "-" where nothing may be told then.
	Blind Want
	// Do causes it on an engine and returns when it is over. name is the
	// container's; flags go to "docker run" ("--rm").
	Do func(ctx context.Context, e *Engine, name string, flags ...string) (id string, err error)
}

// Deaths are all the ways, each by a name of its own.
func Deaths() []Death {
	const mib = 1 << 20
	// What the kernel says of a container at its own limit.
	oom := Want{
		"cause": "oom.container", "confidence": "certain", "container.signal": "SIGKILL", "killer.kind": "kernel",
		"victim.pid": There, "victim.anon_rss_bytes": There, "victim.total_vm_bytes": There,
		"oom.constraint": "memcg", "oom.complete": true, "oom.group": false, "oom.kills": 1,
		"oom.usage_bytes": AtLeast(30 * mib), "oom.limit_bytes": 32 * mib, "oom.task_memcg": There,
		"container.memory_limit_bytes": 32 * mib, "memory.anon_bytes": There, "memory.shmem_bytes": There,
		"processes": There, "hog.comm": There, "advice": There,
	}
	asked := Want{"confidence": "certain", "killer.kind": "engine", "victim": Absent, "oom": Absent}
	itself := Want{"confidence": "certain", "killer": Absent, "victim": Absent, "oom": Absent}
	killed := Want{"cause": "kill.process", "confidence": "certain", "container.signal": "SIGKILL", "killer.kind": "process",
		"killer.pid": There, "killer.uid": There, "killer.command": There, "oom": Absent, "advice": Has("no limit of this container was involved")}
	unseen := Want{"cause": "kill.unknown", "confidence": "possible", "killer": Absent, "killer.kind": Absent, "killer.pid": Absent,
		"killer.comm": Absent, "killer.name": Absent, "killer.uid": Absent, "killer.command": Absent, "advice": Has("oomwatch doctor")}
	return []Death{
		{"oom", "a process outgrows the container's own limit", 137,
			oom.With(Want{"victim.comm": "tail", "victim.main": true, "hog.comm": "tail", "trigger.comm": "tail", "memory.anon_bytes": AtLeast(28 * mib), "advice": Has("48 MiB")}), nil,
			ends("-m", "32m", Image, "tail", "/dev/zero")},
		{"oom-shmem", "shared memory fills the limit", 137,
			oom.With(Want{"victim.comm": "dd", "memory.shmem_bytes": AtLeast(24 * mib), "advice": Has("shared memory")}), nil,
			ends("-m", "32m", "--shm-size", "64m", Image, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=64k")},
		{"oom-tmpfs", "files in a tmpfs fill the limit", 137,
			oom.With(Want{"victim.comm": "dd", "memory.shmem_bytes": AtLeast(24 * mib), "advice": Has("tmpfs")}), nil,
			ends("-m", "32m", "--tmpfs", "/data:size=64m", Image, "dd", "if=/dev/zero", "of=/data/x", "bs=64k")},
		{"oom-kernel", "kernel memory fills the limit: full pipes", 137,
			oom.With(Want{"victim.comm": "piper", "memory.kernel_bytes": AtLeast(16 * mib), "advice": Has("kernel memory")}), nil,
			ends("-m", "32m", Image, "prog", "pipes", "-comm", "piper")},
		{"oom-memswap", "the limit of memory and swap together", 137,
			oom.With(Want{"victim.comm": "tail", "container.swap_limit_bytes": 32 * mib}), nil,
			ends("-m", "32m", "--memory-swap", "32m", Image, "tail", "/dev/zero")},
		{"oom-swap", "the limit of memory, with as much swap allowed as the engine gives by itself", 137,
			oom.With(Want{"victim.comm": "tail", "container.compose.project": Absent, "container.compose.service": Absent,
				"advice": All(Has("docker update -m 48m --memory-swap"), Lacks("--memory-swap 48m "))}), nil,
			ends("--label", "com.docker.compose.project=", "--label", "com.docker.compose.service=", "-m", "32m", Image, "tail", "/dev/zero")},
		{"oom-leak", "a slow leak reaches the limit", 137,
			oom.With(Want{"victim.comm": "leaky", "oom.limit_bytes": 48 * mib, "container.memory_limit_bytes": 48 * mib, "memory.anon_bytes": AtLeast(40 * mib), "history.points": There}), nil,
			ends("-m", "48m", Image, "prog", "eat", "-comm", "leaky", "-rate", "8000000")},
		{"oom-compose", "the same of a service that compose runs", 137,
			oom.With(Want{"victim.comm": "tail", "container.compose.service": "hungry", "advice": All(Has("mem_limit: 48m"), Has("service hungry"), Lacks("docker update"))}), nil,
			ends("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=hungry", "-m", "32m", Image, "tail", "/dev/zero")},
		{"oom-hostile-name", "the victim's name imitates a kernel line", 137,
			oom.With(Want{"victim.comm": "x) total-vm:1kB"}), nil,
			ends("-m", "32m", Image, "prog", "eat", "-comm", "x) total-vm:1kB")},
		{"oom-not-the-hog", "the kernel prefers a small process to the one that holds the memory", 137,
			oom.With(Want{"victim.comm": "small", "victim.main": true, "hog.comm": "hog"}), nil,
			notTheHog},
		{"oom-child", "a child is killed, the container lives on", -1,
			oom.With(Want{"victim.comm": "worker", "victim.main": false, "container.running": true, "container.signal": Absent}), nil,
			childKilled},
		{"oom-child-after-death", "the same, and another container that had its name has died before", -1,
			oom.With(Want{"victim.comm": "worker", "victim.main": false, "container.running": true, "container.signal": Absent}), nil,
			childKilledAfterDeath},
		{"oom-ancestor", "the limit of the cgroup above is reached", 137,
			oom.With(Want{"cause": "oom.ancestor", "victim.comm": "tail", "container.memory_limit_bytes": Absent, "oom.oom_memcg": Has("oomwatch-lab-"), "advice": Has("The limit is the parent")}), nil,
			ancestor},
		{"stop-timeout", "ignores SIGTERM, killed when the grace period ends", 137,
			asked.With(Want{"cause": "kill.stop_timeout", "severity": "warning", "container.signal": "SIGKILL", "advice": Has("prog")}), nil,
			then([]string{Image, "prog", "stubborn"}, "stop", "-t", "1")},
		{"stop-throttled", "wants to stop, and its CPU quota leaves no time for it", 137,
			asked.With(Want{"cause": "kill.stop_timeout", "severity": "warning", "container.signal": "SIGKILL", "summary": Has("throttled"), "advice": Has("more CPU")}), nil,
			stopThrottled},
		{"stop", "asked to stop, and stops", 0,
			asked.With(Want{"cause": "stop.request", "severity": "info", "container.signal": Absent}), nil,
			then([]string{Image, "prog", "polite"}, "stop", "-t", "5")},
		{"kill", "somebody asks the engine to kill it", 137,
			asked.With(Want{"cause": "kill.request", "severity": "info", "container.signal": "SIGKILL"}), nil,
			then([]string{Image, "prog", "stubborn"}, "kill")},
		{"hup", "somebody asks the engine to send SIGHUP, and it ends", 129,
			asked.With(Want{"cause": "kill.request", "severity": "info", "container.signal": "SIGHUP"}), nil,
			then([]string{Image, "prog", "polite"}, "kill", "-s", "HUP")},
		{"kill-outside", "a process on the host kills it", 137, killed, unseen, killOutside},
		{"kill-sidecar", "a sidecar that shares its pid namespace kills it", 137,
			killed.With(Want{"killer.name": Has("-sidecar")}), unseen, killSidecar},
		{"kill-inside", "another process of the same container kills its main one", 137,
			// It ends with the container, maybe before its command line is read.
			killed.With(Want{"killer.name": Has("kill-inside"), "killer.command": Any}), unseen, killInside},
		{"kill-child", "the main process kills its child, and lives on", -1,
			killed.With(Want{"severity": "info", "container.signal": Absent, "container.running": true, "victim.comm": "sleep", "victim.main": false,
				"summary": Has("its own main process sh (PID 1): not an OOM kill"), "advice": Has("memory limit changes nothing")}), Want{"cause": "-"}, killChild},
		{"kill-child-at-once", "a master below the main process kills its child and reaps it at once", -1,
			killed.With(Want{"severity": "info", "container.signal": Absent, "container.running": true, "victim.main": false,
				"summary": Has("by sh (pid "), "killer.name": Any}), Want{"cause": "-"}, killChildAtOnce},
		{"segv", "writes to address 0", 139,
			itself.With(Want{"cause": "crash.signal", "container.signal": "SIGSEGV", "summary": Has("SIGSEGV")}), nil,
			crashes("SEGV")},
		{"bus", "reads a mapped page past the end of its file", 135,
			itself.With(Want{"cause": "crash.signal", "confidence": "likely", "container.signal": "SIGBUS"}), nil,
			crashes("BUS")},
		{"ill", "an instruction that is none", 132,
			itself.With(Want{"cause": "crash.signal", "container.signal": "SIGILL"}), nil,
			crashes("ILL")},
		{"fpe", "divides by zero", 136,
			itself.With(Want{"cause": "crash.signal", "container.signal": "SIGFPE"}), nil,
			crashes("FPE")},
		{"abort", "abort", 134,
			itself.With(Want{"cause": "crash.signal", "confidence": "likely", "container.signal": "SIGABRT"}), nil,
			crashes("ABRT")},
		{"exec-missing", "its program does not exist", 127,
			itself.With(Want{"cause": "exec.failed", "summary": Has("no-such-program")}), nil,
			startFails(Image, "no-such-program")},
		{"exec-denied", "its program is not executable", 126,
			itself.With(Want{"cause": "exec.failed", "summary": Has("permission denied")}), nil,
			startFails(Image, "/etc")},
		{"exec-shell", "the shell that starts it does not find its program", 127,
			itself.With(Want{"cause": "exec.failed", "confidence": "likely", "log_tail": Has("no-such-program")}), nil,
			ends(Image, "sh", "-c", "no-such-program")},
		{"exec-format", "its program is built for another machine", 1,
			itself.With(Want{"cause": "exec.failed", "confidence": "likely", "container.exit_code": Any, "container.signal": Any, "summary": Has("format error"), "advice": Has("architecture")}), nil,
			mounted("\x7fELF\x02\x01\x01 of no machine")},
		{"exec-interpreter", "the interpreter of its script is not there", 1,
			itself.With(Want{"cause": "exec.failed", "confidence": "likely", "container.exit_code": Any, "container.signal": Any, "summary": Has("interpreter"), "advice": There}), nil,
			mounted("#!/no/such/interpreter\n")},
		{"exec-crlf", "its script has Windows line ends", 1,
			itself.With(Want{"cause": "exec.failed", "confidence": "likely", "container.exit_code": Any, "container.signal": Any, "advice": There}), nil,
			mounted("#!/bin/sh\r\necho hello\r\n")},
		{"heap-caught", "a runtime's error that could be handled was not", 1,
			itself.With(Want{"cause": "oom.runtime", "confidence": "likely", "advice": There, "log_tail": There}), nil,
			ends(Image, "sh", "-c", "echo 'RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity; 6.10 GiB already allocated)'; exit 1")},
		{"heap", "the program's own memory limit is reached, far below the container's", 1,
			itself.With(Want{"cause": "oom.runtime", "confidence": "likely", "container.memory_limit_bytes": 512 * mib, "advice": There, "log_tail": There}), nil,
			ends("-m", "512m", Image, "sh", "-c", "ulimit -v 900000; exec prog eat -comm heap")},
		{"pids", "a shell cannot fork: the pids limit", 2,
			itself.With(Want{"cause": "limit.pids", "confidence": "likely", "advice": Has("--pids-limit")}), nil,
			ends("--pids-limit", "6", Image, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait")},
		{"disk", "a full volume", 1,
			itself.With(Want{"cause": "limit.disk", "confidence": "likely", "log_tail": Has("No space left")}), nil,
			ends("--tmpfs", "/data:size=1m", Image, "dd", "if=/dev/zero", "of=/data/x", "bs=64k")},
		{"exit3", "exits 3 by itself", 3,
			itself.With(Want{"cause": "exit.error", "container.signal": Absent, "advice": Has("code 3")}), nil,
			ends(Image, "prog", "exit", "3")},
		{"exit137", "exits 137 by itself: no kill at all", 137,
			itself.With(Want{"cause": "exit.error", "confidence": "likely", "container.oom_killed_flag": false}), unseen,
			ends(Image, "prog", "exit", "137")},
		{"exit0", "ends well", 0, nil, nil, ends(Image, "true")},
	}
}

// WithEngine are the ways to end a container together with its engine. Each is caused
// alone, on an engine of our own, which is up again when Do returns.
func WithEngine() []Death {
	// The engine's word comes when it is up again, if it has one.
	killed := Want{"cause": "kill.process", "seen_live": false, "container.exit_code": Any, "container.signal": Any, "killer.kind": "process", "killer.pid": os.Getpid(), "victim": Absent, "oom": Absent}
	unseen := Want{"cause": "engine.stop", "confidence": "possible", "severity": "warning", "seen_live": false, "killer": Absent, "killer.kind": Absent, "killer.pid": Absent}
	return []Death{
		{"killed-with-engine", "engine, shim and container are killed at once", 137, killed, unseen, killedWithEngine},
		{"killed-with-engine-restarted", "the same, and the engine starts the container anew", 137,
			killed.With(Want{"container.running": Any, "container.finished_at": Any}), unseen.With(Want{"container.running": Any, "container.finished_at": Any}),
			func(ctx context.Context, e *Engine, name string, flags ...string) (string, error) {
				return killedWithEngine(ctx, e, name, append(flags, "--restart", "always")...)
			}},
	}
}

// Told is all that must be in the alert: what the row says, and what is the same
// in every alert of something that was seen as it happened.
func (d Death) Told(traced bool) Want {
	if d.Want == nil {
		return nil
	}
	w := Want{
		"schema": "oomwatch.incident/v1", "id": There, "kind": "death", "severity": "critical", "summary": There, "time": There,
		"count": 1, "seen_live": true, "historic": Absent, "evidence": There, "host.boot_id": There, "host.engine": There,
		"container.image": There, "container.exit_code": d.ExitCode, "container.running": false,
		"container.finished_at": There,
	}
	if d.ExitCode < 0 {
		w = w.With(Want{"kind": "kill", "container.exit_code": Absent, "container.finished_at": Absent})
	}
	w = w.With(d.Want)
	if !traced {
		w = w.With(d.Blind)
	}
	return w
}

// soon is of a container that may be dead before Podman has answered for its first
// process's pid.
var soon = Want{"confidence": Any, "victim.main": Any}

// onPodman is what is said otherwise of a death there: Podman has no event for
// being asked to stop a container, and what its runtime sent is traced; and it is
// slow to answer, as each request to it starts from its files.
var onPodman = map[string]Want{
	"stop-timeout": {"confidence": "likely"},
	"stop":         {"confidence": Any},
	"oom":          soon, "oom-shmem": soon, "oom-tmpfs": soon, "oom-kernel": soon, "oom-memswap": soon, "oom-hostile-name": soon,
	"oom-compose": soon,
	"oom-swap":    soon.With(Want{"advice": All(Has("podman update --memory 48m"), Lacks("docker"))}),
	"exit137":     {"container.oom_killed_flag": Any},
	// It sees no more than any other engine's runtime of what was asked for.
	"stop-throttled": {"confidence": "likely"},
}

// onPodman4 is what is said otherwise there: it keeps no error of a start.
var onPodman4 = map[string]Want{
	"exec-missing": {"summary": Has(`could not start "no-such-program"`), "container.exit_code": 128},
	"exec-denied":  {"summary": Has(`could not start "/etc"`), "container.exit_code": 128},
}

// On is d on a platform.
func (d Death) On(platform string) Death {
	for part, rows := range map[string]map[string]Want{"-podman-": onPodman, "-podman-4": onPodman4} {
		if more := rows[d.Name]; more != nil && strings.Contains(platform, part) {
			d.Want = d.Want.With(more)
		}
	}
	return d
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
