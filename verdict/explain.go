package verdict

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/units"
)

// maxProcesses bounds the task table in an incident: a host-wide dump may list
// ten thousand tasks, and the largest tell the story.
const maxProcesses = 64

// Explain judges the facts and dresses the judgement as an Incident: what the
// sources said, in one place, with what to do next. It reads no clock and
// changes nothing in f. An ended container whose Cause is ExitOK is no
// incident; callers drop it.
func Explain(f *Facts) *incident.Incident { return new(draft).explain(f) }

// explain is Explain in memory that is used again: what it returned before is
// overwritten.
func (d *draft) explain(f *Facts) *incident.Incident {
	d.clear()
	v := judge(f)
	inc := &d.inc
	*inc = incident.Incident{
		Schema: incident.Schema, ID: f.ID, Kind: f.Kind, Time: f.Time,
		Cause: v.cause, Confidence: v.confidence, Severity: severity(f, v),
		Historic: f.Historic, Container: container(f, &d.container), Unit: f.Unit, Gaps: f.gaps(v.cause), LogTail: f.LogTail,
		Related: f.ChildKillIDs, Count: 1,
	}
	if f.Host != (incident.Host{}) {
		d.host = f.Host
		inc.Host = &d.host
	}
	if !f.Offline {
		inc.SeenLive = new(!f.NotSeenLive)
	}
	if k := decisiveKill(f, v); k != nil {
		d.fillFromKernel(f, k)
	} else if f.Child != nil {
		d.victim = f.Child.Process
		d.victim.Main = new(false)
		inc.Victim = &d.victim
	}
	inc.Killer = killer(f, v, &d.killer)
	fillFromSamples(inc, f)
	if v.cause == incident.LimitDisk {
		inc.Filesystems = f.Filesystems
	}
	inc.Summary = summary(inc, f, v)
	d.evidence = evidence(f, v, d.evidence)
	inc.Evidence = d.evidence
	if s := adviceFor(inc, f, v); s != "" {
		d.advice[0] = s
		inc.Advice = d.advice[:]
	}
	return inc
}

// decisiveKill is the kill to describe: the one the judgement rests on, else the newest.
func decisiveKill(f *Facts, v judgement) *KernelKill {
	if v.kill != nil {
		return v.kill
	}
	if f.Kind != incident.KindDeath && len(f.Kills) > 0 {
		return &f.Kills[0]
	}
	return nil
}

// severity is the table's, but for what nobody saw happen and nobody can explain.
func severity(f *Facts, v judgement) incident.Severity {
	if v.cause == incident.UnknownCause && f.NotSeenLive {
		return incident.Warning
	}
	if deployed(f, v) {
		return incident.Info
	}
	if f.Child != nil {
		return incident.Info // a supervisor's own business, until the container ends
	}
	return v.cause.Info().Severity
}

// deployed is true for an end that somebody asked for, of a container that another of
// the same service took the place of.
func deployed(f *Facts, v judgement) bool {
	switch v.cause {
	case incident.StopRequest, incident.KillStopTimeout, incident.KillRequest:
		return f.ReplacedBy != ""
	}
	return false
}

// container dresses the roster's knowledge with how it ended, in c.
func container(f *Facts, c *incident.Container) *incident.Container {
	if f.Container == nil {
		return nil
	}
	*c = *f.Container
	if f.Exit != nil {
		if !f.Exit.NoCode {
			c.ExitCode = new(f.Exit.ExitCode)
		}
		if s := incident.ExitSignal(f.Exit.ExitCode); s != 0 {
			c.Signal = incident.SignalName(s)
		}
		c.FinishedAt = endTime(f)
		if f.Exit.Inspected {
			c.OOMKilledFlag = new(f.Exit.OOMKilled)
		}
		if c.Running == nil {
			c.Running = new(false)
		}
	}
	return c
}

