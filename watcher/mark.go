package watcher

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

// mark is a Marked and what became of it.
type mark struct {
	observe.Marked
	at, seen time.Time
	// alone is true once it was taken for a kill without a record in the log.
	alone bool
}

// recorded is a kill that the kernel log told.
type recorded struct {
	pid int
	seq uint64
	at  time.Time
}

const (
	// maxMarks bounds the marks, and the kills to go with them, that are remembered.
	maxMarks = 1024
	// markSkew is how far apart the stamps of a mark and of its record may be:
	// they are milliseconds apart, by clocks that are read differently.
	markSkew = time.Second
)

// marked takes a mark: it says where the victim of a record was, and it is told
// by itself where the record does not come.
func (c *Correlator) marked(m *observe.Marked, at time.Time) {
	if c.markOf(m.PID, at) != nil {
		return
	}
	k := &mark{Marked: *m, at: at, seen: c.now}
	c.marks = appendBounded(c.marks, k, maxMarks)
	if m.Cgroup != "" {
		kill := &k.episode().Kills[0]
		if owner := c.ownerOfPath(m.Cgroup, m.PID, at, verdict.ByTrace); owner.r != nil {
			c.correct(owner, kill)
		}
	}
	for i := len(c.recorded) - 1; i >= 0; i-- {
		if r := &c.recorded[i]; r.pid == m.PID && r.at.Sub(at).Abs() < markSkew {
			return
		}
	}
	if m.Killed {
		c.unrecorded = append(c.unrecorded, k)
	}
}

// markOf returns the mark of a kill, nil where none was seen.
func (c *Correlator) markOf(pid int, at time.Time) *mark {
	for i := len(c.marks) - 1; i >= 0; i-- {
		if k := c.marks[i]; k.PID == pid && k.at.Sub(at).Abs() < markSkew {
			return k
		}
	}
	return nil
}

// record notes that the log has told a kill, and returns the mark of it; again is
// true where it had told it before.
func (c *Correlator) record(k *kmsg.Kill, at time.Time) (m *mark, again bool) {
	r := recorded{k.PID, k.Seq, at}
	if slices.Contains(c.recorded, r) {
		return nil, true
	}
	c.recorded = appendBounded(c.recorded, r, maxMarks)
	m = c.markOf(k.PID, at)
	for i, u := range c.unrecorded {
		if u == m {
			c.unrecorded = append(c.unrecorded[:i], c.unrecorded[i+1:]...)
			break
		}
	}
	return m, false
}

// markReadyAt is when a mark is taken for a kill that the log lost.
func (c *Correlator) markReadyAt(k *mark) time.Time {
	if c.up("kmsg") {
		return k.seen.Add(joinWait)
	}
	return k.seen.Add(shortWait)
}

// settleMarks makes kills of the marks whose records did not come.
func (c *Correlator) settleMarks(all bool) {
	ripe := func(k *mark) bool { return all || !c.markReadyAt(k).After(c.now) }
	loose := func(s *stray) bool { return s.pathless() && !c.strayReadyAt(s).After(c.now) }
	if !slices.ContainsFunc(c.unrecorded, ripe) && !slices.ContainsFunc(c.strays, loose) {
		return
	}
	kept := c.unrecorded[:0]
	for _, k := range c.unrecorded {
		// Judged together, as kills without a path are: which is whose shows
		// only then.
		if !ripe(k) && c.now.Sub(k.seen) < joinWait/4 {
			kept = append(kept, k)
			continue
		}
		k.alone = true
		s := &stray{episode: k.episode(), seen: k.seen, traced: true}
		if m := c.findOwner(s.episode, &s.episode.Kills[0]); m.r != nil {
			c.attach(m, s, s.episode.Kills[0])
		} else {
			s.kills, s.expected = s.episode.Kills, m.e != nil || m.unknownID
			c.strays = append(c.strays, s)
		}
	}
	c.unrecorded = kept
}

