package verdict

import (
	"fmt"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"path"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/cgroup"
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
			return adviceUnhealthy(inc, h, at)
		}
	}
	switch v.cause {
	case incident.OOMContainer:
		switch {
		case v.flagged && f.Offline:
			return saveLog(inc) + " Until then: " + adviceOwnLimit(inc, f)
		case v.flagged && f.kernelUnread():
			return "The kernel log, which would prove it, was not read: oomwatch doctor says how to. Until then: " + adviceOwnLimit(inc, f)
		case v.flagged:
			return "The kernel log that would prove it is gone: run oomwatch as a daemon, or ask sooner next time. Until then: " + adviceOwnLimit(inc, f)
		}
		return adviceOwnLimit(inc, f)
	case incident.OOMAncestor:
		return adviceAncestor(inc, who, unlimited(f))
	case incident.OOMHost:
		return adviceHost(inc, f, v)
	case incident.OOMNode:
		return "Look at the cpuset or NUMA policy of the task (numactl -s, cpuset.mems): other nodes may have free memory that it may not use."
	case incident.KillStopTimeout:
		return adviceStop(inc, f, v)
	case incident.KillUnknown:
		switch {
		case f.Shift != 0:
			return "Ask again in the time zone of the host that wrote the log: put TZ=UTC, or its TZ=Area/City, before oomwatch. The engine's times are in UTC; oomwatch reads a date without a zone as this machine's."
		case f.Undated > 0:
			return "Save the kernel's log with its times (dmesg -T or journalctl -k) and ask again: only with times can its OOM kill be matched to this end."
		}
		if gap := f.kernelGap(); gap != "" && f.Offline {
			return saveLog(inc)
		}
		return "Run oomwatch where it can see who sends signals (oomwatch doctor says what is missing), and look for agents on the host that kill by memory or by age."
	case incident.KillProcess:
		if f.Child != nil {
			return adviceChild(f)
		}
		if v.sender.Self {
			return fmt.Sprintf("The program sent %s to itself (kill, raise): its own log, or its code, says why. No limit of the container was involved.", incident.SignalName(v.signal))
		}
		return fmt.Sprintf("Find out why %s sent %s: no limit of this container was involved.", senderName(v.sender), incident.SignalName(v.signal))
	case incident.KillUserspaceOOM:
		return fmt.Sprintf("See in the log of %s what it measured. Give every container a memory limit, so that only the one that grows is killed.", killerName(&v))
	case incident.KillEvicted:
		if reEvictedOwn.MatchString(v.voice.Text) {
			return "Raise the limit that the message names (resources.limits.ephemeral-storage, an emptyDir's sizeLimit), or have the program write less to its own file system, its log and its emptyDirs: the node was not short of disk."
		}
		if reEvictedDisk.MatchString(v.voice.Text) {
			return "The node ran short of disk, not of memory: look at what fills it (kubectl describe node; df -h and df -i there), and bound what pods write: resources.limits.ephemeral-storage, emptyDir sizeLimit, log rotation."
		}
		if reEvictedPIDs.MatchString(v.voice.Text) {
			return "The node ran short of process ids, not of memory: find what keeps starting processes, and bound pods (podPidsLimit of the kubelet)."
		}
		return "Give the pod a memory request near what it uses (resources.requests.memory), so that the kubelet evicts others first, and look at what else ran on the node: kubectl describe node."
	case incident.KillProbe:
		if why := f.starvedAtProbe(); why != "" {
			return fmt.Sprintf("Give it more CPU (resources.limits.cpu), or the probe more time (timeoutSeconds, failureThreshold): %s.", why)
		}
		return "Compare the probe's timeoutSeconds and failureThreshold with how long the program takes when it is busy, and its log before the kill: kubectl logs --previous."
	case incident.CrashSignal:
		return adviceCrash(inc, f, v)
	case incident.OOMRuntime:
		var limit *int64
		if inc.Container != nil {
			limit = inc.Container.MemoryLimit
		}
		return v.runtime.Advice(limit, isPod(inc))
	case incident.LimitPids:
		return "Find what keeps starting processes or threads (ps -eLf in the container); if it needs them all, " + wordsOf(inc).pids + ", and the user's RLIMIT_NPROC where that is lower."
	case incident.LimitDisk:
		return adviceDisk(inc, v)
	case incident.ExecFailed:
		return adviceExec(inc, v)
	case incident.ExitError:
		return adviceExit(inc, f)
	case incident.UnknownCause:
		if len(f.Blind) > 0 {
			return "Run oomwatch doctor: it names what could not be seen and the step that fixes it."
		}
		if f.Gone && len(f.LogTail) == 0 {
			return "The container was removed, and its log with it: look at what else happened on the host at that time (journalctl --since)."
		}
		if f.Offline && v.signal != 0 && !f.covers(anEngine, endTime(f)) {
			return "Ask again with what the engine recorded: " + wordsOf(inc).asked + "."
		}
		return "Look at the last log lines and at what else happened on the host at that time (journalctl --since)."
	case incident.EngineStop:
		return "Turn on live-restore in the engine's configuration if containers should keep running while it restarts."
	case incident.HostShutdown:
		if c := inc.Container; c != nil && c.RestartPolicy != "" && c.RestartPolicy != "no" {
			return "Nothing to do if the host was meant to restart: the container's restart policy is " + redact.Sanitize(c.RestartPolicy) + ". If not, find out why the host went down (last -x, journalctl --list-boots)."
		}
		return "Give the container a restart policy (unless-stopped) if it should come back with the host."
	}
	return ""
}

