package correlate

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// TestModel plays random histories: containers of two engines that share a small pool of
// pids, seen by sources that lose stretches and say so, stamp starts and ends by other
// clocks, and repeat themselves. Each history is delivered several times over, each time
// late in other ways, with sources that stand still and with restarts of the Correlator in
// between. In some the host's clock is set back by hours on the way. Every delivery must end in the same incidents under the same ids; no incident
// may be emitted twice, or be changed without a fact of its own moment; and each must be
// true of the history (model_truth_test.go).
//
// The 10,000 histories are those of one seed, so that CI judges the change and not its
// luck; make model draws others: go test ./correlate -run TestModel -rapid.seed=7.
func TestModel(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "10000", "rapid.seed": "1"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = flag.Set(name, f.DefValue) }() // it was that before
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		d := w.deliver(t)
		first := w.play(t, d)
		w.check(t, d, first)
		for range 2 {
			other := w.deliver(t)
			w.same(t, d, other, first, w.play(t, other))
		}
	})
}

// ending is one way for a run to end, or to go on without a child.
type ending struct {
	name  string
	code  int
	kill  string // the kernel's of the main process: "path", "bare", ""
	child string // the kernel's of a child just before the end: likewise
	sigs  []int  // asked of the engine
	stop  bool   // the engine says that it has stopped it
	fault bool
	sent  bool // SIGKILL by another process
	want  incident.Cause
}

var endings = []ending{
	{name: "own limit", code: 137, kill: "path", want: incident.OOMContainer},
	{name: "own limit in a storm", code: 137, kill: "bare", want: incident.OOMContainer},
	{name: "stop timeout", code: 137, sigs: []int{15, 9}, stop: true, want: incident.KillStopTimeout},
	{name: "kill", code: 137, sigs: []int{9}, want: incident.KillRequest},
	{name: "stop", code: 143, sigs: []int{15}, stop: true, want: incident.StopRequest},
	{name: "stop, exit 0", code: 0, sigs: []int{15}, stop: true, want: incident.StopRequest},
	{name: "kill -9 from outside", code: 137, sent: true, want: incident.KillProcess},
	{name: "exit 137", code: 137, want: incident.ExitError},
	{name: "exit 3", code: 3, want: incident.ExitError},
	{name: "exit 3 for a child", code: 3, child: "path", want: incident.OOMContainer},
	{name: "exit 3 for a child in a storm", code: 3, child: "bare", want: incident.OOMContainer},
	{name: "exit 0", code: 0},
	{name: "segfault", code: 139, fault: true, want: incident.CrashSignal},
}

// life is one run of one container.
type life struct {
	engine, name string
	start, end   time.Time
	pid          int
	how          ending
	children     []child
	began        *fact // the engine's event of the start
	shown        *fact // the answer that shows its pid
}

// endsAlone is true for a run that nobody ends, nor the kernel.
func (l *life) endsAlone() bool {
	return l.how.kill == "" && l.how.child == "" && l.how.sigs == nil && !l.how.sent && !l.how.fault
}

// child is a process of a run that the kernel killed.
type child struct {
	pid int
	at  time.Time
}

// fact is an observation of a history, and who says it.
type fact struct {
	o      observe.Observation
	source string
	life   *life
	lost   bool
	after  *fact // it is said only once this one has arrived, and this
	also   *fact
}

type world struct {
	lives []*life
	facts []*fact
	lossy bool // some fact was lost, or some question never answered
	seq   uint64
	// At back the host's clock is set back by by: what comes later is stamped earlier.
	back time.Time
	by   time.Duration
	busy map[int]time.Time // pid → until when it is in use
}

var sources = []string{"docker", "podman", "kmsg", "trace"}

