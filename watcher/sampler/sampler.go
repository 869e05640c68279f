// Package sampler is the source that reads control groups: memory, pressure and
// counters of every running container, and of the host.
package sampler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
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

// Options are what New needs.
type Options struct {
	FS *cgroup.FS
	// Pressure counts what the kernel notifies of; nil for nothing.
	Pressure *cgroup.Pressure
	// Proc is where the host's processes are seen, "" for /proc.
	Proc string
	// Recorder takes every reading.
	Recorder   *recorder.Recorder
	Registerer prometheus.Registerer
}

// Source reads the memory, pressure and counters of running containers'
// cgroups, and of the host, all in one goroutine, and hands them to the Recorder.
// What a container held before it died is known only from here: when the engine
// reports the exit, its cgroup is gone. It emits what the join needs: members, main
// process, and kills that were counted.
type Source struct {
	fs       *cgroup.FS
	pressure *cgroup.Pressure
	proc     string
	rec      *recorder.Recorder
	metrics  metrics
	psi      cgroup.What // WithPSI where containers have a pressure of their own

	mu   sync.Mutex
	want map[string]observe.Followed
	seen map[string]*seen
	// snapshots are those of which all parts were read in this round.
	snapshots []Snapshot

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
	upper   scratch            // for what is above containers
	parents map[string]*parent // by their paths
	period  period

	current atomic.Int64 // the period in nanoseconds, for Period
}

// New returns a Source; Run starts it.
func New(opt Options) *Source {
	if opt.Proc == "" {
		opt.Proc = cgroup.DefaultProc
	}
	var psi cgroup.What
	if opt.FS.Mode() == cgroup.V2 {
		psi = cgroup.WithPSI
	}
	return &Source{fs: opt.FS, psi: psi, pressure: opt.Pressure, proc: opt.Proc, rec: opt.Recorder, metrics: newMetrics(opt.Registerer),
		want: map[string]observe.Followed{}, seen: map[string]*seen{}, reading: map[string]*reading{}, parents: map[string]*parent{},
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), rounds: make(chan struct{}, 1), period: newPeriod()}
}

// Nudge asks for the counters at once: a kill has just been told.
func (s *Source) Nudge() { signal(s.nudge) }

// Period is the time between two readings of a container.
func (s *Source) Period() time.Duration { return max(sampleEvery, time.Duration(s.current.Load())) }

// Rounds gives a signal after each round of readings; rounds that nobody waited
// for are one.
func (s *Source) Rounds() <-chan struct{} { return s.rounds }

// Snapshot is a container, or the host (""), of which all parts were read.
type Snapshot struct {
	ID      string
	Reading recorder.Reading
	// Stalls is how often the kernel has notified that it stood still for want
	// of memory, since it is watched; -1 where it does not.
	Stalls int64
	// Refaults is as in cgroup.Stat; -1 for the host, and where it is not told.
	Refaults int64
	// Above is the tightest limit above it; nil where there is none.
	Above *recorder.Above
}

// Snapshots appends those of which all parts were read in the last round.
func (s *Source) Snapshots(into []Snapshot) []Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(into, s.snapshots...)
}

func (s *Source) addSnapshot(x Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshots = append(s.snapshots, x)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Name implements observe.Source.
func (s *Source) Name() string { return observe.Cgroups }

// Run implements observe.Source: it reads until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
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
	tick := time.NewTimer(untilNext(time.Now(), s.period.now))
	defer tick.Stop()
	var nudged time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			if fresh := s.adopt(emit); len(fresh) > 0 {
				s.read(fresh, emit, time.Now())
			}
		case <-s.nudge:
			if wait := nudgeGap - time.Since(nudged); wait > 0 {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(wait):
				}
			}
			nudged = time.Now()
			s.counters(emit)
		case now := <-tick.C:
			s.round(emit, now)
			tick.Reset(untilNext(time.Now(), s.period.now))
		}
	}
}

// untilNext is the time to the next round. At the usual period rounds come at whole
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
func (s *Source) round(emit func(observe.Observation), now time.Time) {
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
	if s.snapshots = s.snapshots[:0]; cap(s.snapshots) > 4*partsMost {
		s.snapshots = nil // all were new in the first round
	}
	s.mu.Unlock()
	if s.host.read(now) {
		s.addSnapshot(Snapshot{Reading: s.host.last, Stalls: s.Stalls(""), Refaults: recorder.Absent})
	}
	s.read(s.order, emit, now)
	s.forgetParents(now)
	signal(s.rounds)

	news := s.period.took(threadTime() - began)
	s.current.Store(int64(s.period.now))
	s.metrics.period.Set(s.period.now.Seconds())
	s.metrics.cost.Set(s.period.cost.Seconds())
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

// report says what can be seen of control groups from here, and how often it is looked at.
func (s *Source) report(emit func(observe.Observation)) {
	st := &observe.SourceState{Name: observe.Cgroups, Kind: observe.KindCgroup, Up: true}
	if err := errors.Join(s.fs.Problems()...); err != nil {
		st.Reason = err.Error()
		st.Up = !errors.Is(err, cgroup.ErrNoMemory)
	}
	if s.period.reported > sampleEvery {
		if st.Reason != "" {
			st.Reason += "; "
		}
		st.Reason += fmt.Sprintf("%d containers: each is read every %.1f s, so that it costs no more than %.1f %% of a core",
			len(s.order), s.period.reported.Seconds(), 100.0/sampleShare)
	}
	emit(observe.Observation{At: time.Now(), Source: st})
	emit(observe.Observation{At: time.Now(), Host: &incident.Host{Cgroup: string(s.fs.Mode())}})
}
