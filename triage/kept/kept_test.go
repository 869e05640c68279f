package kept

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
)

func TestRunsOf(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	reading := func(sec int, start bool, change func(*recorder.Reading)) recorder.Reading {
		r := recorder.Unknown()
		r.At, r.Start, r.Used, r.Limit, r.OOMKill = at.Add(time.Duration(sec)*time.Second), start, 100, 500, 0
		change(&r)
		return r
	}
	s := recorder.Series{Readings: []recorder.Reading{
		reading(0, true, func(r *recorder.Reading) {}), // no breakdown
		reading(1, false, func(r *recorder.Reading) { r.File, r.Shmem, r.Swap, r.Kernel = 60, 10, 5, 7 }),
		reading(2, false, func(r *recorder.Reading) { r.OOMKill, r.File, r.Kernel, r.Reclaimable = 1, 20, 40, 30 }),
		reading(9, true, func(r *recorder.Reading) { r.Used = -1 }), // nothing was read
		reading(10, false, func(r *recorder.Reading) { r.File, r.Limit = 200, -1 }),
	}}
	want := []triage.Run{
		{Limit: 500, OOM: true, Readings: []triage.Reading{{At: 1e6, Used: 100, Held: 100}, {At: 1e6 + 1, Used: 100, Held: 55, Shmem: 10, Swap: 5, Kernel: 7, Unsplit: 7}, {At: 1e6 + 2, Used: 100, Held: 50, Kernel: 10}}},
		{Limit: 0, Readings: []triage.Reading{{At: 1e6 + 10, Used: 100, Held: 0}}},
	}
	var c cutter
	for i := range s.Readings {
		c.add(&s.Readings[i])
	}
	got := c.cut()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	Killed(got, at.Add(5*time.Second)) // belongs to the first, which has one already
	Killed(got, at.Add(30*time.Second))
	if got[1].OOM {
		t.Error("a kill long after the last reading is put down to it")
	}
	Killed(got, at.Add(12*time.Second))
	if !got[1].OOM {
		t.Error("the kill right after the last reading is not seen")
	}
}
