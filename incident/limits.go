package incident

import (
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

// nearEnd is how many of the last log lines count as a program's last words.
const nearEnd = 10

// forkWindow is how long before the end a refused fork still explains it; the
// kernel prints it once for a cgroup.
const forkWindow = 10 * time.Second

// judgeLimits finds the ends that a limit other than the kernel's memory limits
// brought about, as the program itself or the kernel said: the runtime's own
// heap, the number of processes, the disk.
func judgeLimits(f *Facts) (verdict, bool) {
	if f.Exit.ExitCode == 0 {
		return verdict{}, false
	}
	tail := f.RawTail
	if tail == nil {
		tail = f.LogTail
	}
	heap := FindRuntimeOOM(tail)
	if heap != nil && (heap.Elsewhere || heap.Caught) {
		heap = nil
	}
	if fork := faultOf(f, kmsg.FaultForkRejected); fork != nil && endTime(f).Sub(fork.Time) <= forkWindow {
		return verdict{cause: LimitPids, confidence: Likely}, true
	}
	if heap != nil && heap.What == "native_thread" {
		return verdict{cause: LimitPids, confidence: Possible, runtime: heap,
			why: "a thread could not be started: the pids limit, the user's limit of processes, or memory for its stack"}, true
	}
	if heap != nil {
		v := verdict{cause: OOMRuntime, confidence: Likely, runtime: heap}
		if !heap.Fatal && len(tail)-heap.Index > nearEnd {
			v.confidence = Possible
			v.why = "the message is not among its last lines"
		}
		return v, true
	}
	if d := filesystemOf(f.Filesystems, "/"); len(tail) == 0 && ExitSignal(f.Exit.ExitCode) == 0 && d != nil && d.Kind == "layer" && d.Full() {
		return verdict{cause: LimitDisk, confidence: Possible, fs: d,
			why: "nothing of its log was kept, and there was no room for one: whether that is why it ended it could not say"}, true
	}
	if disk := FindDiskFull(tail); disk != nil {
		return judgeDisk(f, disk, len(tail)-disk.Index <= nearEnd), true
	}
	return verdict{}, false
}

// faultOf returns the newest record of a kind.
func faultOf(f *Facts, kind kmsg.FaultKind) *kmsg.Fault {
	for i := len(f.Faults) - 1; i >= 0; i-- {
		if f.Faults[i].Kind == kind {
			return &f.Faults[i]
		}
	}
	return nil
}

// crashFault returns the kernel's record of the fault that crashed the program.
func crashFault(f *Facts) *kmsg.Fault {
	if x := faultOf(f, kmsg.FaultSegfault); x != nil {
		return x
	}
	return faultOf(f, kmsg.FaultTrap)
}
