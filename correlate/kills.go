package correlate

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

const (
	// markSkew is how far apart the stamps of a mark and of the record of the same kill
	// may be: milliseconds, by clocks that are read differently.
	markSkew = time.Second
	// keepKills is how long a kill without a container is remembered.
	keepKills = 10 * time.Minute
	// unknownExit is the exit code that an engine gives for an end while it was away.
	unknownExit = 255
	// maxLoose bounds the kills without a container that are remembered.
	maxLoose = 1024
)

// kill is one kill by the kernel's OOM killer: its record in the kernel log, its mark in
// the trace, or both.
type kill struct {
	Record  *kmsg.Episode   `json:"record,omitempty"` // nil while only the mark is known
	Kill    kmsg.Kill       `json:"kill"`
	Mark    *observe.Marked `json:"mark,omitempty"`
	MarkAt  time.Time       `json:"mark_at,omitzero"`
	Members []cgroup.Level  `json:"members,omitempty"`
	// Emitted is what was said of it as an incident of its own.
	Emitted *emission `json:"emitted,omitempty"`
	// By is how the container that it is in is known.
	By verdict.Attribution `json:"by,omitempty"`

	home    *container
	expects string   // the id of a container that the engine has not spoken of
	oneOf   []string // the possible victims, where it is given to home by a guess
	owners  map[int]string
	seen    time.Time
	key     string // of its row
}

// killPool holds the kills that are remembered, and those of them that no container has.
type killPool struct {
	byPID map[int][]*kill
	byID  map[string][]*kill // by the id of the container they expect
	open  map[*kill]bool     // without a container, or with one by a guess
	// claimants are the containers that lost a process which no placed kill explains.
	claimants map[*container]bool
	wait      map[*kill]bool // those of open that are to be emitted as they are, in time
	next      time.Time      // no kill of wait is due before; zero for none
	stale     bool           // loose kills or what claims them have changed
	unsaved   map[*kill]bool
}

// at is when the kernel killed.
func (k *kill) at() time.Time {
	switch {
	case k.Record == nil:
		return k.MarkAt
	case !k.Kill.Time.IsZero():
		return k.Kill.Time
	}
	return k.Record.Time
}

// real is false for a mark of a process that was dying already: it kills none.
func (k *kill) real() bool { return k.Record != nil || k.Mark.Killed }

// episode is the kernel's report, or what the mark says in its form.
func (k *kill) episode() *kmsg.Episode {
	if k.Record != nil {
		return k.Record
	}
	ep := &kmsg.Episode{Time: k.MarkAt, Uptime: k.Mark.Uptime, Kills: []kmsg.Kill{k.Kill}}
	ep.Trigger.PID, ep.Trigger.Comm = k.Mark.Trigger.PID, k.Mark.Trigger.Comm
	return ep
}

// index is the place of the kill among those of its report.
func (k *kill) index() int {
	return max(0, slices.IndexFunc(k.episode().Kills, func(o kmsg.Kill) bool {
		return o.PID == k.Kill.PID && o.Seq == k.Kill.Seq && o.Uptime == k.Kill.Uptime
	}))
}

// id is the id of the kill as an incident: that under which it was emitted, if it was.
func (k *kill) id(c *Correlator) string {
	if k.Emitted != nil {
		return k.Emitted.ID
	}
	return verdict.KillID(c.opt.Host.BootID, k.episode(), &k.Kill)
}

// located is the cgroup in which the mark found the victim; "" where it did not.
func (k *kill) located() string {
	if k.Mark == nil {
		return ""
	}
	return k.Mark.Cgroup
}

// pathless is true where the kernel did not print the victim's cgroup.
func (k *kill) pathless() bool {
	p := verdict.VictimPath(k.episode())
	return p == "" || p == "/"
}

// episode takes one report of the OOM killer.
func (c *Correlator) episode(ep *kmsg.Episode, below []cgroup.Level) {
	owners := c.taskOwners(ep)
	for _, k := range ep.Kills {
		at := k.Time
		if at.IsZero() {
			at = ep.Time
		}
		known := c.kills.find(k.PID, at, c.opt.Offline)
		switch {
		case known == nil:
			known = &kill{Kill: k, seen: c.now}
			c.kills.add(known, k.PID)
		case known.Record != nil && (known.Kill.Seq < k.Seq || known.Kill.Seq == k.Seq && known.Kill.Uptime == k.Uptime):
			continue // the same record, or a second line about the same victim
		}
		known.Record, known.Kill, known.Members, known.owners = ep, k, below, owners
		c.moved(known)
	}
}

