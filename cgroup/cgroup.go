// Package cgroup reads limits, memory, events and pressure of control groups
// (v1, v2 and hybrid) under a mount point, and tells from a cgroup's path which
// container, pod or unit it belongs to.
package cgroup

import "time"

// Mode is how this host mounts the memory controller.
type Mode string

// The modes.
const (
	V1      Mode = "v1"
	V2      Mode = "v2"
	Hybrid  Mode = "hybrid" // memory controller on v1, a v2 tree beside it
	Unknown Mode = "unknown"
)

// Unlimited is the value of a limit that is not set.
const Unlimited int64 = -1

// Sample is one reading of one cgroup. Sizes are bytes.
type Sample struct {
	At time.Time `json:"at"`
	// Current is memory.current (v2) or memory.usage_in_bytes (v1).
	Current int64 `json:"current_bytes"`
	// Limit is memory.max or memory.limit_in_bytes; Unlimited when none.
	Limit int64 `json:"limit_bytes"`
	// Swap is the swap in use (memory.swap.current, v1 memory.stat's
	// total_swap); -1 when it cannot be read, or Stat was not.
	Swap int64 `json:"swap_bytes"`
	// OOMKills is the cgroup's oom_kill counter since it was made: processes of
	// this cgroup killed, whoever's limit it was. On v2 (memory.events) those
	// of the cgroups below count too, on v1 (memory.oom_control) they do not;
	// -1 when there is none (before Linux 4.13), or it was not read.
	OOMKills int64 `json:"oom_kills"`
	// Stat is nil when it was not read this time.
	Stat *Stat `json:"stat,omitempty"`
	// PSI is the cgroup's memory pressure (v2), or the host's (v1, HostPSI true);
	// nil where the kernel has none.
	PSI     *PSI `json:"psi,omitempty"`
	HostPSI bool `json:"host_psi,omitempty"`
	// Levels counts the kernel's notifications of pressure since the container
	// was first seen, nil before the first: of memory.pressure_level on v1,
	// "low", "medium" and "critical", where one of a level counts for the lower
	// ones too, as the kernel sends them; of stalls on v2, "stalled".
	Levels map[string]int64 `json:"levels,omitempty"`
	// PIDs are the members (host pids) at the time of the reading; nil when not read.
	PIDs []int `json:"pids,omitempty"`
	// Events, Tasks and CPU are nil when they were not read this time, Tasks
	// and CPU also where the container has no such controller.
	Events *Events `json:"events,omitempty"`
	Tasks  *Tasks  `json:"tasks,omitempty"`
	CPU    *CPU    `json:"cpu,omitempty"`
}

// Events is the counters of memory.events beside oom_kill, all below the cgroup
// included; -1 = not told by this kernel. On v1 only Max is told: it is
// memory.failcnt and memory.memsw.failcnt, which count the same, how often the
// limit was in the way.
type Events struct {
	Low  int64 `json:"low"`
	High int64 `json:"high"`
	Max  int64 `json:"max"`
	OOM  int64 `json:"oom"`
}

// Tasks is how many processes and threads there are (pids.current), and how many
// there may be (pids.max); Unlimited where there is no limit.
type Tasks struct {
	Current int64 `json:"current"`
	Limit   int64 `json:"limit"`
}

// CPU is the part of cpu.stat that tells of a CPU quota: how many periods it
// had, in how many it was used up, and for how long it kept the processes
// waiting. All are 0 where there is no quota.
type CPU struct {
	Periods       int64         `json:"periods"`
	Throttled     int64         `json:"throttled"`
	ThrottledTime time.Duration `json:"throttled_time"`
}

// Stat is the breakdown of a cgroup's memory, all below it included, in bytes;
// -1 = not told by this kernel. As in memory.stat, File (page cache) includes
// Shmem, Kernel includes Slab, and Anon includes Lazy.
type Stat struct {
	Anon   int64 `json:"anon_bytes"`
	File   int64 `json:"file_bytes"`
	Shmem  int64 `json:"shmem_bytes"`
	Kernel int64 `json:"kernel_bytes"`
	Slab   int64 `json:"slab_bytes"`
	// SlabReclaimable is the part of Slab that the kernel drops when memory is needed:
	// cached directory entries and inodes. v1 does not tell it.
	SlabReclaimable int64 `json:"slab_reclaimable_bytes"`
	// Lazy is what programs have freed with MADV_FREE and the kernel has not taken yet. It
	// counts as Anon, and lies on the list of inactive file pages.
	Lazy int64 `json:"lazy_bytes"`
	// Refaults counts pages of files that were read again although they had been dropped
	// not long before (workingset_refault_file; before Linux 5.9 workingset_refault): a
	// working set that does not fit. It is a number of pages since the cgroup was made.
	Refaults int64 `json:"-"`
}

// PSI is a pressure file's content (kernel: Documentation/accounting/psi.rst).
type PSI struct {
	SomeAvg10 float64       `json:"some_avg10"`
	FullAvg10 float64       `json:"full_avg10"`
	SomeTotal time.Duration `json:"some_total"`
	FullTotal time.Duration `json:"full_total"`
}

// Identity is what a cgroup path says of its owner (see ParsePath).
type Identity struct {
	// Runtime is "docker", "containerd", "cri-o", "podman", "kubernetes" (a pod,
	// or its container where the path does not tell the runtime), "lxc",
	// "nspawn", "ecs", "nomad", "garden", "buildkit", or "oci" (a container of
	// an engine that the path does not name); "" when the path is not a
	// container's.
	Runtime string
	// ContainerID is the innermost container's id as printed (64 hex for
	// OCI runtimes), "" when there is none or it was cut or masked. OuterID is
	// the outermost container's, which the host's engine knows, when that is
	// another one (docker in docker).
	ContainerID string
	OuterID     string
	// Name is the container's name where the path holds a name instead of
	// an id (lxc, nspawn, nomad, garden). OuterName is that of the outermost
	// such container around another one (docker in lxc).
	Name      string
	OuterName string
	// PodUID has its dashes restored (a static pod's has none); QoS is
	// "guaranteed", "burstable" or "besteffort".
	PodUID string
	QoS    string
	// Unit is the innermost systemd unit ("nginx.service", "session-2.scope",
	// "user.slice"), unescaped, or "slurm/job_42", when the path is not a container's.
	Unit string
	// Monitor is true for the runtime's own cgroup beside the container
	// (conmon, lxc.monitor): not the container itself, so that ContainerID and
	// Name are empty. MonitorOf is the id or name of the container it serves, if told.
	Monitor   bool
	MonitorOf string
}
