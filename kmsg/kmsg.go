// Package kmsg reads the kernel log, live from /dev/kmsg or from a file of any
// of the formats people keep it in, and tells OOM episodes and other records
// that explain a death. It knows nothing of containers or engines.
package kmsg

import "time"

// Record is one entry of the kernel log. A Record with a multi-line text is
// still one Record: its lines are separated by '\n' in Text.
type Record struct {
	// Seq is the number the kernel gave the record; 0 where the format has none.
	Seq uint64
	// Lost counts the records that the ring dropped between the previous
	// record read and this one (a jump in Seq).
	Lost uint64
	// LostUnknown is true where records are missing right before this one and
	// how many cannot be told: the ring is read by syslog(2).
	LostUnknown bool
	// Facility is the syslog facility: 0 is the kernel, anything else was
	// written by user space. FacilityUnknown where the format lost it.
	Facility int16
	// Level is the syslog level, 0 (emerg) to 7 (debug); -1 when not known.
	Level int8
	// Continuation is true for a fragment that continues the record before it.
	Continuation bool
	// Uptime is the kernel's stamp: time since boot, microsecond resolution.
	// HasUptime is false where the format has none.
	Uptime    time.Duration
	HasUptime bool
	// Time is the wall clock time of the record; zero when it cannot be known.
	Time time.Time
	// Caller is the printing context ("T1234" a thread, "C0" a processor), if printed.
	Caller string
	// Text is the message with the kernel's \xNN escapes still in place.
	Text string
	// Escaped is true when Text is as /dev/kmsg gives it: every byte below
	// 0x20 or above 0x7e, and the backslash, are \xNN. False when a reader
	// (dmesg, journald, syslog) has resolved what it could print.
	Escaped bool
	// Ident is the program that a log names as the writer; "" for the kernel.
	Ident string
	// Host is the machine that a log names; "" where it names none.
	Host string
}

// FacilityUnknown marks a record from a format that lost the facility, so that
// it cannot be told whether the kernel or a program wrote it.
const FacilityUnknown int16 = -1

// Size is a number of bytes as the kernel printed it. What was not printed is
// absent, which is not zero.
type Size struct {
	Bytes   int64
	Printed bool
}

// Bytes returns a printed Size of n bytes.
func Bytes(n int64) Size { return Size{Bytes: n, Printed: true} }

// Constraint says what kind of limit the kernel found exhausted.
type Constraint string

// The constraints of the kernel's OOM killer, in the words of the incident
// contract. Empty means the log did not say.
const (
	ConstraintNone         Constraint = "none"          // CONSTRAINT_NONE: the whole host
	ConstraintMemcg        Constraint = "memcg"         // CONSTRAINT_MEMCG: a memory cgroup's limit
	ConstraintCpuset       Constraint = "cpuset"        // CONSTRAINT_CPUSET
	ConstraintMemoryPolicy Constraint = "memory_policy" // CONSTRAINT_MEMORY_POLICY
)

