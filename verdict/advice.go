package verdict

import (
	"fmt"
	"strconv"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// adviceFor gives one thing to do next, with the numbers it rests on; "" where
// there is nothing to do.
func adviceFor(inc *incident.Incident, f *Facts, v judgement) string {
	who := subject(inc)
	switch v.cause {
	case incident.KillRequest, incident.StopRequest, incident.KillProcess:
		if h, at := unhealthy(f, v); h != nil {
			return adviceUnhealthy(who, h, at)
		}
	}
	switch v.cause {
	case incident.OOMContainer:
		return adviceOwnLimit(inc)
	case incident.OOMAncestor:
		limit := "its limit"
		if inc.OOM != nil && inc.OOM.Limit != nil {
			limit = "its " + incident.FormatBytes(*inc.OOM.Limit)
		}
		path := "the group above"
		if inc.OOM != nil && inc.OOM.OOMMemcg != "" {
			path = redact.Sanitize(inc.OOM.OOMMemcg)
		}
		return "Raising " + who + "'s own limit will not help: " + path + " shares " + limit + " among all below it. Give that group more, or each member a limit so that their sum stays under it."
	case incident.OOMHost:
		return adviceHost(inc, v)
	case incident.OOMNode:
		return "Look at the cpuset or NUMA policy of the task (numactl -s, cpuset.mems): other nodes may have free memory that it may not use."
	case incident.KillStopTimeout:
		return adviceStop(f, v)
	case incident.KillUnknown:
		switch {
		case f.Shift != 0:
			return "Read the log in the time zone of the host that wrote it and ask again (TZ=UTC, or its TZ=Area/City, before oomwatch): this engine's times are in UTC, and dates without a zone are taken for this machine's."
		case f.Undated > 0:
			return "Save the kernel's log with its times (dmesg -T or journalctl -k) and ask again: then it can be told whether the OOM kill in it was this end."
		}
		return "Run oomwatch where it can see who sends signals (oomwatch doctor says what is missing), and look for agents on the host that kill by memory or by age."
	case incident.KillProcess:
		return fmt.Sprintf("Ask why %s sent %s: it is the sender's decision, not a limit of this container's.", senderName(v.sender), incident.SignalName(v.signal))
	case incident.KillUserspaceOOM:
		return fmt.Sprintf("The host was short of memory before the kernel was: look at %s's log for what it measured, and give containers limits so that the one that grows is the one that dies.", processName(v.sender.Sender.Comm, v.sender.Sender.PID))
	case incident.CrashSignal:
		if v.signal == 6 {
			return "Read the last log lines for the assertion or abort message; keep a core dump with --ulimit core=-1 and a kernel.core_pattern that leads out of the container."
		}
		return "Keep a core dump with --ulimit core=-1 and a kernel.core_pattern that leads out of the container, then look at the fault address with a debugger and the same image."
	case incident.OOMRuntime:
		var limit *int64
		if inc.Container != nil {
			limit = inc.Container.MemoryLimit
		}
		return v.runtime.Advice(limit)
	case incident.LimitPids:
		return "Look at what starts processes or threads without end (ps -eLf in the container); if it needs them all, raise --pids-limit, and the user's RLIMIT_NPROC where that is lower."
	case incident.LimitDisk:
		return adviceDisk(inc, v)
	case incident.ExecFailed:
		return "Check the command and entrypoint against the image: docker run --entrypoint sh -it IMAGE, then look whether the file exists, is executable and is built for this machine."
	case incident.ExitError:
		if f.Exit != nil {
			return fmt.Sprintf("The program chose exit code %d itself: its last log lines say why (docker logs --tail 50 %s).", f.Exit.ExitCode, who)
		}
	case incident.UnknownCause:
		if len(f.Blind) > 0 {
			return "Run oomwatch doctor: it names what could not be seen and the step that mends it."
		}
		return "Look at the last log lines and at what else happened on the host at that time (journalctl --since)."
	case incident.EngineStop:
		return "Turn on live-restore in the engine's configuration if containers should outlive its restarts."
	case incident.HostShutdown:
		return "Give the container a restart policy (unless-stopped) if it should come back with the host."
	}
	return ""
}

// shells do not pass a signal on to the program they wait for.
var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "ash": true, "busybox": true, "zsh": true, "ksh": true}

