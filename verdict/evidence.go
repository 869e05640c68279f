package verdict

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
)

// evidence lists what each source said, in the order in which it happened, in
// out. Text that others wrote is sanitised, not shortened.
func evidence(f *Facts, v judgement, out []incident.Evidence) []incident.Evidence {
	if len(f.Kills) > 0 {
		out = slices.Grow(out, len(f.Kills)+3)
	}
	for i := range f.Kills {
		out = appendKill(out, f, &f.Kills[i], f.Kills[i].Main)
	}
	if v.child {
		found := false
		for i := range f.Kills {
			found = found || &f.Kills[i] == v.kill
		}
		if !found && v.kill != nil {
			out = appendKill(out, f, v.kill, false)
		}
	}
	for i := range f.Faults {
		x := &f.Faults[i]
		out = append(out, incident.Evidence{Source: "kmsg", Time: x.Time, Text: redact.Sanitize(x.Line), Means: faultMeaning(x)})
	}
	if v.fault != nil {
		out = append(out, incident.Evidence{Source: "kmsg", Time: v.fault.Time, Text: redact.Sanitize(v.fault.Line), Means: faultMeaning(v.fault) + "; it is matched to this end by its time only"})
	}
	for _, at := range f.EngineOOMs {
		out = append(out, incident.Evidence{Source: EngineOf(f.Container), Time: at, Text: "event oom",
			Means: "the engine saw a process in the container OOM-killed (any process, not only the main one)"})
	}
	for i := range f.Signals {
		s := &f.Signals[i]
		out = append(out, incident.Evidence{Source: EngineOf(f.Container), Time: s.At, Text: fmt.Sprintf("event kill signal=%d", s.Number),
			Means: fmt.Sprintf("somebody asked the engine to send %s", incident.SignalName(s.Number))})
	}
	if h, at := unhealthy(f, v); h != nil {
		out = append(out, healthEvidence(f, h, at))
	}
	if v.exec != nil {
		out = append(out, incident.Evidence{Source: "log", Time: endTime(f), Text: redact.Sanitize(redact.Line(v.exec.line)), Means: "the command could not be executed"})
	}
	if v.runtime != nil {
		out = append(out, incident.Evidence{Source: "log", Time: endTime(f), Text: redact.Sanitize(redact.Line(v.runtime.Line)), Means: v.runtime.Means})
	}
	if v.disk != nil {
		out = append(out, incident.Evidence{Source: "log", Time: endTime(f), Text: redact.Sanitize(redact.Line(v.disk.Line)), Means: "the program says that a disk, a volume or a quota is full"})
	}
	if v.cause == incident.LimitDisk {
		out = diskEvidence(f, v, out)
	}
	for i := range f.Voices {
		if f.Voices[i].Kind == incident.VoicePodLimit && v.cause != incident.OOMAncestor {
			continue // nothing here hangs on it
		}
		out = append(out, voiceEvidence(&f.Voices[i]))
	}
	for i := range f.Sent {
		out = append(out, sentEvidence(&f.Sent[i]))
	}
	if c := f.Child; c != nil {
		e := sentEvidence(&c.Sent)
		e.Means = "SIGKILL was sent to " + named(c.Process.Comm, c.Process.PID) + ", a child of the container's main process"
		out = append(out, e)
	}
	if f.Exit != nil {
		out = append(out, exitEvidence(f, v)...)
	}
	if !f.StopDone.IsZero() {
		out = append(out, incident.Evidence{Source: EngineOf(f.Container), Time: f.StopDone, Text: "event stop",
			Means: "a request to stop the container was carried out"})
	}
	if f.OOMKillDelta > 0 {
		out = append(out, incident.Evidence{Source: "cgroup", Time: f.Time, Text: fmt.Sprintf("oom_kill +%d", f.OOMKillDelta),
			Means: "the container's own counter of OOM kills rose; " + f.recordless("whose limit that was")})
	}
	if s, age := lastSample(f); s != nil {
		text := fmt.Sprintf("memory %s", incident.FormatBytes(s.Current))
		if s.Limit > 0 {
			text += fmt.Sprintf(" of %s", incident.FormatBytes(s.Limit))
		}
		out = append(out, incident.Evidence{Source: "recorder", Time: s.At, Text: text,
			Means: fmt.Sprintf("last reading, %s before", incident.FormatDuration(max(age, 0)))})
	}
	if f.NoLog != "" {
		out = append(out, incident.Evidence{Source: "log", Time: f.Time, Text: f.NoLog, Means: "its last log lines cannot be shown"})
	}
	slices.SortStableFunc(out, func(a, b incident.Evidence) int {
		if before(a.Time, b.Time) {
			return -1
		}
		return 0
	})
	for _, name := range sortedKeys(f.Blind) {
		if name == "trace" && !senderInQuestion(v.cause) {
			continue
		}
		out = append(out, incident.Evidence{Source: name, Text: "not available: " + f.Blind[name], Means: blindMeaning(name)})
	}
	if v.why != "" && v.cause != incident.ExecFailed {
		means := fmt.Sprintf("why this is only %s", v.confidence)
		if v.confidence == incident.Certain {
			means = "what makes this certain"
		}
		out = append(out, incident.Evidence{Source: "judgement", Text: v.why, Means: means})
	}
	return out
}

