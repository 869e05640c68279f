package correlate

import (
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/verdict"
)

const (
	// maxReadings is how many samples are kept per container, keepReadings how long.
	maxReadings  = 120
	keepReadings = 10 * time.Minute
	// sameReading is how far two samples of one reading may lie apart: the one that
	// shows new members, and the recorder's.
	sameReading = 50 * time.Millisecond
	// pidTrust is how long a pid last seen in a container's cgroup is still taken for
	// that container's, and maxPids how many pids are remembered: the default pid_max.
	pidTrust = 30 * time.Second
	maxPids  = 32768
	// maxTenures is how many containers are remembered that had one pid, one after another.
	maxTenures = 4
	// counterWait is how long a risen counter waits for its kernel record where the log
	// cannot be read, and for a death that it belongs to.
	counterWait = verdict.ChildWindow + 500*time.Millisecond
)

// pidTable is which containers a host pid was seen in, and when, newest last.
type pidTable map[int][]tenure

// tenure is a stretch of time in which a pid was one container's.
type tenure struct {
	id          string
	first, last time.Time
}

// saw notes that a pid was in a container.
func (p pidTable) saw(pid int, id string, at time.Time) {
	list := p[pid]
	for i := len(list) - 1; i >= 0; i-- {
		t := &list[i]
		if t.id == id && at.Sub(t.last) < pidTrust && (i == len(list)-1 || at.Before(list[i+1].first)) {
			t.first, t.last = earlier(t.first, at, false), later(t.last, at)
			return
		}
	}
	list = append(list, tenure{id, at, at})
	p[pid] = list[max(0, len(list)-maxTenures):]
}

// taskOwners names the containers of the tasks in a kernel's table, by what is known of
// their pids at that moment.
func (c *Correlator) taskOwners(ep *kmsg.Episode) map[int]string {
	var out map[int]string
	for i := range ep.Tasks {
		if x, _ := c.ofPID(ep.Tasks[i].PID, ep.Time); x != nil {
			if out == nil {
				out = map[int]string{}
			}
			out[ep.Tasks[i].PID] = x.name()
		}
	}
	return out
}

// samples takes one round of readings.
func (c *Correlator) samples(round []observe.Sample) {
	for i := range round {
		s := &round[i]
		x := c.containers[s.ID]
		if x == nil {
			continue
		}
		if s.Current >= 0 {
			kept := s.Sample
			kept.PIDs = nil
			x.readings = insertReading(x.readings, kept)
		}
		if x.readAlive(s); x.place > 0 {
			c.touch(x) // a kill in it may have waited for that
		}
		for _, pid := range s.PIDs {
			known := len(c.pids[pid]) > 0
			c.pids.saw(pid, s.ID, s.At)
			if !known && len(c.kills.byPID[pid]) > 0 {
				c.recallPID(x, pid)
			}
		}
		if s.Init != nil {
			x.Inits = insertFact(x.Inits, initSeen{s.At, *s.Init}, (*initSeen).at, 8)
			c.unsaved[x] = true
		}
		if s.OOMKills >= 0 {
			c.counted(x, s.At, s.OOMKills)
		}
	}
	if len(c.pids) > maxPids {
		maps.DeleteFunc(c.pids, func(_ int, list []tenure) bool { return c.now.Sub(list[len(list)-1].last) > time.Minute })
	}
}

// readAlive notes that the cgroup of a run was there when it was read.
func (x *container) readAlive(s *observe.Sample) {
	for i := len(x.Looks) - 1; s.PID != 0 && i >= 0; i-- {
		if l := &x.Looks[i]; l.PID == s.PID {
			l.LastRunning = later(l.LastRunning, s.At)
			return
		}
	}
}

// counted takes a value of a container's counter of kills.
func (c *Correlator) counted(x *container, at time.Time, n int64) {
	x.Counted = later(x.Counted, at)
	i := len(x.Counts)
	for i > 0 && x.Counts[i-1].At.After(at) {
		i--
	}
	if i > 0 && x.Counts[i-1].N == n {
		if r := x.runAt(0, at, c.opt.Offline); r == nil || !x.Counts[i-1].At.Before(r.lo) {
			return
		}
	}
	if !at.After(x.Floor) {
		return
	}
	if len(x.Counts) >= maxFacts {
		x.Uncounted = true
	}
	x.Counts = insertFact(x.Counts, count{At: at, N: n, Seen: c.now}, (*count).at, maxFacts)
	c.kills.stale = true
	c.touch(x)
}

// rise is a part of what the counter rose by that no kill explains.
type rise struct {
	count
	from time.Time // of the reading before
	n    int
}

