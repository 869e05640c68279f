package sampler

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
)

// reading is one container that is being read.
type reading struct {
	id     string
	handle *cgroup.Handle
	track  *recorder.Track
	gone   bool             // its cgroup was removed
	want   observe.Followed // what it is followed as
	turns  int              // how often its parts have been read
	last   recorder.Reading
	whole  time.Time // when all there is was read last

	brokenDown int64 // memory in use when memory.stat was read last
	refaults   int64 // as memory.stat told them last

	// What the correlator was told last.
	told  time.Time
	kills int64
	pids  []int
	init  incident.Init
}

// seen is what a reading of a container's parts told last, and the recorder does
// not keep. It is asked for once the container is gone.
type seen struct {
	pid     int
	stat    cgroup.Stat
	psi     cgroup.PSI
	swap    int64
	parts   bool
	partsAt time.Time // when stat and swap were read
	hasPSI  bool
	hostPSI bool
	// path is its cgroup, and levels what the kernel had notified of when that
	// was let go.
	path   string
	levels map[string]int64
}

// scratch is the memory that a reading is made in.
type scratch struct {
	cgroup.Sample
	stat   cgroup.Stat
	psi    cgroup.PSI
	events cgroup.Events
	tasks  cgroup.Tasks
	cpu    cgroup.CPU
	pids   []int
	status [4096]byte
}

// empty gives the sample, with memory for all parts.
func (x *scratch) empty() *cgroup.Sample {
	x.Sample = cgroup.Sample{Stat: &x.stat, PSI: &x.psi, Events: &x.events, Tasks: &x.tasks, CPU: &x.cpu, PIDs: x.pids[:0]}
	return &x.Sample
}

// The parts that take turns. Pressure is one of them on v2; on v1 there is the
// host's alone, which is read with the host.
const parts = cgroup.WithStat | cgroup.WithEvents | cgroup.WithTasks | cgroup.WithCPU

// readsParts is true for a reading that is more than memory in use and members.
func readsParts(what cgroup.What) bool { return what&(cgroup.WithStat|cgroup.WithTasks) != 0 }

// read takes one reading of each container and records it.
func (s *Source) read(all []*reading, emit func(observe.Observation), now time.Time) {
	var news []observe.Sample
	for i, r := range all {
		if r.gone {
			continue
		}
		what := s.what(i, r, now)
		sample, ok := s.readOne(r, what)
		if !ok {
			continue
		}
		r.last.At = now
		r.track.Add(&r.last)
		if readsParts(what) {
			r.turns++
			if what&cgroup.WithLimit != 0 {
				r.whole = now
			}
			s.addSnapshot(Snapshot{ID: r.id, Reading: r.last, Stalls: s.Stalls(r.id), Refaults: r.refaults, Above: s.above(r.handle.Path(), now)})
		}
		news = s.tell(news, r, sample, what, now)
	}
	if len(news) > 0 {
		emit(observe.Observation{At: now, Samples: news})
	}
}

// counters reads the counters of kills alone, of all containers.
func (s *Source) counters(emit func(observe.Observation)) {
	var news []observe.Sample
	now := time.Now()
	for _, r := range s.order {
		if r.gone {
			continue
		}
		if sample, ok := s.readOne(r, cgroup.WithKills); ok {
			news = s.tell(news, r, sample, cgroup.WithKills, now)
		}
	}
	if len(news) > 0 {
		emit(observe.Observation{At: now, Samples: news})
	}
}

// readOne takes one reading of a container; it lets go of one that is gone.
func (s *Source) readOne(r *reading, what cgroup.What) (*cgroup.Sample, bool) {
	sample := s.scratch.empty()
	if err := r.handle.Read(sample, what); err != nil {
		if errors.Is(err, cgroup.ErrGone) {
			s.drop(r)
		}
		return nil, false
	}
	if sample.PIDs != nil {
		s.scratch.pids = sample.PIDs // it may have grown
	}
	r.last.Take(sample)
	if readsParts(what) {
		s.note(r, sample)
	}
	return sample, true
}

