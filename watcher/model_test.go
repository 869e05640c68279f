package watcher

import (
	"flag"
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// TestModel plays random histories of containers that share a small pool of pids.
// Four sources tell of them, each late by its own random time or standing still
// for seconds, what it says repeated now and then, and parts of it lost, as each
// source loses them: in stretches, with its word that it did. What is told in the
// end must be what the reference (model_reference_test.go) makes of the facts that
// arrived, whatever their order; and nothing may be told of a run that is another's.
//
// The 10,000 cases are others every time; a failure names its seed:
// go test ./watcher -run TestModel -rapid.seed=7.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set(f.Name, "10000"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set(f.Name, f.DefValue) }() // it was that before
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.deliver(t)
		told := w.play(t)
		w.check(t, told)
	})
}

// ending is one way for a run to end, or to go on without a child.
type ending struct {
	name  string
	code  int
	kill  string // the kernel's of the first process: "path", "bare", ""
	child string // the kernel's of a child just before the end: likewise
	sigs  []int  // asked of the engine
	stop  bool   // the engine says "stop" after it
	fault bool
	sent  bool // SIGKILL by another process
}

var endings = []ending{
	{name: "own limit", code: 137, kill: "path"},
	{name: "own limit in a storm", code: 137, kill: "bare"},
	{name: "stop timeout", code: 137, sigs: []int{15, 9}, stop: true},
	{name: "kill", code: 137, sigs: []int{9}},
	{name: "stop", code: 143, sigs: []int{15}, stop: true},
	{name: "stop, exit 0", code: 0, sigs: []int{15}, stop: true},
	{name: "kill -9 from outside", code: 137, sent: true},
	{name: "exit 137", code: 137},
	{name: "exit 3", code: 3},
	{name: "exit 3 for a child", code: 3, child: "path"},
	{name: "exit 3 for a child in a storm", code: 3, child: "bare"},
	{name: "exit 0", code: 0},
	{name: "segfault", code: 139, fault: true},
}

// span is one run of one container.
type span struct {
	name       string
	start, end time.Time
	pid        int
	first      bool // the mark of its first process shows that it was that
	how        ending
	kids       []*kid // children that the kernel killed while it lived, the last one maybe its end
	// arrived are the facts that arrived, by a word for each.
	arrived map[string]bool
}

// kid is a kernel kill of a child.
type kid struct {
	pid     int
	at      time.Time
	arrived map[string]bool
}

// fact is an observation, when it arrives, and what it is to the reference.
type fact struct {
	o       observe.Observation
	source  string
	span    *span
	arrived map[string]bool // where to note that it did
	word    string
	lost    bool
	// counter is true for a reading of span's counter of kills: it is made
	// only once the sampler was told of the run.
	counter bool
	// list is true for a full list of the engine.
	list bool
}

type world struct {
	spans []*span // in the order of their containers and starts
	facts []*fact
	gaps  []incident.Gap // that the sources tell of
	seq   uint64
	busy  map[int]time.Time // pid → until when it is in use
}

func newWorld(t *rapid.T) *world {
	w := &world{seq: 1, busy: map[int]time.Time{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		name := fmt.Sprintf("c%d", i)
		at := zero.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "begin")) * time.Millisecond)
		w.add("docker", at.Add(-50*time.Millisecond), nil, "", observe.Observation{Action: &observe.Action{ID: id(name), Name: name, Action: "create"}})
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			s := w.run(t, name, at)
			at = s.end.Add(time.Duration(rapid.IntRange(250, 5000).Draw(t, "pause")) * time.Millisecond)
		}
	}
	w.outages(t)
	return w
}

// add notes a fact. word is what the reference calls it; "" where it needs none.
func (w *world) add(source string, at time.Time, s *span, word string, o observe.Observation) *fact {
	o.At = at
	f := &fact{o: o, source: source, span: s, word: word}
	if s != nil {
		f.arrived = s.arrived
	}
	w.facts = append(w.facts, f)
	return f
}

// freePID takes a pid that nobody has had for ten seconds.
func (w *world) freePID(from, until time.Time) int {
	pid := 100
	for w.busy[pid].After(from.Add(-10 * time.Second)) {
		pid++
	}
	w.busy[pid] = until
	return pid
}