// Episode is one call of the OOM killer as the kernel told it. Field names
// follow the kernel's. An Episode made of a bare "Killed process" line (the
// kernel prints header and cgroup for only 10 kills in 5 s) has Complete false
// and no paths.
type Episode struct {
	// Seq, Uptime and Time are those of the episode's first record.
	Seq       uint64        `json:"seq,omitempty"`
	Uptime    time.Duration `json:"uptime,omitempty"`
	HasUptime bool          `json:"has_uptime,omitempty"`
	Time      time.Time     `json:"time,omitzero"`
	// Late is by how much Time can follow the kernel's own stamp: the journal dates a
	// record when it has read it. 0 for a record of the ring.
	Late time.Duration `json:"late,omitempty"`

	Constraint Constraint `json:"constraint,omitempty"`
	// Trigger is the task whose allocation did not fit. PID is 0 when only
	// its name was printed.
	Trigger Task   `json:"trigger,omitzero"`
	GFPMask string `json:"gfp_mask,omitempty"`
	Order   int    `json:"order,omitempty"`
	// SysRq is true when somebody asked for the kill (order=-1).
	SysRq bool `json:"sysrq,omitempty"`
	// OOMMemcg is the cgroup whose limit was reached, TaskMemcg the cgroup
	// the victim was in; "" when not printed.
	OOMMemcg  string `json:"oom_memcg,omitempty"`
	TaskMemcg string `json:"task_memcg,omitempty"`
	// Cpuset is the trigger's cpuset name. Never use it to attribute a kill.
	Cpuset string `json:"cpuset,omitempty"`

	Usage   Size  `json:"usage,omitzero"`
	Limit   Size  `json:"limit,omitzero"`
	Failcnt int64 `json:"failcnt,omitempty"`
	// MemSwapUsage and MemSwapLimit are cgroup v1's memory+swap counter;
	// SwapUsage and SwapLimit are v2's swap counter; Kmem is v1 only.
	MemSwapUsage Size `json:"memsw_usage,omitzero"`
	MemSwapLimit Size `json:"memsw_limit,omitzero"`
	SwapUsage    Size `json:"swap_usage,omitzero"`
	SwapLimit    Size `json:"swap_limit,omitzero"`
	KmemUsage    Size `json:"kmem_usage,omitzero"`
	KmemLimit    Size `json:"kmem_limit,omitzero"`

	// Stats are the memory cgroup's counters, in bytes, under the names the
	// kernel printed ("anon", "total_rss", ...); nil when not printed.
	// Counters that are not sizes (page faults) are left out.
	Stats map[string]int64 `json:"stats,omitempty"`
	// HostTotal and HostFree come from the Mem-Info block of a host-wide
	// episode; SwapTotal and SwapFree likewise.
	HostTotal Size `json:"host_total,omitzero"`
	HostFree  Size `json:"host_free,omitzero"`
	SwapTotal Size `json:"swap_total,omitzero"`
	SwapFree  Size `json:"swap_free,omitzero"`

	// Tasks is the task table, in bytes, in the order printed.
	Tasks []Task `json:"tasks,omitempty"`

	// Group is true when memory.oom.group took all members of GroupMemcg.
	Group      bool   `json:"group,omitempty"`
	GroupMemcg string `json:"group_memcg,omitempty"`

	// Kernel is the release printed in the CPU line, if any.
	Kernel string `json:"kernel,omitempty"`
	// Host is the machine that the log names, as one for many does; "" if none.
	Host string `json:"-"`

	Kills []Kill `json:"kills,omitempty"`

	// Complete is true when the header, the summary and the kill line(s)
	// that this kernel prints were all there.
	Complete bool `json:"complete,omitempty"`
	// Unverified is true when a program could have written the decisive line:
	// the format lost the facility, and the line does not stand in a whole
	// report (a header with its summary, announcement or task table), which
	// no name of a process or cgroup can forge; or its paths can be read in
	// two ways.
	Unverified bool `json:"unverified,omitempty"`
	// NoKill is why there are no Kills: "no killable process",
	// "panic_on_oom", "" otherwise.
	NoKill string `json:"no_kill,omitempty"`

	// Lines are the decisive lines as they were printed (header, limit,
	// summary, kill lines), for evidence; bounded.
	Lines []string `json:"lines,omitempty"`
}