func newWorld(t *rapid.T) *world {
	w := &world{seq: 1, busy: map[int]time.Time{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		engine := rapid.SampledFrom(sources[:2]).Draw(t, "engine")
		name := fmt.Sprintf("c%d", i)
		at := zero.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "begin")) * time.Millisecond)
		w.add(engine, at.Add(-50*time.Millisecond), nil, observe.Observation{Event: &observe.Event{ID: id(name), Name: name, Kind: observe.Created}})
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			l := w.live(t, engine, name, at)
			at = l.end.Add(time.Duration(rapid.IntRange(150, 5000).Draw(t, "pause")) * time.Millisecond)
		}
	}
	w.lose(t)
	if w.back = never; rapid.IntRange(0, 2).Draw(t, "set back") == 0 {
		w.back = zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "set back at")) * time.Millisecond)
		w.by = time.Duration(rapid.IntRange(60, 180).Draw(t, "set back by")) * time.Minute
	}
	return w
}

func (w *world) add(source string, at time.Time, l *life, o observe.Observation) *fact {
	o.At, o.From = at, source
	f := &fact{o: o, source: source, life: l}
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

// live draws one run and what each source says of it.
func (w *world) live(t *rapid.T, engine, name string, at time.Time) *life {
	ms := func(from, to int, label string) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Millisecond
	}
	l := &life{engine: engine, name: name, start: at, how: rapid.SampledFrom(endings).Draw(t, "ending")}
	l.end = at.Add(ms(20, 4000, "life"))
	l.pid = w.freePID(l.start, l.end)
	w.lives = append(w.lives, l)
	cid := id(name)
	event := func(at time.Time, kind observe.EventKind) *fact {
		return w.add(engine, at, l, observe.Observation{Event: &observe.Event{ID: cid, Name: name, Kind: kind, Owed: kind == observe.Started}})
	}
	reported := ms(1, 11, "the event follows the start")
	if l.endsAlone() && l.end.Sub(l.start) < 100*time.Millisecond && rapid.IntRange(0, 3).Draw(t, "the engine is busy") == 0 {
		reported = ms(12, 140, "the event comes late") // it may have ended by then
	}
	l.began = event(l.start.Add(reported), observe.Started)
	if rapid.IntRange(0, 9).Draw(t, "answered") > 0 {
		l.shown = w.add("inspect "+engine, l.began.o.At.Add(time.Millisecond), l, observe.Observation{Container: w.show(l, l.began.o.At.Add(time.Millisecond))})
		l.shown.o.From, l.shown.after = engine, l.began
		l.shown.o.Container.AnswersStart = l.began.o.At
	} else {
		w.lossy = true
	}
	before := l.end.Add(-10 * time.Millisecond)
	for i := range rapid.IntRange(0, 2).Draw(t, "children killed") {
		// Long before the end, or it would be the reason for it.
		if when := l.start.Add(time.Duration(10+20*i) * time.Millisecond); l.end.Sub(when) > 5500*time.Millisecond {
			w.killChild(t, l, when, rapid.SampledFrom([]string{"path", "bare"}).Draw(t, "child"))
		}
	}
	if l.how.child != "" {
		w.killChild(t, l, before, l.how.child)
	}
	if l.how.kill != "" {
		w.kill(t, l, l.pid, before, l.how.kill)
		event(before.Add(time.Millisecond), observe.OOM)
	}
	if l.how.fault {
		w.seq += 10
		w.add("kmsg", before, l, observe.Observation{Fault: &kmsg.Fault{Seq: w.seq, Kind: kmsg.FaultSegfault, PID: l.pid, Time: before, Line: "segfault"}})
	}
	if l.how.sent {
		w.add("trace", before, l, observe.Observation{Sent: &observe.Sent{PID: l.pid, Sent: incident.Sent{At: before, Number: 9, Located: true, Sender: incident.Process{PID: 7, Comm: "bash"}}}})
	}
	for j, n := range l.how.sigs {
		when := l.end.Add(time.Duration(j-len(l.how.sigs)) * 2 * time.Millisecond)
		w.add(engine, when, l, observe.Observation{Signal: &observe.Signal{ID: cid, Signal: incident.Signal{At: when, Number: n}}})
	}
	died := later(l.end.Add(ms(0, 3, "the event follows the end")), l.began.o.At.Add(time.Millisecond))
	w.add(engine, died, l, observe.Observation{Exit: &observe.Exit{ID: cid, Name: name, DetailPending: true, Exit: incident.Exit{At: died, ExitCode: l.how.code, Raw: "die"}}})
	exited := w.facts[len(w.facts)-1]
	if rapid.IntRange(0, 9).Draw(t, "detailed") > 0 {
		d := w.add("inspect "+engine, died.Add(time.Millisecond), l, observe.Observation{Detail: &observe.Detail{ID: cid, DiedAt: died, LogTail: []string{"last words"}, Inspect: w.show(l, l.end.Add(time.Millisecond))}})
		d.o.From, d.after, d.also = engine, exited, l.shown
	}
	if l.how.stop {
		event(died.Add(3*time.Millisecond), observe.Stopped)
	}
	if l.shown != nil {
		w.readings(l, ms(5, 400, "first reading"))
	}
	return l
}

