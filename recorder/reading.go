// Package recorder is the flight recorder: it keeps what memory, pressure,
// processes and CPU throttling of every container, and of the host, did. The
// recent past is kept in memory at one second; every half minute it goes to a
// Keeper in compact blocks, and a quarter of an hour later it is rolled up to ten
// seconds and to one minute. It reads no clock and no control groups itself:
// readings are handed to it.
package recorder

import (
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
)

// Absent stands for what this kernel or cgroup does not tell.
const Absent int64 = -1

// Reading is what one container, or the host, was seen to use at one moment; or,
// rolled up, at the end of one step. Sizes are bytes. What the kernel has not is
// Absent. What is dearer to read than Used is not read every time: between two
// times it is what was read last. A counter (Low to OOMKill, PSI, CPU) counts
// since its cgroup was made, and begins again where Start is true.
type Reading struct {
	At time.Time `json:"at"`
	// Start is true for the first reading of a generation: a new container of
	// the service, or a restart of one. No step is rolled up across it.
	Start bool `json:"start,omitempty"`

	// Used is memory.current or memory.usage_in_bytes; for the host what is
	// not available. Min and Max are the extremes within the step; at one
	// second both are Used.
	Used int64 `json:"used_bytes"`
	Min  int64 `json:"min_bytes"`
	Max  int64 `json:"max_bytes"`
	// Limit is the container's own limit, cgroup.Unlimited (-1) for none; for
	// the host all its memory.
	Limit int64 `json:"limit_bytes"`

	// The breakdown, as in cgroup.Stat: File includes Shmem. Pages that a program freed
	// with MADV_FREE count as File and not as Anon.
	Anon   int64 `json:"anon_bytes"`
	File   int64 `json:"file_bytes"`
	Shmem  int64 `json:"shmem_bytes"`
	Kernel int64 `json:"kernel_bytes"`
	Swap   int64 `json:"swap_bytes"`
	// Reclaimable is the part of Kernel that the kernel drops when memory is needed, in
	// whole mebibytes, rounded down: it hardly ever matters, and so it hardly ever takes
	// room. v1 does not tell it.
	Reclaimable int64 `json:"kernel_reclaimable_bytes"`

	// The counters of memory.events. LimitHits is its "max", and v1's
	// memory.failcnt, which counts the same: how often the limit was in the
	// way. v1 has no Low, High and OOM.
	Low       int64 `json:"low"`
	High      int64 `json:"high"`
	LimitHits int64 `json:"limit_hits"`
	OOM       int64 `json:"oom"`
	OOMKill   int64 `json:"oom_kill"`

	// PSISome and PSIFull are the totals of memory.pressure in microseconds;
	// Absent where the kernel keeps none, and for containers on v1.
	PSISome int64 `json:"psi_some_us"`
	PSIFull int64 `json:"psi_full_us"`

	// PIDs is pids.current, PIDsLimit pids.max (-1 for none).
	PIDs      int64 `json:"pids"`
	PIDsLimit int64 `json:"pids_limit"`

	// Of cpu.stat: how many periods the CPU quota had, in how many it was used
	// up, and for how long that kept it waiting, in microseconds.
	CPUPeriods     int64 `json:"cpu_periods"`
	CPUThrottled   int64 `json:"cpu_throttled"`
	CPUThrottledUS int64 `json:"cpu_throttled_us"`
}

// Unknown is a Reading in which everything is Absent.
func Unknown() Reading {
	return Reading{Used: Absent, Min: Absent, Max: Absent, Limit: cgroup.Unlimited,
		Anon: Absent, File: Absent, Shmem: Absent, Kernel: Absent, Swap: Absent, Reclaimable: Absent,
		Low: Absent, High: Absent, LimitHits: Absent, OOM: Absent, OOMKill: Absent,
		PSISome: Absent, PSIFull: Absent, PIDs: Absent, PIDsLimit: Absent,
		CPUPeriods: Absent, CPUThrottled: Absent, CPUThrottledUS: Absent}
}

// The steps at which history is kept, and for how long: the recent past as it
// was read, then rolled up. StepLong is kept as long as the configuration says.
const (
	StepRead  = time.Second
	StepShort = 10 * time.Second
	StepLong  = time.Minute

	KeepRead  = 30 * time.Minute // at least half of it
	KeepShort = 26 * time.Hour
	KeepLong  = 30 * 24 * time.Hour // the default
)

// Series is the readings of one service at one step, oldest first. It goes on
// when the container is made anew or restarts (Reading.Start). Readings are
// further apart than Step where nothing ran, nothing was recorded, or the time
// between two readings was stretched because there are many containers.
type Series struct {
	Service  string        `json:"service"`
	Step     time.Duration `json:"step"`
	Readings []Reading     `json:"readings"`
}

// Generations cuts the series where a new generation starts. They share the
// series' memory.
func (s *Series) Generations() [][]Reading {
	var out [][]Reading
	from := 0
	for i := 1; i < len(s.Readings); i++ {
		if s.Readings[i].Start {
			out = append(out, s.Readings[from:i])
			from = i
		}
	}
	if from < len(s.Readings) {
		out = append(out, s.Readings[from:])
	}
	return out
}

// Service is one series that is kept: its name, and the span that is kept of it.
type Service struct {
	Name  string    `json:"service"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// From is when the newest span of its readings begins, or all of them where they are of
// less than that.
func (s *Service) From(span time.Duration) time.Time {
	if at := s.Last.Add(-span); at.After(s.First) {
		return at
	}
	return s.First
}

// Live is one container as it was read last.
type Live struct {
	ID      string // "" for the host
	Service string
	Started time.Time // zero for the host, and where it is not known
	Last    Reading
}