// adviceChild is for a child that somebody sent SIGKILL.
func adviceChild(f *Facts) string {
	if c := f.Child; c.ByMain {
		return fmt.Sprintf("Read the container's log at that time for why %s did so: a worker that is slower than its master allows is the usual reason (gunicorn: WORKER TIMEOUT, --timeout; php-fpm: request_terminate_timeout). A higher memory limit changes nothing about it.",
			processName(c.Sent.Sender.Comm, c.Sent.Sender.PID))
	}
	return fmt.Sprintf("Find out why %s sent SIGKILL to it: no limit of this container was involved.", senderName(&f.Child.Sent))
}

// What the kubelet says was short on the node, where it was not memory.
var (
	reEvictedOwn  = lazyre.New(`(?i)exceeds the total limit of containers|exceeded its local ephemeral storage limit|EmptyDir volume .{0,300}exceeds the limit`)
	reEvictedDisk = lazyre.New(`(?i)ephemeral-storage|nodefs|imagefs|inodes|disk`)
	reEvictedPIDs = lazyre.New(`(?i)low on resource: pids|pid\.available|PIDPressure`)
)

// shells do not pass a signal on to the program they wait for.
var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "ash": true, "busybox": true, "zsh": true, "ksh": true}

// adviceStop says why a request to stop was not followed, where that is known.
func adviceStop(inc *incident.Incident, f *Facts, v judgement) string {
	w, name := wordsOf(inc), incident.SignalName(v.signal)
	switch why := f.starvedAtStop(v.grace); {
	case why != "":
		return fmt.Sprintf("Give it more CPU: %s, so that it could not handle %s in time; or allow longer (%s).", why, name, w.grace)
	case f.Init != nil && shells[f.Init.Comm] && !f.Init.Handles(v.signal):
		return fmt.Sprintf("Its main process is the shell %s, which drops %s and does not pass it on: start the program with exec in the script or the JSON form of CMD, or %s.", f.Init.Comm, name, w.init)
	case f.Init != nil && !f.Init.Handles(v.signal):
		return fmt.Sprintf("Its main process, %s, has no handler for %s, and the kernel drops unhandled signals to a container's main process: handle it, set STOPSIGNAL to one it handles, or %s.",
			redact.Sanitize(f.Init.Comm), name, w.init)
	case f.Init != nil:
		return fmt.Sprintf("Its main process, %s, handles %s and was not done after %s: look at what it does then, or allow longer (%s).",
			redact.Sanitize(f.Init.Comm), name, incident.FormatDuration(v.grace), w.grace)
	}
	return fmt.Sprintf("Make its main process handle %s (exec the program instead of running it under a shell, or %s), or allow longer than %s: %s.",
		name, w.init, incident.FormatDuration(v.grace), w.grace)
}

