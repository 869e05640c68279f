package verdict

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// summary says what happened in one line: who, what, whose limit, who held it;
// and that it was unhealthy, where somebody's decision ended it.
func summary(inc *incident.Incident, f *Facts, v judgement) string {
	s := happened(inc, f, v)
	switch v.cause {
	case incident.KillStopTimeout, incident.KillRequest, incident.KillProcess, incident.KillUnknown, incident.StopRequest:
		if h, at := unhealthy(f, v); h != nil {
			s += "; it had been unhealthy" + unhealthyFor(h, at)
		}
	}
	if deployed(f, v) {
		s += "; " + redact.Sanitize(f.ReplacedBy) + " of the same service took its place" + incident.DeployNote
	}
	return s
}

func happened(inc *incident.Incident, f *Facts, v judgement) string {
	who := subject(inc)
	if v.kill != nil {
		return oomSummary(inc, f, v, who)
	}
	code := ""
	if f.Exit != nil && !f.Exit.NoCode {
		code = fmt.Sprintf("exit code %d", f.Exit.ExitCode)
	}
	switch v.cause {
	case incident.OOMContainer:
		if f.Kind == incident.KindKill {
			lost := "a process"
			if f.OOMKillDelta > 1 {
				lost = fmt.Sprintf("%d processes", f.OOMKillDelta)
			}
			return fmt.Sprintf("%s had %s OOM-killed: %s", who, lost, v.why)
		}
		if v.flagged || v.confidence == incident.Possible {
			return fmt.Sprintf("%s was probably OOM-killed (%s): %s", who, code, v.why)
		}
		return fmt.Sprintf("%s was most likely OOM-killed (%s): %s", who, code, v.why)
	case incident.KillEvicted:
		return fmt.Sprintf("%s was evicted by the kubelet (not OOM-killed)%s", who, evictedFor(v.voice))
	case incident.KillProbe:
		s := fmt.Sprintf("%s was killed by the kubelet because %s failed (not OOM)%s", who, probeOf(v.voice), probeSaid(v.voice))
		if why := f.starvedAtProbe(); why != "" {
			s += "; " + why
		}
		return s
	case incident.KillStopTimeout:
		s := fmt.Sprintf("%s was asked to stop%s, had not stopped%s, and was killed with SIGKILL (not OOM)", who, because(podEnded(f)), waited(v.grace))
		if why := f.starvedAtStop(v.grace); why != "" {
			s += "; " + why
		}
		return s
	case incident.KillProcess:
		if f.Child != nil {
			return childSummary(f, who)
		}
		if v.sender.Self {
			return fmt.Sprintf("%s ended itself with %s: its main process sent it to itself (not OOM)", who, incident.SignalName(v.signal))
		}
		return fmt.Sprintf("%s was killed with %s by %s (not OOM)", who, incident.SignalName(v.signal), senderInFull(v.sender))
	case incident.KillUserspaceOOM:
		return fmt.Sprintf("%s was killed with %s by the user-space OOM killer %s", who, incident.SignalName(v.signal), voiceName(&v))
	case incident.KillRequest:
		return fmt.Sprintf("%s was killed with %s on request to the engine (not OOM)", who, incident.SignalName(v.signal))
	case incident.StopRequest:
		return fmt.Sprintf("%s was asked to stop (%s)%s and stopped with %s", who, incident.SignalName(v.signal), because(podEnded(f)), code)
	case incident.KillUnknown:
		return fmt.Sprintf("%s ended with 137 (SIGKILL) and no source saw who sent it; %s", who, points(f))
	case incident.CrashSignal:
		if vsyscall(f) != nil {
			return fmt.Sprintf("%s crashed with %s: it used the vsyscall page, which this kernel has turned off", who, incident.SignalName(v.signal))
		}
		s := fmt.Sprintf("%s crashed with %s: it %s", who, incident.SignalName(v.signal), crashSignals[v.signal])
		if x := crashFault(f); x != nil && x.Object != "" {
			s += " in " + redact.Sanitize(x.Object)
		}
		return s
	case incident.OOMRuntime:
		s := fmt.Sprintf("%s ended with %s: %s", who, code, v.runtime.Means)
		if f.covers("kmsg", endTime(f)) {
			s += "; the kernel killed nothing"
		}
		return s
	case incident.LimitPids:
		if v.confidence == incident.Possible {
			return fmt.Sprintf("%s ended with %s: it could not start another process or thread; which limit refused it is not known", who, code)
		}
		return fmt.Sprintf("%s ended with %s: it could not start another process or thread (pids limit)", who, code)
	case incident.LimitDisk:
		return fmt.Sprintf("%s ended with %s: %s", who, code, diskSummary(v))
	case incident.ExecFailed:
		return fmt.Sprintf("%s did not start (%s): %s", who, code, redact.Sanitize(startReason(v.why)))
	case incident.ExitError:
		s := fmt.Sprintf("%s exited with code %d", who, f.Exit.ExitCode)
		if reason := incident.ReasonLine(f.LogTail); reason != "" {
			s += ": " + reason
		} else if f.LogUnread != "" {
			s += "; its log was not read"
		}
		return s
	case incident.ExitOK:
		return fmt.Sprintf("%s exited with code 0", who)
	case incident.HostShutdown:
		return fmt.Sprintf("%s went down with the host", who)
	case incident.EngineStop:
		if v.signal != 0 {
			return fmt.Sprintf("%s was stopped (%s) by the engine, which went down itself", who, code)
		}
		return strings.TrimSuffix(fmt.Sprintf("%s ended while the engine was away (%s)", who, code), " ()")
	}
	if code != "" {
		return fmt.Sprintf("%s ended with %s and no source can say why", who, code)
	}
	if f.Exit != nil {
		return fmt.Sprintf("%s ended, and no source can say why: the engine reported its end without an exit code", who)
	}
	return fmt.Sprintf("%s ended, and no source saw how: the engine kept no exit code", who)
}

