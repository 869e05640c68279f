package verdict

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// nearEnd is how many of the last log lines count as a program's last words.
const nearEnd = 10

// forkWindow is how long before the end a refused fork explains it by itself. The
// kernel prints only a cgroup's first, so that what the program says of a later one
// is believed as well.
const forkWindow = 10 * time.Second

// reForkRefused is how programs say that no process or thread could be made (EAGAIN).
var reForkRefused = lazyre.New(`(?i)\bfork\b[^"]{0,120}: Resource temporarily unavailable\b|\bCannot fork$|\bfork/exec [^:\s]{1,300}: resource temporarily unavailable\b` +
	`|^RuntimeError: can't start new thread$|\bspawn(?:Sync)? \S{1,300} EAGAIN\b|\bpthread_create\b[^"]{0,120}: Resource temporarily unavailable\b`)

// forkRefused is true where a program's last words are of a refused fork.
func forkRefused(tail []string) bool {
	lines, _ := plainLines(tail)
	return slices.ContainsFunc(lines[max(0, len(lines)-nearEnd):], reForkRefused.MatchString)
}

// judgeLimits finds the ends that a limit other than the kernel's memory limits
// brought about, as the program itself or the kernel said: the runtime's own
// heap, the number of processes, the disk.
func judgeLimits(f *Facts) (judgement, bool) {
	if f.Exit.ExitCode == 0 {
		return judgement{}, false
	}
	tail := f.tail()
	heap := FindRuntimeOOM(tail)
	if heap != nil && (heap.Elsewhere || heap.Caught && !lastBreath(f, heap, tail)) {
		heap = nil
	}
	refused := heap != nil && heap.What == "native_thread" || heap == nil && forkRefused(tail)
	if fork := faultOf(f, kmsg.FaultForkRejected); fork != nil && (refused || endTime(f).Sub(fork.Time) <= forkWindow) {
		return judgement{cause: incident.LimitPids, confidence: incident.Likely}, true
	}
	if refused {
		return judgement{cause: incident.LimitPids, confidence: incident.Possible, runtime: heap,
			why: "a process or thread could not be started: the pids limit, the user's limit of processes, or memory for its stack"}, true
	}
	if heap != nil {
		v := judgement{cause: incident.OOMRuntime, confidence: incident.Likely, runtime: heap}
		if !heap.Fatal && len(tail)-heap.Index > nearEnd {
			v.confidence = incident.Possible
			v.why = "the message is not among its last lines"
		}
		return v, true
	}
	if d := filesystemOf(f.Filesystems, "/"); len(tail) == 0 && incident.ExitSignal(f.Exit.ExitCode) == 0 && d != nil && d.Kind == "layer" && d.Full() {
		return judgement{cause: incident.LimitDisk, confidence: incident.Possible, fs: d,
			why: "its log was not kept, as there was no room for it: whether the full disk ended it is not known"}, true
	}
	if disk := FindDiskFull(tail); disk != nil {
		return judgeDisk(f, disk, len(tail)-disk.Index <= nearEnd), true
	}
	return judgement{}, false
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

// LooseFault is how far from an end a fault may be that names no known container.
const LooseFault = 2 * time.Second

// looseFault is the one fault at the moment of a crash that is of no known container;
// nil where there are several processes it may be.
func looseFault(f *Facts) *kmsg.Fault {
	var found *kmsg.Fault
	for i := range f.LooseFaults {
		x := &f.LooseFaults[i]
		if x.Kind != kmsg.FaultSegfault && x.Kind != kmsg.FaultTrap {
			continue
		}
		if found != nil && found.PID != x.PID {
			return nil
		}
		found = x
	}
	return found
}

// crashFault returns the kernel's record of the fault that crashed the program.
func crashFault(f *Facts) *kmsg.Fault {
	if x := faultOf(f, kmsg.FaultSegfault); x != nil {
		return x
	}
	return faultOf(f, kmsg.FaultTrap)
}

// lastBreath is true where a runtime's error that may have been handled was not: the
// program exited with an error right after it, and the trace of it is its last word.
func lastBreath(f *Facts, r *RuntimeOOM, tail []string) bool {
	if r.Tamed || incident.ExitSignal(f.Exit.ExitCode) != 0 {
		return false
	}
	others := 0
	for _, l := range tail[min(r.Index+1, len(tail)):] {
		if t := strings.TrimLeft(l, " \t"); t == "" || len(t) < len(l) || strings.HasPrefix(t, "at ") || strings.HasPrefix(t, "from ") || strings.HasPrefix(t, "Caused by") {
			continue // a stack trace
		}
		if others++; others > 3 {
			return false
		}
	}
	return true
}