// killer says in k who sent the fatal signal; nil where that is not known.
func killer(f *Facts, v judgement, k *incident.Killer) *incident.Killer {
	switch {
	case v.kill != nil:
		*k = incident.Killer{Kind: "kernel", Name: "OOM killer"}
		return k
	case v.voice != nil && v.cause == incident.KillUserspaceOOM:
		*k = incident.Killer{Kind: "userspace_oom", Name: v.voice.Who}
		return k
	case v.voice != nil && v.voice.Who == "kubelet":
		*k = incident.Killer{Kind: "process", Name: v.voice.Who}
		return k
	case v.sender != nil:
		*k = incident.Killer{Kind: "process", PID: v.sender.Sender.PID, Comm: v.sender.Sender.Comm, Name: v.sender.Container}
		if k.Name == "" {
			k.Name = v.sender.Unit
		}
		k.UID, k.User, k.Command = v.sender.Sender.UID, userName(v.sender), v.sender.Command
		switch v.cause {
		case incident.KillUserspaceOOM:
			k.Kind = "userspace_oom"
		case incident.KillRequest:
			k.Kind = "engine"
		}
		return k
	case v.cause == incident.KillStopTimeout, v.cause == incident.KillRequest, v.cause == incident.StopRequest, v.cause == incident.EngineStop && v.signal != 0:
		*k = incident.Killer{Kind: "engine", Name: EngineOf(f.Container)}
		return k
	}
	return nil
}

// fillFromKernel copies what the kernel printed of the episode.
func (d *draft) fillFromKernel(f *Facts, k *KernelKill) {
	inc, e := &d.inc, k.Episode
	rows := min(len(e.Tasks), maxProcesses)
	d.sizes, d.ints = slices.Grow(d.sizes, 18+2*rows), slices.Grow(d.ints, 2+rows)
	inc.Unverified = e.Unverified
	if (inc.Time.IsZero() || f.Placed) && k.Kill.HasUptime {
		inc.UptimeSeconds = new(k.Kill.Uptime.Seconds())
	}
	if inc.Host == nil && e.Kernel != "" {
		d.host = incident.Host{Kernel: e.Kernel}
		inc.Host = &d.host
	}
	if len(k.OneOf) == 0 && (k.Kill.PID != 0 || k.Kill.Comm != "") {
		inc.Victim = &d.victim
		d.setVictim(k)
	}
	if inc.Victim == nil {
		// Which of several it was cannot be told, so no victim is named.
	} else if k.By == ByMainPID || k.Main {
		inc.Victim.Main = new(true)
	} else if f.Container != nil && f.Exit == nil && k.By != ByNone && !f.Offline {
		inc.Victim.Main = new(false)
	}
	if e.Trigger.Comm != "" || e.Trigger.PID != 0 || e.GFPMask != "" {
		d.trigger.PID, d.trigger.Comm = e.Trigger.PID, e.Trigger.Comm
		inc.Trigger = &d.trigger
	}
	inc.OOM = &d.oom
	*inc.OOM = incident.OOM{
		Constraint: string(e.Constraint), OOMMemcg: e.OOMMemcg, TaskMemcg: e.TaskMemcg,
		Usage: d.size(e.Usage), Limit: d.size(e.Limit), HostTotal: d.size(e.HostTotal), Group: e.Group, Complete: e.Complete, Kills: len(e.Kills),
	}
	if c := inc.Container; c != nil && c.ID != "" && c.MemoryLimit == nil && e.Limit.Printed && e.Limit.Bytes < units.NoLimit && strings.Contains(path.Base(e.OOMMemcg), c.ID) {
		// The engine could not be asked: the kernel knows it as well.
		c.MemoryLimit = d.size(e.Limit)
	}
	inc.OOM.Members = k.Members
	if inc.OOM.TaskMemcg == "" {
		inc.OOM.TaskMemcg = e.GroupMemcg
	}
	if e.Usage.Printed {
		inc.OOM.Failcnt = d.number(e.Failcnt)
	}
	if d.setMemory(e) {
		inc.Memory = &d.memory
	}
	if len(e.Tasks) > 0 {
		d.setProcesses(f, e)
		inc.Hog, inc.Processes = &d.hog, d.rows
		if h := hostHog(f, e); h != nil {
			inc.Hog = h
		} else {
			inc.Hog = partialHog(inc, k)
		}
	}
}