// run draws one run and what each source says of it.
func (w *world) run(t *rapid.T, name string, at time.Time) *span {
	s := &span{name: name, start: at, how: rapid.SampledFrom(endings).Draw(t, "ending"), arrived: map[string]bool{}}
	life := time.Duration(rapid.IntRange(20, 4000).Draw(t, "life")) * time.Millisecond
	s.end = at.Add(life)
	s.pid = w.freePID(s.start, s.end)
	w.spans = append(w.spans, s)
	cid := id(name)
	w.add("docker", s.start.Add(2*time.Millisecond), s, "start", observe.Observation{Action: &observe.Action{ID: cid, Name: name, Action: "start"}})
	w.add("inspect", s.start.Add(3*time.Millisecond), s, "inspect", observe.Observation{Container: w.inspect(s, s.end)})

	before := s.end.Add(-10 * time.Millisecond)
	for i := range rapid.IntRange(0, 2).Draw(t, "children killed") {
		// Long before the end, or it would be the reason for it.
		if when := s.start.Add(time.Duration(10+20*i) * time.Millisecond); s.end.Sub(when) > 5500*time.Millisecond {
			w.child(t, s, when, rapid.SampledFrom([]string{"path", "bare"}).Draw(t, "child"))
		}
	}
	if s.how.child != "" {
		w.child(t, s, before, s.how.child)
	}
	if s.how.kill != "" {
		w.kill(t, s, s.pid, before, s.how.kill, s.arrived)
		w.add("docker", before.Add(time.Millisecond), s, "oom", observe.Observation{Action: &observe.Action{ID: cid, Name: name, Action: "oom"}})
	}
	if s.how.fault {
		w.seq += 10
		w.add("kmsg", before, s, "fault", observe.Observation{Fault: &kmsg.Fault{Seq: w.seq, Kind: kmsg.FaultSegfault, PID: s.pid, Time: before, Line: "segfault"}})
	}
	if s.how.sent {
		w.add("trace", before, s, "sent", observe.Observation{Sent: &observe.Sent{PID: s.pid, Sent: incident.Sent{At: before, Number: 9, Located: true, Sender: incident.Process{PID: 7, Comm: "bash"}}}})
	}
	for j, n := range s.how.sigs {
		when := s.end.Add(time.Duration(j-len(s.how.sigs)) * 2 * time.Millisecond)
		w.add("docker", when, s, fmt.Sprint("signal ", n), observe.Observation{Signal: &observe.Signal{ID: cid, Signal: incident.Signal{At: when, Number: n}}})
	}
	w.add("docker", s.end, s, "die", observe.Observation{Exit: &observe.Exit{ID: cid, Name: name, Exit: incident.Exit{At: s.end, ExitCode: s.how.code, Raw: "die"}}})
	if s.how.stop {
		w.add("docker", s.end.Add(3*time.Millisecond), s, "stop", observe.Observation{Action: &observe.Action{ID: cid, Name: name, Action: "stop"}})
	}
	// The counter of its cgroup, now and then, until the cgroup is gone.
	for at := s.start.Add(time.Duration(rapid.IntRange(5, 400).Draw(t, "first reading")) * time.Millisecond); at.Before(s.end); at = at.Add(400 * time.Millisecond) {
		n := int64(0)
		for _, k := range s.kids {
			if k.at.Before(at) {
				n++
			}
		}
		r := cgroup.Sample{At: at, Current: 10 << 20, OOMKills: n, Swap: -1, Limit: 32 << 20}
		w.add("cgroup", at, s, fmt.Sprint("counter ", n), observe.Observation{Samples: []observe.Sample{{ID: cid, Sample: r}}}).counter = true
	}
	return s
}

// child has the kernel kill a child of a run.
func (w *world) child(t *rapid.T, s *span, at time.Time, how string) {
	k := &kid{pid: w.freePID(at, at), at: at, arrived: map[string]bool{}}
	s.kids = append(s.kids, k)
	w.kill(t, s, k.pid, at, how, k.arrived)
	w.add("docker", at.Add(time.Millisecond), s, "oom of a child", observe.Observation{Action: &observe.Action{ID: id(s.name), Name: s.name, Action: "oom"}})
}