// adviceStop says why a request to stop was not followed, where that is known.
func adviceStop(f *Facts, v judgement) string {
	name := incident.SignalName(v.signal)
	switch {
	case f.Init != nil && shells[f.Init.Comm] && !f.Init.Handles(v.signal):
		return fmt.Sprintf("Its first process is the shell %s, which drops %s and does not pass it on: start the program with exec in the script or the JSON form of CMD, or run with --init.", f.Init.Comm, name)
	case f.Init != nil && !f.Init.Handles(v.signal):
		return fmt.Sprintf("Its first process, %s, has no handler for %s, and the kernel drops unhandled signals to a container's first process: handle it, set STOPSIGNAL to one it handles, or run with --init.",
			redact.Sanitize(f.Init.Comm), name)
	case f.Init != nil:
		return fmt.Sprintf("Its first process, %s, handles %s and was not done after %s: look at what it does then, or allow longer (docker stop -t, stop_grace_period).",
			redact.Sanitize(f.Init.Comm), name, incident.FormatDuration(v.grace))
	}
	return fmt.Sprintf("Make its first process handle %s (exec the program instead of running it under a shell, or run with --init), or allow longer than %s: docker stop -t, stop_grace_period.",
		name, incident.FormatDuration(v.grace))
}

// adviceOwnLimit is for a container at its own limit. It never says "raise it"
// for what a higher limit does not cure: shared memory, tmpfs, or a leak.
func adviceOwnLimit(inc *incident.Incident) string {
	limit := ownLimitBytes(inc)
	if m := inc.Memory; m != nil {
		if s := FilledAdvice(orZero(m.Shmem), orZero(m.Kernel), limit); s != "" {
			return s
		}
	}
	if h := inc.History; h != nil && h.Trend == "leak" && h.Slope != nil && *h.Slope > 0 {
		return LeakAdvice(*h.Slope, limit)
	}
	if inc.OOM != nil && inc.OOM.Group {
		if limit > 0 {
			return "memory.oom.group is set, so one process over the limit took all " + strconv.Itoa(inc.OOM.Kills) + ". " + suggestLimit(inc, limit)
		}
	}
	if limit <= 0 {
		return "Compare what it needs with its limit: docker inspect -f '{{.HostConfig.Memory}}' and docker stats."
	}
	return suggestLimit(inc, limit)
}