// marked takes a mark: it says where a victim was, and that there was one where the log
// does not.
func (c *Correlator) marked(m *observe.Marked, at time.Time) {
	k := c.kills.find(m.PID, at, false)
	switch {
	case k == nil:
		k = &kill{seen: c.now}
		c.kills.add(k, m.PID)
	case k.Mark != nil:
		if !k.Mark.Killed && m.Killed {
			k.Mark.Killed = true
			c.moved(k)
		}
		return
	}
	mark := *m
	k.Mark, k.MarkAt = &mark, at
	if k.Record == nil {
		k.Kill = killOf(m, at)
	}
	c.moved(k)
}

// killOf is what a mark says in the form of a record of the log.
func killOf(m *observe.Marked, at time.Time) kmsg.Kill {
	size := func(n *int64) kmsg.Size {
		if n == nil {
			return kmsg.Size{}
		}
		return kmsg.Bytes(*n)
	}
	k := kmsg.Kill{Uptime: m.Uptime, HasUptime: m.Uptime != 0, Time: at, PID: m.PID, Comm: m.Comm, UID: -1,
		TotalVM: size(m.TotalVM), AnonRSS: size(m.AnonRSS), FileRSS: size(m.FileRSS), ShmemRSS: size(m.ShmemRSS), PageTables: size(m.PageTables)}
	if m.UID != nil {
		k.UID = *m.UID
	}
	if m.OOMScoreAdj != nil {
		k.OOMScoreAdj, k.HasOOMScoreAdj = *m.OOMScoreAdj, true
	}
	return k
}

// find returns the kill of a pid at about a time; nil for none. Records without a time
// are distinguished by their uptime.
func (p *killPool) find(pid int, at time.Time, offline bool) *kill {
	skew := markSkew
	if offline {
		skew = 0 // saved logs stamp to the second, and pids are used again
	}
	for _, k := range p.byPID[pid] {
		if d := k.at().Sub(at).Abs(); d < markSkew && (skew > 0 || d == 0 && !at.IsZero()) {
			return k
		}
	}
	return nil
}

func (p *killPool) add(k *kill, pid int) { p.byPID[pid] = append(p.byPID[pid], k) }

// giveKills gives the kills in a container to its runs. A kill that lies in none makes a
// run of which nothing else is known.
func (c *Correlator) giveKills(x *container) []*run {
	runs := slices.Clone(x.timeline())
	for _, r := range runs {
		r.kills = nil
	}
	for _, k := range x.kills {
		if k.at().IsZero() || !k.at().After(x.Floor) && !c.opt.Offline {
			continue
		}
		r := x.runAt(k.Kill.PID, k.at(), c.opt.Offline)
		if r == nil {
			r = x.endedBefore(k)
		}
		if r == nil {
			r = unseenRun(&runs, k.at(), c.opt.Offline)
		}
		r.kills = append(r.kills, given{kill: k})
		if r.start.IsZero() && r.exit == nil {
			r.stamps = append(r.stamps, k.at())
		}
	}
	for _, r := range runs {
		for i := range r.kills {
			r.kills[i].main = c.isMain(r, r.kills[i].kill)
		}
		if c.opt.Offline {
			r.onlyLastMain()
		}
		r.rises = x.uncounted(r, r.killTimes())
	}
	return runs
}

// lostBetween is how late a kill may be dated after an end where another run followed:
// between the two can be one that nobody saw.
const lostBetween = 10 * time.Second

// endedBefore returns the run that a kill was in whose record was dated after the run's
// end: nothing of a container lives after that until it begins anew. nil for none.
func (x *container) endedBefore(k *kill) *run {
	all := x.timeline()
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		if r.lo.After(k.at()) {
			continue
		}
		most := k.late()
		if i < len(all)-1 || k.By != verdict.ByPath {
			most = min(most, lostBetween)
		}
		if r.exit != nil && k.at().Sub(r.hi) <= most {
			return r
		}
		return nil
	}
	return nil
}

// late is how far after an end the kill that caused it can be dated.
func (k *kill) late() time.Duration {
	if k.Record == nil {
		return late
	}
	return max(late, k.Record.Late)
}