// adviceOwnLimit is for a container at its own limit. It never says "raise it"
// for what a higher limit does not cure: shared memory, tmpfs, or a leak.
func adviceOwnLimit(inc *incident.Incident, f *Facts) string {
	limit := ownLimitBytes(inc)
	if m := inc.Memory; m != nil {
		if s := FilledAdvice(orZero(m.Shmem), orZero(m.Kernel), limit, isPod(inc)); s != "" {
			if mixed(inc.Memory, limit) {
				s += " Its processes held another " + incident.FormatBytes(*m.Anon) + " of anonymous memory."
			}
			return s
		}
		if cacheFilled(inc, limit) {
			return incident.FormatBytes(*m.File) + " of the " + incident.FormatBytes(limit) + " is page cache that was not written to disk yet: files were written faster than the disk takes them. Write in smaller pieces with fsync, use O_DIRECT, or lower vm.dirty_bytes on the host; a higher limit only delays it."
		}
	}
	shared := ""
	if mixed(inc.Memory, limit) {
		shared = sharedAdvice(*inc.Memory.Shmem, limit, isPod(inc)) + ". "
	}
	if h := inc.History; h != nil && (h.Trend == incident.ClassLeak || h.Growth) && h.Slope != nil && *h.Slope > 0 {
		return shared + LeakAdvice(*h.Slope, limit)
	}
	if limit <= 0 {
		if byEngine(inc) && !f.gone() {
			return "Compare what it needs with its limit: docker inspect -f '{{.HostConfig.Memory}}' " + redact.Sanitize(inc.Container.Name) + " and docker stats."
		}
		return "Compare what it needs with the limit in its definition."
	}
	if inc.OOM != nil && inc.OOM.Group {
		return "memory.oom.group is set, so the kernel killed all " + strconv.Itoa(inc.OOM.Kills) + " of its processes. " + shared + suggestLimit(inc, f, limit)
	}
	return shared + suggestLimit(inc, f, limit)
}

// mixed is true where shared memory and anonymous memory each took a quarter of a
// limit or more: to name one of them alone would mislead.
func mixed(m *incident.Memory, limit int64) bool {
	return m != nil && limit > 0 && min(orZero(m.Anon), orZero(m.Shmem))*4 >= limit
}

// cacheFilled is true where page cache filled more than half of a limit, and memory
// that no cache is did not.
func cacheFilled(inc *incident.Incident, limit int64) bool {
	m := inc.Memory
	return m != nil && limit > 0 && m.File != nil && (*m.File-orZero(m.Shmem))*2 > limit && m.Anon != nil && *m.Anon*2 < limit
}

// gone is true where no command can reach the container any more.
func (f *Facts) gone() bool {
	over := f.Exit != nil || f.Container != nil && f.Container.Running != nil && !*f.Container.Running
	return f.Gone || f.AutoRemove && over
}

// saveLog is for saved files that lack the kernel's log of the moment.
func saveLog(inc *incident.Incident) string {
	return "Save the kernel's log of that time and ask again with --log FILE: journalctl -k -o short-iso --since, or dmesg -T; " + wordsOf(inc).asked + "."
}

// FilledAdvice is what to do where what no process holds filled more than half of
// a limit: shared memory or kernel memory; "" where it did not.
func FilledAdvice(shmem, kernel, limit int64, pod bool) string {
	switch {
	case limit <= 0:
		return ""
	case shmem*2 > limit:
		return sharedAdvice(shmem, limit, pod) + "; a higher limit only delays it."
	case kernel*2 > limit:
		return incident.FormatBytes(kernel) + " of the " + incident.FormatBytes(limit) +
			" is kernel memory, which no process holds: full pipes and socket buffers, threads, page tables, cached directory entries. Look for descriptors or threads whose number keeps growing (ls /proc/PID/fd, ls /proc/PID/task, slabtop) before raising the limit."
	}
	return ""
}

