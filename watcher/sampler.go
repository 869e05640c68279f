package watcher

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
)

const (
	// Memory in use is read every time; the rest takes turns: each container's
	// every so many rounds, but of at least so many containers in one round,
	// and of at most so many.
	partsEvery, partsLeast, partsMost       = 5, 20, 60
	membersEvery, membersLeast, membersMost = 6, 20, 50
	// countersUpTo is how many containers have their counters of kills read
	// every time; more have them read with their parts. A kill that anybody
	// told of has all read at once (Nudge): this is for those that nobody did.
	countersUpTo = 60
	// wholeEvery is the time after which a container's turn reads all there is:
	// its limits too, which hardly ever change, and what follows from memory in
	// use although that is the same. Near the limit it matters more that this is
	// the present one; but much memory is often page cache, and that near for good.
	wholeEvery = time.Minute
	nearWhole  = 15 * time.Second
	// initEvery is how many of its turns lie between two that read the signals
	// which its first process handles.
	initEvery = 60
	// nearLimit is the part of the limit above which the breakdown is taken
	// out of turn, of nearMost containers in one round: it is what will be
	// asked for after the death.
	nearLimit = 0.8
	nearMost  = 20
	// refresh is how often a container's members are told although they are
	// the same.
	refresh = 10 * time.Second
	// nudgeGap bounds how often a kill may cause an extra round of readings.
	nudgeGap = 20 * time.Millisecond
)

// Followed is a running container that is to be read.
type Followed struct {
	// PID is its first process, Started when that was, and Service the name
	// under which its readings are kept.
	PID     int
	Started time.Time
	Service string
}

// SamplerOptions are what NewSampler needs.
type SamplerOptions struct {
	FS *cgroup.FS
	// Pressure counts what the kernel notifies of; nil for nothing.
	Pressure *cgroup.Pressure
	// Proc is where the host's processes are seen, "" for /proc.
	Proc string
	// Recorder takes every reading.
	Recorder   *recorder.Recorder
	Registerer prometheus.Registerer
}

// Sampler reads the memory, pressure and counters of running containers'
// cgroups, and of the host, all in one goroutine, and hands them to the Recorder.
// What a container held before it died is known only from here: at the engine's
// "die" its cgroup is gone. The correlator is told what changes its mind: members,
// first process, and kills that were counted.
type Sampler struct {
	fs       *cgroup.FS
	pressure *cgroup.Pressure
	proc     string
	rec      *recorder.Recorder
	metrics  samplerMetrics
	psi      cgroup.What // WithPSI where containers have a pressure of their own

	mu   sync.Mutex
	want map[string]Followed
	seen map[string]*seen
	// looked are those of which all parts were read in this round.
	looked []Looked

	wake   chan struct{}
	nudge  chan struct{}
	rounds chan struct{}

	// Only Run's goroutine touches these.
	reading map[string]*reading
	order   []*reading
	parts   turn
	members turn
	nears   turn
	missing bool // some could not be opened, and are tried again
	host    hostReading
	scratch scratch
	pace    pace

	period atomic.Int64 // the pace's, for Pace
}

// NewSampler returns a Sampler; Run starts it.
func NewSampler(opt SamplerOptions) *Sampler {
	if opt.Proc == "" {
		opt.Proc = cgroup.DefaultProc
	}
	var psi cgroup.What
	if opt.FS.Mode() == cgroup.V2 {
		psi = cgroup.WithPSI
	}
	return &Sampler{fs: opt.FS, psi: psi, pressure: opt.Pressure, proc: opt.Proc, rec: opt.Recorder, metrics: newSamplerMetrics(opt.Registerer),
		want: map[string]Followed{}, seen: map[string]*seen{}, reading: map[string]*reading{},
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), rounds: make(chan struct{}, 1), pace: newPace()}
}

// Follow says which containers are running, by id. The sampler keeps the map.
func (s *Sampler) Follow(running map[string]Followed) {
	s.mu.Lock()
	s.want = running
	s.mu.Unlock()
	signal(s.wake)
}

// Nudge asks for the counters at once: a kill has just been told.
func (s *Sampler) Nudge() { signal(s.nudge) }

// Pace is the time between two readings of a container.
func (s *Sampler) Pace() time.Duration { return max(sampleEvery, time.Duration(s.period.Load())) }

// Rounds gives a signal after each round of readings; rounds that nobody waited
// for are one.
func (s *Sampler) Rounds() <-chan struct{} { return s.rounds }

// Looked is a container, or the host (""), of which all parts were read.
type Looked struct {
	ID      string
	Reading recorder.Reading
	// Stalls is how often the kernel has notified that it stood still for want
	// of memory, since it is watched; -1 where it does not.
	Stalls int64
}

// Looked appends those of which all parts were read in the last round.
func (s *Sampler) Looked(into []Looked) []Looked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(into, s.looked...)
}

func (s *Sampler) look(id string, r *recorder.Reading, stalls int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = append(s.looked, Looked{ID: id, Reading: *r, Stalls: stalls})
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run reads until ctx ends.
func (s *Sampler) Run(ctx context.Context, emit func(observe.Observation)) {
	s.host.open(s.fs, s.rec)
	if s.pressure != nil {
		// Where the host's cannot be watched, its totals are read all the same.
		_ = s.pressure.Watch(cgroup.HostPressure)
	}
	defer func() {
		for _, r := range s.reading {
			s.drop(r)
		}
		s.host.close()
	}()
	s.report(emit)
	tick := time.NewTimer(untilNext(time.Now(), s.pace.period))
	defer tick.Stop()
	var nudged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if fresh := s.adopt(emit); len(fresh) > 0 {
				s.read(fresh, emit, time.Now())
			}
		case <-s.nudge:
			if wait := nudgeGap - time.Since(nudged); wait > 0 {
				select {
				case <-ctx.Done():
					return
				case <-time.After(wait):
				}
			}
			nudged = time.Now()
			s.counters(emit)
		case now := <-tick.C:
			s.round(emit, now)
			tick.Reset(untilNext(time.Now(), s.pace.period))
		}
	}
}

