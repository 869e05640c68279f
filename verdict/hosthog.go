package verdict

import (
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// hostHog sums the task table of a host-wide episode by container, for what was
// known of the pids before the kill, and returns the container that held the
// most; nil where a process outside every container held more than any, or no
// container is known. Comm and PID are its largest process.
func hostHog(f *Facts, e *kmsg.Episode) *incident.Hog {
	if e.Constraint != kmsg.ConstraintNone || len(f.Owners) == 0 {
		return nil
	}
	type sum struct {
		rss     int64
		largest *kmsg.Task
	}
	sums := map[string]*sum{}
	var outside int64
	for i := range e.Tasks {
		t := &e.Tasks[i]
		name := f.Owners[t.PID]
		if name == "" {
			outside = max(outside, t.RSS.Bytes)
			continue
		}
		s := sums[name]
		if s == nil {
			s = &sum{}
			sums[name] = s
		}
		s.rss += t.RSS.Bytes
		if s.largest == nil || t.RSS.Bytes > s.largest.RSS.Bytes {
			s.largest = t
		}
	}
	best, name := (*sum)(nil), ""
	for n, s := range sums {
		if best == nil || s.rss > best.rss || s.rss == best.rss && n < name {
			best, name = s, n
		}
	}
	if best == nil || best.rss <= outside {
		return nil
	}
	return &incident.Hog{Container: name, Comm: best.largest.Comm, PID: best.largest.PID, RSS: new(best.rss)}
}

// partialHog is the hog of the table, unless the table is a part of the report: then
// the victim, where its own line says that it held more, else nobody. The log kept a
// row of somebody small.
func partialHog(inc *incident.Incident, k *KernelKill) *incident.Hog {
	h := inc.Hog
	if k.Kill.PID == 0 || taskOf(k.Episode, k.Kill.PID) != nil || !k.Kill.AnonRSS.Printed {
		return h
	}
	held := k.Kill.AnonRSS.Bytes + k.Kill.FileRSS.Bytes + k.Kill.ShmemRSS.Bytes
	switch {
	case h.RSS == nil || held > *h.RSS:
		victim := &incident.Hog{Comm: k.Kill.Comm, PID: k.Kill.PID, RSS: new(held)}
		if k.By == ByPath || k.By == ByMainPID {
			victim.Container = containerName(inc.Container)
		}
		return victim
	case !k.Episode.Complete:
		return nil
	}
	return h
}
