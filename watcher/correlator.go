package watcher

import (
	"maps"
	"sort"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
)

// How long the Correlator waits for the other half of a story. Only what is
// still unexplained waits at all: a death that kernel and engine agree on is
// told the moment the second of them speaks.
const (
	// joinWait is for a SIGKILL that nobody has explained yet, and for a
	// kernel kill whose container has not been seen to end.
	joinWait = 2 * time.Second
	// pidWait is for a kill in a container whose first process the engine has
	// not told: milliseconds, but for one that starts many at once.
	pidWait = 10 * time.Second
	// detailWait is for the log tail and the last inspect: milliseconds, but for
	// an engine that is short of memory or CPU itself.
	detailWait = 3 * time.Second
	// stopWait is for the engine's "stop" after the "die" of a container that
	// was sent its stop signal.
	stopWait = 3 * time.Second
	// shortWait is for what follows within milliseconds or never: the
	// kernel's segfault line, a death after a child's kill.
	shortWait = 300 * time.Millisecond
	// counterWait is how long a risen oom_kill counter waits for its kernel record.
	counterWait = 3 * time.Second
	// keepRemoved is how long a removed container is remembered, so that late
	// word on it finds it. Where containers come and go all day those that
	// are gone are the most of what is held.
	keepRemoved = 10 * time.Minute
)

// Options are what a Correlator is told at the start.
type Options struct {
	Host incident.Host
	// Epoch is when this host was first watched: what happened before is
	// kept as history and told nobody.
	Epoch time.Time
	// Offline is true when the observations come from files.
	Offline bool
}

// Told is an incident to keep and to tell.
type Told struct {
	Incident *incident.Incident
	// Update is true when the incident was told before and more is known now.
	Update bool
	// Quiet is true when the incident is kept but not told by itself: another
	// that is told at the same time speaks of it.
	Quiet bool
}

// Correlator joins observations into incidents. It is pure: it reads no clock,
// does no I/O and starts no goroutine; time comes with the observations and
// with Due. It is not safe for concurrent use.
type Correlator struct {
	opt     Options
	entries map[string]*entry
	pids    map[int]owner
	strays  []*stray
	orphans []*stray // told without their container, which may yet be told of
	sources map[string]observe.SourceState
	downs   map[string]time.Time // source → down since
	ups     map[string]time.Time // source → up since
	gaps    []incident.Gap
	open    map[*entry]bool // entries with something still to be told
	gone    map[string]bool // ids to delete from the kept state
	told    []Told
	now     time.Time
	forgot  time.Time // when forget last looked
	listed  bool      // the engine has listed its containers since it was last away
	placed  bool      // the kernel's times are worked out from the engine's (see placeUptimes)
	// unplaced are faults and signals whose run was not known when they came:
	// the kernel may speak of it before the engine does.
	unplaced []unplaced
	// marks are the newest marks of the OOM killer, unrecorded those of them
	// whose record in the log has not come; recorded are the newest records.
	marks, unrecorded []*mark
	recorded          []recorded
}

// unplaced is one of the two, and when it came.
type unplaced struct {
	fault *kmsg.Fault
	sent  *observe.Sent
	seen  time.Time
}

// owner is what is known of a host pid: which container's it was, and when.
type owner struct {
	id    string
	first time.Time
	last  time.Time
}

// NewCorrelator returns a Correlator with what State of an earlier one kept.
func NewCorrelator(opt Options, kept map[string][]byte) (*Correlator, error) {
	c := &Correlator{
		opt: opt, entries: map[string]*entry{}, pids: map[int]owner{}, sources: map[string]observe.SourceState{},
		downs: map[string]time.Time{}, ups: map[string]time.Time{}, open: map[*entry]bool{}, gone: map[string]bool{},
	}
	for id, b := range kept {
		e, err := restore(id, b)
		if err != nil {
			return nil, err
		}
		if e.Boot != "" && opt.Host.BootID != "" && e.Boot != opt.Host.BootID {
			for _, r := range e.Runs {
				r.rebooted = !r.Told && r.Exit == nil
				r.PID = 0
			}
			e.OOMKills, e.FirstOOMKills, e.Attributed = -1, -1, 0
		}
		c.entries[id] = e
		c.open[e] = true // what was untold yet is told now
		if r := e.current(); r != nil && r.PID != 0 && r.Exit == nil {
			c.pids[r.PID] = owner{id: id, first: r.Start}
		}
	}
	return c, nil
}

