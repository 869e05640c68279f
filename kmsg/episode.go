package kmsg

import (
	"slices"
	"strings"
	"time"
)

func (a *Assembler) header(r *Record, t string) {
	v, ok := parseInvoked(t, r.Escaped)
	if !ok {
		return
	}
	var sysrq *open
	if o := a.current(r.Caller); o != nil && o.ep.SysRq && !o.invoked && !o.dumped && !o.sawKill {
		sysrq = o // "sysrq: Manual OOM execution" stands before its own header
	}
	o := sysrq
	if o == nil {
		o = a.startBeside(r)
	}
	o.touch(r)
	o.invoked = true
	o.caller = r.Caller
	o.ep.Trigger = Task{Comm: v.comm, UID: -1}
	o.ep.GFPMask = v.gfp
	if v.order == -1 {
		o.ep.SysRq = true
	}
	o.ep.Order = v.order
	o.unknown = r.Facility == FacilityUnknown
	o.evidence(r)
}

// trimTrigger takes a prefix, of no known form, off the triggers' names: where a
// header ends its name is known, where it begins shows in the lines behind it.
func (a *Assembler) trimTrigger(prefix string) {
	for _, o := range a.open {
		if n := sameShape(prefix, o.ep.Trigger.Comm); n > 0 && o.invoked && !o.sawKill {
			o.ep.Trigger.Comm = o.ep.Trigger.Comm[n:]
		}
	}
}

func (a *Assembler) cpu(r *Record, t string) {
	pid, comm, release, ok := parseCPU(t, r.Escaped)
	if !ok {
		return
	}
	if release != "" {
		a.release = release
	}
	o := a.mixed(func(o *open) bool { return o.ep.Trigger.PID == 0 && o.ep.Trigger.Comm == comm })
	if o == nil {
		o = a.current(r.Caller)
	}
	if o == nil || !o.invoked || o.dumped || o.sawKill || comm != o.ep.Trigger.Comm {
		return
	}
	if o.ep.Trigger.PID == 0 {
		o.ep.Trigger.PID = pid
	}
	o.ep.Kernel = release
	o.touch(r)
}

// besides is how soon after another report's header one must begin for the two
// to be taken for reports of two processors, line by line in one another.
const besides = 2 * time.Millisecond

// startBeside is start for a header: kernels before 4.2 do not keep the reports
// of two cgroups apart. Where the other has printed nothing but its header
// this very moment, both stay open.
func (a *Assembler) startBeside(r *Record) *open {
	o := a.current(r.Caller)
	if o == nil || r.Caller != "" || !o.invoked || o.dumped || o.announced || o.sawKill || o.hasSum || !r.HasUptime || !o.last.hasUptime ||
		r.Uptime < o.last.uptime || r.Uptime-o.last.uptime > besides || len(a.open) >= maxOpen {
		return a.start(r)
	}
	o.mixed = true
	kept := a.open
	a.open = nil
	o = a.start(r)
	o.mixed = true
	a.open = append(kept, o)
	return o
}

// mixed returns the first of the reports that stand in one another for which
// want is true.
func (a *Assembler) mixed(want func(*open) bool) *open {
	for _, o := range a.open {
		if o.mixed && want(o) {
			return o
		}
	}
	return nil
}

// cpusetLine reads "X cpuset=/ mems_allowed=0", which follows the header until about 4.19.
func (a *Assembler) cpusetLine(r *Record, t string) {
	o := a.current(r.Caller)
	if o == nil || !o.invoked || o.dumped || o.ep.Cpuset != "" {
		return
	}
	rest, ok := strings.CutPrefix(t, o.ep.Trigger.Comm+" cpuset=")
	if !ok {
		return
	}
	if i := strings.LastIndex(rest, " mems_allowed="); i >= 0 {
		o.ep.Cpuset = decode(rest[:i], r.Escaped)
	}
}

func (a *Assembler) taskIn(r *Record, t string) {
	if strings.HasPrefix(t, "killed as a result of limit of") {
		if o := a.current(r.Caller); o != nil && o.taskIn && o.ep.OOMMemcg == "" {
			o.setLimitPath(strings.TrimPrefix(t, "killed as a result of limit of"), r.Escaped)
		}
		return
	}
	task, limit, ok := parseTaskIn(t, r.Escaped)
	if !ok {
		return
	}
	o := a.mixed(func(o *open) bool { return !o.taskIn && !o.sawKill })
	if o != nil {
		o.setTaskIn(r, task, limit)
		return
	}
	o = a.current(r.Caller)
	if o != nil && o.taskIn {
		if r.HasUptime && r.Uptime == o.taskInAt && o.ep.TaskMemcg == task {
			return // the same line, pasted twice
		}
		a.start(r) // the next episode, of which this is the first line that was kept
	}
	a.dumping(r).setTaskIn(r, task, limit)
}