// readings are those of the counter of kills, until the cgroup is gone.
func (w *world) readings(l *life, first time.Duration) {
	for at := l.start.Add(first); at.Before(l.end); at = at.Add(400 * time.Millisecond) {
		if !at.After(l.shown.o.At) {
			continue // the sampler does not know of it yet
		}
		n := int64(0)
		for _, k := range l.children {
			if k.at.Before(at) {
				n++
			}
		}
		r := cgroup.Sample{At: at, Current: 10 << 20, OOMKills: n, Swap: -1, Limit: 32 << 20}
		w.add("cgroup", at, l, observe.Observation{Samples: []observe.Sample{{ID: id(l.name), PID: l.pid, Sample: r}}}).after = l.shown
	}
}

// killChild has the kernel kill a child of a run.
func (w *world) killChild(t *rapid.T, l *life, at time.Time, how string) {
	k := child{pid: w.freePID(at, at), at: at}
	l.children = append(l.children, k)
	w.kill(t, l, k.pid, at, how)
	w.add(l.engine, at.Add(time.Millisecond), l, observe.Observation{Event: &observe.Event{ID: id(l.name), Name: l.name, Kind: observe.OOM}})
}

// kill is what kernel log and trace say of one kernel kill.
func (w *world) kill(t *rapid.T, l *life, pid int, at time.Time, how string) {
	path := "/docker/" + id(l.name)
	k := kmsg.Kill{Seq: w.seq + 1, Uptime: at.Sub(zero) + time.Hour, HasUptime: true, Time: at, PID: pid, Comm: "x", Line: "Killed process"}
	ep := &kmsg.Episode{Seq: w.seq, Time: at, Constraint: kmsg.ConstraintMemcg, Kills: []kmsg.Kill{k}}
	if how == "path" {
		ep.OOMMemcg, ep.TaskMemcg = path, path
	}
	w.seq += 10
	w.add("kmsg", at, l, observe.Observation{Episode: ep})
	m := &observe.Marked{PID: pid, Comm: "x", Uptime: k.Uptime, Killed: true}
	if rapid.Bool().Draw(t, "found") {
		m.Cgroup = path
	}
	if pid == l.pid {
		m.Init = rapid.Bool().Draw(t, "seen to be the main one")
		w.add("trace", at.Add(-time.Millisecond), l, observe.Observation{Sent: &observe.Sent{PID: pid, Sent: incident.Sent{At: at.Add(-time.Millisecond), Number: 9, FromKernel: true}}})
	}
	w.add("trace", at.Add(-time.Millisecond), l, observe.Observation{Marked: m})
}

// show is what the engine shows of a container at a moment of, or after, a run.
func (w *world) show(l *life, at time.Time) *observe.Container {
	c := &observe.Container{Container: incident.Container{ID: id(l.name), Name: l.name, StartedAt: l.start, MemoryLimit: new(int64(32 << 20))}}
	if at.After(l.end) {
		c.State, c.Exit = "exited", &incident.Exit{At: l.end, FinishedAt: l.end, ExitCode: l.how.code, Inspected: true}
		return c
	}
	c.PID, c.State = l.pid, "running"
	return c
}

// list is an engine's full list at a moment.
func (w *world) list(engine string, at time.Time) *observe.List {
	last := map[string]*life{}
	for _, l := range w.lives {
		if l.engine == engine && l.start.Before(at) {
			last[l.name] = l
		}
	}
	list := &observe.List{}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		list.Containers = append(list.Containers, *w.show(last[name], at))
	}
	return list
}

