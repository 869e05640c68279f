package incident

import (
	"fmt"
	"strings"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
)

// summary says what happened in one line: who, what, whose limit, who held it.
func summary(inc *Incident, f *Facts, v verdict) string {
	who := subject(inc)
	if v.kill != nil {
		return oomSummary(inc, f, v, who)
	}
	code := ""
	if f.Exit != nil {
		code = fmt.Sprintf("exit code %d", f.Exit.ExitCode)
	}
	switch v.cause {
	case OOMContainer:
		if f.Kind == KindKill {
			return fmt.Sprintf("%s had a process OOM-killed: %s", who, v.why)
		}
		return fmt.Sprintf("%s was most likely OOM-killed (%s): %s", who, code, v.why)
	case KillStopTimeout:
		return fmt.Sprintf("%s was asked to stop, had not stopped after %s, and was killed with SIGKILL (not OOM)", who, FormatDuration(v.grace))
	case KillProcess:
		return fmt.Sprintf("%s was killed with %s by %s (not OOM)", who, SignalName(v.signal), senderName(v.sender))
	case KillUserspaceOOM:
		return fmt.Sprintf("%s was killed with %s by the user-space OOM killer %s", who, SignalName(v.signal), senderName(v.sender))
	case KillRequest:
		return fmt.Sprintf("%s was killed with %s on request to the engine (not OOM)", who, SignalName(v.signal))
	case StopRequest:
		return fmt.Sprintf("%s was asked to stop (%s) and stopped with %s", who, SignalName(v.signal), code)
	case KillUnknown:
		return fmt.Sprintf("%s ended with 137 (SIGKILL) and no source saw who sent it; nothing points to OOM", who)
	case CrashSignal:
		s := fmt.Sprintf("%s crashed with %s: it %s", who, SignalName(v.signal), crashSignals[v.signal])
		if x := crashFault(f); x != nil && x.Object != "" {
			s += " in " + Sanitize(x.Object)
		}
		return s
	case OOMRuntime:
		return fmt.Sprintf("%s ended with %s: %s; the kernel killed nothing", who, code, v.runtime.Means)
	case LimitPids:
		return fmt.Sprintf("%s ended with %s: it could not start another process or thread (pids limit)", who, code)
	case LimitDisk:
		s := fmt.Sprintf("%s ended with %s: no space left on a disk or volume it wrote to", who, code)
		if v.disk != nil && v.disk.Path != "" {
			s += " (" + Sanitize(Redact(v.disk.Path)) + ")"
		}
		return s
	case ExecFailed:
		return fmt.Sprintf("%s did not start (%s): %s", who, code, Sanitize(v.why))
	case ExitError:
		return fmt.Sprintf("%s ended by itself with %s", who, code)
	case ExitOK:
		return fmt.Sprintf("%s ended by itself with exit code 0", who)
	case HostShutdown:
		return fmt.Sprintf("%s went down with the host", who)
	case EngineStop:
		return fmt.Sprintf("%s ended (%s) while the engine was away", who, code)
	}
	if code != "" {
		return fmt.Sprintf("%s ended with %s and no source can say why", who, code)
	}
	return fmt.Sprintf("%s ended while nobody was watching, and no source can say why", who)
}

// subject names what was hit: the container by name, else by id; outside
// containers the unit or the process.
func subject(inc *Incident) string {
	if n := containerName(inc.Container); n != "" {
		return Sanitize(n)
	}
	if inc.Container != nil && inc.Container.Pod != nil && inc.Container.Pod.UID != "" {
		return "a container of pod " + Sanitize(inc.Container.Pod.UID)
	}
	if inc.Container != nil && inc.Container.Runtime != "" {
		return "a " + inc.Container.Runtime + " container"
	}
	if inc.Unit != "" {
		return Sanitize(inc.Unit)
	}
	if inc.Victim != nil {
		return named(inc.Victim.Comm, inc.Victim.PID)
	}
	return "a process"
}

// processName is a process's own name, or its pid where the name is empty or
// was not printed.
func processName(comm string, pid int) string {
	if s := Sanitize(comm); strings.TrimSpace(s) != "" {
		return s
	}
	return fmt.Sprintf("pid %d", pid)
}

// named is processName with the pid beside the name.
func named(comm string, pid int) string {
	if n := processName(comm, pid); strings.TrimSpace(comm) != "" {
		return fmt.Sprintf("%s (pid %d)", n, pid)
	}
	return fmt.Sprintf("pid %d", pid)
}