func (o *open) setTaskIn(r *Record, task, limit string) {
	o.touch(r)
	o.dumped = true
	o.taskIn, o.taskInAt = true, r.Uptime
	o.ep.TaskMemcg = task
	o.ep.OOMMemcg = limit
	o.ep.Constraint = ConstraintMemcg
	o.wantLimit = limit == ""
	o.unknown = o.unknown || r.Facility == FacilityUnknown
	o.evidence(r)
}

func (o *open) setLimitPath(s string, escaped bool) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "/") {
		o.ep.OOMMemcg = decode(s, escaped)
		o.wantLimit = false
	} else if s == "" {
		o.wantLimit = true
	}
}

// pieces takes the lines that are known only by what stood before them: the
// limit's path on a line of its own (kernels before 3.9, split by the reader).
func (a *Assembler) pieces(r *Record, t string) {
	o := a.current(r.Caller)
	if o != nil && o.wantLimit && strings.HasPrefix(t, "/") && !strings.Contains(t, " ") {
		o.setLimitPath(t, r.Escaped)
	}
}

func (a *Assembler) usage(r *Record, t string) {
	colon := strings.IndexByte(t, ':')
	if colon < 0 {
		a.usageBytes(r, t)
		return
	}
	usage, limit, failcnt, ok := parseUsage(t[colon+1:])
	if !ok {
		return
	}
	if o := a.mixed(func(o *open) bool { return o.wantsUsage(t[:colon]) }); o != nil {
		o.setUsage(r, t[:colon], usage, limit, failcnt)
		return
	}
	o := a.current(r.Caller)
	if t[:colon] == "memory" && o != nil && !o.sawKill && (o.ep.Usage.Printed && (o.ep.Usage != usage || o.ep.Failcnt != failcnt) || o.hasHead) {
		a.start(r)
	}
	a.dumping(r).setUsage(r, t[:colon], usage, limit, failcnt)
}

// wantsUsage tells whether an episode between whose lines another's stand is
// the one that the next line of a counter belongs to: each prints its own in
// order, and the one that began first is ahead.
func (o *open) wantsUsage(counter string) bool {
	switch counter {
	case "memory":
		return o.taskIn && !o.ep.Usage.Printed
	case "memory+swap":
		return o.ep.Usage.Printed && !o.ep.MemSwapUsage.Printed
	case "kmem":
		return o.ep.MemSwapUsage.Printed && !o.ep.KmemUsage.Printed
	}
	return false
}

func (o *open) setUsage(r *Record, counter string, usage, limit Size, failcnt int64) {
	o.touch(r)
	switch counter {
	case "memory":
		o.ep.Usage, o.ep.Limit, o.ep.Failcnt = usage, limit, failcnt
		o.evidence(r)
	case "memory+swap":
		o.ep.MemSwapUsage, o.ep.MemSwapLimit = usage, limit
	case "swap":
		o.ep.SwapUsage, o.ep.SwapLimit = usage, limit
	case "kmem":
		o.ep.KmemUsage, o.ep.KmemLimit = usage, limit
	}
}

// usageBytes reads "memory 33554432 (max 33554432)" of the kernels before 4.20's release.
func (a *Assembler) usageBytes(r *Record, t string) {
	n, rest, ok := leadingInt(strings.TrimPrefix(t, "memory "))
	limit, isMax := strings.CutPrefix(rest, " (max ")
	m, _, ok2 := leadingInt(limit)
	if !ok || !isMax || !ok2 {
		return
	}
	o := a.dumping(r)
	o.ep.Usage, o.ep.Limit = Bytes(n), Bytes(m)
	o.evidence(r)
}

func (a *Assembler) statsHead(r *Record, t string) {
	s := strings.TrimPrefix(t, "Memory cgroup stats for ")
	o := a.mixed(func(o *open) bool { return o.ep.OOMMemcg != "" && strings.HasPrefix(s, o.ep.OOMMemcg+":") })
	if o == nil {
		o = a.dumping(r)
	}
	var path, counters string
	if strings.Contains(s, ": cache:") {
		i := strings.LastIndex(s, ": cache:")
		path, counters = s[:i], s[i+2:]
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		path, counters = s[:i], s[i+1:]
	} else {
		return // cut
	}
	path = decode(path, r.Escaped)
	if len(o.ep.Stats) > 0 && path != o.ep.OOMMemcg {
		return // a child's: old kernels print one line for each
	}
	if o.ep.OOMMemcg == "" || o.wantLimit || o.taskIn && !below(o.ep.TaskMemcg, o.ep.OOMMemcg) {
		// The limit's own line is damaged or missing; this one names the same cgroup.
		o.ep.OOMMemcg = path
		o.wantLimit = false
		o.ep.Constraint = ConstraintMemcg
	}
	if strings.HasPrefix(counters, "cache:") {
		addOldStats(&o.ep.Stats, counters)
	} else if counters != "" {
		addStats(&o.ep.Stats, counters)
	}
}