// lose draws what is lost: stretches of a source, which it says, and whose engine is then
// asked for its list.
func (w *world) lose(t *rapid.T) {
	for range rapid.IntRange(0, 3).Draw(t, "losses") {
		source := rapid.SampledFrom([]string{"docker", "podman", "kmsg", "trace", "cgroup"}).Draw(t, "lossy source")
		from := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "lost from")) * time.Millisecond)
		to := from.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "lost for")) * time.Millisecond)
		lost := int64(0)
		for _, f := range w.facts {
			if f.source == source && f.o.List == nil && f.o.Lost == nil && !f.o.At.Before(from) && !f.o.At.After(to) {
				f.lost, lost = true, lost+1
			}
		}
		if lost == 0 {
			continue // nobody notices
		}
		w.lossy = true
		if source != "cgroup" {
			w.add(source, to, nil, observe.Observation{Lost: &incident.Gap{Source: source, From: from, To: to, Lost: lost}})
		}
		if slices.Contains(sources[:2], source) {
			at := to.Add(100 * time.Millisecond)
			w.add(source, at, nil, observe.Observation{List: w.list(source, at)})
		}
	}
	for again := true; again; {
		again = false
		for _, f := range w.facts {
			if !f.lost && f.after != nil && f.after.lost {
				f.lost, again = true, true
			}
		}
	}
	w.facts = slices.DeleteFunc(w.facts, func(f *fact) bool { return f.lost })
	sort.SliceStable(w.facts, func(i, j int) bool { return w.facts[i].o.At.Before(w.facts[j].o.At) })
}

// delivery is one way for the facts of a history to arrive.
type delivery struct {
	facts    []arrival
	restarts []time.Time
	notice   time.Duration // how long after it the set-back of the clock is noticed at the latest
	log      []string      // what was emitted, and when
}

type arrival struct {
	*fact
	seen time.Time
}

// deliver draws when each fact arrives. A source keeps its own order; answers to questions
// about one container come when they come.
func (w *world) deliver(t *rapid.T) *delivery {
	type still struct{ from, to time.Time }
	stills := map[string]still{}
	for _, source := range append([]string{"cgroup", "inspect docker", "inspect podman"}, sources...) {
		if rapid.IntRange(0, 3).Draw(t, "stands still") == 0 {
			from := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "still from")) * time.Millisecond)
			stills[source] = still{from, from.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "still for")) * time.Millisecond)}
		}
	}
	d := &delivery{}
	last, seen := map[string]time.Time{}, map[*fact]time.Time{}
	for _, f := range w.facts {
		at := f.o.At.Add(time.Duration(rapid.IntRange(0, 250).Draw(t, "late")) * time.Millisecond)
		if f.after != nil {
			at = later(at, seen[f.after])
		}
		if f.also != nil {
			at = later(at, seen[f.also])
		}
		if s := stills[f.source]; at.After(s.from) && at.Before(s.to) {
			at = s.to
		}
		if !strings.HasPrefix(f.source, "inspect") {
			at = later(at, last[f.source])
			last[f.source] = at
		}
		seen[f] = at
		d.facts = append(d.facts, arrival{f, at})
	}
	for range rapid.IntRange(0, 2).Draw(t, "repeats") {
		source := rapid.SampledFrom(sources).Draw(t, "source")
		at := zero.Add(time.Duration(rapid.IntRange(0, 15000).Draw(t, "repeat at")) * time.Millisecond)
		for _, f := range d.facts {
			if f.source == source && f.o.List == nil && f.seen.Before(at) && f.o.At.After(at.Add(-3*time.Second)) {
				d.facts = append(d.facts, arrival{f.fact, at})
			}
		}
	}
	sort.SliceStable(d.facts, func(i, j int) bool { return d.facts[i].seen.Before(d.facts[j].seen) })
	for range rapid.IntRange(0, 2).Draw(t, "restarts") {
		d.restarts = append(d.restarts, zero.Add(time.Duration(rapid.IntRange(0, 20000).Draw(t, "restart at"))*time.Millisecond))
	}
	slices.SortFunc(d.restarts, time.Time.Compare)
	d.notice = time.Duration(rapid.IntRange(0, 2000).Draw(t, "noticed after")) * time.Millisecond
	return d
}

