package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// crowd is a host of many containers, of which some die each second and are started again,
// while the kernel tells of signals to processes that are nobody's.
type crowd struct {
	c    *Correlator
	now  time.Time
	ids  []string
	pids []int
	next int // of the containers to die
	seq  uint64
	out  int // emitted
}

const (
	crowdContainers = 5000
	crowdDeaths     = 300  // a second
	crowdSignals    = 5000 // a second
	crowdUnplaced   = 256  // kills without a path that no container claims
)

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c, err := New(Options{Host: incident.Host{BootID: "boot"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := &crowd{c: c, now: zero, ids: make([]string, crowdContainers), pids: make([]int, crowdContainers), seq: 1}
	for _, name := range sources {
		w.see(observe.Observation{From: name, Source: &observe.SourceState{Name: name, Kind: kindOf(name), Up: true}})
	}
	for i := range w.ids {
		w.ids[i], w.pids[i] = id(fmt.Sprint("crowd-", i)), 100_000+i
		w.start(i)
	}
	w.see(observe.Observation{From: engine, List: &observe.List{}})
	return w
}

func (w *crowd) see(o observe.Observation) {
	o.At, o.Seen = w.now, w.now
	w.out += len(w.c.Observe(o))
}

func (w *crowd) start(i int) {
	w.see(observe.Observation{From: engine, Event: &observe.Event{ID: w.ids[i], Name: fmt.Sprint("crowd-", i), Kind: observe.Started, Owed: true}})
	w.see(observe.Observation{From: engine, Container: &observe.Container{Container: incident.Container{ID: w.ids[i], Name: fmt.Sprint("crowd-", i), StartedAt: w.now},
		PID: w.pids[i], AnswersStart: w.now}})
}

// die ends a container: every third by the kernel at its limit, the others by themselves.
func (w *crowd) die(i int) {
	code := 3
	if i%3 == 0 {
		code = 137
		w.seq += 10
		path := "/docker/" + w.ids[i]
		w.see(observe.Observation{From: observe.KernelLog, Episode: &kmsg.Episode{Seq: w.seq, Time: w.now, Constraint: kmsg.ConstraintMemcg, OOMMemcg: path, TaskMemcg: path,
			Kills: []kmsg.Kill{{Seq: w.seq, Time: w.now, Uptime: w.now.Sub(zero), HasUptime: true, PID: w.pids[i], Comm: "x"}}}})
		w.see(observe.Observation{From: engine, Event: &observe.Event{ID: w.ids[i], Kind: observe.OOM}})
	}
	w.see(observe.Observation{From: engine, Exit: &observe.Exit{ID: w.ids[i], Exit: incident.Exit{At: w.now, ExitCode: code}, DetailPending: true}})
	w.see(observe.Observation{From: engine, Detail: &observe.Detail{ID: w.ids[i], DiedAt: w.now, LogTail: []string{"last words"}}})
}

// second plays one second of the crowd, what is due and what is kept included.
func (w *crowd) second(b *testing.B) {
	const ticks = 100
	for range ticks {
		w.now = w.now.Add(time.Second / ticks)
		for range crowdDeaths / ticks {
			i := w.next % crowdContainers
			w.next++
			w.die(i)
			w.pids[i] += crowdContainers
			w.now = w.now.Add(time.Millisecond)
			w.start(i)
			w.see(observe.Observation{From: observe.Cgroups, Samples: []observe.Sample{{ID: w.ids[i], PID: w.pids[i], Sample: cgroup.Sample{At: w.now, Current: 1 << 20}}}})
		}
		for n := range crowdSignals / ticks {
			w.see(observe.Observation{From: observe.Trace, Sent: &observe.Sent{PID: 1000 + n, Sent: incident.Sent{At: w.now, Number: 9}}})
		}
		w.out += len(w.c.Due(w.now))
		w.c.Next()
	}
	if _, err := w.c.State(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCrowdSecond is a second of 5,000 containers with 300 deaths and 5,000 signals,
// while 256 kills are in no container that is known: what the join alone takes of it.
func BenchmarkCrowdSecond(b *testing.B) {
	w := newCrowd(b)
	for n := range crowdUnplaced {
		w.seq += 10
		w.see(observe.Observation{From: observe.KernelLog, Episode: &kmsg.Episode{Seq: w.seq, Time: w.now, Constraint: kmsg.ConstraintMemcg,
			Kills: []kmsg.Kill{{Seq: w.seq, Time: w.now, Uptime: time.Hour, HasUptime: true, PID: 10_000 + n, Comm: "x"}}}})
	}
	for range 3 {
		w.second(b)
	}
	b.ResetTimer()
	for b.Loop() {
		w.second(b)
	}
	b.ReportMetric(float64(w.out), "emitted")
}

// BenchmarkCrowdAtRest is a second of the same containers a minute after.
func BenchmarkCrowdAtRest(b *testing.B) {
	w := newCrowd(b)
	for range 20 {
		w.second(b)
	}
	for range 60 {
		w.now = w.now.Add(time.Second)
		w.c.Due(w.now)
	}
	b.ResetTimer()
	for b.Loop() {
		w.now = w.now.Add(time.Second)
		w.c.Due(w.now)
		if _, err := w.c.State(); err != nil {
			b.Fatal(err)
		}
	}
}