// oomSummary is the line for a kill by the kernel.
func oomSummary(inc *Incident, f *Facts, v verdict, who string) string {
	e := v.kill.Episode
	var b strings.Builder
	switch {
	case v.child:
		fmt.Fprintf(&b, "%s ended because the kernel OOM-killed its process %s ", who, processName(v.kill.Kill.Comm, v.kill.Kill.PID))
	case f.Kind == KindDeath:
		fmt.Fprintf(&b, "%s was OOM-killed ", who)
	case inc.Container == nil && inc.Unit == "":
		fmt.Fprintf(&b, "%s was OOM-killed ", who)
	case len(v.kill.OneOf) > 0:
		fmt.Fprintf(&b, "%s had one of its processes OOM-killed, one of %s, ", who, joinNames(v.kill.OneOf))
	case inc.Container != nil && inc.Container.Running != nil && *inc.Container.Running:
		fmt.Fprintf(&b, "%s lives on, but the kernel OOM-killed its process %s ", who, named(v.kill.Kill.Comm, v.kill.Kill.PID))
	default:
		fmt.Fprintf(&b, "%s had its process %s OOM-killed ", who, processName(v.kill.Kill.Comm, v.kill.Kill.PID))
	}
	limit := ""
	if e.Limit.Printed && e.Limit.Bytes < 1<<50 {
		limit = FormatBytes(e.Limit.Bytes) + " "
	} else if v.cause == OOMContainer && inc.Container != nil && inc.Container.MemoryLimit != nil {
		limit = FormatBytes(*inc.Container.MemoryLimit) + " "
	}
	switch v.cause {
	case OOMContainer:
		switch {
		case inc.Container == nil && inc.Unit == "" && e.OOMMemcg != "":
			fmt.Fprintf(&b, "at the %slimit of %s", limit, Sanitize(e.OOMMemcg))
		case inc.Container == nil && inc.Unit == "":
			fmt.Fprintf(&b, "at the %slimit of a memory cgroup that the kernel did not name", limit)
		case limit == "":
			b.WriteString("at its own memory limit")
		default:
			fmt.Fprintf(&b, "at its own %slimit", limit)
		}
	case OOMAncestor:
		if limited := cgroup.ParsePath(e.OOMMemcg); limited.PodUID != "" && limited.ContainerID == "" {
			fmt.Fprintf(&b, "at the %slimit of its pod, which all its containers share", limit)
		} else {
			fmt.Fprintf(&b, "at the %slimit of %s, which is above it", limit, Sanitize(e.OOMMemcg))
		}
	case OOMNode:
		b.WriteString("because the memory nodes it may use ran out")
	case OOMHost:
		if e.SysRq {
			b.WriteString("because somebody asked the kernel for it (SysRq f)")
		} else {
			b.WriteString("because the host ran out of memory")
		}
	}
	if h := held(inc, e); h != "" {
		b.WriteString(": " + h)
	}
	return b.String()
}

// held says who held the memory, and of what sort it was.
func held(inc *Incident, e *kmsg.Episode) string {
	if inc.Memory != nil && inc.Memory.Shmem != nil && e.Usage.Printed && *inc.Memory.Shmem*2 > e.Usage.Bytes {
		return fmt.Sprintf("%s of it was shared memory or tmpfs", FormatBytes(*inc.Memory.Shmem))
	}
	if h := inc.Hog; h != nil && h.RSS != nil && inc.Victim != nil && h.PID != inc.Victim.PID {
		s := fmt.Sprintf("%s held the most, %s", named(h.Comm, h.PID), FormatBytes(*h.RSS))
		if h.Container != "" && h.Container != containerName(inc.Container) {
			s += ", in " + Sanitize(h.Container)
		}
		return s
	}
	if inc.Victim == nil {
		return ""
	}
	v := inc.Victim
	switch {
	case v.AnonRSS != nil && *v.AnonRSS > 0:
		return fmt.Sprintf("%s held %s of anonymous memory", processName(v.Comm, v.PID), FormatBytes(*v.AnonRSS))
	case v.TotalVM != nil:
		return fmt.Sprintf("%s was the victim (%s of address space)", processName(v.Comm, v.PID), FormatBytes(*v.TotalVM))
	}
	return ""
}