// unseenRun returns the run of a moment that no known run covers. Between two known runs
// there is one such at the most.
func unseenRun(runs *[]*run, at time.Time, offline bool) *run {
	n := len(*runs)
	for n > 0 && (*runs)[n-1].lo.After(at) {
		n--
	}
	if n > 0 {
		if r := (*runs)[n-1]; r.start.IsZero() && r.exit == nil {
			return r
		}
	}
	r := &run{lo: at, hi: never, seen: never}
	if n < len(*runs) && !offline { // files may lack it
		next := (*runs)[n]
		r.over, r.hi, r.overAt = true, next.lo, next.seen
		r.bySpeed = next.event.IsZero()
	}
	*runs = slices.Insert(*runs, n, r)
	return r
}

// isMain is true for the kill of a run's main process: by its pid or, where the engine
// has not reported that, by what was seen of the victim when it was marked, or by the
// kernel's table of tasks, unless the container is known to have outlived it.
func (c *Correlator) isMain(r *run, k *kill) bool {
	outlived := r.start.IsZero() && r.exit != nil && r.endTime().Sub(k.at()) > early
	switch {
	case r.pid != 0:
		return r.pid == k.Kill.PID
	case k.guessed():
		return false
	case r.exit != nil && r.exit.ExitCode == unknownExit && r.end == nil && !k.at().After(r.endTime()) && (k.oldest() || k.Mark != nil && k.Mark.Init):
		return true // the engine was away, and gives the time of its return
	case outlived:
		return false
	case k.Mark != nil && k.Mark.Init:
		return true
	case !k.oldest():
		return false
	case r.exit == nil:
		return !c.opt.Offline // files may lack its end
	}
	skew := k.late()
	if c.opt.Offline {
		skew = offlineSkew
	}
	d := r.endTime().Sub(k.at())
	return incident.ExitSignal(r.exit.ExitCode) == 9 && d >= -skew && d < verdict.ChildWindow
}

// oldest is true where the kernel's table of a container's own tasks lists the victim
// first, and no lower pid: they stand in the order in which they were begun.
func (k *kill) oldest() bool {
	ep := k.episode()
	id := cgroup.ParsePath(ep.OOMMemcg).ContainerID
	if id == "" || ep.OOMMemcg != verdict.VictimPath(ep) || !strings.Contains(path.Base(ep.OOMMemcg), id) {
		return false // the table is of more than this container, or of less
	}
	return len(ep.Tasks) > 0 && ep.Tasks[0].PID == k.Kill.PID &&
		!slices.ContainsFunc(ep.Tasks, func(t kmsg.Task) bool { return t.PID < k.Kill.PID })
}

// mainKill is the newest kill of the run's main process; nil for none.
func (r *run) mainKill() *given {
	for i := len(r.kills) - 1; i >= 0; i-- {
		if r.kills[i].main {
			return &r.kills[i]
		}
	}
	return nil
}

// withMain is true for a member of the group that was killed with the main process.
func (r *run) withMain(k *kill) bool {
	m := r.mainKill()
	return m != nil && m.sameReport(k) && k.Record.Group
}

// sameReport is true for two kills of one report of the kernel. After a restart
// each has a copy of it.
func (k *kill) sameReport(o *kill) bool {
	a, b := k.Record, o.Record
	if a == nil || b == nil {
		return false
	}
	return a == b || a.Seq != 0 && a.Seq == b.Seq && a.Uptime == b.Uptime && a.Time.Equal(b.Time)
}

// recentKill is true where a child was killed within seconds of the end.
func (r *run) recentKill() bool {
	for i := range r.kills {
		if r.exit == nil {
			return r.over // it is not known to have outlived them
		}
		if d := r.endTime().Sub(r.kills[i].at()); d > -r.kills[i].late() && d < verdict.ChildWindow {
			return true
		}
	}
	return false
}

// kernelKill is a kill as the rules take it.
func (c *Correlator) kernelKill(g *given) verdict.KernelKill {
	k := verdict.KernelKill{Episode: g.episode(), Kill: g.Kill, ID: g.id(c), By: g.By, Main: g.main,
		OneOf: g.oneOf, FromTrace: g.Record == nil, Marked: g.located()}
	for _, l := range g.Members {
		k.Members = append(k.Members, c.member(l))
	}
	return k
}

// member names the container of a cgroup below a limit.
func (c *Correlator) member(l cgroup.Level) incident.Member {
	m := incident.Member{Path: l.Path}
	if l.Usage >= 0 {
		m.Usage = new(l.Usage)
	}
	if l.Limit != cgroup.Unlimited {
		m.Limit = new(l.Limit)
	}
	m.Container = cgroup.ParsePath(l.Path).ContainerID
	if x := c.containers[m.Container]; x != nil && x.holds(l.Path) {
		m.Container = x.name()
	}
	return m
}