// what says which parts of a container to read this time.
func (s *Source) what(i int, r *reading, now time.Time) cgroup.What {
	if r.turns == 0 {
		return parts | s.psi | cgroup.WithLimit | cgroup.WithPIDs
	}
	var w cgroup.What
	if len(s.order) <= countersUpTo {
		w |= cgroup.WithKills
	}
	if s.members.has(i) {
		w |= cgroup.WithPIDs
	}
	near := r.last.Limit > 0 && float64(r.last.Used) > nearLimit*float64(r.last.Limit)
	switch {
	case s.parts.has(i) && (now.Sub(r.whole) >= wholeEvery || near && now.Sub(r.whole) >= nearWhole):
		w |= parts | s.psi | cgroup.WithLimit
	case s.parts.has(i):
		w |= parts | s.psi
		if r.last.Used == r.brokenDown && !near {
			// What memory is made of hardly changes where the sum of it does
			// not, and the limit is hit by what grows. memory.stat is the
			// dearest file of all.
			w = w&^(cgroup.WithStat|cgroup.WithEvents) | cgroup.WithKills
		}
		if r.last.CPUPeriods <= 0 {
			w &^= cgroup.WithCPU // it has no quota that could be used up
		}
	case near && s.nears.has(i):
		w |= cgroup.WithStat | s.psi
	}
	return w
}

// tell adds what the correlator does not know yet of a container.
func (s *Source) tell(news []observe.Sample, r *reading, sample *cgroup.Sample, what cgroup.What, now time.Time) []observe.Sample {
	killed := what&(cgroup.WithKills|cgroup.WithEvents) != 0 && sample.OOMKills != r.kills
	moved := what&cgroup.WithPIDs != 0 && (now.Sub(r.told) >= refresh || !slices.Equal(sample.PIDs, r.pids))
	var init *incident.Init
	if readsParts(what) && (r.turns < 3 || r.turns%initEvery == 0) {
		if in, ok := s.readInit(r.want.PID); ok && in != r.init {
			r.init, init = in, &in
		}
	}
	if !killed && !moved && init == nil {
		return news
	}
	if killed && r.kills >= 0 {
		// A kill in it: what led to it will be asked for.
		news = append(news, s.Past(r.id)...)
	}
	out := observe.Sample{ID: r.id, PID: r.want.PID, Init: init, Sample: cgroup.Sample{At: sample.At, Current: sample.Current, Limit: sample.Limit,
		Swap: sample.Swap, OOMKills: sample.OOMKills}}
	if !killed {
		// The recorder has what was read: word of members alone would make
		// the correlator hold the same of every container.
		out.Current = recorder.Absent
	}
	if moved {
		r.pids, r.told = append(r.pids[:0], sample.PIDs...), now
		out.PIDs = slices.Clone(sample.PIDs)
	}
	if what&(cgroup.WithKills|cgroup.WithEvents) != 0 {
		r.kills = sample.OOMKills
	}
	return append(news, out)
}

// note keeps the parts of a reading that the recorder does not.
func (s *Source) note(r *reading, sample *cgroup.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen[r.id]
	if x == nil {
		return
	}
	if sample.Stat != nil {
		x.stat, x.swap, x.parts, x.partsAt = *sample.Stat, sample.Swap, true, sample.At
		r.brokenDown, r.refaults = sample.Current, sample.Stat.Refaults
	}
	switch {
	case sample.PSI != nil:
		x.psi, x.hasPSI = *sample.PSI, true
	case s.psi == 0 && s.host.hasPSI:
		x.psi, x.hasPSI, x.hostPSI = s.host.psi, true, true
	default:
		x.hasPSI = false
	}
}

// levels is what the kernel has notified of up to now: most of it in the moment
// before a kill. s.mu is held.
func (s *Source) levels(x *seen) map[string]int64 {
	if s.pressure != nil {
		if now := s.pressure.CountsNow(x.path); now != nil {
			return now
		}
	}
	return x.levels
}

const (
	// pastFine is how much of a container's past is told as it was read;
	// before that it is told by steps of pastStep, back to PastSpan.
	pastFine = time.Minute
	pastStep = 10 * time.Second
	PastSpan = 10 * time.Minute
)

