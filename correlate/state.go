package correlate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

const (
	// keepRemoved is how long a removed container is remembered, so that late word on it
	// finds it. Where containers come and go all day those that are gone are the most of
	// what is held.
	keepRemoved = 10 * time.Minute
	// maxRuns is how many runs of one container are remembered, maxKills how many of its
	// kills once they were emitted, and keepRun how long at least.
	maxRuns  = 8
	maxKills = 64
	maxBurst = 512 // of one container, in the seconds in which more may become known of them
	keepRun  = 30 * time.Second
	// forgetEvery is how often containers are looked at for what may be forgotten.
	forgetEvery = 10 * time.Second
	// maxKeptTasks bounds the task table that is kept of a kill over a restart.
	maxKeptTasks = 16
	// maxKeptKills bounds the victims of one report that are kept with each of them.
	maxKeptKills = 16

	hostRow    = "host"
	killPrefix = "kill/"
)

// hostState is the row of the host: its facts, and what waits for its container.
type hostState struct {
	hostFacts
	Sent   []observe.Sent `json:"sent,omitempty"`
	Faults []kmsg.Fault   `json:"faults,omitempty"`
}

// State returns what changed since the last call and must outlive the program: a value
// per key, nil where it is to be forgotten.
func (c *Correlator) State() (map[string][]byte, error) {
	out := map[string][]byte{}
	c.forget()
	for x := range c.unsaved {
		x.Boot = c.opt.Host.BootID
		b, err := json.Marshal(x.short())
		if err != nil {
			return nil, fmt.Errorf("write what is known of container %.12s: %w", x.Spec.ID, err)
		}
		out[x.Spec.ID] = b
	}
	clear(c.unsaved)
	for k := range c.kills.unsaved {
		if k.key == "" {
			k.key = fmt.Sprintf("%s%d-%d", killPrefix, k.Kill.PID, k.at().UnixNano())
		}
		b, err := json.Marshal(k.short())
		if err != nil {
			return nil, fmt.Errorf("write the kill of pid %d: %w", k.Kill.PID, err)
		}
		out[k.key] = b
	}
	clear(c.kills.unsaved)
	for key := range c.gone {
		out[key] = nil
	}
	clear(c.gone)
	if len(out) == 0 && !c.host.unsaved {
		return out, nil
	}
	b, err := json.Marshal(c.hostState())
	if err != nil {
		return nil, fmt.Errorf("write what is known of the host: %w", err)
	}
	out[hostRow], c.host.unsaved = b, false
	return out, nil
}

func (c *Correlator) hostState() *hostState {
	s := &hostState{hostFacts: c.host}
	s.Until = c.now
	s.Sent = make([]observe.Sent, 0, min(len(c.stray.order), maxStrayFaults))
	for _, f := range c.stray.order {
		if c.now.Sub(f.seen) <= strayFor && len(s.Sent) < maxStrayFaults {
			s.Sent = append(s.Sent, *f.sent)
		}
	}
	s.Faults = make([]kmsg.Fault, 0, len(c.stray.faults))
	for _, f := range c.stray.faults {
		s.Faults = append(s.Faults, *f.fault)
	}
	return s
}

// short is the container without the log lines of deaths that were emitted.
func (x *container) short() *container {
	out := &container{Spec: x.Spec, SpecAt: x.SpecAt, Engine: x.Engine, facts: x.facts, Emitted: x.Emitted, Day: x.Day, DayKill: x.DayKill, Boot: x.Boot}
	out.Details = slices.Clone(x.Details)
	for _, r := range x.timeline() {
		if d := x.detailOf(r); d != nil && x.emissionOf(r) != nil {
			i := slices.IndexFunc(out.Details, func(o detail) bool { return o.DiedAt.Equal(d.DiedAt) })
			out.Details[i].LogTail = nil
		}
	}
	return out
}

// short is the kill with no more of the kernel's task table than is shown, and no more
// of those that died with it.
func (k *kill) short() *kill {
	if k.Record == nil || len(k.Record.Tasks) <= maxKeptTasks && len(k.Record.Kills) <= maxKeptKills {
		return k
	}
	out, ep := *k, *k.Record
	ep.Tasks = ep.Tasks[:min(maxKeptTasks, len(ep.Tasks))]
	if i := k.index(); i >= maxKeptKills {
		ep.Kills = append(slices.Clone(ep.Kills[:maxKeptKills-1]), ep.Kills[i])
	} else {
		ep.Kills = ep.Kills[:min(maxKeptKills, len(ep.Kills))]
	}
	out.Record = &ep
	return &out
}

