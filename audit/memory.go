package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

var memoryRules = []rule{
	{id: "memory.no_limit", cis: "5.11", severity: incident.Warning, title: "no memory limit", of: noMemoryLimit,
		leadsTo: "When it leaks, the host runs out of memory, and the kernel may kill another program."},
	{id: "memory.limit_above_host", severity: incident.Warning, title: "a memory limit above the host's memory", of: limitAboveHost,
		leadsTo: "It can never reach its limit: the host runs out of memory first."},
	{id: "memory.overcommitted", severity: incident.Info, title: "limits that add up to more than the host's memory", ofHost: overcommitted,
		leadsTo: "If all containers reach their limits, the host runs out of memory first."},
	{id: "memory.swap_unlimited", severity: incident.Info, title: "unlimited swap", engine: true, of: swapUnlimited,
		leadsTo: "At its limit it swaps: it gets slow, and can fill the host's swap."},
	{id: "memory.swap_none", severity: incident.Info, title: "no swap beside the limit, on a host that has swap", engine: true, of: swapNone,
		leadsTo: "A short peak above the limit gets it OOM-killed; with some swap it would only be slow."},
	{id: "memory.oom_kill_disable", severity: incident.Warning, title: "the OOM killer turned off", engine: true, of: oomKillDisable,
		leadsTo: "At its limit it is not killed: it hangs until memory is freed or the limit raised."},
	{id: "memory.oom_score_protected", severity: incident.Warning, title: "protected from the OOM killer", engine: true, of: oomScore,
		leadsTo: "When the host runs out of memory the kernel kills others first, even where this one holds the most."},
	{id: "memory.limit_too_small", severity: incident.Warning, title: "a limit below its usual memory use", of: limitTooSmall,
		leadsTo: "It is OOM-killed as soon as it uses as much as it often did before."},
	{id: "memory.limit_too_large", severity: incident.Info, title: "a limit over ten times what it holds", of: limitTooLarge,
		leadsTo: "A leak goes on for long before the limit stops it, and takes memory from others meanwhile."},
	{id: "memory.heap_above_limit", severity: incident.Critical, title: "a heap allowed to outgrow the memory limit", of: heapAboveLimit,
		leadsTo: "The runtime believes that it has room and is OOM-killed before its own collector or limit stops it."},
	{id: "memory.parent_limit_lower", severity: incident.Warning, title: "a parent cgroup with a lower limit", of: parentLimitLower,
		leadsTo: "The parent reaches its limit first, and the kernel may then kill any process in it."},
	{id: "memory.cgroup_parent", cis: "5.25", severity: incident.Info, title: "a parent cgroup of its own", engine: true, of: cgroupParent,
		leadsTo: "The parent's limits hold for it too, and docker inspect does not show them."},
	{id: "memory.shm_nearly_full", severity: incident.Warning, title: "/dev/shm nearly full", of: shmNearlyFull,
		leadsTo: "The next write there fails, or ends the program with SIGBUS."},
}

// limit is its memory limit in bytes; 0 for none.
func (c *Container) limit() int64 {
	if c.MemoryLimit == nil || *c.MemoryLimit <= 0 || *c.MemoryLimit >= units.NoLimit {
		return 0
	}
	return *c.MemoryLimit
}

// roomFor is a limit that leaves a fifth free beside what a container is known to hold;
// 0 where that is not known.
func (c *Container) roomFor() int64 {
	holds := c.Held
	if c.Kept != nil {
		holds = max(holds, c.Kept.HeldP99)
	}
	if holds <= 0 {
		return 0
	}
	return roundUp(max(holds*5/4, 32<<20))
}

// roundUp rounds a limit up to a size that a person would write.
func roundUp(bytes int64) int64 {
	const step = 16 << 20
	return (bytes + step - 1) / step * step
}

// setLimit sets a memory limit in bytes; 0 leaves the size to the reader.
func setLimit(bytes int64, then string) change {
	size, live, pod := "SIZE", "", "SIZE"
	if bytes > 0 {
		size, pod = fmt.Sprintf("%dm", bytes>>20), fmt.Sprintf("%dMi", bytes>>20)
		live = fmt.Sprintf("--memory %s --memory-swap %dm", size, 2*bytes>>20)
	}
	return change{compose: "mem_limit: " + size, run: "--memory " + size, pod: "resources.limits.memory: " + pod, swarm: "--limit-memory " + size, live: live, then: then}
}

// held says how much it has held, and how that is known.
func (k *Kept) held() string {
	return fmt.Sprintf("%s (99th percentile of %s)", units.Bytes(k.HeldP99), units.Duration(k.Span))
}