// play lets a Correlator see it all, through every restart, and returns what it emitted
// last of each incident.
func (w *world) play(t *rapid.T, d *delivery) map[string]*incident.Incident {
	final := map[string]*incident.Incident{}
	var now time.Time
	emitted := func(all []Emission) {
		for _, e := range all {
			if (final[e.Incident.ID] != nil) != e.Update {
				t.Fatalf("emitted twice, or an update of nothing: %s\n%s", e.Incident.Summary, w.story(d))
			}
			e.Incident = mapTimes(e.Incident, w.steady)
			final[e.Incident.ID] = e.Incident
			d.log = append(d.log, fmt.Sprintf("%.3f emits %s %s", now.Sub(zero).Seconds(), e.Incident.ID, gist(e.Incident)))
		}
	}
	rows := map[string][]byte{}
	start := func(at time.Time) *Correlator {
		c, err := New(Options{Host: incident.Host{BootID: "boot"}}, rows)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range sources {
			emitted(c.Observe(observe.Observation{From: name, At: w.clock(at), Seen: w.clock(at), Source: &observe.SourceState{Name: name, Kind: kindOf(name), Up: true}}))
		}
		return c
	}
	c := start(zero.Add(-time.Minute))
	until := func(at time.Time) {
		for next := w.steady(c.Next()); !next.IsZero() && next.Before(at); next = w.steady(c.Next()) {
			now = next
			emitted(c.Due(w.clock(next)))
		}
	}
	noticed := false
	reach := func(at time.Time) { // the watcher looks at the clock before it does anything
		if !noticed && !at.Before(w.back) {
			noticed = true
			until(w.back)
			if now = w.back.Add(d.notice); at.Before(now) {
				now = at
			}
			emitted(c.Observe(observe.Observation{At: w.clock(now), Seen: w.clock(now), SetBack: &observe.SetBack{By: w.by, After: w.clock(w.back).Add(-d.notice)}}))
		}
		until(at)
	}
	restarts := d.restarts
	for _, f := range d.facts {
		for len(restarts) > 0 && restarts[0].Before(f.seen) {
			reach(restarts[0])
			now = restarts[0]
			emitted(c.Due(w.clock(now)))
			kept, err := c.State()
			if err != nil {
				t.Fatal(err)
			}
			for key, b := range kept {
				if rows[key] = b; b == nil {
					delete(rows, key)
				}
			}
			c, restarts = start(restarts[0]), restarts[1:]
		}
		reach(f.seen)
		now = f.seen
		emitted(c.Observe(w.stamped(f)))
	}
	if !w.back.Equal(never) {
		reach(w.back.Add(d.notice))
	}
	for range 1000 {
		if c.Next().IsZero() {
			break
		}
		now = w.steady(c.Next())
		emitted(c.Due(w.clock(now)))
	}
	if c.Open() {
		t.Fatalf("something is still open\n%s", w.story(d))
	}
	return final
}

// clock is what the host's clock shows at a moment, and steady the moment of that.
func (w *world) clock(at time.Time) time.Time {
	if at.Before(w.back) {
		return at
	}
	return at.Add(-w.by)
}

func (w *world) steady(shown time.Time) time.Time {
	if shown.IsZero() || shown.After(zero.Add(-30*time.Minute)) {
		return shown
	}
	return shown.Add(w.by)
}

// stamped is a fact with the times that it arrives with. Engines wrote theirs down; those of
// the kernel are worked out from the clock as it stands then.
func (w *world) stamped(f arrival) observe.Observation {
	stamp := w.clock
	if f.source == "kmsg" || f.source == "trace" {
		stamp = func(at time.Time) time.Time { return at.Add(w.clock(f.seen).Sub(f.seen)) }
	}
	o := f.o
	if !w.back.Equal(never) {
		o = mapTimes(o, func(at time.Time) time.Time {
			if at.IsZero() {
				return at
			}
			return stamp(at)
		})
	}
	o.Seen = w.clock(f.seen)
	return o
}