func (d *draft) setVictim(k *KernelKill) {
	p := &d.victim
	p.PID, p.Comm = k.Kill.PID, k.Kill.Comm
	p.TotalVM, p.AnonRSS, p.FileRSS = d.size(k.Kill.TotalVM), d.size(k.Kill.AnonRSS), d.size(k.Kill.FileRSS)
	p.ShmemRSS, p.PageTables = d.size(k.Kill.ShmemRSS), d.size(k.Kill.PageTables)
	if k.Kill.UID >= 0 {
		p.UID = d.int(k.Kill.UID)
	}
	if k.Kill.HasOOMScoreAdj {
		p.OOMScoreAdj = d.int(k.Kill.OOMScoreAdj)
	}
	if t := taskOf(k.Episode, k.Kill.PID); t != nil && t.Swap.Printed {
		p.Swap = d.size(t.Swap)
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
func (d *draft) setMemory(e *kmsg.Episode) bool {
	if len(e.Stats) == 0 {
		return false
	}
	get := func(names ...string) *int64 {
		for _, name := range names {
			if v, ok := e.Stats[name]; ok {
				return d.number(v)
			}
		}
		return nil
	}
	m := &d.memory
	*m = incident.Memory{Anon: get("anon", "total_rss", "rss"), File: get("file", "total_cache", "cache"),
		Shmem: get("shmem", "total_shmem"), Kernel: get("kernel"), Slab: get("slab"), Swap: get("swap", "total_swap")}
	if m.Kernel == nil {
		m.Kernel = d.size(e.KmemUsage)
	}
	if m.Swap == nil {
		m.Swap = d.size(e.SwapUsage) // cgroup v2 has a line for it, not a statistic
	}
	return *m != (incident.Memory{})
}

// setProcesses turns the task table into rows, largest first, and finds who held
// the most.
func (d *draft) setProcesses(f *Facts, e *kmsg.Episode) {
	for i := range e.Tasks {
		d.order = append(d.order, ranked{e.Tasks[i].RSS.Bytes, i})
	}
	slices.SortFunc(d.order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.rss, a.rss), cmp.Compare(a.row, b.row))
	})
	all := f.ownsAll()
	d.rows = slices.Grow(d.rows, min(len(d.order), maxProcesses))
	for _, o := range d.order[:min(len(d.order), maxProcesses)] {
		t := &e.Tasks[o.row]
		d.rows = append(d.rows, incident.Process{PID: t.PID, Comm: t.Comm, RSS: d.size(t.RSS), Swap: d.size(t.Swap),
			OOMScoreAdj: d.int(t.OOMScoreAdj), Container: f.owner(t.PID, all)})
	}
	top := &d.rows[0]
	d.hog = incident.Hog{Comm: top.Comm, PID: top.PID, RSS: top.RSS, Container: top.Container}
}

// ownsAll tells whether every task of the table is the container's: it was its
// own limit that was reached.
func (f *Facts) ownsAll() bool {
	if f.Container == nil {
		return false
	}
	for i := range f.Kills {
		if own, known := ownLimit(f, &f.Kills[i]); own && known {
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

func containerName(c *incident.Container) string {
	switch {
	case c == nil:
		return ""
	case c.Name != "":
		return c.Name
	}
	return incident.ShortID(c.ID)
}

// fillFromSamples adds what the sampler had read before the incident.
func fillFromSamples(inc *incident.Incident, f *Facts) {
	samples := f.lived()
	all := f.readings(samples)
	if len(all) == 0 {
		return
	}
	limit := int64(0)
	if n := len(samples); n > 0 {
		limit = samples[n-1].Limit
	} else if inc.Container != nil && inc.Container.MemoryLimit != nil {
		limit = *inc.Container.MemoryLimit
	}
	inc.History = history(all, limit, f.Time)
	judged(inc.History, f.Judged)
	inc.History.Kills = f.killsBefore(all[0].At)
	if len(samples) == 0 {
		return
	}
	last := &samples[len(samples)-1]
	var stat *cgroup.Stat
	var psi *cgroup.PSI
	swap, host := int64(-1), false
	for i := len(samples) - 1; i >= 0 && (stat == nil || psi == nil); i-- {
		if stat == nil {
			stat, swap = samples[i].Stat, samples[i].Swap
		}
		if psi == nil && samples[i].PSI != nil {
			psi, host = samples[i].PSI, samples[i].HostPSI
		}
	}
	if inc.Memory == nil && stat != nil {
		inc.Memory = &incident.Memory{Anon: known(stat.Anon), File: known(stat.File), Shmem: known(stat.Shmem),
			Kernel: known(stat.Kernel), Slab: known(stat.Slab), Swap: known(swap)}
	}
	if psi == nil && len(last.Levels) == 0 {
		return
	}
	p := &incident.Pressure{Levels: last.Levels}
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
	samples := f.lived()
	if len(samples) == 0 {
		return nil, 0
	}
	s := &samples[len(samples)-1]
	return s, f.Time.Sub(s.At)
}