func noMemoryLimit(c *Container, h *Host) *found {
	if c.limit() > 0 || c.ParentLimit > 0 {
		return nil
	}
	f := &found{evidence: "no memory limit"}
	if h.Memory > 0 {
		f.evidence += fmt.Sprintf("; the host has %s", units.Bytes(h.Memory))
	}
	then := "See what it holds for a day first: oomwatch top."
	switch {
	case c.Kept != nil && c.Kept.HeldP99 > 0 && c.Kept.HeldP99 >= c.Held:
		f.evidence += "; it held up to " + c.Kept.held()
		then = fmt.Sprintf("That leaves a fifth free beside the %s.", units.Bytes(c.Kept.HeldP99))
	case c.Held > 0:
		f.evidence += fmt.Sprintf("; it holds %s now", units.Bytes(c.Held))
		then = "That leaves a fifth free beside what it holds now; see how it goes for a day: oomwatch top."
	}
	f.change = setLimit(c.roomFor(), then)
	return f
}

func limitAboveHost(c *Container, h *Host) *found {
	if h.Memory <= 0 || c.limit() <= h.Memory {
		return nil
	}
	return &found{evidence: fmt.Sprintf("memory limit %s; the host has %s", units.Bytes(c.limit()), units.Bytes(h.Memory)),
		change: setLimit(c.roomFor(), "It must be below the host's memory.")}
}

func overcommitted(f *Facts) *found {
	var sum, n int64
	for i := range f.Containers {
		if l := f.Containers[i].limit(); l > 0 {
			sum, n = sum+l, n+1
		}
	}
	if f.Host.Memory <= 0 || n < 2 || sum <= f.Host.Memory {
		return nil
	}
	return &found{evidence: fmt.Sprintf("the limits of %d containers are %s together; the host has %s", n, units.Bytes(sum), units.Bytes(f.Host.Memory)),
		fix: "Lower the limits that are far above what their containers hold (oomwatch top shows both), or move some to another host."}
}

// defaultSwap sets memory and swap together to twice the memory limit, as the engine does
// where nobody says otherwise.
func (c *Container) defaultSwap(then string) change {
	size := fmt.Sprintf("%dm", 2*c.limit()>>20)
	return change{compose: "memswap_limit: " + size, run: "--memory-swap " + size, live: "--memory-swap " + size, then: then}
}

func swapUnlimited(c *Container, h *Host) *found {
	if c.SwapLimit == nil || *c.SwapLimit >= 0 || c.limit() == 0 || h.Swap == 0 {
		return nil
	}
	return &found{evidence: "memory-swap is -1 (no limit), beside a memory limit of " + units.Bytes(c.limit()),
		change: c.defaultSwap("That is the engine's own default, twice the limit.")}
}

func swapNone(c *Container, h *Host) *found {
	if c.limit() == 0 || c.SwapLimit == nil || *c.SwapLimit != c.limit() || h.Swap <= 0 {
		return nil
	}
	return &found{evidence: fmt.Sprintf("memory-swap equals the memory limit, %s; the host has %s of swap", units.Bytes(c.limit()), units.Bytes(h.Swap)),
		change: c.defaultSwap("Keep it if latency matters more than surviving a peak.")}
}

func oomKillDisable(c *Container, h *Host) *found {
	if !c.OOMKillDisable || h.CgroupV2 {
		return nil // v2 has no such thing, and the engine drops it
	}
	f := &found{evidence: "oom-kill-disable is set", change: change{remove: true, compose: "oom_kill_disable", run: "--oom-kill-disable"}}
	if c.limit() == 0 {
		f.severity, f.leadsTo = incident.Critical, "It has no limit either: it can take the host's memory, and the kernel kills others for it."
	}
	return f
}

func oomScore(c *Container, _ *Host) *found {
	if c.OOMScoreAdj > -900 {
		return nil
	}
	f := &found{evidence: fmt.Sprintf("oom_score_adj is %d", c.OOMScoreAdj),
		change: change{remove: true, compose: "oom_score_adj", run: "--oom-score-adj", then: "Set a memory limit and a restart policy instead."}}
	if c.limit() > 0 {
		f.severity = incident.Info
	}
	return f
}

// enoughHistory is how long a service must have been recorded before its limit is judged
// to be too large; enoughToBeSmall the same for one that is too small.
const (
	enoughHistory   = 7 * 24 * time.Hour
	enoughToBeSmall = time.Hour
)

