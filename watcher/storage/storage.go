// Package storage is the source that looks at the filesystems that containers write to,
// and at their log files: how much is left, how fast it goes, and what fills it.
package storage

import (
	"context"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

const (
	// tickEvery is how often a filesystem that fills quickly is read; readEvery how often
	// any is.
	tickEvery = 2 * time.Second
	readEvery = 10 * time.Second
	// emptyEvery is how often a tmpfs is read of which less than emptyShare is in use: each
	// container has one, for shared memory, and few use it.
	emptyEvery = 20 * time.Second
	emptyShare = 0.01
	// logsEvery is how often the sizes of log files are read.
	logsEvery = 10 * time.Second
	// usageEvery is how often an engine is asked at most what is on its disk.
	usageEvery = time.Hour
	// quickShare is the part of a filesystem that, written between two readings, makes it
	// one that fills quickly.
	quickShare = 0.005
	// reportFrom is the part in use from which a filesystem is reported at all, and
	// lookFrom from which it is looked for what fills it.
	reportFrom, lookFrom = 0.25, 0.75
)

// Options are what New needs.
type Options struct {
	// Roots are the directories under which an engine's paths are found from here.
	Roots func(engine string) []string
	// Usage asks an engine what is on its disk; nil for nobody.
	Usage func(ctx context.Context, engine string) (*incident.DiskUsage, error)
	// Tool is the command that asks an engine: "docker", "podman" or "crictl"; nil for "".
	Tool func(engine string) string
	// Proc is where the host's processes are seen.
	Proc string
}

// Source reads filesystems and log files. It implements observe.Source.
type Source struct {
	opt   Options
	gauge gauge

	mu         sync.Mutex
	containers map[string]*container
	stale      bool // who writes where has changed

	// Of Run alone, as what follows.
	asking sync.WaitGroup
	disks  map[string]*disk
	logs   map[string]*logFile
	usages map[string]*usage // by engine
}

// container is one that runs.
type container struct {
	id, name, engine string
	pid              int
	places           *incident.Places

	// Of Run alone: on which filesystems its places are, once they were looked for.
	looked bool
	found  []place
}

// place is one of a container's, on the filesystem that it was found on.
type place struct {
	dev   uint64
	real  string // as it is found from here
	local bool   // as in looked
	of    incident.Filesystem
}

// New returns a Source; Hear tells it who runs.
func New(opt Options) *Source {
	return &Source{opt: opt, gauge: newGauge(), containers: map[string]*container{}, disks: map[string]*disk{}, logs: map[string]*logFile{}, usages: map[string]*usage{}}
}

// Name implements observe.Source.
func (s *Source) Name() string { return "disk" }

// Hear takes what an engine's source says of its containers. It may be called from any
// goroutine.
func (s *Source) Hear(engine string, o observe.Observation) {
	switch {
	case o.Container != nil:
		s.learn(engine, o.Container)
	case o.List != nil:
		s.mu.Lock()
		listed := make(map[string]bool, len(o.List.Containers))
		for i := range o.List.Containers {
			listed[o.List.Containers[i].ID] = true
		}
		for id, c := range s.containers {
			if c.engine == engine && !listed[id] {
				delete(s.containers, id)
				s.stale = true
			}
		}
		s.mu.Unlock()
		for i := range o.List.Containers {
			s.learn(engine, &o.List.Containers[i])
		}
	case o.Exit != nil:
		s.forget(o.Exit.ID)
	case o.Event != nil && o.Event.Kind == observe.Removed:
		s.forget(o.Event.ID)
	}
}

func (s *Source) learn(engine string, c *observe.Container) {
	if c.Places == nil || c.Running == nil || !*c.Running {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.containers[c.ID]; old != nil && old.pid == c.PID && old.name == c.Name {
		return
	}
	s.containers[c.ID] = &container{id: c.ID, name: c.Name, engine: engine, pid: c.PID, places: c.Places}
	s.stale = true
}

func (s *Source) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[id] != nil {
		delete(s.containers, id)
		s.stale = true
	}
}

// Run implements observe.Source: it reads until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	emit(observe.Observation{At: time.Now(), Source: &observe.SourceState{Name: s.Name(), Kind: observe.KindDisk, Up: true}})
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	answers := make(chan answer, 1)
	defer s.asking.Wait()
	var logsAt time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			s.answered(a)
		case now := <-tick.C:
			s.adopt(ctx)
			var out observe.Storage
			if now.Sub(logsAt) >= logsEvery {
				logsAt = now
				s.readLogs(now)
				out.Logs = s.growing(now)
			}
			out.Disks = s.readDisks(ctx, now)
			s.ask(ctx, now, answers)
			if len(out.Disks)+len(out.Logs) > 0 {
				emit(observe.Observation{At: now, Storage: &out})
			}
		}
	}
}

// snapshot is who runs, where that has changed since the last time.
func (s *Source) snapshot() (all []*container, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stale {
		return nil, false
	}
	s.stale = false
	for _, c := range s.containers {
		all = append(all, c)
	}
	return all, true
}
