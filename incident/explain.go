package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
)

// maxProcesses bounds the task table in an incident: a host-wide dump may list
// ten thousand tasks, and the largest tell the story.
const maxProcesses = 64

// Explain judges the facts and dresses the verdict as an Incident: what the
// sources said, in one place, with what to do next. It reads no clock and
// changes nothing in f. An ended container whose Cause is ExitOK is no
// incident; callers drop it.
func Explain(f *Facts) *Incident {
	v := judge(f)
	inc := &Incident{
		Schema: Schema, ID: f.ID, Kind: f.Kind, Time: f.Time,
		Cause: v.cause, Confidence: v.confidence, Severity: severity(f, v),
		Historic: f.Historic, Container: container(f), Unit: f.Unit, Gaps: f.Gaps, LogTail: f.LogTail,
		Related: f.ChildKillIDs, Count: 1,
	}
	if f.Host != (Host{}) {
		h := f.Host
		inc.Host = &h
	}
	if !f.Offline {
		inc.SeenLive = new(!f.NotSeenLive)
	}
	if k := decisiveKill(f, v); k != nil {
		fillFromKernel(inc, f, k)
	}
	inc.Killer = killer(v)
	fillFromSamples(inc, f)
	inc.Summary = summary(inc, f, v)
	inc.Evidence = evidence(f, v)
	inc.Advice = advice(inc, f, v)
	return inc
}

// decisiveKill is the kill to describe: the one the verdict rests on, else the newest.
func decisiveKill(f *Facts, v verdict) *KernelKill {
	if v.kill != nil {
		return v.kill
	}
	if f.Kind != KindDeath && len(f.Kills) > 0 {
		return &f.Kills[0]
	}
	return nil
}

// severity is the table's, but for what nobody saw happen and nobody can explain.
func severity(f *Facts, v verdict) Severity {
	if v.cause == UnknownCause && f.NotSeenLive {
		return Warning
	}
	return v.cause.Info().Severity
}

// container dresses the roster's knowledge with how it ended.
func container(f *Facts) *Container {
	if f.Container == nil {
		return nil
	}
	c := *f.Container
	if f.Exit != nil {
		c.ExitCode = new(f.Exit.ExitCode)
		if s := ExitSignal(f.Exit.ExitCode); s != 0 {
			c.Signal = SignalName(s)
		}
		c.FinishedAt = endTime(f)
		if f.Exit.Inspected {
			c.OOMKilledFlag = new(f.Exit.OOMKilled)
		}
		if c.Running == nil {
			c.Running = new(false)
		}
	}
	return &c
}

func killer(v verdict) *Killer {
	switch {
	case v.kill != nil:
		return &Killer{Kind: "kernel", Name: "OOM killer"}
	case v.sender != nil:
		k := &Killer{Kind: "process", PID: v.sender.Sender.PID, Comm: v.sender.Sender.Comm, Name: v.sender.Container}
		if k.Name == "" {
			k.Name = v.sender.Unit
		}
		switch v.cause {
		case KillUserspaceOOM:
			k.Kind = "userspace_oom"
		case KillRequest:
			k.Kind = "engine"
		}
		return k
	case v.cause == KillStopTimeout, v.cause == KillRequest, v.cause == StopRequest:
		return &Killer{Kind: "engine", Name: "docker"}
	}
	return nil
}

