package sampler

import (
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
)

// Follow says which containers are running, by id. The source keeps the map.
func (s *Source) Follow(running map[string]observe.Followed) {
	s.mu.Lock()
	s.want = running
	s.mu.Unlock()
	signal(s.wake)
}

// adopt opens the cgroups of containers that are new and lets go of those that
// are not followed any more; it returns the new ones.
func (s *Source) adopt(emit func(observe.Observation)) []*reading {
	s.mu.Lock()
	want := s.want
	for id, x := range s.seen {
		if f, ok := want[id]; !ok || f.PID != x.pid {
			delete(s.seen, id)
		}
	}
	s.mu.Unlock()
	changed := false
	for id, r := range s.reading {
		if f, ok := want[id]; !ok || f.PID != r.want.PID {
			s.drop(r)
			changed = true
		}
	}
	var fresh []*reading
	s.missing = false
	for id, f := range want {
		if r := s.reading[id]; r != nil {
			if f.MemoryLimit != r.want.MemoryLimit || f.CPUQuota != r.want.CPUQuota {
				r.want, r.whole = f, time.Time{} // its limits were changed: all is read again soon
			}
			continue
		}
		path, err := s.fs.ContainerPathOf(f.PID, id)
		if err != nil {
			s.missing = true // gone already, or not visible: tried again at the next round
			continue
		}
		h, err := s.fs.Open(path)
		if err != nil {
			s.missing = true
			continue
		}
		if s.pressure != nil {
			// Without the levels the readings still tell the story.
			_ = s.pressure.Watch(path)
		}
		r := &reading{id: id, handle: h, want: f, last: recorder.Unknown(), kills: -1, track: s.rec.Begin(id, f.Service, f.Started)}
		s.reading[id] = r
		s.mu.Lock()
		s.seen[id] = &seen{pid: f.PID, path: path}
		s.mu.Unlock()
		fresh = append(fresh, r)
		emit(observe.Observation{At: time.Now(), Container: &observe.Container{Container: incident.Container{ID: id}, CgroupPath: path}})
	}
	if changed || len(fresh) > 0 || len(s.order) != len(s.reading) {
		s.order = s.order[:0]
		for _, r := range s.reading {
			s.order = append(s.order, r)
		}
		slices.SortFunc(s.order, func(a, b *reading) int { return strings.Compare(a.id, b.id) })
	}
	return fresh
}

func (s *Source) drop(r *reading) {
	if s.pressure != nil {
		s.mu.Lock()
		if x := s.seen[r.id]; x != nil && x.pid == r.want.PID {
			x.levels = s.levels(x)
		}
		s.mu.Unlock()
		s.pressure.Forget(r.handle.Path())
	}
	r.handle.Close()
	r.track.End(time.Now())
	r.gone = true
	delete(s.reading, r.id)
}

// maxBelow bounds the cgroups that are named as sharing a limit.
const maxBelow = 12

// Below lists the cgroups that share the limit an episode reached, largest
// first; nil where it was the victim's own, or is long past.
func (s *Source) Below(ep *kmsg.Episode) []cgroup.Level {
	if ep.OOMMemcg == "" || ep.OOMMemcg == "/" || ep.OOMMemcg == ep.TaskMemcg || time.Since(ep.Time) > time.Minute {
		return nil
	}
	below, err := s.fs.Members(ep.OOMMemcg, maxBelow)
	if err != nil {
		return nil // it is gone already: the verdict does not rest on it
	}
	return below
}
