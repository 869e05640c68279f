package correlate

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/verdict"
)

// moved finds the container of a kill anew, now that more is known.
func (c *Correlator) moved(k *kill) {
	c.kills.unsaved[k] = true
	if !k.real() {
		return
	}
	home, by, expects := c.place(k)
	if home != nil {
		k.oneOf = nil
	}
	if k.expects != expects {
		unlist(c.kills.byID, k.expects, k)
		if expects != "" {
			c.kills.byID[expects] = append(c.kills.byID[expects], k)
		}
		k.expects = expects
	}
	if home == nil {
		c.kills.stale = true
	}
	c.give(k, home, by)
}

// give puts a kill into a container, nil for none.
func (c *Correlator) give(k *kill, home *container, by verdict.Attribution) {
	if k.home != nil && k.home != home {
		k.home.kills = slices.DeleteFunc(k.home.kills, func(o *kill) bool { return o == k })
		c.touch(k.home)
	}
	if home != nil && k.home != home {
		home.kills = append(home.kills, k)
	}
	k.home, k.By, c.kills.unsaved[k] = home, by, true
	if home == nil {
		c.kills.open[k] = true
		c.await(k)
		return
	}
	delete(c.kills.wait, k)
	delete(c.kills.open, k)
	slices.SortStableFunc(home.kills, func(a, b *kill) int { return a.at().Compare(b.at()) })
	c.touch(home)
}

// place looks for the container of a kill: by the cgroup that the kernel printed, by the
// cgroup in which the mark found the victim, by the pids that are known, by the cgroup of
// the victim's parent. expects is the id of a container that no engine has spoken of.
func (c *Correlator) place(k *kill) (home *container, by verdict.Attribution, expects string) {
	if p := verdict.VictimPath(k.episode()); p != "" && p != "/" {
		home, expects = c.ofPath(p)
		return home, verdict.ByPath, expects
	}
	if p := k.located(); p != "" {
		home, expects = c.ofPath(p)
		return home, verdict.ByTrace, expects
	}
	if home, by = c.ofPID(k.Kill.PID, k.at()); home != nil || k.Mark == nil {
		return home, by, ""
	}
	if cgroup.ParsePath(k.Mark.ParentCgroup).InContainer() {
		home, _ = c.ofPath(k.Mark.ParentCgroup)
		return home, verdict.ByParent, ""
	}
	return nil, "", ""
}

// ofPath looks for the container that a cgroup is of. unknown is the id in the path
// where no engine has spoken of it.
func (c *Correlator) ofPath(p string) (x *container, unknown string) {
	id := cgroup.ParsePath(p)
	// The outermost id first: root inside a container can give a cgroup of its own
	// another container's id as its name.
	for _, cid := range []string{id.OuterID, id.ContainerID} {
		if cid == "" {
			continue
		}
		if x := c.withID(cid); x != nil && x.holds(p) {
			return x, ""
		}
		keep(&unknown, cid)
	}
	if id.InContainer() {
		return nil, unknown
	}
	// A path that is no container's can still be where a known container's processes
	// live, in a runtime's own layout.
	for ; len(p) > 1; p = path.Dir(p) {
		if x := c.cgroups[p]; x != nil {
			return x, ""
		}
	}
	return nil, ""
}

// withID is the container of an id, which people shorten in logs that they show.
func (c *Correlator) withID(id string) (found *container) {
	if x := c.containers[id]; x != nil || !c.opt.Offline {
		return x
	}
	for known, x := range c.containers {
		if cgroup.SameID(known, id) {
			if found != nil {
				return nil // it may be either
			}
			found = x
		}
	}
	return found
}

// holds says whether a path can be this container's: the cgroup it is known to be in,
// or one below. Until that is known the id in the path is believed.
func (x *container) holds(p string) bool {
	own := x.Spec.CgroupPath
	return own == "" || p == own || strings.HasPrefix(p, own+"/")
}

// ofPID looks for the container in which a pid was at a moment: as its main process, or
// as one that was seen in its cgroup. Pids are used again: the run that covers the
// moment wins.
func (c *Correlator) ofPID(pid int, at time.Time) (*container, verdict.Attribution) {
	var home *container
	var best *run
	for _, x := range c.mains[pid] {
		for _, r := range x.timeline() {
			if r.pid != pid || !r.covers(pid, at, c.opt.Offline) {
				continue
			}
			if best == nil || r.start.After(best.start) && !at.Before(r.start) || at.Before(best.start) {
				home, best = x, r
			}
		}
	}
	if home != nil {
		return home, verdict.ByMainPID
	}
	for i := len(c.pids[pid]) - 1; i >= 0; i-- {
		t := &c.pids[pid][i]
		x := c.containers[t.id]
		if x == nil || at.Before(t.first.Add(-early)) || at.Sub(t.last) > pidTrust {
			continue
		}
		// A container's processes end with its main one: a pid that was seen in an
		// earlier run is nobody's.
		if r := x.runAt(pid, at, c.opt.Offline); r != nil && !t.last.Before(r.lo.Add(-early)) {
			return x, verdict.ByPIDTable
		}
	}
	return nil, ""
}

// located looks again for the containers of kills, signals and faults, now that an
// engine has spoken of one, or the sampler of its cgroup.
func (c *Correlator) located(x *container) {
	for _, k := range c.expecting(x.Spec.ID) {
		c.moved(k)
	}
	if x.Spec.CgroupPath != "" {
		for k := range c.kills.open {
			if k.expects == "" && !k.pathless() && x.holds(verdict.VictimPath(k.episode())) {
				c.moved(k)
			}
		}
	}
	c.placeFaults()
}

// expecting are the kills in a container of that id that no engine had spoken of.
func (c *Correlator) expecting(id string) []*kill {
	out := slices.Clone(c.kills.byID[id])
	if !c.opt.Offline {
		return out
	}
	for other, kills := range c.kills.byID {
		if other != id && cgroup.SameID(other, id) {
			out = append(out, kills...)
		}
	}
	return out
}

// recallPID looks again for what was said of a pid, now that it is known whose main
// process had it.
func (c *Correlator) recallPID(x *container, pid int) {
	for _, k := range slices.Clone(c.kills.byPID[pid]) {
		if k.pathless() {
			c.moved(k)
		}
	}
	for _, s := range c.stray.takeSent(pid) {
		c.sent(s.sent)
		c.touchPIDless(s.sent) // it was for none of them
	}
	c.placeFaults()
}
