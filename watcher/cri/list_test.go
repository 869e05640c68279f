package cri

import (
	"context"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// runOf is a run of which a test plays the connection and the workers.
func runOf(t *testing.T) (*run, *recorded) {
	t.Helper()
	s, err := New(Options{Socket: "/run/x.sock"})
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorded{}
	return newRun(s, rec.emit), rec
}

// TestStartBesideList has a container start while a full list is made, in which it is
// not: its start is told once.
func TestStartBesideList(t *testing.T) {
	r, rec := runOf(t)
	r.first = true
	r.listed(&listing{at: time.Now(), entries: []entry{{id: "old", state: running}}})
	full, began := r.full, time.Now()
	up := func(id string) *status { return &status{id: id, state: running, started: began} }

	r.moment(moment{at: time.Now(), topic: "/tasks/start", id: "new", pid: 7})
	r.answered(answer{job: job{kind: jobStart, id: "new"}, status: up("new")})
	r.answered(answer{job: job{kind: jobList, id: "old", full: full}, status: up("old")})
	r.overflow = nil
	r.listed(&listing{at: time.Now(), entries: []entry{{id: "old", state: running}, {id: "new", state: running}}})
	for _, j := range r.overflow {
		r.answered(answer{job: j, status: up(j.id)})
	}

	if n := rec.count(func(o *observe.Observation) bool { return o.Event != nil && o.Event.Kind == observe.Started }); n != 1 {
		t.Errorf("its start was told %d times", n)
	}
}

// TestListWithoutAnswer has a runtime list a container and not answer for it: it is in
// the list all the same, for what is not in it was removed.
func TestListWithoutAnswer(t *testing.T) {
	r, rec := runOf(t)
	r.first = true
	r.listed(&listing{at: time.Now(), entries: []entry{{id: "slow", state: running}}})
	r.answered(answer{job: job{kind: jobList, id: "slow", full: r.full}, err: context.DeadlineExceeded})

	listed := func(o *observe.Observation) bool {
		return o.List != nil && len(o.List.Containers) == 1 && o.List.Containers[0].ID == "slow"
	}
	if rec.count(listed) != 1 {
		t.Errorf("want it in the list: %+v", rec.all)
	}
}

// TestEndBeforeStart has a program end before the runtime has noted its start, as one does
// that exits at once: it is one run, that ends when it starts at the earliest.
func TestEndBeforeStart(t *testing.T) {
	r, rec := runOf(t)
	ended, noted := time.Date(2026, 11, 30, 3, 56, 44, 954566610, time.UTC), time.Date(2026, 11, 30, 3, 56, 44, 958223508, time.UTC)
	r.moment(moment{at: noted, topic: "/tasks/start", id: "a", pid: 7})
	r.moment(moment{at: noted, topic: "/tasks/exit", id: "a", code: 3, end: ended})
	r.answered(answer{job: job{kind: jobStart, id: "a"}, status: &status{id: "a", state: running, started: noted}})
	n := rec.count(func(o *observe.Observation) bool {
		return o.Exit != nil && o.Exit.ExitCode == 3 && !o.Exit.At.Before(noted)
	})
	if n != 1 || notBefore(ended, noted) != noted || notBefore(time.Time{}, noted) != (time.Time{}) {
		t.Errorf("%d ends: %+v", n, rec.all)
	}
}

// TestEndBetweenLists has a container begin and end between two lists of a runtime without
// events: the pid that the runtime still knows is that of its main process, by which a
// signal to it finds it.
func TestEndBetweenLists(t *testing.T) {
	r, rec := runOf(t)
	began := time.Date(2026, 12, 1, 3, 46, 57, 0, time.UTC)
	ended := &status{id: "a", state: exited, started: began, finished: began.Add(300 * time.Millisecond), exitCode: 137, pid: 26583}
	r.listed(&listing{at: began.Add(time.Second), entries: []entry{{id: "a", state: exited}}})
	r.answered(answer{job: job{kind: jobLook, id: "a"}, status: ended, runtime: "cri-o"})
	if n := rec.count(func(o *observe.Observation) bool { return o.Container != nil && o.Container.PID == 26583 }); n != 1 {
		t.Errorf("told with its pid %d times: %+v", n, rec.all)
	}
	if n := rec.count(func(o *observe.Observation) bool { return o.Exit != nil && o.Exit.ExitCode == 137 }); n != 1 {
		t.Errorf("ended %d times", n)
	}
}