// untilNext is the time to the next round. At the usual pace rounds come at whole
// seconds, so that readings of all containers, and of all hosts, can be laid side
// by side.
func untilNext(now time.Time, period time.Duration) time.Duration {
	if period != sampleEvery {
		return period
	}
	return period - time.Duration(now.Nanosecond())%period
}

// round takes one reading of every container and of the host, and finds out when
// the next one may come. The goroutine stays on its thread, whose time is what a
// round costs, however busy the machine is.
func (s *Sampler) round(emit func(observe.Observation), now time.Time) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	if s.missing {
		s.adopt(emit)
	}
	n := len(s.order)
	s.parts.next(n, partsEvery, partsLeast, partsMost)
	s.members.next(n, membersEvery, membersLeast, membersMost)
	s.nears.next(n, 1, nearMost, nearMost)
	s.mu.Lock()
	if s.looked = s.looked[:0]; cap(s.looked) > 4*partsMost {
		s.looked = nil // all were new in the first round
	}
	s.mu.Unlock()
	if s.host.read(now) {
		s.look("", &s.host.last, s.Stalls(""))
	}
	s.read(s.order, emit, now)
	signal(s.rounds)

	news := s.pace.took(threadTime() - began)
	s.period.Store(int64(s.pace.period))
	s.metrics.period.Set(s.pace.period.Seconds())
	s.metrics.cost.Set(s.pace.cost.Seconds())
	if news {
		s.report(emit)
	}
}

// threadTime is the processor time of this thread.
func threadTime() time.Duration {
	const rusageThread = 1 // getrusage(2): RUSAGE_THREAD
	var u syscall.Rusage
	if syscall.Getrusage(rusageThread, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// turn goes round a list: each round has the next few of it.
type turn struct{ from, n, of int }

// next moves on to the next ones of a list of so many: each has its turn every
// so many rounds, sooner where that would be less than least at once, later where
// it would be more than most.
func (t *turn) next(of, every, least, most int) {
	if of == 0 {
		*t = turn{}
		return
	}
	t.from = (t.from + t.n) % of
	t.n, t.of = min(max((of+every-1)/every, least), most, of), of
}

// has is true for those whose turn it is.
func (t *turn) has(i int) bool {
	if i >= t.of {
		return false
	}
	return (i-t.from+t.of)%t.of < t.n
}

// report says what can be seen of control groups from here, and how often it is looked at.
func (s *Sampler) report(emit func(observe.Observation)) {
	st := &observe.SourceState{Name: "cgroup", Up: true}
	if err := errors.Join(s.fs.Problems()...); err != nil {
		st.Reason = err.Error()
		st.Up = !errors.Is(err, cgroup.ErrNoMemory)
	}
	if s.pace.told > sampleEvery {
		if st.Reason != "" {
			st.Reason += "; "
		}
		st.Reason += fmt.Sprintf("%d containers: each is read every %.1f s, so that it costs no more than %.1f %% of a core",
			len(s.order), s.pace.told.Seconds(), 100.0/sampleShare)
	}
	emit(observe.Observation{At: time.Now(), Source: st})
	emit(observe.Observation{At: time.Now(), Host: &incident.Host{Cgroup: string(s.fs.Mode())}})
}

// adopt opens the cgroups of containers that are new and lets go of those that
// are not followed any more; it returns the new ones.
func (s *Sampler) adopt(emit func(observe.Observation)) []*reading {
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
		if f, ok := want[id]; !ok || f.PID != r.pid {
			s.drop(r)
			changed = true
		}
	}
	var fresh []*reading
	s.missing = false
	for id, f := range want {
		if s.reading[id] != nil {
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
		r := &reading{id: id, handle: h, pid: f.PID, last: recorder.Unknown(), kills: -1, track: s.rec.Begin(id, f.Service, f.Started)}
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

func (s *Sampler) drop(r *reading) {
	if s.pressure != nil {
		s.mu.Lock()
		if x := s.seen[r.id]; x != nil && x.pid == r.pid {
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
func (s *Sampler) Below(ep *kmsg.Episode) []cgroup.Level {
	if ep.OOMMemcg == "" || ep.OOMMemcg == "/" || ep.OOMMemcg == ep.TaskMemcg || time.Since(ep.Time) > time.Minute {
		return nil
	}
	below, err := s.fs.Members(ep.OOMMemcg, maxBelow)
	if err != nil {
		return nil // it is gone already: the verdict does not rest on it
	}
	return below
}

// samplerMetrics say what the readings cost.
type samplerMetrics struct{ period, cost prometheus.Gauge }

func newSamplerMetrics(r prometheus.Registerer) samplerMetrics {
	m := samplerMetrics{
		period: prometheus.NewGauge(prometheus.GaugeOpts{Name: "oomwatch_sample_period_seconds", Help: "Time between two readings of a container; it is stretched where there are many."}),
		cost:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "oomwatch_sample_round_cpu_seconds", Help: "Processor time that one reading of all containers takes."}),
	}
	m.period.Set(sampleEvery.Seconds())
	if r != nil {
		r.MustRegister(m.period, m.cost)
	}
	return m
}
