package watcher

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// ending is one way for a run to end in the model: what the sources would say,
// and what must be told, whatever the order in which they say it.
type ending struct {
	name string
	code int
	want incident.Cause // "" for nothing
	kill string         // "path", "bare", ""
	sigs []int
	stop bool
	flt  bool
}

var endings = []ending{
	{name: "own limit", code: 137, want: incident.OOMContainer, kill: "path"},
	{name: "own limit in a storm", code: 137, want: incident.OOMContainer, kill: "bare"},
	{name: "stop timeout", code: 137, want: incident.KillStopTimeout, sigs: []int{15, 9}, stop: true},
	{name: "kill", code: 137, want: incident.KillRequest, sigs: []int{9}},
	{name: "stop", code: 143, want: incident.StopRequest, sigs: []int{15}, stop: true},
	{name: "stop, exit 0", code: 0, want: incident.StopRequest, sigs: []int{15}, stop: true},
	{name: "kill -9 from outside", code: 137, want: incident.KillUnknown},
	{name: "exit 3", code: 3, want: incident.ExitError},
	{name: "exit 0", code: 0},
	{name: "segfault", code: 139, want: incident.CrashSignal, flt: true},
}

// modelRun is one run of one container in the model.
type modelRun struct {
	start, end time.Time
	pid        int
	how        ending
}

// fact is an observation with its time of arrival.
type fact struct {
	o      Observation
	source string
}

// TestModel plays random histories of containers that share a small pool of
// pids, with every source late by its own random time and everything repeated
// now and then, and holds what is told against what happened: one incident for
// each end, with the right cause, joined to the right run.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs, facts := history(t)
		facts = deliver(t, facts)
		c, err := NewCorrelator(Options{Host: incident.Host{BootID: "boot"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var told []Told
		for _, name := range []string{"docker", "kmsg"} {
			told = append(told, c.Observe(Observation{At: zero, Seen: zero, Source: &SourceState{Name: name, Up: true}})...)
		}
		for _, f := range facts {
			for next := c.Next(); !next.IsZero() && next.Before(f.o.Seen); next = c.Next() {
				told = append(told, c.Due(next)...)
			}
			told = append(told, c.Observe(f.o)...)
		}
		for i := 0; i < 1000 && !c.Next().IsZero(); i++ {
			told = append(told, c.Due(c.Next())...)
		}
		if c.Open() {
			t.Fatalf("something is still open")
		}
		check(t, runs, told)
	})
}