// restore takes the rows that State of an earlier Correlator returned.
func (c *Correlator) restore(rows map[string][]byte) error {
	var kills []*kill
	for key, b := range rows {
		switch {
		case key == hostRow:
			var s hostState
			if err := json.Unmarshal(b, &s); err != nil {
				return fmt.Errorf("read what was kept of the host: %w", err)
			}
			c.restoreHost(&s)
		case strings.HasPrefix(key, killPrefix):
			k := &kill{key: key}
			if err := json.Unmarshal(b, k); err != nil {
				return fmt.Errorf("read the kept kill %s: %w", key, err)
			}
			if k.Record == nil && k.Mark == nil {
				return fmt.Errorf("read the kept kill %s: it holds neither the kernel's record nor its mark", key)
			}
			kills = append(kills, k)
		default:
			x, err := restoreContainer(b)
			if err != nil {
				return fmt.Errorf("read what was kept of container %.12s: %w", key, err)
			}
			x.Spec.ID, x.offline = key, c.opt.Offline
			c.containers[key] = x
			c.index(x)
		}
	}
	slices.SortFunc(kills, func(a, b *kill) int { return strings.Compare(a.key, b.key) })
	for _, k := range kills {
		c.kills.add(k, k.Kill.PID)
		c.moved(k)
	}
	clear(c.kills.unsaved)
	clear(c.unsaved)
	return nil
}

func (c *Correlator) restoreHost(s *hostState) {
	c.host = s.hostFacts
	if c.host.Sources == nil {
		c.host.Sources = map[string]*source{}
	}
	c.host.sort()
	for name, known := range c.host.Sources {
		// It has to say anew that it is there.
		if n := len(known.Spans); n > 0 && known.Spans[n-1].To.IsZero() {
			known.Spans[n-1].To, known.Spans[n-1].Reason = s.Until, notRunning
			if name != observe.Trace {
				known.Spans[n-1].To = time.Time{} // its past is read again
			}
		}
		known.State = observe.SourceState{Kind: known.State.Kind}
	}
	for i := range s.Sent {
		c.stray.keep(strayFact{sent: &s.Sent[i]})
	}
	for i := range s.Faults {
		c.stray.faults = append(c.stray.faults, strayFact{fault: &s.Faults[i]})
	}
}

// notRunning is why a source was blind while oomwatch did not run.
const notRunning = "oomwatch was not running"

// index makes a restored container findable, and has it judged at the first moment.
func (c *Correlator) index(x *container) {
	if x.Boot != "" && c.opt.Host.BootID != "" && x.Boot != c.opt.Host.BootID {
		c.rebooted = append(c.rebooted, x)
	} else {
		for i := range x.Looks {
			if pid := x.Looks[i].PID; pid != 0 {
				c.mains[pid] = append(c.mains[pid], x)
			}
		}
	}
	if p := x.Spec.CgroupPath; p != "" && p != "/" {
		c.cgroups[p] = x
	}
	c.joinService(x)
	if !x.dirty {
		x.dirty = true
		c.dirty = append(c.dirty, x)
	}
}

// forget lets go of containers that have been removed for long, of kills that were in
// none, and of readings.
func (c *Correlator) forget() {
	if since := c.now.Sub(c.forgot); since >= 0 && since < forgetEvery {
		return
	}
	c.forgot = c.now
	for id, x := range c.containers {
		if x.gone() && c.now.Sub(x.Gone[len(x.Gone)-1].At) > keepRemoved && x.place == 0 && !x.dirty {
			c.drop(id, x)
			continue
		}
		if n := len(x.readings); n > 0 && x.place == 0 && c.now.Sub(x.readings[n-1].At) > keepReadings {
			x.readings, x.past = nil, nil
		}
	}
	c.forgetLoose()
	for x := range c.pidless {
		if !c.isPIDless(x) {
			delete(c.pidless, x)
		}
	}
}

// forgetLoose forgets kills that are in no container and wait for none: those that are
// old and, beyond maxLoose, the oldest of the others.
func (c *Correlator) forgetLoose() {
	var loose []*kill
	for _, list := range c.kills.byPID {
		for _, k := range list {
			if k.home == nil && !c.kills.wait[k] {
				loose = append(loose, k)
			}
		}
	}
	slices.SortFunc(loose, func(a, b *kill) int { return a.at().Compare(b.at()) })
	for i, k := range loose {
		if i < len(loose)-maxLoose || c.now.Sub(k.at()) > keepKills {
			c.dropKill(k)
		}
	}
}

// drop forgets a container.
func (c *Correlator) drop(id string, x *container) {
	for _, k := range slices.Clone(x.kills) {
		c.dropKill(k)
	}
	for i := range x.Looks {
		c.forgetMain(x.Looks[i].PID, x)
	}
	c.forgetCgroup(x)
	delete(c.kills.claimants, x)
	delete(c.pidless, x)
	c.leaveService(x)
	delete(c.unsaved, x)
	delete(c.containers, id)
	c.gone[id] = true
}

func (c *Correlator) forgetMain(pid int, x *container) {
	unlist(c.mains, pid, x)
}

// unlist takes a value out of a list of an index, and the list where nothing is left of it.
func unlist[K, V comparable](index map[K][]V, key K, v V) {
	if index[key] = slices.DeleteFunc(index[key], func(o V) bool { return o == v }); len(index[key]) == 0 {
		delete(index, key)
	}
}