// childSummary is the line for a SIGKILL to a child that no kernel sent.
func childSummary(f *Facts, who string) string {
	c := f.Child
	by := senderInFull(&c.Sent)
	switch {
	case c.ByMain:
		by = "its own main process " + processName(c.Sent.Sender.Comm, c.Sent.Sender.PID) + " (PID 1)"
	case c.Sent.Self:
		by = "that process itself"
	}
	s := who
	if r := f.Container.Running; r != nil && *r {
		s += " is still running;"
	}
	s += " its child " + named(c.Process.Comm, c.Process.PID) + " was killed with SIGKILL by " + by + ": not an OOM kill"
	if c.Count > 1 {
		s += fmt.Sprintf(" (%d times)", c.Count)
	}
	return s
}

// subject names what was hit: the container by name, else by id; outside
// containers the unit or the process.
func subject(inc *incident.Incident) string {
	if inc.Container != nil && inc.Container.Name != "" {
		return redact.Sanitize(inc.Container.Title())
	}
	if n := containerName(inc.Container); n != "" {
		return redact.Sanitize(n)
	}
	if inc.Container != nil && inc.Container.Pod != nil && inc.Container.Pod.UID != "" {
		return "a container of pod " + redact.Sanitize(inc.Container.Pod.UID)
	}
	if inc.Container != nil && inc.Container.Runtime != "" {
		return "a " + inc.Container.Runtime + " container"
	}
	if inc.Unit != "" {
		return redact.Sanitize(inc.Unit)
	}
	if inc.Victim != nil {
		return named(inc.Victim.Comm, inc.Victim.PID)
	}
	return "a process"
}

// processName is a process's own name, or its pid where the name is empty or
// was not printed.
func processName(comm string, pid int) string {
	if s := redact.Sanitize(comm); strings.TrimSpace(s) != "" {
		return s
	}
	return "pid " + strconv.Itoa(pid)
}

// named is processName with the pid beside the name.
func named(comm string, pid int) string {
	if strings.TrimSpace(comm) != "" {
		return processName(comm, pid) + " (pid " + strconv.Itoa(pid) + ")"
	}
	return "pid " + strconv.Itoa(pid)
}

