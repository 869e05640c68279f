// Package correlate joins what the sources saw into incidents. It keeps facts, each
// with its source and that source's own time, and derives everything else from them:
//
//	facts -> runs of a container -> kills given to runs -> verdict.Facts -> incidents
//
// What is emitted is the difference to what was emitted before. The package reads no
// clock, does no I/O and starts no goroutine: time comes with the observations.
package correlate

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// Options are what a Correlator needs to know of where it runs.
type Options struct {
	Host incident.Host
	// Epoch is when this host was first watched: what happened before is history and
	// alerts nobody.
	Epoch time.Time
	// Offline is true when the observations come from files: nothing is emitted before
	// Finish, and clocks may differ by seconds.
	Offline bool
	// Horizons, Voices and LogUnread are what verdict.Facts takes of the same names, of
	// sources that say nothing of themselves; Voices of all containers.
	Horizons  []incident.Horizon
	Voices    []incident.Voice
	LogUnread string
	// Faults are those of a log, for an end whose main process is not known by its pid.
	Faults []kmsg.Fault
}

// Emission is an incident to keep and to notify of.
type Emission struct {
	Incident *incident.Incident
	// Update is true when the incident was emitted before and something that matters
	// has changed.
	Update bool
	// Silent is true when the incident is kept and not notified of by itself: a death
	// that is emitted at the same time speaks of it.
	Silent bool
}

// Correlator joins observations into incidents. It is not safe for concurrent use.
type Correlator struct {
	opt        Options
	host       hostFacts
	containers map[string]*container
	kills      killPool
	stray      strayPool
	mains      map[int][]*container  // by the host pid of a run's main process
	cgroups    map[string]*container // by the path of its memory cgroup
	services   map[string]map[*container]bool
	pids       pidTable
	pidless    map[*container]bool // with a run of the last seconds whose main process is not known

	dirty    []*container // facts have changed since they were settled last
	unsaved  map[*container]bool
	due      dueHeap
	gone     map[string]bool // keys of rows to delete from the kept state
	out      []Emission
	now      time.Time
	began    time.Time    // the first moment that an observation came with
	forgot   time.Time    // when forget last looked
	rebooted []*container // of an earlier boot, until the first moment is known
	placed   bool         // the kernel's times are worked out from the engine's (see placeUptimes)
}

// New returns a Correlator that goes on from the rows that State of an earlier one returned.
func New(opt Options, rows map[string][]byte) (*Correlator, error) {
	c := &Correlator{
		opt: opt, host: hostFacts{Sources: map[string]*source{}}, containers: map[string]*container{}, mains: map[int][]*container{},
		cgroups: map[string]*container{}, services: map[string]map[*container]bool{}, pids: pidTable{}, pidless: map[*container]bool{}, gone: map[string]bool{}, unsaved: map[*container]bool{},
		kills: killPool{byPID: map[int][]*kill{}, byID: map[string][]*kill{}, open: map[*kill]bool{}, claimants: map[*container]bool{}, wait: map[*kill]bool{}, unsaved: map[*kill]bool{}},
		stray: strayPool{sent: map[int][]strayFact{}},
	}
	if err := c.restore(rows); err != nil {
		return nil, err
	}
	return c, nil
}

// Observe takes one observation and returns what is emitted because of it.
func (c *Correlator) Observe(o observe.Observation) []Emission {
	if o.SetBack != nil {
		c.host.setBack(o.SetBack, o.At)
	}
	if len(c.host.Eras) > 0 {
		o = c.onSteady(o)
	}
	now := o.Seen
	if now.IsZero() {
		now = o.At
	}
	c.tick(now)
	c.take(&o)
	if c.opt.Offline {
		return nil
	}
	return c.settle(false)
}

// take adds an observation to the facts.
func (c *Correlator) take(o *observe.Observation) {
	switch {
	case o.Container != nil && o.From == observe.Cgroups:
		c.cgroupOf(o.Container)
	case o.Container != nil:
		c.look(o.From, o.Container, o.At, false)
	case o.List != nil:
		c.list(o.From, o.List, o.At)
	case o.Event != nil:
		c.event(o.From, o.Event, o.At)
	case o.Signal != nil:
		x := c.of(o.From, o.Signal.ID)
		x.Asked = insertFact(x.Asked, o.Signal.Signal, func(s *incident.Signal) time.Time { return s.At }, maxFacts)
	case o.Exit != nil:
		c.exit(o.From, o.Exit)
	case o.Detail != nil:
		c.detail(o.From, o.Detail)
	case o.Episode != nil:
		c.episode(o.Episode, o.Members)
	case o.Marked != nil:
		c.marked(o.Marked, o.At)
	case o.Fault != nil:
		c.fault(o.Fault)
	case o.Sent != nil:
		c.sent(o.Sent)
	case o.Samples != nil:
		c.samples(o.Samples)
	case o.Source != nil:
		c.sourceState(o.From, *o.Source, o.At)
	case o.Lost != nil:
		c.lost(*o.Lost)
	case o.Horizon != nil:
		c.reach(o.Horizon)
	case o.Voice != nil:
		c.voice(o.Voice)
	case o.Host != nil:
		c.learnHost(o.From, *o.Host)
	}
}

