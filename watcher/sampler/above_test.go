package sampler

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// The tightest limit above is found past a group without one, and is none where there is
// no limit at all.
func TestAbove(t *testing.T) {
	const limit = 96 << 20
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		real.Missing(t, "control groups: %v", err)
	}
	defer fs.Close()
	parent, remove, err := lab.Parent("oomwatch-lab-above", limit)
	if err != nil {
		real.Missing(t, "a cgroup of our own: %v", err)
	}
	defer remove()
	s := New(Options{FS: fs})
	now := time.Now()
	got := s.above(parent+"/pod/container", now)
	if got == nil || got.Path != parent || got.Limit != limit || got.Held < 0 || got.Room() > limit || got.Room() < limit/2 {
		t.Errorf("above it is %+v, want %d bytes at %s", got, limit, parent)
	}
	if got := s.above("/oomwatch-lab-nothing/container", now); got != nil {
		t.Errorf("above a group without a limit is %+v", got)
	}
	s.forgetParents(now.Add(time.Hour))
	if len(s.parents) > 0 {
		t.Errorf("%d groups are still held", len(s.parents))
	}
}