// fillFromKernel copies what the kernel printed of the episode.
func fillFromKernel(inc *Incident, f *Facts, k *KernelKill) {
	e := k.Episode
	inc.Unverified = e.Unverified
	if inc.Time.IsZero() && k.Kill.HasUptime {
		inc.UptimeSeconds = new(k.Kill.Uptime.Seconds())
	}
	if inc.Host == nil && e.Kernel != "" {
		inc.Host = &Host{Kernel: e.Kernel}
	}
	parts, n := new(kernelParts), newNumbers(min(len(e.Tasks), maxProcesses))
	if len(k.OneOf) == 0 {
		inc.Victim = &parts.victim
		parts.setVictim(k, n)
	}
	if inc.Victim == nil {
		// Which of several it was cannot be told, so no victim is named.
	} else if k.By == ByMainPID || k.Main {
		inc.Victim.Main = new(true)
	} else if f.Container != nil && f.Exit == nil && k.By != ByNone && !f.Offline {
		inc.Victim.Main = new(false)
	}
	if e.Trigger.Comm != "" || e.Trigger.PID != 0 || e.GFPMask != "" {
		inc.Trigger = &parts.trigger
		inc.Trigger.PID, inc.Trigger.Comm = e.Trigger.PID, e.Trigger.Comm
	}
	inc.OOM = &parts.oom
	*inc.OOM = OOM{
		Constraint: string(e.Constraint), OOMMemcg: e.OOMMemcg, TaskMemcg: e.TaskMemcg,
		Usage: n.size(e.Usage), Limit: n.size(e.Limit), Group: e.Group, Complete: e.Complete, Kills: len(e.Kills),
	}
	inc.OOM.Members = k.Members
	if inc.OOM.TaskMemcg == "" {
		inc.OOM.TaskMemcg = e.GroupMemcg
	}
	if e.Usage.Printed {
		inc.OOM.Failcnt = n.number(e.Failcnt)
	}
	if parts.setMemory(e, n) {
		inc.Memory = &parts.memory
	}
	if len(e.Tasks) > 0 {
		inc.Hog = &parts.hog
		inc.Processes = parts.setProcesses(f, e, n)
		if h := hostHog(f, e); h != nil {
			inc.Hog = h
		}
	}
}

// kernelParts is what the kernel's report fills in of an incident, in one piece
// of memory: a log may hold many thousand reports.
type kernelParts struct {
	victim, trigger Process
	oom             OOM
	memory          Memory
	hog             Hog
}

// numbers hands out places for the optional numbers of one report.
type numbers struct {
	sizes []int64
	ints  []int
}

func newNumbers(rows int) *numbers {
	return &numbers{make([]int64, 0, 18+2*rows), make([]int, 0, 2+rows)}
}

func (n *numbers) number(v int64) *int64 {
	n.sizes = append(n.sizes, v)
	return &n.sizes[len(n.sizes)-1]
}

func (n *numbers) size(s kmsg.Size) *int64 {
	if !s.Printed {
		return nil
	}
	return n.number(s.Bytes)
}

func (n *numbers) int(v int) *int {
	n.ints = append(n.ints, v)
	return &n.ints[len(n.ints)-1]
}

func (parts *kernelParts) setVictim(k *KernelKill, n *numbers) {
	p := &parts.victim
	p.PID, p.Comm = k.Kill.PID, k.Kill.Comm
	p.TotalVM, p.AnonRSS, p.FileRSS = n.size(k.Kill.TotalVM), n.size(k.Kill.AnonRSS), n.size(k.Kill.FileRSS)
	p.ShmemRSS, p.PageTables = n.size(k.Kill.ShmemRSS), n.size(k.Kill.PageTables)
	if k.Kill.UID >= 0 {
		p.UID = n.int(k.Kill.UID)
	}
	if k.Kill.HasOOMScoreAdj {
		p.OOMScoreAdj = n.int(k.Kill.OOMScoreAdj)
	}
	if t := taskOf(k.Episode, k.Kill.PID); t != nil && t.Swap.Printed {
		p.Swap = n.size(t.Swap)
	}
}

func taskOf(e *kmsg.Episode, pid int) *kmsg.Task {
	for i := range e.Tasks {
		if e.Tasks[i].PID == pid {
			return &e.Tasks[i]
		}
	}
	return nil
}

// setMemory reads what filled the limit from the episode's counters, and tells
// whether there were any. The hierarchical totals of cgroup v1 come before the
// group's own.
func (parts *kernelParts) setMemory(e *kmsg.Episode, n *numbers) bool {
	if len(e.Stats) == 0 {
		return false
	}
	get := func(names ...string) *int64 {
		for _, name := range names {
			if v, ok := e.Stats[name]; ok {
				return n.number(v)
			}
		}
		return nil
	}
	m := &parts.memory
	*m = Memory{Anon: get("anon", "total_rss", "rss"), File: get("file", "total_cache", "cache"),
		Shmem: get("shmem", "total_shmem"), Kernel: get("kernel"), Slab: get("slab"), Swap: get("swap", "total_swap")}
	if m.Kernel == nil {
		m.Kernel = n.size(e.KmemUsage)
	}
	return *m != (Memory{})
}

