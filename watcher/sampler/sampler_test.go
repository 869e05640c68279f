package sampler

import (
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/recorder"
)

// What is read of a container when its turn comes follows from what memory in use
// did since, and where its limit is.
func TestWhatIsReadInTurn(t *testing.T) {
	const used = 40 << 20
	now := time.Now()
	s := &Source{order: make([]*reading, 1000), parts: turn{n: 1, of: 1}, nears: turn{n: 1, of: 1}}
	for _, c := range []struct {
		name  string
		is    func(*reading)
		later bool // not its turn
		want  cgroup.What
	}{
		{"nothing moved", func(*reading) {}, false, cgroup.WithKills | cgroup.WithTasks},
		{"it moved", func(r *reading) { r.last.Used++ }, false, cgroup.WithStat | cgroup.WithEvents | cgroup.WithTasks},
		{"near its limit", func(r *reading) { r.last.Limit, r.whole = used+1<<20, now.Add(-nearWhole) }, false, parts | cgroup.WithLimit},
		{"near its limit, just read whole", func(r *reading) { r.last.Limit, r.whole = used+1<<20, now.Add(-nearWhole/2) }, false,
			cgroup.WithStat | cgroup.WithEvents | cgroup.WithTasks},
		{"with a CPU quota", func(r *reading) { r.last.CPUPeriods = 7 }, false, cgroup.WithKills | cgroup.WithTasks | cgroup.WithCPU},
		{"not read whole for a minute", func(r *reading) { r.whole = now.Add(-wholeEvery) }, false, parts | cgroup.WithLimit},
		{"the first", func(r *reading) { r.turns = 0 }, false, parts | cgroup.WithLimit | cgroup.WithPIDs},
		{"not its turn", func(r *reading) { r.last.Used++ }, true, 0},
		{"near its limit out of turn", func(r *reading) { r.last.Limit = used + 1<<20 }, true, cgroup.WithStat},
	} {
		r := &reading{turns: 1, whole: now.Add(-wholeEvery / 2), brokenDown: used, last: recorder.Unknown()}
		r.last.Used, r.last.Limit, r.last.CPUPeriods = used, 2*used, 0
		c.is(r)
		s.parts.n = 1
		if c.later {
			s.parts.n = 0
		}
		if got := s.what(0, r, now); got != c.want {
			t.Errorf("%s: %b, want %b", c.name, got, c.want)
		}
	}
}

// A breakdown from before memory moved is not taken for one of now.
func TestSamplesLeaveOutOldBreakdowns(t *testing.T) {
	const mib = 1 << 20
	var list []recorder.Reading
	for _, x := range []struct{ used, anon int64 }{{10, 8}, {10, 8}, {40, 8}, {40, 8}, {40, 38}, {41, 38}, {70, 38}} {
		r := recorder.Unknown()
		r.Used, r.Anon, r.File, r.Shmem, r.Kernel = x.used*mib, x.anon*mib, mib, 0, mib
		list = append(list, r)
	}
	var anon []int64
	for _, s := range samples("web", list) {
		if s.Stat == nil {
			anon = append(anon, -1)
			continue
		}
		anon = append(anon, s.Stat.Anon/mib)
	}
	if want := []int64{8, 8, -1, -1, 38, 38, -1}; !slices.Equal(anon, want) {
		t.Errorf("anonymous memory %v, want %v", anon, want)
	}
}