// tick takes the time. At the first one, what waited when an earlier Correlator ended
// begins to wait anew: the sources are read again from before it.
func (c *Correlator) tick(now time.Time) {
	if c.began.IsZero() && !now.IsZero() {
		c.began, c.kills.next = now, now
		c.host.back(now)
		c.stray.wake(now)
		for _, x := range c.rebooted {
			x.Booted = now
			c.touch(x)
		}
		c.rebooted = nil
	}
	if now.After(c.now) {
		c.now = now
	}
}

// Due returns what has waited long enough.
func (c *Correlator) Due(now time.Time) []Emission {
	c.tick(c.host.steady(now))
	return c.settle(false)
}

// Finish returns everything that still waits, as it stands: at the end of a file or of
// the program.
func (c *Correlator) Finish() []Emission { return c.settle(true) }

// Open is true while something seen has not been emitted: until then the cursors of
// the sources must not be kept, or a crash would lose it.
func (c *Correlator) Open() bool {
	return len(c.due) > 0 || len(c.dirty) > 0 || len(c.kills.wait) > 0
}

// Next is when Due should be called; zero when nothing waits.
func (c *Correlator) Next() time.Time {
	var next time.Time
	if len(c.due) > 0 {
		next = c.due[0].dueAt
	}
	return c.host.present(sooner(next, c.kills.next))
}

// Running lists the containers that run, by id, for the sampler.
func (c *Correlator) Running() map[string]observe.Followed {
	out := make(map[string]observe.Followed, len(c.containers))
	for id, x := range c.containers {
		if r := x.current(); r != nil && r.alive() && r.pid != 0 {
			f := observe.Followed{PID: r.pid, Started: c.host.clock(r.start), Service: incident.ServiceOf(&x.Spec.Container), CPUQuota: x.Spec.CPUQuota}
			if limit := x.Spec.MemoryLimit; limit != nil {
				f.MemoryLimit = *limit
			}
			out[id] = f
		}
	}
	return out
}

// Sources returns the last word of every source, by name.
func (c *Correlator) Sources() []observe.SourceState {
	out := make([]observe.SourceState, 0, len(c.host.Sources))
	for _, s := range c.host.Sources {
		if s.State.Name != "" {
			out = append(out, s.State)
		}
	}
	slices.SortFunc(out, func(a, b observe.SourceState) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// inOrder are all containers by their id: what is emitted at one moment comes in the same
// order each time.
func (c *Correlator) inOrder() []*container {
	return slices.SortedFunc(maps.Values(c.containers), func(a, b *container) int { return strings.Compare(a.Spec.ID, b.Spec.ID) })
}

// touch notes that facts of a container have changed.
func (c *Correlator) touch(x *container) {
	x.runs, c.unsaved[x] = nil, true
	c.joinService(x)
	if s := c.host.Sources[x.Engine]; s != nil {
		s.version++
	}
	if !x.dirty {
		x.dirty = true
		c.dirty = append(c.dirty, x)
	}
}

// settle emits what is ready: of the containers whose facts changed, and of those whose
// wait is over. all emits everything, ready or not.
func (c *Correlator) settle(all bool) []Emission {
	if all || len(c.kills.wait) > 0 {
		for _, x := range c.dirty {
			c.noteClaims(x) // before a kill that one of them claims is given up for lost
		}
	}
	c.kills.settle(c, all)
	if all {
		for len(c.due) > 0 {
			c.touch(c.due.take(0))
		}
	}
	for len(c.due) > 0 && !c.due[0].dueAt.After(c.now) {
		x := c.due.take(0)
		if !x.dirty {
			x.dirty = true
			c.dirty = append(c.dirty, x)
		}
	}
	for len(c.dirty) > 0 {
		x := c.dirty[0]
		c.dirty, x.dirty = c.dirty[1:], false
		next := c.settleContainer(x, all)
		c.due.set(x, next)
	}
	out := c.out
	c.out = nil
	if !slices.ContainsFunc(out, func(e Emission) bool { return e.Update }) { // an update follows what it updates
		slices.SortStableFunc(out, func(a, b Emission) int {
			return cmp.Or(a.Incident.Time.Compare(b.Incident.Time), -strings.Compare(string(a.Incident.Kind), string(b.Incident.Kind)), strings.Compare(a.Incident.ID, b.Incident.ID))
		})
	}
	return c.host.offSteady(out)
}

// dueHeap orders containers by when something in them has waited long enough.
type dueHeap []*container

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].dueAt.Before(h[j].dueAt) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].place, h[j].place = i+1, j+1 }

// Push and Pop implement heap.Interface.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*container)); x.(*container).place = len(*h) }

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h, x.place = old[:len(old)-1], 0
	return x
}

func (h *dueHeap) take(i int) *container { return heap.Remove(h, i).(*container) }

// set moves a container to when it is due; a zero time takes it out.
func (h *dueHeap) set(x *container, at time.Time) {
	x.dueAt = at
	switch {
	case at.IsZero() && x.place > 0:
		heap.Remove(h, x.place-1)
	case at.IsZero():
	case x.place > 0:
		heap.Fix(h, x.place-1)
	default:
		heap.Push(h, x)
	}
}

// sooner is the earlier of two times, of which a zero one counts as none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