// setProcesses turns the task table into rows, largest first, and finds who held
// the most.
func (parts *kernelParts) setProcesses(f *Facts, e *kmsg.Episode, n *numbers) []Process {
	var room [48]*kmsg.Task
	order := room[:0]
	for i := range e.Tasks {
		order = append(order, &e.Tasks[i])
	}
	slices.SortStableFunc(order, func(a, b *kmsg.Task) int { return cmp.Compare(b.RSS.Bytes, a.RSS.Bytes) })
	all := f.ownsAll()
	parts.hog = Hog{Comm: order[0].Comm, PID: order[0].PID, RSS: n.size(order[0].RSS), Container: f.owner(order[0].PID, all)}
	rows := make([]Process, min(len(order), maxProcesses))
	for i := range rows {
		p, t := &rows[i], order[i]
		p.PID, p.Comm, p.RSS, p.Swap = t.PID, t.Comm, n.size(t.RSS), n.size(t.Swap)
		p.OOMScoreAdj, p.Container = n.int(t.OOMScoreAdj), f.owner(t.PID, all)
	}
	return rows
}

// ownsAll tells whether every task of the table is the container's: it was its
// own limit that was reached.
func (f *Facts) ownsAll() bool {
	if f.Container == nil {
		return false
	}
	for i := range f.Kills {
		if own, known := ownLimit(f, f.Kills[i].Episode); own && known {
			return true
		}
	}
	return false
}

// owner names the container of a task: what was known of its pid before the
// kill, or the container itself for its victims and for all of its own limit.
func (f *Facts) owner(pid int, all bool) string {
	if n := f.Owners[pid]; n != "" {
		return n
	}
	if f.Container == nil {
		return ""
	}
	for i := 0; i < len(f.Kills) && !all; i++ {
		all = f.Kills[i].Kill.PID == pid
	}
	if all {
		return containerName(f.Container)
	}
	return ""
}

func containerName(c *Container) string {
	switch {
	case c == nil:
		return ""
	case c.Name != "":
		return c.Name
	case len(c.ID) > 12:
		return c.ID[:12]
	}
	return c.ID
}

// fillFromSamples adds what the sampler had read before the incident.
func fillFromSamples(inc *Incident, f *Facts) {
	if len(f.Samples) == 0 {
		return
	}
	last := &f.Samples[len(f.Samples)-1]
	inc.History = history(f.Samples, f.Time)
	var stat *cgroup.Stat
	var psi *cgroup.PSI
	host := false
	for i := len(f.Samples) - 1; i >= 0 && (stat == nil || psi == nil); i-- {
		if stat == nil {
			stat = f.Samples[i].Stat
		}
		if psi == nil && f.Samples[i].PSI != nil {
			psi, host = f.Samples[i].PSI, f.Samples[i].HostPSI
		}
	}
	if inc.Memory == nil && stat != nil {
		inc.Memory = &Memory{Anon: known(stat.Anon), File: known(stat.File), Shmem: known(stat.Shmem),
			Kernel: known(stat.Kernel), Slab: known(stat.Slab), Swap: known(last.Swap)}
	}
	if psi == nil && len(last.Levels) == 0 {
		return
	}
	p := &Pressure{Levels: last.Levels}
	if psi != nil {
		p.SomeAvg10, p.FullAvg10 = new(psi.SomeAvg10), new(psi.FullAvg10)
		p.SomeTotal = new(psi.SomeTotal.Seconds())
		p.Scope = "cgroup"
		if host {
			p.Scope = "host"
		}
	}
	inc.Pressure = p
}

// known turns a reading in which -1 means "not told" into an optional.
func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return new(n)
}

// lastSample returns the newest reading and how long before the incident it was.
func lastSample(f *Facts) (*cgroup.Sample, time.Duration) {
	if len(f.Samples) == 0 {
		return nil, 0
	}
	s := &f.Samples[len(f.Samples)-1]
	return s, f.Time.Sub(s.At)
}
