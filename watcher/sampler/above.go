package sampler

import (
	"path"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/recorder"
)

const (
	// aboveEvery is how often a cgroup above without a limit is looked at again, and
	// aboveNear one that has a limit.
	aboveEvery = 30 * time.Second
	aboveNear  = time.Second
	// aboveUnused is when one is let go that is above no container any more.
	aboveUnused = 5 * time.Minute
)

// parent is a cgroup above containers.
type parent struct {
	recorder.Above
	read, asked time.Time
	handle      *cgroup.Handle // nil where it has no limit
}

// above is the tightest limit above a cgroup; nil where there is none.
func (s *Source) above(of string, now time.Time) *recorder.Above {
	var tightest *recorder.Above
	for p := path.Dir(of); p != "/" && p != "."; p = path.Dir(p) {
		x := s.parents[p]
		if x == nil {
			x = &parent{Above: recorder.Above{Path: p}}
			s.parents[p] = x
		}
		x.asked = now
		s.readParent(x, now)
		if x.Limit > 0 && x.Held >= 0 && (tightest == nil || x.Room() < tightest.Room()) {
			tightest = &x.Above
		}
	}
	if tightest == nil {
		return nil
	}
	out := *tightest
	return &out
}

// readParent brings a cgroup above up to date, where it is time to.
func (s *Source) readParent(x *parent, now time.Time) {
	if age := now.Sub(x.read); x.handle == nil && age < aboveEvery || age < aboveNear {
		return
	}
	x.read, x.Limit = now, 0
	if x.handle == nil {
		var err error
		if x.handle, err = s.fs.Open(x.Path); err != nil {
			x.handle = nil
			return // it has no memory controller, or is gone
		}
	}
	sample, r := s.upper.empty(), recorder.Unknown()
	if err := x.handle.Read(sample, cgroup.WithStat|cgroup.WithLimit); err == nil && sample.Limit > 0 {
		r.Take(sample)
		x.Limit, x.Held = sample.Limit, r.Held()
		return
	}
	x.handle.Close()
	x.handle = nil
}

// forgetParents lets go of what is above no container any more.
func (s *Source) forgetParents(now time.Time) {
	for p, x := range s.parents {
		if now.Sub(x.asked) < aboveUnused {
			continue
		}
		if x.handle != nil {
			x.handle.Close()
		}
		delete(s.parents, p)
	}
}