// history draws containers and their runs, and what each source says of them.
func history(t *rapid.T) (map[string][]modelRun, []*fact) {
	runs := map[string][]modelRun{}
	var facts []*fact
	seq := uint64(1)
	busy := map[int]time.Time{} // pid → until when it is in use
	add := func(source string, at time.Time, o Observation) {
		o.At = at
		facts = append(facts, &fact{o: o, source: source})
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		name := fmt.Sprintf("c%d", i)
		cid := id(name)
		at := zero.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "begin")) * time.Millisecond)
		add("docker", at.Add(-50*time.Millisecond), Observation{Action: &Action{ID: cid, Name: name, Action: "create"}})
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			r := modelRun{start: at, how: rapid.SampledFrom(endings).Draw(t, "ending")}
			life := time.Duration(rapid.IntRange(20, 4000).Draw(t, "life")) * time.Millisecond
			r.end = at.Add(life)
			// Long after its owner is gone a pid may be another's.
			for r.pid = 100; busy[r.pid].After(r.start.Add(-10 * time.Second)); r.pid++ {
			}
			busy[r.pid] = r.end
			runs[name] = append(runs[name], r)

			add("docker", r.start.Add(2*time.Millisecond), Observation{Action: &Action{ID: cid, Name: name, Action: "start"}})
			add("docker", r.start.Add(3*time.Millisecond), Observation{Container: &Container{PID: r.pid, Container: incident.Container{ID: cid, Name: name, StartedAt: r.start, MemoryLimit: new(int64(32 << 20))}}})
			before := r.end.Add(-10 * time.Millisecond)
			if r.how.kill != "" {
				k := kmsg.Kill{Seq: seq + 1, Uptime: before.Sub(zero) + time.Hour, HasUptime: true, Time: before, PID: r.pid, Comm: "x", Line: "Killed process"}
				ep := &kmsg.Episode{Seq: seq, Time: before, Constraint: kmsg.ConstraintMemcg, Kills: []kmsg.Kill{k}}
				if r.how.kill == "path" {
					ep.OOMMemcg, ep.TaskMemcg = "/docker/"+cid, "/docker/"+cid
				}
				seq += 10
				add("kmsg", before, Observation{Episode: ep})
				add("docker", before.Add(time.Millisecond), Observation{Action: &Action{ID: cid, Name: name, Action: "oom"}})
			}
			if r.how.flt {
				seq += 10
				add("kmsg", before, Observation{Fault: &kmsg.Fault{Seq: seq, Kind: kmsg.FaultSegfault, PID: r.pid, Time: before, Line: "segfault"}})
			}
			for j, s := range r.how.sigs {
				when := r.end.Add(time.Duration(j-len(r.how.sigs)) * 2 * time.Millisecond)
				add("docker", when, Observation{Signal: &Signal{ID: cid, Signal: incident.Signal{At: when, Number: s}}})
			}
			add("docker", r.end, Observation{Exit: &Exit{ID: cid, Name: name, Exit: incident.Exit{At: r.end, ExitCode: r.how.code, Raw: "die"}}})
			if r.how.stop {
				add("docker", r.end.Add(3*time.Millisecond), Observation{Action: &Action{ID: cid, Name: name, Action: "stop"}})
			}
			at = r.end.Add(time.Duration(rapid.IntRange(110, 5000).Draw(t, "pause")) * time.Millisecond)
		}
	}
	return runs, facts
}

// deliver gives every fact its time of arrival: each source keeps its own order
// and is late by up to 250 ms. Now and then a source is connected anew and tells
// its last seconds once more.
func deliver(t *rapid.T, facts []*fact) []*fact {
	sort.SliceStable(facts, func(i, j int) bool { return facts[i].o.At.Before(facts[j].o.At) })
	last := map[string]time.Time{}
	for _, f := range facts {
		late := time.Duration(rapid.IntRange(0, 250).Draw(t, "late")) * time.Millisecond
		seen := f.o.At.Add(late)
		if seen.Before(last[f.source]) {
			seen = last[f.source]
		}
		last[f.source], f.o.Seen = seen, seen
	}
	for range rapid.IntRange(0, 2).Draw(t, "replays") {
		source := rapid.SampledFrom([]string{"docker", "kmsg"}).Draw(t, "source")
		at := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "replay at")) * time.Millisecond)
		for _, f := range facts {
			if f.source == source && f.o.Seen.Before(at) && f.o.At.After(at.Add(-3*time.Second)) {
				again := *f
				again.o.Seen = at
				facts = append(facts, &again)
			}
		}
	}
	sort.SliceStable(facts, func(i, j int) bool { return facts[i].o.Seen.Before(facts[j].o.Seen) })
	return facts
}

// check holds what was told against the history.
func check(t *rapid.T, runs map[string][]modelRun, told []Told) {
	type key struct {
		name  string
		start time.Time
	}
	got := map[key]incident.Cause{}
	for _, x := range told {
		i := x.Incident
		if x.Update {
			continue
		}
		if i.Kind != incident.KindDeath {
			t.Fatalf("told a %s: %s", i.Kind, i.Summary)
		}
		k := key{i.Container.Name, i.Container.StartedAt}
		if _, twice := got[k]; twice {
			t.Fatalf("%s: told twice", i.Summary)
		}
		got[k] = i.Cause
	}
	for name, rs := range runs {
		for n, r := range rs {
			k := key{name, r.start}
			if got[k] != r.how.want {
				t.Fatalf("%s run %d (%s): told %q, want %q", name, n, r.how.name, got[k], r.how.want)
			}
			delete(got, k)
		}
	}
	for k, cause := range got {
		t.Fatalf("told %s of %s started %s, which never was", cause, k.name, k.start)
	}
}
