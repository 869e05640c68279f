package kmsg

import (
	"strings"
	"time"
)

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
		k.kill.Line = cutLine(r.Text)
		a.announce(r, k)
		return
	}
	o := a.ownerOf(&k.kill, r)
	if o == nil {
		if a.isRepeat(&k.kill) {
			return
		}
		if last := a.current(r.Caller); last != nil && last.anew && k.constraint == "" {
			o = a.nextChild(r, last)
		} else {
			o = a.startAfter(r, true)
		}
	}
	o.addKill(r, k)
}

// nextChild says of a kill what was said of the one before it: the same parent was
// announced, and another of its children is killed.
func (a *Assembler) nextChild(r *Record, last *open) *open {
	announce, unknown, constraint := last.announce, last.unknown, last.ep.Constraint
	o := a.start(r)
	o.announce, o.announced, o.unknown, o.ep.Constraint = announce, true, unknown, constraint
	return o
}

// sameStamp tells two prints of one line: a parent announced anew, of which
// another child is killed, is announced later.
func sameStamp(a, b *Kill) bool {
	if a.HasUptime && b.HasUptime {
		return a.Uptime == b.Uptime
	}
	return a.Time.Equal(b.Time) && a.Line == b.Line
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
		if o != nil && o.sawKill && o.announced && o.announce.kill.PID == k.kill.PID && sameStamp(&o.announce.kill, &k.kill) {
			// The same announcement, pasted again; or anew, where there are no stamps:
			// then another child's kill follows.
			o.anew = true
			return
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
	if !ok || pid <= 0 || pid > 1<<31 || !strings.HasPrefix(s, " (") || end < 2 {
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
	if o := a.current(r.Caller); o != nil && !o.sawKill && !o.hasSum && o.ep.NoKill == "" && (o.taskIn || o.invoked || o.announced) {
		o.addReaped(r, k) // whose dump this is: its own kill line is missing
		return
	}
	for i := 0; i < len(a.open); { // told in the order of the log
		if a.open[i].sawKill {
			a.close(i)
		} else {
			i++
		}
	}
	ep := &Episode{Seq: r.Seq, Uptime: r.Uptime, HasUptime: r.HasUptime, Time: r.Time,
		Host: r.Host, Kills: []Kill{k}, Lines: []string{k.Line}, Unverified: r.Facility != 0}
	a.remember(&k)
	a.events = append(a.events, Event{Episode: ep})
}

// addReaped takes a reaper's word for the kill of an episode.
func (o *open) addReaped(r *Record, k Kill) {
	o.touch(r)
	if o.ep.Constraint == "" && o.announced {
		o.ep.Constraint = o.announce.constraint
	}
	o.unknown = o.unknown || r.Facility == FacilityUnknown
	o.sawKill = true
	o.ep.Kills = append(o.ep.Kills, k)
	o.evidence(r)
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
	k.Seq, k.Uptime, k.HasUptime, k.Time = o.last.seq, o.last.uptime, o.last.hasUptime, o.last.time
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