// oomSummary is the line for a kill by the kernel.
func oomSummary(inc *incident.Incident, f *Facts, v judgement, who string) string {
	e := v.kill.Episode
	victim := func() string {
		if v.kill.Kill.PID == 0 && v.kill.Kill.Comm == "" {
			return "(not named)"
		}
		return processName(v.kill.Kill.Comm, v.kill.Kill.PID)
	}
	var did string
	switch {
	case v.child && v.confidence == incident.Possible:
		did = " may have ended because the kernel OOM-killed its process " + victim() + " "
	case v.child:
		did = " ended because the kernel OOM-killed its process " + victim() + " "
	case f.Kind == incident.KindDeath, inc.Container == nil && inc.Unit == "":
		did = " was OOM-killed "
	case len(v.kill.OneOf) == 1:
		did = " had a process OOM-killed, " + joinNames(v.kill.OneOf) + " probably, "
	case len(v.kill.OneOf) > 1:
		did = " had one of its processes OOM-killed, one of " + joinNames(v.kill.OneOf) + ", "
	case inc.Container != nil && inc.Container.Running != nil && *inc.Container.Running:
		did = " is still running; its child " + named(v.kill.Kill.Comm, v.kill.Kill.PID) + " was OOM-killed "
	case v.kill.Kill.PID == 0 && v.kill.Kill.Comm == "":
		did = " had a process OOM-killed, which the log does not name, "
	default:
		did = " had its process " + victim() + " OOM-killed "
	}
	s := who + did + limitReached(inc, v)
	if f.KillsToday > 1 {
		s += " (" + ordinal(f.KillsToday) + " time today)"
	}
	if h := held(inc, e); h != "" {
		s += ": " + h
	}
	return s
}

// ordinal is "2nd", "3rd", "14th".
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// limitReached says which limit it was.
func limitReached(inc *incident.Incident, v judgement) string {
	e := v.kill.Episode
	limit := ""
	if e.Limit.Printed && e.Limit.Bytes < units.NoLimit {
		limit = incident.FormatBytes(e.Limit.Bytes) + " "
	} else if v.cause == incident.OOMContainer && inc.Container != nil && inc.Container.MemoryLimit != nil {
		limit = incident.FormatBytes(*inc.Container.MemoryLimit) + " "
	}
	if v.kill.FromTrace && v.confidence == incident.Possible {
		return "at an unknown limit"
	}
	switch v.cause {
	case incident.OOMContainer:
		switch {
		case inc.Container == nil && inc.Unit == "" && e.OOMMemcg != "":
			return "at the " + limit + "limit of " + redact.Sanitize(e.OOMMemcg)
		case inc.Container == nil && inc.Unit == "":
			return "at the " + limit + "limit of a memory cgroup that the kernel did not name"
		case limit == "":
			return "at its own memory limit"
		}
		if podsLimit(e.OOMMemcg) == limitOfPod {
			return "at its own " + limit + "limit, which is its pod's too"
		}
		if unit := insideUnit(inc); unit != "" {
			return "at the " + limit + "limit of " + redact.Sanitize(unit) + ", a unit inside it"
		}
		if e.MemSwapLimit.Printed && e.MemSwapUsage.Bytes >= e.MemSwapLimit.Bytes && e.MemSwapLimit.Bytes < units.NoLimit && (e.Usage.Bytes < e.Limit.Bytes || e.Failcnt == 0) {
			return "at its own limit of memory and swap together, " + incident.FormatBytes(e.MemSwapLimit.Bytes)
		}
		return "at its own " + limit + "limit"
	case incident.OOMAncestor:
		if e.OOMMemcg == "" {
			return "at its parent's limit, which the kernel did not name"
		}
		switch podsLimit(e.OOMMemcg) {
		case limitOfPods:
			return "because the node's pods together reached their " + limit + "limit (" + redact.Sanitize(e.OOMMemcg) + ")"
		case limitOfPod:
			return "at the " + limit + "limit of its pod, which all its containers share"
		}
		return "because its parent cgroup " + redact.Sanitize(e.OOMMemcg) + " reached its " + limit + "limit"
	case incident.OOMNode:
		return "because the memory nodes it may use ran out"
	case incident.OOMHost:
		if e.SysRq {
			return "because somebody asked the kernel for it (SysRq f)"
		}
		if e.Constraint == "" {
			return "at an unknown limit"
		}
		return "because the host ran out of memory"
	}
	return ""
}

