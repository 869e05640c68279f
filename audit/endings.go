package audit

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// endRules are about how a container starts processes, stops, and ends.
var endRules = []rule{
	{id: "pids.no_limit", cis: "5.29", severity: incident.Info, title: "no limit on processes",
		leadsTo: "A fork bomb, or zombies, can use up the host's pids; then no process can start.",
		of: given(noPidsLimit, "no pids limit", change{compose: "pids_limit: 512", run: "--pids-limit 512", swarm: "--limit-pids 512", live: "--pids-limit 512",
			then: "First see how many it needs: oomwatch top shows them under PIDS.", thenPod: "Set podPidsLimit in the kubelet's configuration: it holds for every pod of the node."})},
	{id: "init.shell_form", severity: incident.Warning, title: "a shell as PID 1", of: shellForm,
		leadsTo: "The shell does not pass the stop signal on: every stop takes the whole grace period and ends with SIGKILL."},
	{id: "init.stop_signal_ignored", severity: incident.Warning, title: "PID 1 does not handle its stop signal", of: stopSignalIgnored,
		leadsTo: "The kernel drops an unhandled signal to PID 1: every stop takes the whole grace period and ends with SIGKILL."},
	{id: "init.zombies", severity: incident.Warning, title: "PID 1 does not wait for its children", of: zombies,
		leadsTo: "Each zombie keeps a pid; when none is left, no process can start."},
	{id: "stop.grace_too_short", severity: incident.Warning, title: "a grace period that is too short", of: graceTooShort,
		leadsTo: "Each stop ends with SIGKILL: data that it has not written is lost."},
	{id: "cpu.quota_tiny", severity: incident.Warning, title: "a CPU quota too small to stop in time", of: quotaTiny,
		leadsTo: "A slow stop ends with SIGKILL; health checks and probes time out."},
	{id: "nofile.unbounded", cis: "5.19", severity: incident.Info, title: "an unlimited number of open files", of: nofileUnbounded,
		leadsTo: "Programs that allocate a table for all possible descriptors when they start (MySQL, older Java, rpm, cups) take gigabytes for it."},
}

// noPidsLimit asks a pod's control group alone: the kubelet sets its limit, and neither
// the manifest nor the runtime knows it.
func noPidsLimit(c *Container) bool {
	if c.byEngine() {
		return c.PidsLimit <= 0
	}
	return c.Seen != nil && c.Seen.PidsLimit < 0
}

var shells = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}

func isShell(program string) bool { return slices.Contains(shells, path.Base(program)) }

// shellForm is a PID 1 that is a shell and stays one. Where /proc can be seen, that says
// whether it still is, whether it handles the signal, and whether it has a child.
func shellForm(c *Container, _ *Host) *found {
	if c.Init || c.PIDHost || !c.stopsBySignal() || len(c.Command) < 3 || !isShell(c.Command[0]) || c.Command[1] != "-c" {
		return nil
	}
	line := c.Command[2]
	f := &found{evidence: fmt.Sprintf("PID 1 is %s -c", redact.Sanitize(c.Command[0])),
		fix: c.apply(change{compose: `command: ["PROGRAM", "ARGUMENT"]`, run: "IMAGE PROGRAM ARGUMENT", pod: `command: ["PROGRAM", "ARGUMENT"]`,
			then: "Or begin the last command of the line with exec, or give it an init (--init, init: true)."})}
	if p := c.Seen; p != nil {
		if !isShell(p.Comm) || p.handles(c.stopSignal()) || p.Children == 0 {
			return nil
		}
		f.evidence += fmt.Sprintf(", it has %s, and it does not handle %s", counted(p.Children, "child", "children"), redact.Sanitize(c.stopSignalName()))
		return f
	}
	// Without /proc: a shell becomes its last command where there is one alone, and exec
	// and trap are a sign that somebody thought of it.
	if strings.Contains(line, "exec ") || strings.Contains(line, "trap ") || !strings.ContainsAny(line, ";&|\n") {
		return nil
	}
	f.evidence += " with more than one command, and no exec"
	return f
}