// uncounted are the rises of the counter in a run beyond the kills that are known, whose
// times are given in their order.
func (x *container) uncounted(r *run, kills []time.Time) (out []rise) {
	prev := count{At: r.lo}
	based := !r.event.IsZero() // its counter began at zero
	for _, n := range r.counts {
		if x.Uncounted && n.At.Equal(x.Counts[0].At) {
			based = false // older readings were dropped
		}
		upTo := 0
		for upTo < len(kills) && !kills[upTo].After(n.At.Add(late)) {
			upTo++
		}
		switch {
		case !based:
			// The first reading of a container that was met while it ran.
			based, kills = true, kills[upTo:]
		default:
			rose := n.N - prev.N
			if rose < 0 {
				rose = n.N
			}
			used := min(int(rose), upTo)
			kills = kills[used:]
			if left := int(rose) - used; left > 0 {
				out = append(out, rise{n, prev.At, left})
			}
		}
		prev = n
	}
	return out
}

// killTimes are the times of the kills in a run.
func (r *run) killTimes() []time.Time {
	out := make([]time.Time, len(r.kills))
	for i := range r.kills {
		out[i] = r.kills[i].at()
	}
	return out
}

// atEnd is true for a rise that belongs to the end of its run.
func (n *rise) atEnd(r *run) bool {
	return r.exit != nil && incident.ExitSignal(r.exit.ExitCode) == 9 && r.hi.Sub(n.At) <= verdict.ChildWindow
}

// uncountedAtEnd is how many kills only the counter shows just before the end of a run.
func (r *run) uncountedAtEnd() (n int64) {
	for _, rise := range r.rises {
		if rise.atEnd(r) {
			n += int64(rise.n)
		}
	}
	return n
}

// countsDue is when kills can be emitted that only the counter shows; zero for none.
func (c *Correlator) countsDue(x *container, r *run) (next time.Time) {
	for _, n := range r.rises {
		if !n.atEnd(r) && x.countEmission(r, &n) == nil {
			next = sooner(next, c.countDue(&n))
		}
	}
	return next
}

func (c *Correlator) countDue(n *rise) time.Time {
	due := later(c.arrival(n.Seen), c.host.heard).Add(counterWait)
	if c.up(observe.KernelLog) && !c.logLost(n.At) {
		due = later(due, c.patient(n.Seen, n.At))
	}
	return due
}

func (x *container) countEmission(r *run, n *rise) *emission {
	for _, began := range r.stamps { // it may have been known by another word of its start
		id := incident.CounterID(x.Spec.ID, began, n.N)
		if i := slices.IndexFunc(x.Emitted, func(e emission) bool { return e.ID == id }); i >= 0 {
			return &x.Emitted[i]
		}
	}
	return nil
}

// emitCounts emits kills that only the cgroup's counter shows.
func (c *Correlator) emitCounts(x *container, r *run, all bool) {
	for _, n := range r.rises {
		if n.atEnd(r) || x.countEmission(r, &n) != nil || !all && c.countDue(&n).After(c.now) {
			continue
		}
		f := c.runFacts(x, r, n.At)
		f.ID, f.Kind, f.OOMKillDelta, f.EngineOOMs = incident.CounterID(x.Spec.ID, r.anchor(), n.N), incident.KindKill, int64(n.n), r.ooms
		f.Container.Running = new(r.alive())
		x.Emitted = append(x.Emitted, emission{ID: f.ID, Kind: incident.KindKill})
		c.unsaved[x] = true
		c.emit(&x.Emitted[len(x.Emitted)-1], f, uint64(n.n), n.n, false)
	}
}

// noteClaims notes whether a container lost a process that no placed kill explains.
func (c *Correlator) noteClaims(x *container) {
	if len(x.Counts) == 0 && len(x.OOMs) == 0 && !c.kills.claimants[x] {
		return
	}
	p := newPrint()
	claims := c.claimsOf(x)
	for _, m := range claims {
		p.add(m.from, m.to, m.n, string(m.by), m.r.lo, m.r.hi, m.r.pid)
		for _, at := range m.events {
			p.add(at)
		}
	}
	if sum := p.sum(); sum != x.claims {
		x.claims, c.kills.stale = sum, true
	}
	if len(claims) > 0 {
		c.kills.claimants[x] = true
	} else {
		delete(c.kills.claimants, x)
	}
}