func (o *open) memInfo(t string) {
	switch {
	case strings.HasPrefix(t, "Free swap"):
		if n, ok := equalsKB(t); ok {
			o.ep.SwapFree = n
		}
	case strings.HasPrefix(t, "Total swap"):
		if n, ok := equalsKB(t); ok {
			o.ep.SwapTotal = n
		}
	case strings.HasSuffix(strings.TrimRight(t, " "), " pages RAM"):
		if n, _, ok := leadingInt(t); ok {
			o.ep.HostTotal = pages(n)
		}
	default:
		o.freePages(t)
	}
}

// freePages finds "free:123" of the Mem-Info record, in pages.
func (o *open) freePages(t string) {
	if !strings.HasPrefix(t, "free:") && (!strings.Contains(t, "free_pcp:") && !strings.HasPrefix(t, "active_anon:")) {
		return
	}
	for i := 0; ; {
		j := strings.Index(t[i:], "free:")
		if j < 0 {
			return
		}
		i += j
		if n, rest, ok := leadingInt(t[i+5:]); ok && !strings.HasPrefix(rest, "kB") && (i == 0 || t[i-1] == ' ' || t[i-1] == 'a' || t[i-1] == '\n' || t[i-1] == '2') {
			o.ep.HostFree = pages(n)
			return
		}
		i += 5
	}
}

func equalsKB(t string) (Size, bool) {
	i := strings.IndexByte(t, '=')
	if i < 0 {
		return Size{}, false
	}
	n, rest, ok := leadingInt(trimBlanks(t[i+1:]))
	if !ok || !strings.HasPrefix(rest, "kB") {
		return Size{}, false
	}
	return Bytes(n << 10), true
}

func (a *Assembler) tableHead(r *Record, t string) {
	if a.mixed(func(*open) bool { return true }) != nil {
		return // whose row is whose cannot be told
	}
	if strings.HasPrefix(t, "Tasks state") {
		o := a.current(r.Caller)
		if o != nil && o.hasHead {
			a.start(r)
		}
		a.dumping(r)
		return
	}
	o := a.current(r.Caller)
	if o != nil && o.hasHead && len(o.ep.Tasks) > 0 {
		a.start(r)
	}
	o = a.dumping(r)
	h, ok := parseTableHead(t)
	o.hasHead = ok
	o.head = h
	for _, c := range h.cols {
		o.ptes = o.ptes || c == colPTEs
	}
}

func (a *Assembler) row(r *Record, t string) {
	o := a.current(r.Caller)
	if o == nil || !o.hasHead || o.sawKill || len(o.ep.Tasks) >= maxTasks {
		return
	}
	n := len(o.ep.Tasks)
	if n < cap(o.ep.Tasks) {
		o.ep.Tasks = o.ep.Tasks[:n+1]
	} else {
		o.ep.Tasks = append(o.ep.Tasks, Task{})
	}
	if o.head.parseRow(t, r.Escaped, &o.ep.Tasks[n]) {
		o.touch(r)
	} else {
		o.ep.Tasks = o.ep.Tasks[:n]
	}
}

func (a *Assembler) summary(r *Record, t string) {
	v, ok := parseSummary(t, r.Escaped)
	if !ok {
		if !isIncomplete(classSummary, t) || !strings.HasSuffix(t, "_") {
			a.unrecognised(r)
		}
		return
	}
	o := a.lateFor(v.pid)
	if o == nil {
		o = a.current(r.Caller)
		if o == nil || o.sawKill || o.hasSum || o.taskIn || o.ep.NoKill != "" {
			o = a.startAfter(r, true)
		}
	}
	o.touch(r)
	o.summary, o.hasSum = v, true
	o.unknown = r.Facility == FacilityUnknown
	o.apply()
	o.evidence(r)
}

// lateFor finds the report of a kill whose summary is printed, or sorted, behind the kill
// line; nil where none is open.
func (a *Assembler) lateFor(pid int) *open {
	for _, o := range slices.Backward(a.open) {
		if o.sawKill && !o.hasSum && pid > 0 && o.killed(pid) && !o.taskIn {
			return o
		}
	}
	return nil
}

// apply copies what the summary says into the episode.
func (o *open) apply() {
	v := &o.summary
	o.ep.Constraint = v.constraint
	if v.cpuset != "" {
		o.ep.Cpuset = v.cpuset
	}
	if v.oomMemcg != "" || v.constraint != ConstraintMemcg {
		o.ep.OOMMemcg = v.oomMemcg
	}
	o.ep.TaskMemcg = v.taskMemcg
	if v.ambiguous {
		o.ep.Unverified = true
	}
}