// kill is what kernel log and trace say of one kernel kill.
func (w *world) kill(t *rapid.T, s *span, pid int, at time.Time, how string, arrived map[string]bool) {
	cid := id(s.name)
	k := kmsg.Kill{Seq: w.seq + 1, Uptime: at.Sub(zero) + time.Hour, HasUptime: true, Time: at, PID: pid, Comm: "x", Line: "Killed process"}
	ep := &kmsg.Episode{Seq: w.seq, Time: at, Constraint: kmsg.ConstraintMemcg, Kills: []kmsg.Kill{k}}
	if how == "path" {
		ep.OOMMemcg, ep.TaskMemcg = "/docker/"+cid, "/docker/"+cid
	}
	w.seq += 10
	w.add("kmsg", at, s, how+" record", observe.Observation{Episode: ep}).arrived = arrived
	m := &observe.Marked{PID: pid, Comm: "x", Uptime: k.Uptime, Killed: true}
	word := "mark"
	if rapid.Bool().Draw(t, "found") {
		m.Cgroup, word = "/docker/"+cid, "mark with cgroup"
	}
	if pid == s.pid {
		m.Init = rapid.Bool().Draw(t, "seen to be the first")
		s.first = m.Init
		w.add("trace", at.Add(-time.Millisecond), s, "kernel's signal", observe.Observation{Sent: &observe.Sent{PID: pid, Sent: incident.Sent{At: at.Add(-time.Millisecond), Number: 9, FromKernel: true}}})
	}
	w.add("trace", at.Add(-time.Millisecond), s, word, observe.Observation{Marked: m}).arrived = arrived
}

// inspect is what the engine answers about a container while, or after, a run.
func (w *world) inspect(s *span, at time.Time) *observe.Container {
	c := &observe.Container{Container: incident.Container{ID: id(s.name), Name: s.name, StartedAt: s.start, MemoryLimit: new(int64(32 << 20))}}
	if at.After(s.end) {
		c.State, c.Exit = "exited", &incident.Exit{At: s.end, FinishedAt: s.end, ExitCode: s.how.code, Inspected: true}
		return c
	}
	c.PID, c.State = s.pid, "running"
	return c
}

// list is the engine's full list at a moment.
func (w *world) list(at time.Time) (*observe.Reconcile, map[*span]bool) {
	last := map[string]*span{}
	for _, s := range w.spans {
		if s.start.Before(at) {
			last[s.name] = s
		}
	}
	rec, in := &observe.Reconcile{}, map[*span]bool{}
	for _, s := range last {
		rec.Containers = append(rec.Containers, *w.inspect(s, at))
		in[s] = true
	}
	slices.SortFunc(rec.Containers, func(a, b observe.Container) int { return len(a.ID) - len(b.ID) })
	return rec, in
}

// outages draws what is lost: stretches of a source, and single answers.
func (w *world) outages(t *rapid.T) {
	sort.SliceStable(w.facts, func(i, j int) bool { return w.facts[i].o.At.Before(w.facts[j].o.At) })
	for range rapid.IntRange(0, 3).Draw(t, "outages") {
		source := rapid.SampledFrom([]string{"docker", "kmsg", "trace", "cgroup"}).Draw(t, "lossy source")
		from := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "lost from")) * time.Millisecond)
		to := from.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "lost for")) * time.Millisecond)
		lost := int64(0)
		for _, f := range w.facts {
			same := f.source == source || source == "docker" && f.source == "inspect"
			// That it lost something a source does not lose: its reader says so.
			if same && !f.list && f.o.Lost == nil && !f.o.At.Before(from) && !f.o.At.After(to) {
				f.lost, lost = true, lost+1
			}
		}
		if lost == 0 {
			continue // nobody notices
		}
		if source != "cgroup" {
			g := incident.Gap{Source: source, From: from, To: to, Lost: lost}
			w.gaps = append(w.gaps, g)
			w.facts = append(w.facts, &fact{o: observe.Observation{At: to, Lost: &g}, source: source})
		}
		if source == "docker" {
			// What was missed is asked for.
			at := to.Add(100 * time.Millisecond)
			rec, _ := w.list(at)
			w.facts = append(w.facts, &fact{o: observe.Observation{At: at, Reconcile: rec}, source: source, list: true})
		}
	}
	skipped := false
	for _, f := range w.facts {
		if f.source == "inspect" && rapid.IntRange(0, 9).Draw(t, "skipped") == 0 {
			f.lost, skipped = true, true
		}
	}
	if skipped {
		at := zero.Add(40 * time.Second)
		rec, _ := w.list(at)
		w.facts = append(w.facts, &fact{o: observe.Observation{At: at, Reconcile: rec}, source: "docker", list: true})
	}
}