// dropKill forgets a kill.
func (c *Correlator) dropKill(k *kill) {
	if k.key != "" {
		c.gone[k.key] = true
	}
	unlist(c.kills.byPID, k.Kill.PID, k)
	unlist(c.kills.byID, k.expects, k)
	delete(c.kills.open, k)
	delete(c.kills.wait, k)
	delete(c.kills.unsaved, k)
	if x := k.home; x != nil {
		x.kills = slices.DeleteFunc(x.kills, func(o *kill) bool { return o == k })
	}
}

// trim forgets the oldest runs of a container that were emitted, and the oldest kills.
func (c *Correlator) trim(x *container) {
	if c.isPIDless(x) {
		c.pidless[x] = true
	} else {
		delete(c.pidless, x)
	}
	for n := len(x.kills) - maxKills; n > 0; n-- {
		i := slices.IndexFunc(x.kills, func(k *kill) bool {
			return k.Emitted != nil && (c.fixed(k) || !k.guessed() && n > maxBurst)
		})
		if i < 0 {
			break
		}
		c.forgetKill(x, x.kills[i])
	}
	if x.Uncounted && len(x.Counts) > 0 {
		// What was said of values of the counter that are dropped cannot come again.
		x.Emitted = slices.DeleteFunc(x.Emitted, func(e emission) bool {
			return e.Kind == incident.KindKill && e.At.Before(x.Counts[0].At)
		})
	}
	all := x.timeline()
	cut := time.Time{}
	for i := 0; i < len(all)-maxRuns; i++ {
		r := all[i]
		if !r.alive() && x.emissionOf(r) == nil || c.now.Sub(r.hi) < keepRun {
			break
		}
		cut = r.hi
		if r.end != nil {
			cut = later(cut, r.end.At)
		}
	}
	if cut.IsZero() || !cut.After(x.Floor) {
		return
	}
	for i := range x.Looks {
		if l := &x.Looks[i]; !l.Started.After(cut) {
			c.forgetMain(l.PID, x)
		}
	}
	x.forgetUpTo(cut)
	for _, k := range slices.Clone(x.kills) {
		if !k.at().After(cut) {
			c.forgetKill(x, k)
		}
	}
	x.runs, c.unsaved[x] = nil, true
}

// forgetKill forgets a kill in a container, but for its number in the day's count.
func (c *Correlator) forgetKill(x *container, k *kill) {
	alone := !slices.ContainsFunc(x.kills, func(o *kill) bool { return o != k && o.sameReport(k) })
	if k.Emitted != nil && alone { // reports are counted, not their victims
		day := k.at().UTC().Format(time.DateOnly)
		if x.Day != day {
			x.Day, x.DayKill = day, 0
		}
		x.DayKill++
	}
	// The engine's event and the counter's value go with it: nothing would explain them.
	before := k.at().Add(eventSkew)
	x.OOMs = slices.DeleteFunc(x.OOMs, func(s stamp) bool { return !s.At.After(before) })
	n := len(x.Counts)
	x.Counts = slices.DeleteFunc(x.Counts, func(n count) bool { return !n.At.After(before) })
	x.Uncounted = x.Uncounted || len(x.Counts) < n
	c.dropKill(k)
	x.runs, c.unsaved[x] = nil, true
}

// forgetUpTo drops the facts up to the end of a run.
func (x *container) forgetUpTo(cut time.Time) {
	x.Floor = cut
	old := func(at time.Time) bool { return !at.After(cut) }
	x.Starts = slices.DeleteFunc(x.Starts, func(s stamp) bool { return old(s.At) })
	x.Looks = slices.DeleteFunc(x.Looks, func(l look) bool { return old(l.Started) })
	x.Exits = slices.DeleteFunc(x.Exits, func(e exit) bool { return old(e.At) })
	x.Asked = slices.DeleteFunc(x.Asked, func(s incident.Signal) bool { return old(s.At) })
	x.Stops = slices.DeleteFunc(x.Stops, func(s stamp) bool { return old(s.At) })
	x.OOMs = slices.DeleteFunc(x.OOMs, func(s stamp) bool { return old(s.At) })
	x.Health = slices.DeleteFunc(x.Health, func(h healthWord) bool { return old(h.At) })
	x.Details = slices.DeleteFunc(x.Details, func(d detail) bool { return old(d.DiedAt) })
	x.Faults = slices.DeleteFunc(x.Faults, func(f kmsg.Fault) bool { return old(f.Time) })
	x.Sent = slices.DeleteFunc(x.Sent, func(s observe.Sent) bool { return old(s.At) })
	x.ChildKills = slices.DeleteFunc(x.ChildKills, func(k childKill) bool { return old(k.Sent.At) })
	x.Counts = slices.DeleteFunc(x.Counts, func(n count) bool { return old(n.At) })
	x.Inits = slices.DeleteFunc(x.Inits, func(i initSeen) bool { return old(i.At) })
	x.Emitted = slices.DeleteFunc(x.Emitted, func(e emission) bool {
		return e.Kind == incident.KindDeath && old(e.Anchor) || !e.At.IsZero() && old(e.At)
	})
}
