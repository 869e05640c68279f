package kmsg

import (
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
	if o == nil || r.Caller != "" || !o.invoked || o.dumped || o.announced || o.sawKill || o.hasSum || !r.HasUptime || !o.last.HasUptime ||
		r.Uptime < o.last.Uptime || r.Uptime-o.last.Uptime > besides || len(a.open) >= maxOpen {
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
	path, counters := s, ""
	if i := strings.LastIndex(s, ": cache:"); i >= 0 {
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
	o := a.current(r.Caller)
	if o == nil || o.sawKill || o.hasSum || o.taskIn || o.ep.NoKill != "" {
		o = a.start(r)
	}
	o.touch(r)
	o.summary, o.hasSum = v, true
	o.unknown = r.Facility == FacilityUnknown
	o.apply()
	o.evidence(r)
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

func (a *Assembler) kill(r *Record, t string) {
	k, ok := parseKill(t, r.Escaped)
	if !ok {
		if isSuspect(t) {
			a.unrecognised(r)
		}
		return
	}
	k.kill.Seq, k.kill.Uptime, k.kill.HasUptime, k.kill.Time = r.Seq, r.Uptime, r.HasUptime, r.Time
	k.kill.fixPageTables()
	if k.announce && !k.shared {
		a.announce(r, k)
		return
	}
	o := a.ownerOf(&k.kill, r)
	if o == nil {
		if a.isRepeat(&k.kill) {
			return
		}
		o = a.start(r)
	}
	o.addKill(r, k)
}

// ownerOf finds the episode of a kill: the one whose summary names its pid,
// else the one that expects a kill, else the group that is being killed.
// It is nil where the line stands alone.
func (a *Assembler) ownerOf(k *Kill, r *Record) *open {
	if o := a.mixed(func(o *open) bool { return o.announced && o.announce.kill.PID == k.PID && !o.sawKill }); o != nil {
		return o
	}
	for i := len(a.open) - 1; i >= 0; i-- {
		if o := a.open[i]; o.hasSum && o.summary.pid == k.PID || o.killed(k.PID) {
			return o
		}
	}
	o := a.current(r.Caller)
	switch {
	case o == nil, o.hasSum && o.summary.pid != 0 && !o.ep.Group, o.ep.NoKill != "":
		return nil
	case o.ep.Group, !o.sawKill:
		return o
	case strings.Contains(r.Text, "sharing same memory"):
		return o
	}
	return nil
}

func (o *open) killed(pid int) bool {
	for i := range o.ep.Kills {
		if o.ep.Kills[i].PID == pid {
			return true
		}
	}
	return false
}

// isRepeat tells a kill that was told already: the kernel prints the victim of
// a group again, and people paste lines twice.
func (a *Assembler) isRepeat(k *Kill) bool {
	for i := range a.recent {
		q := &a.recent[i]
		if q.pid != k.PID || q.pid == 0 || q.comm != k.Comm {
			continue
		}
		switch {
		case q.stamped && k.HasUptime:
			d := k.Uptime - q.uptime
			if d > -2*time.Second && d < 2*time.Second {
				return true
			}
		case q.hasTime && !k.Time.IsZero():
			d := k.Time.Sub(q.at)
			if d > -2*time.Second && d < 2*time.Second {
				return true
			}
		case !q.stamped && !q.hasTime:
			return true
		}
	}
	return false
}

func (o *open) addKill(r *Record, k killLine) {
	o.touch(r)
	if o.killed(k.kill.PID) {
		return
	}
	if len(o.ep.Kills) >= maxKills {
		return
	}
	if o.hasSum && o.summary.pid == k.kill.PID && o.summary.comm != k.kill.Comm {
		o.summary.split(k.kill.Comm, true)
		o.apply()
	}
	if o.ep.Constraint == "" {
		o.ep.Constraint = k.constraint
	}
	k.kill.Evidence = "killed"
	if k.shared {
		k.kill.Evidence = "shared_mm"
	}
	k.kill.Line = cutLine(r.Text)
	o.unknown = o.unknown || r.Facility == FacilityUnknown
	o.sawKill = true
	o.ep.Kills = append(o.ep.Kills, k.kill)
	o.evidence(r)
}

func (a *Assembler) announce(r *Record, k killLine) {
	o := a.mixed(func(o *open) bool { return !o.announced && !o.sawKill })
	if o == nil {
		o = a.current(r.Caller)
	}
	if o == nil || o.sawKill || o.ep.NoKill != "" || o.hasSum && o.summary.pid != k.kill.PID {
		if o != nil && o.sawKill && o.announced && o.announce.kill.PID == k.kill.PID {
			return // the same announcement again
		}
		o = a.start(r)
	}
	o.touch(r)
	if o.announced && o.announce.kill.PID == k.kill.PID {
		return
	}
	if o.announced {
		o = a.start(r)
	}
	k.kill.Evidence = "announce"
	k.kill.Line = cutLine(r.Text)
	o.announce, o.announced = k, true
	o.unknown = o.unknown || r.Facility == FacilityUnknown
	if o.ep.Constraint == "" {
		o.ep.Constraint = k.constraint
	}
	o.evidence(r)
}

func (a *Assembler) group(r *Record, t string) {
	path, ok := parseGroup(t, r.Escaped)
	if !ok {
		return
	}
	o := a.current(r.Caller)
	if o == nil || o.ep.Group {
		o = a.start(r)
	}
	o.touch(r)
	o.ep.Group, o.ep.GroupMemcg = true, path
	o.evidence(r)
}

// reaper reads "oom_reaper: reaped process N (c), ...": it proves a kill whose
// own line is missing.
func (a *Assembler) reaper(r *Record, t string) {
	s, ok := strings.CutPrefix(t, "oom_reaper: reaped process ")
	if !ok {
		return
	}
	pid, s, ok := leadingInt(s)
	end := strings.LastIndex(s, "), now anon-rss:")
	if !ok || !strings.HasPrefix(s, " (") || end < 2 {
		return
	}
	k := Kill{PID: int(pid), UID: -1, Comm: decode(s[2:end], r.Escaped), Evidence: "reaper", Line: cutLine(r.Text),
		Seq: r.Seq, Uptime: r.Uptime, HasUptime: r.HasUptime, Time: r.Time}
	for _, o := range a.open {
		if o.killed(k.PID) {
			return
		}
		if o.hasSum && o.summary.pid == k.PID || o.announced && o.announce.kill.PID == k.PID {
			return // told when it closes
		}
	}
	for i := range a.recent {
		if a.recent[i].pid == k.PID {
			return
		}
	}
	for i := 0; i < len(a.open); { // told in the order of the log
		if a.open[i].sawKill {
			a.close(i)
		} else {
			i++
		}
	}
	ep := &Episode{Seq: r.Seq, Uptime: r.Uptime, HasUptime: r.HasUptime, Time: r.Time,
		Kills: []Kill{k}, Lines: []string{k.Line}, Unverified: r.Facility != 0}
	a.remember(&k)
	a.events = append(a.events, Event{Episode: ep})
}

func (a *Assembler) noKill(r *Record, t string) {
	why := ""
	switch {
	case strings.Contains(t, "no killable process"), strings.Contains(t, "deadlocked on memory"):
		why = "no killable process"
	case strings.Contains(t, "panic_on_oom is enabled"):
		why = "panic_on_oom"
	default:
		return
	}
	o := a.current(r.Caller)
	if o != nil && o.ep.NoKill == why {
		o.evidence(r)
		return
	}
	if o == nil || o.sawKill {
		o = a.start(r)
	}
	o.touch(r)
	o.ep.NoKill = why
	o.unknown = o.unknown || r.Facility == FacilityUnknown
	if o.ep.Constraint == "" && why == "panic_on_oom" {
		o.ep.Constraint = ConstraintNone
	}
	o.evidence(r)
}

// strong tells evidence that a kill took place, against lines that were printed
// before it.
func (k *Kill) strong() bool {
	switch k.Evidence {
	case "summary", "announce", "task_in":
		return false
	}
	return true
}

// finish judges a closed episode: kills told by weaker evidence, page size,
// completeness, and whether a program could have written it.
func (o *open) finish() {
	ep := o.ep
	if len(ep.Kills) == 0 && ep.NoKill == "" {
		switch {
		case o.hasSum && o.summary.pid > 0:
			v := &o.summary
			ep.Kills = append(ep.Kills, o.weak(Kill{PID: v.pid, Comm: v.comm, UID: v.uid}, "summary"))
		case o.announced:
			ep.Kills = append(ep.Kills, o.announce.kill)
		case o.taskIn:
			ep.Kills = append(ep.Kills, o.weak(Kill{UID: -1}, "task_in"))
		}
	}
	if ep.Group && ep.TaskMemcg == "" {
		ep.TaskMemcg = ep.GroupMemcg
	}
	for i := range ep.Kills {
		// A header whose first line, with the begin of the name, was not told
		// apart from other text.
		if ep.Trigger.Comm != "" && strings.HasSuffix(ep.Kills[i].Comm, "\n"+ep.Trigger.Comm) {
			ep.Trigger.Comm = ep.Kills[i].Comm
		}
	}
	o.pageSize()
	corroborated := o.invoked && (o.hasSum || o.announced || o.hasHead)
	ep.Complete = o.invoked && o.sawKill && (o.hasSum && o.summary.complete || o.announced)
	ep.Unverified = ep.Unverified || o.unknown && !corroborated
}

func (o *open) weak(k Kill, evidence string) Kill {
	k.Evidence = evidence
	k.Seq, k.Uptime, k.HasUptime, k.Time = o.last.Seq, o.last.Uptime, o.last.HasUptime, o.last.Time
	if n := len(o.ep.Lines); n > 0 {
		k.Line = o.ep.Lines[n-1]
	}
	return k
}

// pageSize finds the size of a page by the victim, whose size the kernel
// prints in kB on the kill line and in pages in the table.
func (o *open) pageSize() {
	for i := range o.ep.Kills {
		k := &o.ep.Kills[i]
		if !k.TotalVM.Printed || k.TotalVM.Bytes == 0 {
			continue
		}
		for j := range o.ep.Tasks {
			t := &o.ep.Tasks[j]
			if t.PID != k.PID || t.TotalVM.Bytes == 0 {
				continue
			}
			page := k.TotalVM.Bytes / (t.TotalVM.Bytes / defaultPage)
			if page != 16<<10 && page != 64<<10 && page != 8<<10 {
				return
			}
			for j := range o.ep.Tasks {
				o.ep.Tasks[j].rescale(page, o.ptes)
			}
			o.ep.HostTotal.Bytes = o.ep.HostTotal.Bytes / defaultPage * page
			o.ep.HostFree.Bytes = o.ep.HostFree.Bytes / defaultPage * page
			return
		}
	}
}