// deliver gives every fact that is not lost its time of arrival. A source keeps
// its own order; answers to questions about one container come when they come.
func (w *world) deliver(t *rapid.T) {
	w.facts = slices.DeleteFunc(w.facts, func(f *fact) bool { return f.lost })
	sort.SliceStable(w.facts, func(i, j int) bool { return w.facts[i].o.At.Before(w.facts[j].o.At) })
	type still struct{ from, to time.Time }
	stills := map[string]still{}
	for _, source := range []string{"docker", "kmsg", "trace", "cgroup", "inspect"} {
		if rapid.IntRange(0, 3).Draw(t, "stands still") == 0 {
			from := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "still from")) * time.Millisecond)
			stills[source] = still{from, from.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "still for")) * time.Millisecond)}
		}
	}
	last := map[string]time.Time{}
	for _, f := range w.facts {
		seen := f.o.At.Add(time.Duration(rapid.IntRange(0, 250).Draw(t, "late")) * time.Millisecond)
		if s := stills[f.source]; seen.After(s.from) && seen.Before(s.to) {
			seen = s.to
		}
		if f.source != "inspect" {
			if seen.Before(last[f.source]) {
				seen = last[f.source]
			}
			last[f.source] = seen
		}
		f.o.Seen = seen
	}
	for range rapid.IntRange(0, 2).Draw(t, "replays") {
		source := rapid.SampledFrom([]string{"docker", "kmsg", "trace"}).Draw(t, "source")
		at := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "replay at")) * time.Millisecond)
		for _, f := range w.facts {
			if f.source == source && !f.list && f.o.Seen.Before(at) && f.o.At.After(at.Add(-3*time.Second)) {
				again := *f
				again.o.Seen = at
				w.facts = append(w.facts, &again)
			}
		}
	}
	sort.SliceStable(w.facts, func(i, j int) bool { return w.facts[i].o.Seen.Before(w.facts[j].o.Seen) })
}

// play lets a Correlator see it all, and returns what it told.
func (w *world) play(t *rapid.T) []Told {
	c, err := NewCorrelator(Options{Host: incident.Host{BootID: "boot"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []Told
	up := zero.Add(-time.Minute)
	for _, name := range []string{"docker", "kmsg", "trace"} {
		told = append(told, c.Observe(observe.Observation{At: up, Seen: up, Source: &observe.SourceState{Name: name, Up: true}})...)
	}
	for _, f := range w.facts {
		for next := c.Next(); !next.IsZero() && next.Before(f.o.Seen); next = c.Next() {
			told = append(told, c.Due(next)...)
		}
		if f.counter && c.Running()[id(f.span.name)].PID != f.span.pid {
			continue // the sampler does not know of it
		}
		if f.arrived != nil {
			f.arrived[f.word] = true
		}
		if f.list {
			_, in := w.list(f.o.At)
			for s := range in {
				if f.o.At.After(s.end) {
					s.arrived["listed ended"] = true
				} else {
					s.arrived["listed running"] = true
				}
			}
		}
		told = append(told, c.Observe(f.o)...)
	}
	for i := 0; i < 1000 && !c.Next().IsZero(); i++ {
		told = append(told, c.Due(c.Next())...)
	}
	if c.Open() {
		t.Fatalf("something is still open")
	}
	return told
}