func limitTooSmall(c *Container, _ *Host) *found {
	if c.limit() == 0 || c.Kept == nil || c.Kept.Span < enoughToBeSmall || c.Kept.HeldP99 < c.limit()*95/100 {
		return nil
	}
	return &found{evidence: fmt.Sprintf("limit %s; it held %s", units.Bytes(c.limit()), c.Kept.held()),
		change: setLimit(c.roomFor(), "If it grows without end, a higher limit only delays it: see oomwatch triage.")}
}

func limitTooLarge(c *Container, h *Host) *found {
	if c.limit() == 0 || c.Kept == nil || c.Kept.Span < enoughHistory || c.Kept.HeldP99 <= 0 || c.limit() <= 10*c.Kept.HeldP99 || h.Memory > 0 && c.limit() > h.Memory {
		return nil
	}
	const least = 256 << 20 // below that nobody gains anything
	if c.limit() <= least {
		return nil
	}
	return &found{evidence: fmt.Sprintf("limit %s; it held %s", units.Bytes(c.limit()), c.Kept.held()),
		change: setLimit(max(2*c.roomFor(), 64<<20), "That is over twice what it held.")}
}

func heapAboveLimit(c *Container, _ *Host) *found {
	for _, s := range c.Heap {
		switch {
		case s.Percent >= 90 && c.limit() > 0:
			return &found{evidence: fmt.Sprintf("%s in %s; memory limit %s", redact.Sanitize(s.Text), redact.Sanitize(s.Where), units.Bytes(c.limit())),
				leadsTo: "Threads, code and buffers need memory beside the heap: it is OOM-killed before the heap is full.",
				fix:     fmt.Sprintf("Change %s to 75 %% in %s, where that is defined.", redact.Sanitize(settingName(s.Text)), redact.Sanitize(s.Where))}
		case s.Bytes > 0 && c.limit() > 0 && s.Bytes >= c.limit():
			return &found{evidence: fmt.Sprintf("%s in %s (%s); memory limit %s", redact.Sanitize(s.Text), redact.Sanitize(s.Where), units.Bytes(s.Bytes), units.Bytes(c.limit())),
				change: setLimit(roundUp(s.Bytes*4/3), fmt.Sprintf("Or lower %s to 75 %% of the limit, %d MiB.", redact.Sanitize(settingName(s.Text)), c.limit()*3/4>>20))}
		}
	}
	return nil
}

// settingName is a setting without its value.
func settingName(text string) string {
	if rest, ok := strings.CutPrefix(text, "-Xmx"); ok && rest != "" {
		return "-Xmx"
	}
	name, _, _ := strings.Cut(text, "=")
	return name
}

func parentLimitLower(c *Container, _ *Host) *found {
	if c.ParentLimit <= 0 || c.limit() > 0 && c.ParentLimit >= c.limit() {
		return nil
	}
	own := "it has no limit of its own"
	if c.limit() > 0 {
		own = "its own limit is " + units.Bytes(c.limit())
	}
	return &found{evidence: fmt.Sprintf("the cgroup %s above it has a limit of %s; %s", redact.Sanitize(c.ParentLimitOf), units.Bytes(c.ParentLimit), own),
		change: setLimit(min(c.roomFor(), c.ParentLimit), "With a limit below the group's, it alone is killed when it outgrows it.")}
}

func cgroupParent(c *Container, _ *Host) *found {
	if c.CgroupParent == "" {
		return nil
	}
	return &found{evidence: "cgroup-parent is " + redact.Sanitize(c.CgroupParent),
		change: change{remove: true, compose: "cgroup_parent", run: "--cgroup-parent", then: "Keep it if a common limit is wanted; oomwatch names that limit when it kills."}}
}

// nearlyFull is the share of /dev/shm at which there is little left.
const nearlyFull = 0.9

func shmNearlyFull(c *Container, _ *Host) *found {
	p := c.Seen
	if p == nil || p.ShmSize <= 0 || float64(p.ShmUsed) < nearlyFull*float64(p.ShmSize) {
		return nil
	}
	next := 4 * p.ShmSize >> 20
	return &found{evidence: fmt.Sprintf("%s of the %s of /dev/shm are in use", units.Bytes(p.ShmUsed), units.Bytes(p.ShmSize)),
		change: change{compose: fmt.Sprintf("shm_size: %dm", next), run: fmt.Sprintf("--shm-size %dm", next),
			pod:  fmt.Sprintf("an emptyDir volume with medium: Memory and sizeLimit: %dMi, mounted at /dev/shm", next),
			then: "What is in it counts against the memory limit."}}
}