func stopSignalIgnored(c *Container, h *Host) *found {
	p := c.Seen
	if p == nil || c.Init || c.PIDHost || !c.stopsBySignal() || p.handles(c.stopSignal()) || shellForm(c, h) != nil {
		return nil
	}
	return &found{evidence: fmt.Sprintf("PID 1 is %s and does not handle %s (SigCgt in /proc/%d/status)", redact.Sanitize(p.Comm), redact.Sanitize(c.stopSignalName()), p.PID),
		change: change{compose: "init: true", run: "--init", pod: "shareProcessNamespace: true, or an init such as tini as the entrypoint",
			then: "Better: handle " + redact.Sanitize(c.stopSignalName()) + " in the program."}}
}

// stopSignal is the number of the signal that asks it to stop.
func (c *Container) stopSignal() int {
	if n := incident.SignalNumber(c.stopSignalName()); n > 0 {
		return n
	}
	return 15
}

func (c *Container) stopSignalName() string {
	if c.StopSignal == "" {
		return "SIGTERM"
	}
	return c.StopSignal
}

// stopsBySignal is false for one that is killed at every stop as it is defined.
func (c *Container) stopsBySignal() bool { return c.stopSignal() != 9 }

func (p *Process) handles(signal int) bool {
	return signal > 0 && signal <= 64 && p.Handled&(1<<(signal-1)) != 0
}

// someZombies is how many may be on their way to being waited for.
const someZombies = 5

func zombies(c *Container, _ *Host) *found {
	p := c.Seen
	if p == nil || c.PIDHost || p.Zombies < someZombies {
		return nil
	}
	return &found{evidence: fmt.Sprintf("PID 1 (%s) has %d zombies: children that ended and that it does not wait for", redact.Sanitize(p.Comm), p.Zombies),
		change: change{compose: "init: true", run: "--init", pod: "shareProcessNamespace: true, or an init such as tini as the entrypoint",
			then: "An init waits for orphans; for its own children the program must."}}
}

func graceTooShort(c *Container, _ *Host) *found {
	if c.Kept == nil || c.Kept.StopTimeouts < 2 {
		return nil
	}
	grace := 10.0
	if c.StopGraceSecond != nil {
		grace = *c.StopGraceSecond
	}
	if p := c.Seen; p != nil && !p.handles(c.stopSignal()) {
		return nil // no grace period would be long enough
	}
	next := 3 * max(grace, 5)
	return &found{evidence: fmt.Sprintf("it did not stop within %s %d times in the last %s", units.Seconds(grace), c.Kept.StopTimeouts, units.Duration(c.Kept.Span)),
		change: change{compose: fmt.Sprintf("stop_grace_period: %.0fs", next), run: fmt.Sprintf("--stop-timeout %.0f", next),
			pod: fmt.Sprintf("terminationGracePeriodSeconds: %.0f", next), swarm: fmt.Sprintf("--stop-grace-period %.0fs", next), then: "Its log may show what takes so long."}}
}

// tinyQuota is the quota, in CPUs, below which a program may not get to handle a signal.
const tinyQuota = 0.05

func quotaTiny(c *Container, _ *Host) *found {
	if c.CPUQuota <= 0 || c.CPUQuota >= tinyQuota {
		return nil
	}
	f := &found{evidence: fmt.Sprintf("a quota of %.3g CPU", c.CPUQuota),
		change: change{compose: "cpus: 0.25", run: "--cpus 0.25", swarm: "--limit-cpu 0.25", live: "--cpus 0.25", pod: "resources.limits.cpu: 250m"}}
	if c.ThrottledShare > 0 {
		f.evidence += fmt.Sprintf("; it was used up in %.0f %% of its periods", 100*c.ThrottledShare)
	}
	return f
}

// unbounded is an open-files limit that no program means: the kernel's own most.
const unbounded = 1 << 30

func nofileUnbounded(c *Container, _ *Host) *found {
	limit, of := c.OpenFiles, "its definition"
	if p := c.Seen; p != nil && p.OpenFilesLimit >= 0 {
		limit, of = p.OpenFilesLimit, fmt.Sprintf("/proc/%d/limits", p.PID)
	}
	if limit < unbounded-16 {
		return nil
	}
	return &found{evidence: fmt.Sprintf("a soft limit of %d open files (%s)", limit, of),
		change: change{compose: "ulimits: {nofile: {soft: 65536, hard: 524288}}", run: "--ulimit nofile=65536:524288", swarm: "--ulimit-add nofile=65536:524288",
			thenPod: "Set LimitNOFILE=1048576 in the unit of the container runtime (containerd.service, crio.service) and restart it."}}
}

// counted is a number of things with an irregular plural.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