// Observe takes one observation and returns what can be told because of it.
func (c *Correlator) Observe(o observe.Observation) []Told {
	now := o.Seen
	if now.IsZero() {
		now = o.At
	}
	c.tick(now)
	switch {
	case o.Container != nil && c.opt.Offline:
		// Of a saved inspect, which no list follows: nothing else may tell its end.
		c.listedContainer(o.Container, o.At)
		if r := c.entry(o.Container.ID).current(); r != nil {
			r.listed = never // what the files tell besides was before
		}
		c.retryStrays()
	case o.Container != nil:
		if c.seeContainer(o.Container, o.At) != nil {
			c.rehome(c.entries[o.Container.ID])
		}
		c.retryStrays()
	case o.Reconcile != nil:
		c.reconcile(o.Reconcile, o.At)
		c.retryStrays()
	case o.Action != nil:
		c.action(o.Action, o.At)
		c.retryStrays()
	case o.Signal != nil:
		c.signal(o.Signal)
	case o.Exit != nil:
		c.exit(o.Exit)
	case o.Detail != nil:
		c.detail(o.Detail)
	case o.Episode != nil:
		c.episode(o.Episode, o.Members)
	case o.Fault != nil:
		if !c.fault(o.Fault) {
			c.unplaced = appendBounded(c.unplaced, unplaced{fault: o.Fault, seen: c.now}, maxUnplaced)
		}
	case o.Sent != nil:
		if !c.sent(o.Sent) {
			c.unplaced = appendBounded(c.unplaced, unplaced{sent: o.Sent, seen: c.now}, maxUnplaced)
			if o.Sent.Number == 9 {
				c.doubt()
			}
		}
	case o.Marked != nil:
		c.marked(o.Marked, o.At)
		c.retryStrays()
		c.adopt()
	case o.Samples != nil:
		c.samples(o.Samples)
	case o.Source != nil:
		c.source(*o.Source, o.At)
	case o.Lost != nil:
		c.lost(*o.Lost)
	case o.Host != nil:
		c.host(*o.Host)
	}
	if c.opt.Offline {
		return nil // nothing is told until all has been read
	}
	return c.settle(false)
}

// tick takes the time. At the first, what an earlier run had seen and not told yet
// waits anew for its other half: the sources are read again from before it.
func (c *Correlator) tick(now time.Time) {
	if c.now.IsZero() {
		for e := range c.open {
			for _, r := range e.Runs {
				if !r.Told && !r.ExitSeen.IsZero() {
					r.ExitSeen, r.detailPending = now, r.Exit != nil
				}
				r.killSeen, r.killsSince = now, now
			}
		}
	}
	if now.After(c.now) {
		c.now = now
	}
}

// Due tells what has waited long enough.
func (c *Correlator) Due(now time.Time) []Told {
	c.tick(now)
	return c.settle(false)
}

// Finish tells everything that is still open, as it is: the end of a file, or
// of the program.
func (c *Correlator) Finish() []Told { return c.settle(true) }

// Open is true while something seen has not been told: until then the sources'
// cursors must not be kept, or a crash would lose it.
func (c *Correlator) Open() bool {
	return len(c.open) > 0 || len(c.strays) > 0 || len(c.unrecorded) > 0
}

// Next is when Due should be called; zero when nothing waits.
func (c *Correlator) Next() time.Time {
	var next time.Time
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, k := range c.unrecorded {
		soonest(c.markReadyAt(k))
	}
	for _, s := range c.strays {
		soonest(c.strayReadyAt(s))
	}
	for e := range c.open {
		for _, r := range e.Runs {
			soonest(c.killsReadyAt(r))
			soonest(c.deathReadyAt(e, r))
		}
		soonest(e.counterReadyAt())
	}
	return next
}

