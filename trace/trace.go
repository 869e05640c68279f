// Package trace reads from the kernel who sent a fatal signal to whom, and
// which processes its OOM killer marked as victims. It uses two trace events,
// signal:signal_generate and oom:mark_victim, in a tracefs instance of its own:
// no eBPF, no other user of tracing disturbed, nothing left when it is closed.
//
// Names of processes are chosen by whoever runs them. The events are therefore
// read in the kernel's binary form, each field from the place that the running
// kernel's own description gives, and never from text, where a name such as
// "x) sig=9 pid=1" could pass for fields.
package trace

import "time"

// Event is what Instance.Next tells: exactly one field is set.
type Event struct {
	Signal *Signal `json:"signal,omitempty"`
	Victim *Victim `json:"victim,omitempty"`
	Loss   *Loss   `json:"loss,omitempty"`
}

// Result says what became of a signal.
type Result int

// The kernel's TRACE_SIGNAL_* values.
const (
	// Delivered: queued for the target, which may still handle it.
	Delivered Result = iota
	// Ignored by the target: set so, or it is the first process of a PID
	// namespace without a handler (a SIGTERM that a container will not obey),
	// or it is dying already.
	Ignored
	// AlreadyPending: one like it was waiting for the target already.
	AlreadyPending
	// OverflowFail and LoseInfo: the queue of the target's user was full.
	OverflowFail
	LoseInfo
)

// Values of Signal.Code (si_code).
const (
	CodeUser   = 0    // kill(2); also the kernel for cgroup.kill and a parent-death signal
	CodeKernel = 0x80 // SI_KERNEL: the kernel of its own accord, as the OOM killer does
	CodeQueue  = -1   // sigqueue(3)
	CodeTimer  = -2   // a timer
	CodeTkill  = -6   // tkill(2), tgkill(2), raise(3), abort(3)
)

// Signal is one signal as the kernel generated it.
type Signal struct {
	// Time is the wall clock time, Uptime the kernel's stamp: CLOCK_MONOTONIC.
	Time   time.Time     `json:"time"`
	Uptime time.Duration `json:"uptime"`
	// Sig is the signal's number on this machine, Errno and Code are si_errno
	// and si_code.
	Sig   int `json:"sig"`
	Errno int `json:"errno,omitempty"`
	Code  int `json:"code"`
	// Result says what became of it.
	Result Result `json:"result"`
	// Group is true when it was sent to a process, false when to one thread.
	Group bool `json:"group"`
	// Current is the task that was running on the processor: the sender, if
	// Sender says so, and else one that only happened to be there, or whose
	// memory allocation called the OOM killer.
	Current Process `json:"current"`
	// Interrupt is true when the signal arose in an interrupt: a timer, a key.
	Interrupt bool `json:"interrupt,omitempty"`
	// Target is whom the signal was sent to.
	Target Process `json:"target"`
	// Repeats counts the same signal from the same sender to the same target
	// that followed without another event between: told once, here.
	Repeats int `json:"repeats,omitempty"`
}

// FromKernel reports whether the kernel itself decided to send the signal: the
// OOM killer, the end of a PID namespace whose first process ended, a fault of
// the program, a resource limit, a terminal that hung up, a timer.
//
// A process can claim any si_code, but one above zero only to itself.
func (s *Signal) FromKernel() bool { return s.Code > 0 || s.Interrupt || s.Current.TID == 0 }

// Sender is the process that sent the signal, nil when none did (FromKernel).
// For a parent-death signal it is the parent that ended, for cgroup.kill it is
// who wrote to that file.
func (s *Signal) Sender() *Process {
	if s.FromKernel() {
		return nil
	}
	return &s.Current
}