// appendKill picks the lines of an episode that decide: limit, summary, kill.
func appendKill(out []incident.Evidence, f *Facts, k *KernelKill, main bool) []incident.Evidence {
	e := k.Episode
	at := killTime(k)
	for _, l := range e.Lines {
		if l == k.Kill.Line {
			continue
		}
		switch {
		case strings.Contains(l, "oom-kill:constraint="):
			out = append(out, incident.Evidence{Source: "kmsg", Time: at, Text: redact.Sanitize(l), Means: constraintMeaning(e)})
		case strings.Contains(l, "killed as a result of limit of"):
			out = append(out, incident.Evidence{Source: "kmsg", Time: at, Text: redact.Sanitize(l), Means: "whose limit was reached, and where the victim was"})
		case strings.Contains(l, "memory: usage"):
			out = append(out, incident.Evidence{Source: "kmsg", Time: at, Text: redact.Sanitize(l), Means: "usage and limit at the moment of the kill"})
		}
	}
	if k.FromTrace || k.Marked != "" && (k.By == ByTrace || k.By == ByParent) {
		out = append(out, markEvidence(f, k))
	}
	if k.Kill.Line == "" || k.Kill.PID == 0 && k.Kill.Comm == "" {
		return out
	}
	which := ""
	switch {
	case main:
		which = ", the container's main process"
	case k.By == ByPath:
		which = ", which was in this cgroup"
	}
	out = append(out, incident.Evidence{Source: "kmsg", Time: at, Text: redact.Sanitize(k.Kill.Line), Means: "the kernel killed pid " + strconv.Itoa(k.Kill.PID) + which})
	return out
}

// markEvidence says what the trace event of a kill told.
func markEvidence(f *Facts, k *KernelKill) incident.Evidence {
	x := incident.Evidence{Source: "trace", Time: killTime(k), Text: fmt.Sprintf("mark_victim pid=%d comm=%s", k.Kill.PID, redact.Sanitize(k.Kill.Comm)),
		Means: "the kernel's OOM killer chose this process"}
	if k.Kill.AnonRSS.Printed {
		x.Text += fmt.Sprintf(" anon-rss=%dkB", k.Kill.AnonRSS.Bytes>>10)
	}
	if k.Marked != "" {
		x.Text += " in " + redact.Sanitize(k.Marked)
		x.Means += ", found in this cgroup at that moment"
	}
	if k.FromTrace && f.kernelGap() == "" {
		x.Means += "; the kernel's log has no record of it"
	}
	return x
}

func constraintMeaning(e *kmsg.Episode) string {
	switch e.Constraint {
	case kmsg.ConstraintMemcg:
		return "a memory cgroup's limit was reached: " + redact.Sanitize(e.OOMMemcg)
	case kmsg.ConstraintNone:
		return "the whole host was out of memory"
	case kmsg.ConstraintCpuset:
		return "the memory nodes of the task's cpuset ran out"
	case kmsg.ConstraintMemoryPolicy:
		return "the memory nodes of the task's NUMA policy ran out"
	}
	return "the kernel's summary of the kill"
}

func faultMeaning(x *kmsg.Fault) string {
	switch x.Kind {
	case kmsg.FaultSegfault:
		return "the process made a bad memory access"
	case kmsg.FaultTrap:
		return "the processor stopped the process at a faulty instruction"
	case kmsg.FaultForkRejected:
		return "the pids limit refused a new process"
	case kmsg.FaultUserspaceOOM:
		return "a user-space OOM killer killed it: " + redact.Sanitize(x.Killer)
	}
	return "a line of the kernel's log about it"
}

func exitEvidence(f *Facts, v judgement) []incident.Evidence {
	x := f.Exit
	text := fmt.Sprintf("event die exitCode=%d", x.ExitCode)
	if f.NotSeenLive || x.Raw == "" {
		text = fmt.Sprintf("inspect: ExitCode=%d", x.ExitCode)
	}
	means := "how its main process ended, as the engine reports it"
	if s := incident.ExitSignal(x.ExitCode); s != 0 {
		means = fmt.Sprintf("128+%d: the exit code after %s, whoever sent it", s, incident.SignalName(s))
	}
	out := []incident.Evidence{{Source: EngineOf(f.Container), Time: endTime(f), Text: text, Means: means}}
	if x.Error != "" {
		e := incident.Evidence{Source: EngineOf(f.Container), Time: endTime(f), Text: redact.Sanitize(x.Error), Means: "the engine's own error"}
		if staleError(f) {
			e.Time, e.Means = time.Time{}, "the engine's error on another start: this run did start"
		}
		out = append(out, e)
	}
	if x.Inspected && x.OOMKilled && v.kill == nil {
		out = append(out, incident.Evidence{Source: EngineOf(f.Container), Time: endTime(f), Text: "inspect: OOMKilled=true",
			Means: "a process in it was OOM-killed at some time; that alone does not prove that this ended the container"})
	}
	return out
}

// EngineOf names the engine of a container, as evidence and killers do.
func EngineOf(c *incident.Container) string {
	if c == nil || c.Runtime == "" {
		return "docker"
	}
	return c.Runtime
}

// engineName is what an engine is called in a sentence.
func engineName(c *incident.Container) string {
	switch name := EngineOf(c); name {
	case "docker":
		return "Docker"
	case "podman":
		return "Podman"
	case "kubernetes":
		return "Kubernetes"
	case "cri-o":
		return "CRI-O"
	default:
		return redact.Sanitize(name)
	}
}

func blindMeaning(source string) string {
	switch {
	case source == "kmsg":
		return "kernel kills could not be seen"
	case source == "trace":
		return "the senders of signals could not be seen"
	case source == "cgroup":
		return "memory readings and kill counters could not be seen"
	case engineSource(source):
		return "exit codes, names and requests to stop or kill could not be seen"
	}
	return "its facts are missing"
}

func before(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return false
	}
	return a.Before(b)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
