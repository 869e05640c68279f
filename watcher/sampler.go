package watcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

const (
	// sampleEvery is the time between two readings of a container, as long as
	// that costs no more than one part in sampleShare of a core.
	sampleEvery = time.Second
	sampleShare = 250
	// fullEvery is how many readings lie between two that also take the
	// breakdown, the pressure and the limit; pidsEvery likewise for the members.
	fullEvery = 5
	pidsEvery = 2
	// nearLimit is the part of the limit above which the breakdown is taken
	// every time: it is what will be asked for after the death.
	nearLimit = 0.8
	// nudgeGap bounds how often a kill may cause an extra round of readings.
	nudgeGap = 20 * time.Millisecond
)

// Sampler reads the memory, pressure and counters of running containers'
// cgroups, all in one goroutine. What a container held before it died is known
// only from here: at the engine's "die" its cgroup is gone.
type Sampler struct {
	fs       *cgroup.FS
	pressure *cgroup.Pressure // nil on v2, where pressure is a file

	mu   sync.Mutex
	want map[string]int // id → pid of the first process

	proc string // where the host's processes are seen

	wake  chan struct{}
	nudge chan struct{}

	// Only Run's goroutine touches these.
	reading map[string]*reading
	order   []string
	round   int
	period  time.Duration
}

// reading is one container being read.
type reading struct {
	handle *cgroup.Handle
	pid    int
	limit  int64
	last   int64
	phase  int
	fresh  bool
}

// NewSampler returns a Sampler that reads through fs. pressure counts the
// pressure levels of cgroup v1, and may be nil.
// proc is where the host's processes are seen, "" for /proc.
func NewSampler(fs *cgroup.FS, pressure *cgroup.Pressure, proc string) *Sampler {
	if proc == "" {
		proc = cgroup.DefaultProc
	}
	return &Sampler{fs: fs, proc: proc, pressure: pressure, want: map[string]int{}, reading: map[string]*reading{},
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), period: sampleEvery}
}

// Follow says which containers are running: id → pid of the first process. The
// sampler keeps the map.
func (s *Sampler) Follow(running map[string]int) {
	s.mu.Lock()
	s.want = running
	s.mu.Unlock()
	signal(s.wake)
}

// Nudge asks for the counters at once: a kill has just been told.
func (s *Sampler) Nudge() { signal(s.nudge) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run reads until ctx ends.
func (s *Sampler) Run(ctx context.Context, emit func(Observation)) {
	defer func() {
		for id := range s.reading {
			s.drop(id)
		}
	}()
	s.report(emit)
	tick := time.NewTimer(s.period)
	defer tick.Stop()
	var nudged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if fresh := s.adopt(emit); len(fresh) > 0 {
				s.read(fresh, emit, true)
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
			s.read(s.order, emit, false)
		case <-tick.C:
			began := time.Now()
			s.adopt(emit)
			s.round++
			s.read(s.order, emit, true)
			s.period = max(sampleEvery, sampleShare*time.Since(began))
			tick.Reset(s.period)
		}
	}
}

// report says what can be seen of control groups from here.
func (s *Sampler) report(emit func(Observation)) {
	st := &SourceState{Name: "cgroup", Up: true}
	if err := errors.Join(s.fs.Problems()...); err != nil {
		st.Reason = err.Error()
		st.Up = !errors.Is(err, cgroup.ErrNoMemory)
	}
	emit(Observation{At: time.Now(), Source: st})
	emit(Observation{At: time.Now(), Host: &incident.Host{Cgroup: string(s.fs.Mode())}})
}

// adopt opens the cgroups of containers that are new and lets go of those that
// are not followed any more; it returns the new ones.
func (s *Sampler) adopt(emit func(Observation)) []string {
	s.mu.Lock()
	want := s.want
	s.mu.Unlock()
	for id, r := range s.reading {
		if pid, ok := want[id]; !ok || pid != r.pid {
			s.drop(id)
		}
	}
	var fresh []string
	for id, pid := range want {
		if s.reading[id] != nil {
			continue
		}
		path, err := s.fs.ContainerPathOf(pid, id)
		if err != nil {
			continue // gone already, or not visible: tried again at the next round
		}
		h, err := s.fs.Open(path)
		if err != nil {
			continue
		}
		if s.pressure != nil {
			// Without the levels the readings still tell the story.
			_ = s.pressure.Watch(path)
		}
		s.reading[id] = &reading{handle: h, pid: pid, phase: len(s.reading), fresh: true, limit: cgroup.Unlimited}
		fresh = append(fresh, id)
		emit(Observation{At: time.Now(), Container: &Container{Container: incident.Container{ID: id}, CgroupPath: path}})
	}
	s.order = s.order[:0]
	for id := range s.reading {
		s.order = append(s.order, id)
	}
	sort.Strings(s.order)
	return fresh
}

func (s *Sampler) drop(id string) {
	r := s.reading[id]
	if s.pressure != nil {
		s.pressure.Forget(r.handle.Path())
	}
	r.handle.Close()
	delete(s.reading, id)
}

// read takes one reading of each container; parts is false for the counters alone.
func (s *Sampler) read(ids []string, emit func(Observation), parts bool) {
	if len(ids) == 0 {
		return
	}
	out := make([]Sample, 0, len(ids))
	for _, id := range ids {
		r := s.reading[id]
		if r == nil {
			continue
		}
		sample := Sample{ID: id}
		what := s.what(r, parts)
		if err := r.handle.Read(&sample.Sample, what); err != nil {
			if errors.Is(err, cgroup.ErrGone) {
				s.drop(id)
			}
			continue
		}
		r.fresh, r.limit, r.last = false, sample.Limit, sample.Current
		if s.pressure != nil {
			sample.Levels = s.pressure.Counts(r.handle.Path())
		}
		if what&cgroup.WithPSI != 0 {
			sample.Init = s.readInit(r.pid)
		}
		out = append(out, sample)
	}
	if len(out) > 0 {
		emit(Observation{At: time.Now(), Samples: out})
	}
}

// what says which parts of a container to read this time. The dearer parts are
// spread over the rounds, so that no round takes them of all containers.
func (s *Sampler) what(r *reading, parts bool) cgroup.What {
	const full = cgroup.WithLimit | cgroup.WithStat | cgroup.WithPSI
	switch {
	case r.fresh:
		return full | cgroup.WithPIDs
	case !parts:
		return 0
	}
	var w cgroup.What
	if (s.round+r.phase)%pidsEvery == 0 {
		w |= cgroup.WithPIDs
	}
	if (s.round+r.phase)%fullEvery == 0 || r.limit > 0 && float64(r.last) > nearLimit*float64(r.limit) {
		w |= full
	}
	return w
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

// readInit reads a first process's name and the signals it handles from
// /proc/PID/status (proc_pid_status(5)); nil when that cannot be read.
func (s *Sampler) readInit(pid int) *incident.Init {
	b, err := os.ReadFile(filepath.Join(s.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return nil
	}
	in := &incident.Init{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
		switch key {
		case "Name":
			in.Comm = value
		case "SigCgt":
			if in.SigCgt, err = strconv.ParseUint(value, 16, 64); err != nil {
				return nil
			}
		}
	}
	return in
}