// FilledAdvice is what to do where what no process holds filled more than half of
// a limit: shared memory or kernel memory; "" where it did not.
func FilledAdvice(shmem, kernel, limit int64) string {
	switch {
	case limit <= 0:
		return ""
	case shmem*2 > limit:
		return incident.FormatBytes(shmem) + " of the " + incident.FormatBytes(limit) +
			" is shared memory or tmpfs, which counts against the limit until it is deleted: bound it (--shm-size, tmpfs size=) or clean it up; a higher limit only moves the point."
	case kernel*2 > limit:
		return incident.FormatBytes(kernel) + " of the " + incident.FormatBytes(limit) +
			" is kernel memory, which no process holds: full pipes and socket buffers, threads, page tables, cached directory entries. Look for descriptors or threads that only become more (ls /proc/PID/fd, ls /proc/PID/task, slabtop) before raising the limit."
	}
	return ""
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// suggestLimit proposes limit × 1.5, rounded up to a power-of-two step, as an
// experiment; never more than twice the limit.
func suggestLimit(inc *incident.Incident, limit int64) string {
	next, _ := SuggestLimit(limit)
	held := ""
	if inc.Victim != nil && inc.Victim.AnonRSS != nil {
		held = processName(inc.Victim.Comm, inc.Victim.PID) + " alone held " + incident.FormatBytes(*inc.Victim.AnonRSS) + " of anonymous memory. "
	}
	how := ""
	switch {
	case inc.Container != nil && inc.Container.Runtime == "docker" && inc.Container.Name != "":
		how = fmt.Sprintf("docker update -m %d --memory-swap %d %s", next, next, redact.Sanitize(inc.Container.Name))
	case inc.Unit != "":
		how = fmt.Sprintf("systemctl set-property %s MemoryMax=%d", redact.Sanitize(inc.Unit), next)
	}
	return held + LimitAdvice(limit, how)
}

// LimitAdvice is what to do about a limit that was reached by what has not been
// seen to leak. how is the command that sets it, "" where that is not known.
func LimitAdvice(limit int64, how string) string {
	next, formula := SuggestLimit(limit)
	if how != "" {
		formula += "; " + how
	}
	return "If that is what it needs, try a limit of " + incident.FormatBytes(next) + " (" + formula + "); if it happens again at the higher limit, it is a leak."
}

// SuggestLimit is the limit to try for what does not leak, with the formula it
// comes from: half as much again, never more than twice as much.
func SuggestLimit(limit int64) (next int64, formula string) {
	return min(roundLimit(limit+limit/2), 2*limit), incident.FormatBytes(limit) + " × 1.5, rounded up"
}

// LeakAdvice is what to do about memory that grows by rate bytes per second
// towards limit, 0 where there is none. It never says to raise it.
func LeakAdvice(rate float64, limit int64) string {
	s := "It grows by " + units.Rate(rate) + ": look for a leak before raising the limit"
	if limit > 0 {
		s += "; each further " + incident.FormatBytes(limit) + " buys only " + units.Seconds(float64(limit)/rate)
	}
	return s + "."
}

// roundLimit rounds up to an eighth of the size's power of two, at least a mebibyte.
func roundLimit(n int64) int64 {
	step := int64(1 << 20)
	for step*16 <= n {
		step *= 2
	}
	return (n + step - 1) / step * step
}

func ownLimitBytes(inc *incident.Incident) int64 {
	if inc.OOM != nil && inc.OOM.Limit != nil && *inc.OOM.Limit < 1<<50 {
		return *inc.OOM.Limit
	}
	if inc.Container != nil && inc.Container.MemoryLimit != nil {
		return *inc.Container.MemoryLimit
	}
	return 0
}

func adviceHost(inc *incident.Incident, v judgement) string {
	if v.kill != nil && v.kill.Episode.SysRq {
		return "Somebody triggered the OOM killer by hand (SysRq f or /proc/sysrq-trigger): look at who was logged in."
	}
	if h := inc.Hog; h != nil && h.RSS != nil && h.Container != "" && v.kill != nil && v.kill.Episode.Constraint == kmsg.ConstraintNone {
		return fmt.Sprintf("Give %s a memory limit, or look at what it needs %s for: the host's memory is shared, and whom the kernel kills need not be who grew. Every container without a limit can do this.", redact.Sanitize(h.Container), incident.FormatBytes(*h.RSS))
	}
	if h := inc.Hog; h != nil && h.RSS != nil {
		where := ""
		if h.Container != "" {
			where = " in " + redact.Sanitize(h.Container)
		}
		return "Look at " + named(h.Comm, h.PID) + where + " first: it held " + incident.FormatBytes(*h.RSS) + ", the most on the host. Give every container a memory limit so that one cannot take the host's."
	}
	if v.kill != nil && v.kill.Episode.Constraint != kmsg.ConstraintNone {
		return "See which process held the most at that time; the kernel did not print its table."
	}
	return "Give every container a memory limit so that one cannot take the host's memory."
}