// episode is what a mark tells in the form of the log's.
func (k *mark) episode() *kmsg.Episode {
	size := func(n *int64) kmsg.Size {
		if n == nil {
			return kmsg.Size{}
		}
		return kmsg.Bytes(*n)
	}
	kill := kmsg.Kill{Uptime: k.Uptime, HasUptime: k.Uptime != 0, Time: k.at, PID: k.PID, Comm: k.Comm, UID: -1,
		TotalVM: size(k.TotalVM), AnonRSS: size(k.AnonRSS), FileRSS: size(k.FileRSS), ShmemRSS: size(k.ShmemRSS), PageTables: size(k.PageTables)}
	if k.UID != nil {
		kill.UID = *k.UID
	}
	if k.OOMScoreAdj != nil {
		kill.OOMScoreAdj, kill.HasOOMScoreAdj = *k.OOMScoreAdj, true
	}
	ep := &kmsg.Episode{Time: k.at, Uptime: k.Uptime, Kills: []kmsg.Kill{kill}}
	ep.Trigger.PID, ep.Trigger.Comm = k.Trigger.PID, k.Trigger.Comm
	return ep
}

// ownerOfMarked looks for the container of a kill without a path: by the cgroup
// that the victim was found in when it was marked, by the pids that are known,
// by its parent's cgroup. The first is of that very moment: pids are used again.
func (c *Correlator) ownerOfMarked(pid int, at time.Time) match {
	k := c.markOf(pid, at)
	if k != nil && k.Cgroup != "" {
		return c.ownerOfPath(k.Cgroup, pid, at, verdict.ByTrace)
	}
	m := c.ownerOfPID(pid, at)
	switch {
	case k == nil:
		return m
	case m.r == nil && cgroup.ParsePath(k.ParentCgroup).InContainer():
		if by := c.ownerOfPath(k.ParentCgroup, pid, at, verdict.ByParent); by.e != nil {
			return by
		}
	}
	return m
}

// first is true for the kill of a run's first process: by its pid or, where the engine
// has not told that (yet), by what was seen of it when it was marked, or by the
// kernel's table of tasks, unless the container is known to have outlived it.
func (c *Correlator) first(r *run, k *verdict.KernelKill) bool {
	switch m := c.markOf(k.Kill.PID, k.Kill.Time); {
	case r.PID != 0:
		return r.PID == k.Kill.PID
	case guessed(k) || r.outlived(k):
		return false
	case m != nil && m.Init:
		return true
	case !oldest(k):
		return false
	case r.Exit == nil:
		return !c.opt.Offline // files may just not tell its end
	}
	skew := late
	if c.opt.Offline {
		skew = slackOffline
	}
	d := endOf(r).Sub(k.Kill.Time)
	return incident.ExitSignal(r.Exit.ExitCode) == 9 && d >= -skew && d < verdict.ChildWindow
}

// mistaken is true where the table alone had it that a victim was a run's first process,
// and the engine has told another pid since.
func (c *Correlator) mistaken(r *run, k *verdict.KernelKill) bool {
	if r.PID == 0 || r.PID == k.Kill.PID {
		return false
	}
	m := c.markOf(k.Kill.PID, k.Kill.Time)
	return oldest(k) && (m == nil || !m.Init)
}

// oldest is true where the kernel's table of a container's own tasks lists the victim
// first, and no lower pid: they stand in the order in which they were begun.
func oldest(k *verdict.KernelKill) bool {
	ep := k.Episode
	id := cgroup.ParsePath(ep.OOMMemcg).ContainerID
	if id == "" || ep.OOMMemcg != verdict.VictimPath(ep) || !strings.Contains(path.Base(ep.OOMMemcg), id) {
		return false // the table is of more than this container, or of less
	}
	return len(ep.Tasks) > 0 && ep.Tasks[0].PID == k.Kill.PID &&
		!slices.ContainsFunc(ep.Tasks, func(t kmsg.Task) bool { return t.PID < k.Kill.PID })
}

// outlived is true for a kill of a first process that cannot have been this run's: of
// a run whose start is not known the end came later, so that it was an earlier one's.
func (r *run) outlived(k *verdict.KernelKill) bool {
	return r.Guessed && r.Exit != nil && endOf(r).Sub(k.Kill.Time) > early
}

// located says where a victim was by its mark; "" where that is not known.
func (c *Correlator) located(k *kmsg.Kill) string {
	if m := c.markOf(k.PID, k.Time); m != nil {
		return m.Cgroup
	}
	return ""
}