// biggestOther is the container that held the most under a shared limit, where
// that was not the victim's and more than half of it.
func biggestOther(inc *incident.Incident) *incident.Member {
	if inc.OOM == nil || len(inc.OOM.Members) == 0 || inc.OOM.Usage == nil {
		return nil
	}
	m := &inc.OOM.Members[0]
	if m.Container == "" || m.Usage == nil || *m.Usage*2 < *inc.OOM.Usage || m.Container == containerName(inc.Container) {
		return nil
	}
	return m
}

// held says who held the memory, and of what sort it was.
func held(inc *incident.Incident, e *kmsg.Episode) string {
	if h := inc.Hog; h != nil && h.RSS != nil && h.Container != "" && e.Constraint == kmsg.ConstraintNone {
		s := redact.Sanitize(h.Container) + " held " + incident.FormatBytes(*h.RSS)
		if h.Container == containerName(inc.Container) {
			s += " itself"
		}
		if e.HostTotal.Printed {
			s += " of the host's " + incident.FormatBytes(e.HostTotal.Bytes)
		}
		return s
	}
	if e.Usage.Printed && mixed(inc.Memory, e.Usage.Bytes) {
		return incident.FormatBytes(*inc.Memory.Anon) + " of it was anonymous memory, " + incident.FormatBytes(*inc.Memory.Shmem) + " shared memory or tmpfs"
	}
	if inc.Memory != nil && inc.Memory.Shmem != nil && e.Usage.Printed && *inc.Memory.Shmem*2 > e.Usage.Bytes {
		return incident.FormatBytes(*inc.Memory.Shmem) + " of it was shared memory or tmpfs"
	}
	if inc.Memory != nil && inc.Memory.Kernel != nil && e.Usage.Printed && *inc.Memory.Kernel*2 > e.Usage.Bytes {
		return incident.FormatBytes(*inc.Memory.Kernel) + " of it was kernel memory"
	}
	if e.Usage.Printed && cacheFilled(inc, e.Usage.Bytes) {
		s := incident.FormatBytes(*inc.Memory.File) + " of it was page cache"
		if dirty := max(e.Stats["dirty"], e.Stats["total_dirty"], e.Stats["file_dirty"]); dirty > 0 {
			s += ", " + incident.FormatBytes(dirty) + " not written to disk yet"
		}
		return s
	}
	if m := biggestOther(inc); m != nil {
		return redact.Sanitize(m.Container) + " held " + incident.FormatBytes(*m.Usage) + " of it"
	}
	if h := inc.Hog; h != nil && h.RSS != nil && inc.Victim != nil && h.PID != inc.Victim.PID {
		s := named(h.Comm, h.PID) + " held the most, " + incident.FormatBytes(*h.RSS)
		if h.Container != "" && h.Container != containerName(inc.Container) {
			s += ", in " + redact.Sanitize(h.Container)
		}
		return s
	}
	if inc.Victim == nil {
		return ""
	}
	v := inc.Victim
	switch {
	case v.AnonRSS != nil && *v.AnonRSS > 0:
		return processName(v.Comm, v.PID) + " held " + incident.FormatBytes(*v.AnonRSS) + " of anonymous memory"
	case v.TotalVM != nil:
		return processName(v.Comm, v.PID) + " was the victim (" + incident.FormatBytes(*v.TotalVM) + " of address space)"
	}
	return ""
}

// evictedFor is why the kubelet evicted a pod, as the pod's status has it; "" for a line
// of the kubelet's own log, which says only that it did and stands in the evidence.
func evictedFor(x *incident.Voice) string {
	const most = 300
	reason, found := strings.CutPrefix(x.Text, "Evicted: ")
	if !found {
		return ""
	}
	s := redact.Sanitize(redact.Line(strings.TrimRight(reason, ". ")))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return ": " + s
}

// probeOf is which of its probes failed.
func probeOf(x *incident.Voice) string {
	if x.Probe == "" {
		return "a probe of it"
	}
	return "its " + redact.Sanitize(x.Probe) + " probe"
}

// probeSaid is what the probe said last, as the end of a sentence.
func probeSaid(x *incident.Voice) string {
	if x.Output == "" {
		return ""
	}
	return ": " + redact.Sanitize(redact.Cut(x.Output, 300))
}

// because puts a reason in brackets; "" for none.
func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// waited is how long a stop was waited for; "" where that is not known.
func waited(grace time.Duration) string {
	if grace <= 0 {
		return " in time"
	}
	return " after " + incident.FormatDuration(grace)
}