// Victim is one process that the OOM killer marked to die. The kernel marks,
// besides those that it kills, one that is already dying and only needs to be
// let; it does not mark the other processes that share a victim's memory.
type Victim struct {
	// Time is the wall clock time, Uptime the kernel's stamp: CLOCK_MONOTONIC.
	Time   time.Time     `json:"time"`
	Uptime time.Duration `json:"uptime"`
	// Victim is who was marked. Where the kernel gives no name (before 6.9
	// and what was backported from it) it was read from /proc.
	Victim Process `json:"victim"`
	// Current is the task whose allocation called the OOM killer: the trigger.
	Current Process `json:"current"`
	// Killed is true when the kernel's own SIGKILL to the victim was traced
	// just before, as for every real kill; false for one that was dying
	// already and was only marked, and where SIGKILL is not traced.
	Killed bool `json:"killed,omitempty"`
	// ParentCgroup is the memory cgroup of the victim's parent, looked up where
	// the victim had left its own already (Victim.Cgroup is ""): a child is
	// born into its parent's. Nothing is said of a container's first process
	// by it, whose parent is outside.
	ParentCgroup string `json:"parent_cgroup,omitempty"`

	// Sizes in bytes; nil where this kernel's event has no such field.
	TotalVM    *int64 `json:"total_vm,omitempty"`
	AnonRSS    *int64 `json:"anon_rss,omitempty"`
	FileRSS    *int64 `json:"file_rss,omitempty"`
	ShmemRSS   *int64 `json:"shmem_rss,omitempty"`
	PageTables *int64 `json:"page_tables,omitempty"`
	// UID and OOMScoreAdj are nil likewise.
	UID         *int `json:"uid,omitempty"`
	OOMScoreAdj *int `json:"oom_score_adj,omitempty"`
}

// Process is a task as it was found when its event was read, a moment after.
type Process struct {
	// TID is the thread's id as the event has it, in the host's PID namespace;
	// 0 is the kernel's idle task.
	TID int `json:"tid"`
	// PID is the id of the thread's process; TID where that was not found.
	PID int `json:"pid"`
	// Comm is the process's name (the thread's, where the process was gone),
	// 15 bytes at most and chosen by its owner. The sender's is the one it had
	// when it was looked up: one that started another program at once has
	// that one's. Bytes that are not UTF-8 are given as \xNN. "" when nothing
	// told it.
	Comm string `json:"comm"`
	// Gone is true when the task had ended before it could be looked up, or
	// processes cannot be looked up from here (Stats.HostPIDs): nothing of
	// what follows is known then.
	Gone bool `json:"gone,omitempty"`
	// PPID is the parent's PID.
	PPID int `json:"ppid,omitempty"`
	// Init is true for the first process of a PID namespace right below this one,
	// as a container's own is.
	Init bool `json:"init,omitempty"`
	// Confined is true for the sender of a signal that reaches no process outside of its
	// container: it is such a first process, or descends from one within its memory cgroup.
	Confined bool `json:"confined,omitempty"`
	// Start is when the process started, in clock ticks since boot (field 22
	// of /proc/PID/stat): with PID it names one process for ever.
	Start uint64 `json:"start,omitempty"`
	// Exe is its program as /proc/PID/exe says, a path in its own mount
	// namespace; "" for a kernel thread and where it had ended.
	Exe string `json:"exe,omitempty"`
	// UID is its effective user as seen from here; nil where it had ended.
	UID *int `json:"uid,omitempty"`
	// Command is its command line, the words joined by blanks, as its owner wrote it and
	// may have changed it since. It is read only of senders; "" where it cannot be read.
	Command string `json:"command,omitempty"`
	// Cgroup is its memory cgroup as /proc/PID/cgroup says: the memory
	// controller's path, or on a pure cgroup v2 host the one path; "" where it
	// had ended too far.
	Cgroup string `json:"cgroup,omitempty"`
}

// Loss tells that the kernel overwrote events before they were read.
type Loss struct {
	// From is the time of the last event read of that processor before (zero
	// if there was none), To that of the first after.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to"`
	CPU  int       `json:"cpu"`
	// Events is how many.
	Events uint64 `json:"events"`
}

// Stats are counts since Open.
type Stats struct {
	Signals uint64 // Signals delivered by Next, Repeats counted too
	Victims uint64 // Victims delivered by Next
	// Lost is what the kernel overwrote or dropped, by its own counters:
	// also what no Loss has told yet.
	Lost uint64
	// Malformed counts what was in the buffer and made no sense.
	Malformed uint64
	// Rounds counts how often the buffers were read.
	Rounds uint64
	// HostPIDs is false when this process is in a PID namespace of its own, so
	// that the numbers of the events name other processes here: none is looked
	// up then. A container needs --pid=host.
	HostPIDs bool
}