// sharedAdvice is what to do about shared memory under a limit, without a full stop.
func sharedAdvice(shmem, limit int64, pod bool) string {
	bound := engineWords.shm
	if pod {
		bound = podWords.shm
	}
	return incident.FormatBytes(shmem) + " of the " + incident.FormatBytes(limit) +
		" is shared memory or tmpfs, which counts against the limit until it is deleted: bound it (" + bound + ") or clean it up"
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// suggestLimit proposes limit × 1.5, rounded up to a power-of-two step, as an
// experiment; never more than twice the limit.
func suggestLimit(inc *incident.Incident, f *Facts, limit int64) string {
	next, _ := SuggestLimit(limit)
	held := ""
	if inc.Victim != nil && inc.Victim.AnonRSS != nil && *inc.Victim.AnonRSS > 0 {
		held = processName(inc.Victim.Comm, inc.Victim.PID) + " alone held " + incident.FormatBytes(*inc.Victim.AnonRSS) + " of anonymous memory. "
	}
	if total := hostTotal(inc); total > 0 && next > total {
		return held + "Do not raise the limit: " + incident.FormatBytes(next) + " would be more than the host's " + incident.FormatBytes(total) + ". Find out what it holds, or move it to a larger host."
	}
	return held + LimitAdvice(limit, howToLimit(inc, next, f.gone())) + " oomwatch triage shows whether it leaks."
}

// hostTotal is the host's memory in bytes; 0 where it is not known.
func hostTotal(inc *incident.Incident) int64 {
	if inc.OOM != nil && inc.OOM.HostTotal != nil {
		return *inc.OOM.HostTotal
	}
	return 0
}

// LimitAdvice is what to do about a limit that was reached by what has not been
// seen to leak. how is the way to set it, "" where that is not known.
func LimitAdvice(limit int64, how string) string {
	next, formula := SuggestLimit(limit)
	if how != "" {
		how = ": " + how
	}
	return "If that is what it needs, try a limit of " + incident.FormatBytes(next) + " (" + formula + ")" + how + "."
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
	if inc.OOM != nil && inc.OOM.Limit != nil && *inc.OOM.Limit < units.NoLimit {
		return *inc.OOM.Limit
	}
	if inc.Container != nil && inc.Container.MemoryLimit != nil {
		return *inc.Container.MemoryLimit
	}
	return 0
}

// The limits that Kubernetes sets above containers.
const (
	limitOfPod  = 1 + iota // of one pod
	limitOfPods            // of all of a node, or of a class of them
)

// podsLimit says which of them a cgroup has; 0 for none.
func podsLimit(memcg string) int {
	id := cgroup.ParsePath(memcg)
	base := path.Base(memcg)
	switch {
	case id.ContainerID != "" || memcg == "":
		return 0
	case id.PodUID != "":
		return limitOfPod
	case base == "kubepods" || base == "kubepods.slice", strings.HasPrefix(base, "kubepods-") && strings.HasSuffix(base, ".slice"),
		path.Base(path.Dir(memcg)) == "kubepods" && (base == "burstable" || base == "besteffort"):
		return limitOfPods
	}
	return 0
}

// adviceAncestor is for a limit above. unlimited is true for a container that is known to
// have none of its own.
func adviceAncestor(inc *incident.Incident, who string, unlimited bool) string {
	limit := "its limit"
	if inc.OOM != nil && inc.OOM.Limit != nil {
		limit = "its " + incident.FormatBytes(*inc.OOM.Limit)
	}
	group := "the group above"
	if inc.OOM != nil && inc.OOM.OOMMemcg != "" {
		group = redact.Sanitize(inc.OOM.OOMMemcg)
	}
	held := ""
	if inc.OOM != nil {
		for i := range inc.OOM.Members {
			// Of a pod not its sandbox, and not the victim, whose memory is freed by now.
			if m := &inc.OOM.Members[i]; m.Container != "" && m.Usage != nil && i < 3 && (!isPod(inc) || isNamed(m) && m.Container != inc.Container.Name) {
				held += "; " + redact.Sanitize(m.Container) + " held " + incident.FormatBytes(*m.Usage)
			}
		}
	}
	if inc.OOM != nil {
		switch podsLimit(inc.OOM.OOMMemcg) {
		case limitOfPod:
			if c := inc.Container; c != nil && inc.OOM.Limit != nil && c.RestartCount != nil && (c.MemoryLimit == nil || sameLimit(*c.MemoryLimit, *inc.OOM.Limit)) {
				return "The limit is the pod's own, " + strings.TrimPrefix(limit, "its ") + ", which its containers share" + held + ". Raise resources.limits.memory of the pod itself (spec.resources) in its template (Deployment, StatefulSet or Job), and apply it, or give the container that needs most a limit of its own below it."
			}
			return "The limit is its pod's, " + strings.TrimPrefix(limit, "its ") + held + ". The kubelet sets it to the sum of its containers' limits, or to the pod's own resources: raise resources.limits.memory of the container that needs more, in the pod's template (Deployment, StatefulSet or Job), and apply it."
		case limitOfPods:
			return "The limit is that of the node's pods together, " + strings.TrimPrefix(limit, "its ") + " at " + group + held + ". Give pods requests as large as what they use, so that fewer are placed on this node, and limits; or let the kubelet keep less back (systemReserved, kubeReserved)."
		}
	}
	s := "The limit is the parent's: " + group + " shares " + limit + " among all below it" + held
	s += ". Give that group more, or each member a limit so that their sum stays under it"
	switch c := inc.Container; {
	case unlimited:
		return s + "; " + who + " has none of its own."
	case c != nil && c.MemoryLimit == nil:
		return s + "." // whether it has a limit of its own is not known
	}
	return s + "; raising " + who + "'s own limit will not help."
}

func adviceHost(inc *incident.Incident, f *Facts, v judgement) string {
	if v.kill != nil && v.kill.Episode.SysRq {
		return "Somebody triggered the OOM killer by hand (SysRq f or /proc/sysrq-trigger): look at who was logged in."
	}
	if v.kill != nil && v.kill.Episode.Constraint != kmsg.ConstraintNone {
		return "Look at the lines before it in the kernel log (journalctl -k, dmesg -T): they say whose limit was reached and who held the most, and were not in what was read."
	}
	if unexplained(inc) {
		held := "The victim held little"
		if len(inc.Processes) > 0 {
			held = "No process in the table held much"
		}
		return held + ": look for memory that no process holds: in tmpfs and /dev/shm (df -t tmpfs), in slab (slabtop), in huge pages (/proc/meminfo) or in a graphics card's driver."
	}
	c, total := inc.Container, hostTotal(inc)
	beyond := c != nil && c.MemoryLimit != nil && total > 0 && *c.MemoryLimit > total
	// Whom the kernel kills need not be who grew: a bystander's limit is not at fault.
	grew := c != nil && c.MemoryLimit != nil && (inc.Hog == nil || inc.Hog.Container == "" || inc.Hog.Container == containerName(c))
	if beyond || grew {
		than := "the host could give"
		if beyond {
			than = "the host's whole " + incident.FormatBytes(total)
		}
		return fmt.Sprintf("The limit of %s, %s, is more than %s: lower it below what the host has left for it, or give it a larger host. The limits of all containers together should fit into the host's memory.",
			subject(inc), incident.FormatBytes(*c.MemoryLimit), than)
	}
	if h := inc.Hog; h != nil && h.RSS != nil && h.Container != "" {
		return fmt.Sprintf("Give %s a memory limit, or look at what it needs %s for: the host's memory is shared, and the kernel may kill another than the one that grew. Any container without a limit can cause this.", redact.Sanitize(h.Container), incident.FormatBytes(*h.RSS))
	}
	if h := inc.Hog; h != nil && h.RSS != nil {
		return "Look at " + named(h.Comm, h.PID) + " first: it held " + incident.FormatBytes(*h.RSS) + ", the most on the host. Give every container a memory limit so that one cannot take the host's."
	}
	return "Give every container a memory limit so that one cannot take the host's memory."
}

// unexplained is true for a host that ran out though no process held much: the victim
// and the largest of the table less than a hundredth of the host.
func unexplained(inc *incident.Incident) bool {
	if inc.OOM == nil || inc.OOM.Constraint != string(kmsg.ConstraintNone) || inc.Victim == nil || inc.Victim.AnonRSS == nil {
		return false
	}
	const little = 16 << 20
	held := orZero(inc.Victim.AnonRSS) + orZero(inc.Victim.FileRSS) + orZero(inc.Victim.ShmemRSS)
	if inc.Hog != nil {
		held = max(held, orZero(inc.Hog.RSS))
	}
	return held < little || inc.OOM.HostTotal != nil && held < *inc.OOM.HostTotal/100
}

// adviceExit is for a program that ended itself with an error.
func adviceExit(inc *incident.Incident, f *Facts) string {
	if f.Exit == nil {
		return ""
	}
	s := fmt.Sprintf("The program exited with code %d", f.Exit.ExitCode)
	switch {
	case len(f.LogTail) > 0:
		return s + ": its last log lines say why."
	case f.gone():
		return s + ", and its log went with it: " + wordsOf(inc).again + "."
	case inc.Container != nil && inc.Container.Pod != nil:
		return s + ": read its log with kubectl logs --previous."
	case byEngine(inc):
		return s + ": read its log with docker logs --tail 50 " + redact.Sanitize(inc.Container.Name) + "."
	}
	return s + ": its log says why."
}