// insertReading puts a reading in its place: the past of a container comes after some of
// its readings have come alone. Of the same reading that with more stays, with what the
// kernel has notified of since.
func insertReading(all []cgroup.Sample, s cgroup.Sample) []cgroup.Sample {
	i := len(all)
	for i > 0 && all[i-1].At.After(s.At) {
		i--
	}
	for _, j := range []int{i - 1, i} {
		if j >= 0 && j < len(all) && all[j].At.Sub(s.At).Abs() < sameReading {
			if all[j].Stat == nil && (s.Stat != nil || s.PSI != nil || s.CPU != nil) {
				all[j] = s
			} else if s.Levels != nil {
				all[j].Levels = s.Levels
			}
			return all
		}
	}
	if len(all) >= maxReadings {
		if i == 0 {
			return all // older than all there is room for
		}
		copy(all, all[1:i])
		all[i-1] = s
		return all
	}
	return slices.Insert(all, i, s)
}

// between copies the part of a list in order of time from one moment to another.
func between[T any](all []T, from, to time.Time, at func(*T) time.Time) []T {
	for len(all) > 0 && at(&all[0]).Before(from) {
		all = all[1:]
	}
	for len(all) > 0 && at(&all[len(all)-1]).After(to) {
		all = all[:len(all)-1]
	}
	return slices.Clone(all)
}

// Concerns names the containers that an observation may be a death or a kill of: what
// was read of them will be asked for.
func (c *Correlator) Concerns(o *observe.Observation) []string {
	switch {
	case o.Exit != nil:
		return []string{o.Exit.ID}
	case o.Episode == nil:
		return nil
	}
	var ids []string
	if id := cgroup.ParsePath(o.Episode.TaskMemcg).ContainerID; c.containers[id] != nil {
		ids = append(ids, id)
	}
	for i := range o.Episode.Kills {
		if list := c.pids[o.Episode.Kills[i].PID]; len(list) > 0 && !slices.Contains(ids, list[len(list)-1].id) {
			ids = append(ids, list[len(list)-1].id)
		}
	}
	return ids
}

// Lived says under which name a container's readings are kept, and since when its
// present run goes; ok is false for a container that is not known to have run.
func (c *Correlator) Lived(id string) (service string, start time.Time, ok bool) {
	x := c.containers[id]
	if x == nil || x.current() == nil {
		return "", time.Time{}, false
	}
	return incident.ServiceOf(&x.Spec.Container), c.host.clock(x.current().start), true
}

// Recall takes what is kept of a container's past, oldest first.
func (c *Correlator) Recall(id string, all []recorder.Reading) {
	x := c.containers[id]
	if x == nil {
		return
	}
	x.past = x.past[:0]
	for _, r := range all {
		r.At = c.host.kept(r.At, c.now)
		if r.Start { // what came before was another run
			x.past = x.past[:0]
		}
		x.past = append(x.past, verdict.Reading{At: r.At, Used: r.Max, Anon: r.Anon, File: r.File, Shmem: r.Shmem, Kernel: r.Kernel})
	}
}

// Judge takes what triage says of the service of a container at a moment.
func (c *Correlator) Judge(id string, j *incident.Judged, at time.Time) {
	if x := c.containers[id]; x != nil {
		x.judged, x.judgedAt = j, c.host.steady(at)
	}
}

// judgedFor is how long what triage said stands for what happens next.
const judgedFor = 5 * time.Minute

// judgedAround is what triage said of a container's service around a moment.
func (x *container) judgedAround(at time.Time) *incident.Judged {
	if x.judged == nil || at.Sub(x.judgedAt).Abs() > judgedFor {
		return nil
	}
	return x.judged
}

// Samples takes readings of one container that were made before.
func (c *Correlator) Samples(past []observe.Sample) {
	if len(c.host.Eras) > 0 {
		past = mapTimes(past, func(at time.Time) time.Time { return c.host.kept(at, c.now) })
	}
	c.samples(past)
}

// Present returns a container's description and when its present run began; ok is false
// for one that does not run.
func (c *Correlator) Present(id string) (spec observe.Container, start time.Time, ok bool) {
	x := c.containers[id]
	if x == nil || x.current() == nil || !x.current().alive() {
		return observe.Container{}, time.Time{}, false
	}
	if spec = x.Spec; len(c.host.Eras) > 0 {
		spec = mapTimes(spec, c.host.clock)
	}
	spec.Name = x.name()
	return spec, c.host.clock(x.current().start), true
}

// FactsAt is what is known of a container's newest run at a moment, of the host where id
// is ""; nil for a container that is not known to have run.
func (c *Correlator) FactsAt(id string, at time.Time) *verdict.Facts {
	if id == "" {
		return &verdict.Facts{Time: at, Host: c.opt.Host}
	}
	x := c.containers[id]
	if x == nil || x.current() == nil {
		return nil
	}
	f := c.runFacts(x, x.current(), c.host.kept(at, c.now))
	if len(c.host.Eras) > 0 {
		f = mapTimes(f, c.host.clock)
	}
	return f
}