// Past is what was read of a container before now, oldest first, for the verdict
// on its death. It may be asked for from any goroutine, until Follow leaves the
// container out.
func (s *Source) Past(id string) []observe.Sample {
	all := s.rec.Recent(id)
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1].At
	from, fine := 0, 0
	for from < len(all) && newest.Sub(all[from].At) > PastSpan {
		from++
	}
	for fine = from; fine < len(all) && newest.Sub(all[fine].At) > pastFine; fine++ {
	}
	out := samples(id, append(recorder.Roll(all[from:fine], pastStep), all[fine:]...))
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen[id]
	if x == nil || !x.parts {
		return out
	}
	stat, psi := x.stat, x.psi
	for i := range slices.Backward(out) {
		if out[i].At.Sub(x.partsAt).Abs() < sameReading {
			out[i].Stat, out[i].Swap = &stat, x.swap
			break
		}
	}
	last := &out[len(out)-1].Sample
	last.Levels = maps.Clone(s.levels(x))
	if x.hasPSI {
		last.PSI, last.HostPSI = &psi, x.hostPSI
	}
	return out
}

// sameReading is how far apart the stamps of one reading may be: the recorder's is coarser.
const sameReading = 100 * time.Millisecond

// samples are readings as they were read: a breakdown that stayed as it was because only
// memory in use was read, which has moved since, is left out.
func samples(id string, list []recorder.Reading) []observe.Sample {
	out := make([]observe.Sample, len(list))
	read := 0 // the reading that the breakdown is of
	for i := range list {
		out[i] = observe.Sample{ID: id, Sample: list[i].Sample()}
		x, old := &list[i], &list[read]
		if x.Anon != old.Anon || x.File != old.File || x.Shmem != old.Shmem || x.Kernel != old.Kernel {
			read = i
			continue
		}
		if moved := x.Used - old.Used; max(moved, -moved) > old.Used/movedBy {
			out[i].Stat = nil
		}
	}
	return out
}

// movedBy is the part of memory in use by which it has moved when a breakdown from before
// does not fit it any more. Less than that processors charge in advance.
const movedBy = 32

// Stalls is how often the kernel has notified that a container, or the host (""),
// stood still, waiting for memory, since it is watched; -1 where it does not.
func (s *Source) Stalls(id string) int64 {
	if s.pressure == nil {
		return -1
	}
	path := cgroup.HostPressure
	if id != "" {
		s.mu.Lock()
		x := s.seen[id]
		s.mu.Unlock()
		if x == nil {
			return -1
		}
		path = x.path
	}
	levels := s.pressure.Counts(path)
	if n, ok := levels[cgroup.LevelCritical]; ok {
		return n
	}
	if n, ok := levels[cgroup.LevelStalled]; ok {
		return n
	}
	return -1
}

// readInit reads a first process's name and the signals it handles from
// /proc/PID/status (proc_pid_status(5)).
func (s *Source) readInit(pid int) (in incident.Init, ok bool) {
	f, err := os.Open(filepath.Join(s.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return in, false
	}
	defer f.Close()
	n, _ := f.Read(s.scratch.status[:]) // what is cut off comes after what is looked for
	for line := range bytes.Lines(s.scratch.status[:n]) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":\t"))
		switch string(key) {
		case "Name":
			in.Comm = string(value)
		case "SigCgt":
			if in.SigCgt, err = strconv.ParseUint(string(value), 16, 64); err != nil {
				return in, false
			}
			return in, true
		}
	}
	return in, false
}

// hostReading is the host being read.
type hostReading struct {
	fs    *cgroup.FS
	in    *cgroup.HostReader
	track *recorder.Track
	host  cgroup.Host
	psi   cgroup.PSI
	last  recorder.Reading
	turns int

	hasPSI bool
}

// open begins to read the host; where that cannot be, nothing is recorded of it.
func (h *hostReading) open(fs *cgroup.FS, rec *recorder.Recorder) {
	in, err := fs.OpenHost()
	if err != nil {
		return
	}
	h.fs, h.in, h.last = fs, in, recorder.Unknown()
	h.track = rec.Begin("", recorder.Host, time.Time{})
}

func (h *hostReading) close() {
	if h.in != nil {
		h.in.Close()
		h.track.End(time.Now())
	}
}

// read takes one reading of the host; false where that cannot be.
func (h *hostReading) read(now time.Time) bool {
	if h.in == nil || h.in.Read(&h.host, h.turns%partsEvery == 0) != nil {
		return false
	}
	h.turns++
	if h.hasPSI = h.fs.HostPSI(&h.psi) == nil; h.hasPSI {
		h.last.TakeHost(now, &h.host, &h.psi)
	} else {
		h.last.TakeHost(now, &h.host, nil)
	}
	h.track.Add(&h.last)
	return true
}