// State returns what changed since the last call and must outlive the program:
// a value per container id, nil where it is to be forgotten.
func (c *Correlator) State() (map[string][]byte, error) {
	out := map[string][]byte{}
	c.forget()
	for id, e := range c.entries {
		if !e.dirty {
			continue
		}
		e.Boot = c.opt.Host.BootID
		b, err := e.marshal()
		if err != nil {
			return nil, err
		}
		out[id], e.dirty = b, false
	}
	for id := range c.gone {
		out[id] = nil
	}
	clear(c.gone)
	return out, nil
}

// forgetEvery is how often containers are looked at for what nobody will ask for
// any more.
const forgetEvery = 10 * time.Second

// forget lets go of containers that have been removed for long, and of readings.
func (c *Correlator) forget() {
	if since := c.now.Sub(c.forgot); since >= 0 && since < forgetEvery {
		return
	}
	c.forgot = c.now
	forgotten := false
	for id, e := range c.entries {
		if !e.Removed.IsZero() && c.now.Sub(e.Removed) > keepRemoved && !c.open[e] {
			delete(c.entries, id)
			c.gone[id], forgotten = true, true
			continue
		}
		c.forgetReadings(e)
	}
	if forgotten {
		maps.DeleteFunc(c.pids, func(_ int, o owner) bool { return c.entries[o.id] == nil })
	}
}

// Running lists the containers that are running, by id, for the sampler.
func (c *Correlator) Running() map[string]observe.Followed {
	out := make(map[string]observe.Followed, len(c.entries))
	for id, e := range c.entries {
		if r := e.current(); r != nil && r.Exit == nil && r.PID != 0 && e.Removed.IsZero() {
			out[id] = observe.Followed{PID: r.PID, Started: r.Start, Service: recorder.ServiceOf(&e.Spec.Container)}
		}
	}
	return out
}

// Sources returns the last word of every source, by name.
func (c *Correlator) Sources() []observe.SourceState {
	out := make([]observe.SourceState, 0, len(c.sources))
	for _, s := range c.sources {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Readings returns the kept samples of a container, oldest first.
func (c *Correlator) Readings(id string) []observe.Sample {
	e := c.entries[id]
	if e == nil {
		return nil
	}
	out := make([]observe.Sample, len(e.readings))
	for i, s := range e.readings {
		out[i] = observe.Sample{ID: id, Sample: s}
	}
	return out
}

func (c *Correlator) up(source string) bool {
	s, ok := c.sources[source]
	return ok && s.Up
}

// settle tells whatever is ready, kills before the deaths they led to.
func (c *Correlator) settle(all bool) []Told {
	c.settleMarks(all)
	c.settleStrays(all)
	for e := range c.open {
		waiting := false
		for _, r := range e.Runs {
			waiting = c.settleRun(e, r, all) || waiting
		}
		if at := e.counterReadyAt(); !at.IsZero() {
			if all || !at.After(c.now) {
				c.tellCounter(e)
			} else {
				waiting = true
			}
		}
		if !waiting {
			delete(c.open, e)
		}
	}
	told := c.told
	c.told = nil
	sort.SliceStable(told, func(i, j int) bool {
		return told[i].Incident.Time.Before(told[j].Incident.Time)
	})
	return told
}

// settleRun tells what is ready of one run and says whether something still waits.
func (c *Correlator) settleRun(e *entry, r *run, all bool) (waiting bool) {
	if c.opt.Offline {
		r.earlierRuns()
	}
	due := func(at time.Time) bool { return !at.IsZero() && (all || !at.After(c.now)) }
	death := c.deathReadyAt(e, r)
	if due(death) {
		c.tellKills(e, r, true)
		c.tellDeath(e, r)
		return false
	}
	kills := c.killsReadyAt(r)
	if due(kills) {
		c.tellKills(e, r, false)
		kills = time.Time{}
	}
	return !death.IsZero() || !kills.IsZero()
}