// gist is what must be the same of an incident, however its facts arrived.
func gist(i *incident.Incident) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.3f %s %s %s", i.Time.Sub(zero).Seconds(), i.Kind, i.Cause, i.Confidence)
	if x := i.Container; x != nil {
		fmt.Fprintf(&b, " %s", x.Name)
		if x.ExitCode != nil {
			fmt.Fprintf(&b, " exit=%d", *x.ExitCode)
		}
	}
	if i.Victim != nil {
		fmt.Fprintf(&b, " victim=%d", i.Victim.PID)
	}
	return b.String()
}

// same holds that two deliveries of one history ended in the same incidents.
func (w *world) same(t *rapid.T, one, other *delivery, a, b map[string]*incident.Incident) {
	ids := slices.Sorted(maps.Keys(a))
	for id := range b {
		if a[id] == nil {
			ids = append(ids, id)
		}
	}
	var diff []string
	for _, id := range ids {
		x, y := "", ""
		if i := a[id]; i != nil && i.Cause != incident.ExitOK {
			x = gist(i)
		}
		if i := b[id]; i != nil && i.Cause != incident.ExitOK {
			y = gist(i)
		}
		if x != y {
			diff = append(diff, fmt.Sprintf("%s:\n  %s\n  %s", id, x, y))
		}
	}
	if diff != nil {
		t.Fatalf("another order gives other incidents:\n%s\n%s\nand\n%s", strings.Join(diff, "\n"), w.story(one), w.story(other))
	}
}

// story is the history and how it was delivered, for a failure.
func (w *world) story(d *delivery) string {
	var b strings.Builder
	for _, l := range w.lives {
		fmt.Fprintf(&b, "%s %s %.3f to %.3f pid %d: %s, children %v\n", l.engine, l.name, l.start.Sub(zero).Seconds(), l.end.Sub(zero).Seconds(), l.pid, l.how.name, l.children)
	}
	all := d.facts
	if all == nil {
		for _, f := range w.facts {
			all = append(all, arrival{f, f.o.At})
		}
	}
	for _, f := range all {
		fmt.Fprintf(&b, "%.3f (%.3f) %s %s\n", f.seen.Sub(zero).Seconds(), f.o.At.Sub(zero).Seconds(), f.source, w.say(f.fact))
	}
	for _, l := range d.log {
		b.WriteString(l + "\n")
	}
	if !w.back.Equal(never) {
		fmt.Fprintf(&b, "the clock is set back at %.3f, noticed within %v\n", w.back.Sub(zero).Seconds(), d.notice)
	}
	for _, at := range d.restarts {
		fmt.Fprintf(&b, "restart at %.3f\n", at.Sub(zero).Seconds())
	}
	return b.String()
}

// say is an observation in a few words.
func (w *world) say(f *fact) string {
	name := ""
	if f.life != nil {
		name = f.life.name
	}
	switch o := f.o; {
	case o.Event != nil:
		return name + " " + string(o.Event.Kind)
	case o.Container != nil:
		return name + " shown"
	case o.Exit != nil:
		return name + " exit"
	case o.Detail != nil:
		return name + " detail"
	case o.Signal != nil:
		return fmt.Sprint(name, " asked ", o.Signal.Number)
	case o.Episode != nil:
		return fmt.Sprint(name, " record of ", o.Episode.Kills[0].PID, " ", len(o.Episode.TaskMemcg) > 0)
	case o.Marked != nil:
		return fmt.Sprint(name, " mark of ", o.Marked.PID, " ", o.Marked.Cgroup != "", " ", o.Marked.Init)
	case o.Sent != nil:
		return fmt.Sprint(name, " sent to ", o.Sent.PID)
	case o.Samples != nil:
		return fmt.Sprint(name, " counter ", o.Samples[0].OOMKills)
	case o.List != nil:
		return fmt.Sprint("list of ", len(o.List.Containers))
	case o.Lost != nil:
		return fmt.Sprintf("lost from %.3f", o.Lost.From.Sub(zero).Seconds())
	}
	return name + " fault"
}
