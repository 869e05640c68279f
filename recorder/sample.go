package recorder

import (
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
)

// Take brings x up to date with one reading of a container's cgroup. What was not
// read this time stays as it was.
func (x *Reading) Take(s *cgroup.Sample) {
	x.At, x.Used, x.Limit = s.At, s.Current, s.Limit
	if s.OOMKills >= 0 {
		x.OOMKill = s.OOMKills
	}
	if s.Stat != nil {
		x.takeStat(s.Stat)
		x.Swap = s.Swap
	}
	if s.PSI != nil && !s.HostPSI {
		x.takePSI(s.PSI)
	}
	if s.Events != nil {
		x.Low, x.High, x.LimitHits, x.OOM = s.Events.Low, s.Events.High, s.Events.Max, s.Events.OOM
	}
	if s.Tasks != nil {
		x.PIDs, x.PIDsLimit = s.Tasks.Current, s.Tasks.Limit
	}
	if s.CPU != nil {
		x.CPUPeriods, x.CPUThrottled, x.CPUThrottledUS = s.CPU.Periods, s.CPU.Throttled, s.CPU.ThrottledTime.Microseconds()
	}
}

// takeStat notes the breakdown. Pages that a program freed lazily are as good as page
// cache: the kernel drops them when memory is needed.
func (x *Reading) takeStat(s *cgroup.Stat) {
	lazy := max(s.Lazy, 0)
	x.Anon, x.File, x.Shmem, x.Kernel = s.Anon-lazy, s.File+lazy, s.Shmem, s.Kernel
	x.Reclaimable = s.SlabReclaimable
	if x.Reclaimable > 0 {
		x.Reclaimable &^= 1<<20 - 1
	}
}

func (x *Reading) takePSI(p *cgroup.PSI) {
	x.PSISome, x.PSIFull = p.SomeTotal.Microseconds(), p.FullTotal.Microseconds()
}

// TakeHost brings x up to date with one reading of the host's memory; psi is nil
// where the kernel keeps none.
func (x *Reading) TakeHost(at time.Time, h *cgroup.Host, psi *cgroup.PSI) {
	x.At, x.Used, x.Limit = at, h.Total-h.Available, h.Total
	x.Anon, x.File, x.Shmem, x.Kernel, x.Swap = h.Anon, h.File, h.Shmem, h.Kernel, h.Swap
	x.OOMKill = h.OOMKills
	if psi != nil {
		x.takePSI(psi)
	}
}

// Sample gives a reading back as one of a cgroup. Its counter of kills is left
// out: what it said is past.
func (x *Reading) Sample() cgroup.Sample {
	s := cgroup.Sample{At: x.At, Current: x.Used, Limit: x.Limit, Swap: x.Swap, OOMKills: -1}
	if x.Anon >= 0 || x.File >= 0 {
		s.Stat = &cgroup.Stat{Anon: x.Anon, File: x.File, Shmem: x.Shmem, Kernel: x.Kernel, Slab: -1, SlabReclaimable: x.Reclaimable, Lazy: -1, Refaults: -1}
	}
	if x.CPUPeriods > 0 {
		s.CPU = &cgroup.CPU{Periods: x.CPUPeriods, Throttled: x.CPUThrottled, ThrottledTime: time.Duration(x.CPUThrottledUS) * time.Microsecond}
	}
	return s
}