// Kill is one process killed in an Episode.
type Kill struct {
	// Seq, Uptime and Time are those of the kill line.
	Seq       uint64        `json:"seq,omitempty"`
	Uptime    time.Duration `json:"uptime,omitempty"`
	HasUptime bool          `json:"has_uptime,omitempty"`
	Time      time.Time     `json:"time,omitzero"`

	PID int `json:"pid"`
	// Comm is decoded: \xNN escapes resolved where they give valid UTF-8.
	Comm string `json:"comm"`
	// UID is -1 when not printed.
	UID         int  `json:"uid"`
	TotalVM     Size `json:"total_vm,omitzero"`
	AnonRSS     Size `json:"anon_rss,omitzero"`
	FileRSS     Size `json:"file_rss,omitzero"`
	ShmemRSS    Size `json:"shmem_rss,omitzero"`
	PageTables  Size `json:"page_tables,omitzero"`
	OOMScoreAdj int  `json:"oom_score_adj,omitempty"`
	// HasOOMScoreAdj is false when the line did not print it.
	HasOOMScoreAdj bool `json:"has_oom_score_adj,omitempty"`
	// Evidence says which line told the kill: "killed", "summary",
	// "announce", "reaper", "task_in", "shared_mm".
	Evidence string `json:"evidence,omitempty"`
	// Line is that line as printed.
	Line string `json:"line,omitempty"`
}

// Task is one row of the task table, or the trigger of an episode.
type Task struct {
	PID         int    `json:"pid"`
	TGID        int    `json:"tgid,omitempty"`
	UID         int    `json:"uid"`
	Comm        string `json:"comm"`
	TotalVM     Size   `json:"total_vm,omitzero"`
	RSS         Size   `json:"rss,omitzero"`
	RSSAnon     Size   `json:"rss_anon,omitzero"`
	RSSFile     Size   `json:"rss_file,omitzero"`
	RSSShmem    Size   `json:"rss_shmem,omitzero"`
	PageTables  Size   `json:"page_tables,omitzero"`
	Swap        Size   `json:"swap,omitzero"`
	OOMScoreAdj int    `json:"oom_score_adj,omitempty"`
}

// FaultKind names a kernel (or user-space killer's) record that explains a
// death without being an OOM kill.
type FaultKind string

// The kinds of Fault.
const (
	FaultSegfault       FaultKind = "segfault"
	FaultTrap           FaultKind = "trap" // general protection, invalid opcode, divide error, ...
	FaultForkRejected   FaultKind = "fork_rejected"
	FaultPageAllocation FaultKind = "page_allocation_failure"
	FaultHungTask       FaultKind = "hung_task"
	FaultNoSpace        FaultKind = "no_space"
	FaultIOError        FaultKind = "io_error"
	FaultReadOnly       FaultKind = "remounted_read_only"
	FaultUserspaceOOM   FaultKind = "userspace_oom" // systemd-oomd, earlyoom, nohang, oomd
	FaultSoftLockup     FaultKind = "soft_lockup"
)

// Fault is one such record.
type Fault struct {
	Seq       uint64        `json:"seq,omitempty"`
	Uptime    time.Duration `json:"uptime,omitempty"`
	HasUptime bool          `json:"has_uptime,omitempty"`
	Time      time.Time     `json:"time,omitzero"`
	Kind      FaultKind     `json:"kind"`
	PID       int           `json:"pid,omitempty"`
	Comm      string        `json:"comm,omitempty"`
	Cgroup    string        `json:"cgroup,omitempty"`
	// Killer is the user-space OOM killer's name ("earlyoom", ...).
	Killer string `json:"killer,omitempty"`
	// Signal is what it sent ("SIGTERM", "SIGKILL"), if said.
	Signal string `json:"signal,omitempty"`
	// Object is the mapped file of a segfault ("libc.so.6"), the device of
	// an I/O error.
	Object     string `json:"object,omitempty"`
	Unverified bool   `json:"unverified,omitempty"`
	Line       string `json:"line"`
}

// Event is what the Assembler tells: exactly one field is set. What one has no use
// for (a Boot, where all is dated) it passes over.
type Event struct {
	Episode *Episode
	Fault   *Fault
	// Unrecognised is text that is clearly an OOM report in a form that
	// this version does not know: a line to report.
	Unrecognised *Record
	// Boot is the first record that a kernel prints (its version): what comes
	// after it is of another boot than what came before, or of the same told anew.
	Boot *Record
}
