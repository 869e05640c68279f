package incident

// Cause is a stable code; what it means and how grave it is stands in Causes.
type Cause string

// The causes.
const (
	OOMContainer     Cause = "oom.container"
	OOMAncestor      Cause = "oom.ancestor"
	OOMHost          Cause = "oom.host"
	OOMNode          Cause = "oom.node"
	OOMRuntime       Cause = "oom.runtime"
	KillUserspaceOOM Cause = "kill.userspace_oom"
	KillStopTimeout  Cause = "kill.stop_timeout"
	KillRequest      Cause = "kill.request"
	KillProcess      Cause = "kill.process"
	KillEvicted      Cause = "kill.evicted"
	KillProbe        Cause = "kill.probe"
	KillUnknown      Cause = "kill.unknown"
	StopRequest      Cause = "stop.request"
	CrashSignal      Cause = "crash.signal"
	LimitPids        Cause = "limit.pids"
	LimitDisk        Cause = "limit.disk"
	ExecFailed       Cause = "exec.failed"
	ExitError        Cause = "exit.error"
	ExitOK           Cause = "exit.ok"
	HostShutdown     Cause = "host.shutdown"
	EngineStop       Cause = "engine.stop"
	UnknownCause     Cause = "unknown"
)

// CauseInfo is one row of the table of causes.
type CauseInfo struct {
	Code     Cause
	Title    string   // a few words for a headline
	Text     string   // one sentence for a person who has never seen the code
	Severity Severity // what an incident of this cause is, unless the kind says otherwise
}

// Causes is the table of all causes, in the order in which they are documented.
var Causes = []CauseInfo{
	{OOMContainer, "out of memory: own limit", "the container reached its own memory limit and the kernel killed a process in it", Critical},
	{OOMAncestor, "out of memory: parent's limit", "a limit above the container (pod, slice, compose parent) was reached", Critical},
	{OOMHost, "out of memory: host", "the host ran out of memory and the kernel chose this process", Critical},
	{OOMNode, "out of memory: NUMA node or cpuset", "the memory nodes this task may use ran out, while others may have had room", Critical},
	{OOMRuntime, "out of memory: runtime's own limit", "the program's own heap limit was reached; the kernel killed nothing", Critical},
	{KillUserspaceOOM, "killed by a user-space OOM killer", "systemd-oomd, earlyoom, nohang or oomd killed it to relieve memory pressure", Critical},
	{KillStopTimeout, "did not stop in time", "it was asked to stop, did not stop within the grace period, and the engine sent SIGKILL", Warning},
	{KillRequest, "killed on request", "somebody asked the engine to kill it", Info},
	{KillProcess, "killed by a process", "another process sent the fatal signal", Critical},
	{KillEvicted, "evicted by the kubelet", "the kubelet evicted its pod because the node ran short of memory, disk or pids", Critical},
	{KillProbe, "killed after a failed probe", "the kubelet killed it because its liveness or startup probe failed", Critical},
	{KillUnknown, "killed, sender not seen", "it ended as SIGKILL ends a process, and no source saw who sent it", Critical},
	{StopRequest, "stopped on request", "somebody asked the engine to stop it, and it stopped", Info},
	{CrashSignal, "crashed", "the program crashed with a fatal signal", Critical},
	{LimitPids, "pids limit reached", "it could not start another process or thread: its pids limit was reached", Critical},
	{LimitDisk, "disk full", "it wrote to a full disk or volume", Critical},
	{ExecFailed, "did not start", "the container's command could not be started", Critical},
	{ExitError, "exited with an error", "the program ended by itself with a non-zero status", Critical},
	{ExitOK, "exited", "the program ended by itself with status 0", Info},
	{HostShutdown, "host went down", "the host was shut down or rebooted", Warning},
	{EngineStop, "engine stopped", "the container engine was stopped and took its containers with it", Warning},
	{UnknownCause, "cause unknown", "none of the sources can say why", Critical},
}

// Info returns c's row of Causes; the row of UnknownCause for a code that is
// not in the table.
func (c Cause) Info() CauseInfo {
	for _, i := range Causes {
		if i.Code == c {
			return i
		}
	}
	return Causes[len(Causes)-1]
}
