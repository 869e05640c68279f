package correlate

import (
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

const (
	maxGaps  = 64 // remembered stretches of which a source lost records
	maxSpans = 32 // remembered stretches in which a source was there

	maxVoices = 256 // remembered words of other programs
)

// hostFacts are what was seen of the host and of the sources themselves.
type hostFacts struct {
	Sources map[string]*source `json:"sources,omitempty"`
	Lost    []incident.Gap     `json:"lost,omitempty"`
	// Voices are what other programs' logs said of ends, oldest first.
	Voices []incident.Voice `json:"voices,omitempty"`
	// Away are the stretches in which oomwatch itself did not run.
	Away []span `json:"away,omitempty"`
	// Until is when this was kept: until then oomwatch ran.
	Until time.Time `json:"until,omitzero"`
	// Eras are the stretches between set-backs of the host's clock; none while there was no
	// set-back. Every other moment that is kept is on steady time.
	Eras []era `json:"eras,omitempty"`
	// Clock is what the clocks showed when this was kept.
	Clock observe.Clock `json:"clock,omitzero"`

	names   []string  // of Sources, sorted
	heard   time.Time // arrival of the last word that the kernel log lost something
	unsaved bool
}

// span is a stretch of time; To is zero while it lasts.
type span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
	// Reach is how far back from From was read; zero where it was not.
	Reach time.Time `json:"reach,omitzero"`
	// Reason is why it ended.
	Reason string `json:"reason,omitempty"`
}

// source is what is known of one source.
type source struct {
	State observe.SourceState `json:"state"`
	Spans []span              `json:"spans,omitempty"` // in which it was there
	Downs []time.Time         `json:"downs,omitempty"` // an engine: when it went
	// Engine is an engine's name and version.
	Engine string `json:"engine,omitempty"`

	reached  time.Time // how far back it was read before it was there
	listed   bool      // an engine: it has listed its containers since it was last away
	caughtUp bool      // it has said how far back it reaches since oomwatch began
	version  uint64    // grows with each fact of its containers
	stops    map[time.Time]*engineStop
}

// source returns what is known of a source.
func (c *Correlator) source(name string) *source {
	s := c.host.Sources[name]
	if s == nil {
		s = &source{}
		c.host.Sources[name] = s
		c.host.sort()
	}
	return s
}

// sort brings the names of the sources into an order that is the same each time.
func (h *hostFacts) sort() { h.names = slices.Sorted(maps.Keys(h.Sources)) }

// up is true while a source is there.
func (c *Correlator) up(name string) bool {
	s := c.host.Sources[name]
	return s != nil && s.State.Up
}

// logEvery is how much later than it was written the kernel log may be read: not at all,
// but where it is polled.
func (c *Correlator) logEvery() time.Duration {
	if s := c.host.Sources[observe.KernelLog]; s != nil && s.State.Up {
		return s.State.Every
	}
	return 0
}

// back notes, after a restart, since when oomwatch was away.
func (h *hostFacts) back(now time.Time) {
	if h.Until.IsZero() || !now.After(h.Until) {
		return
	}
	h.Away = append(h.Away, span{From: h.Until, To: now})
	h.Away = h.Away[max(0, len(h.Away)-maxSpans):]
}

// sourceState takes a source's word of its own health.
func (c *Correlator) sourceState(from string, s observe.SourceState, at time.Time) {
	if at.IsZero() {
		at = c.now
	}
	c.host.unsaved, c.kills.next = true, c.now // what waits may wait for this source
	known := c.source(s.Name)
	was := known.State
	keep(&s.Kind, was.Kind) // who reports that a source is lost may not know what it is
	known.State = s
	n := len(known.Spans)
	open := n > 0 && known.Spans[n-1].To.IsZero()
	switch {
	case s.Up && n > 0 && known.Spans[n-1].Reason == notRunning && !at.After(known.Spans[n-1].To):
		known.Spans[n-1].To, known.Spans[n-1].Reason = time.Time{}, "" // it was there all the time
	case s.Up && !open:
		known.Spans = append(known.Spans, span{From: at, Reach: known.reached})
		known.reached = time.Time{}
		known.Spans = known.Spans[max(0, len(known.Spans)-maxSpans):]
	case !s.Up && open:
		known.Spans[n-1].To, known.Spans[n-1].Reason = at, s.Reason
		fallthrough
	case !s.Up && was.Name == "":
		if n == 0 {
			known.Spans = []span{{From: at, To: at, Reason: s.Reason}} // it was not there to begin with
		}
		known.listed = false
		if s.Kind == observe.KindEngine {
			known.Downs = append(known.Downs, at)
			known.Downs = known.Downs[max(0, len(known.Downs)-maxSpans):]
			known.stops = nil
			c.engineWent(s.Name, at)
		}
	}
}

// lost takes a source's word that it lost something.
func (c *Correlator) lost(g incident.Gap) {
	if !slices.Contains(c.host.Lost, g) {
		c.host.Lost = append(c.host.Lost, g)
		c.host.Lost = c.host.Lost[max(0, len(c.host.Lost)-maxGaps):]
	}
	if g.Source == observe.KernelLog {
		c.host.heard = c.now
	}
	c.kills.stale, c.host.unsaved = true, true
	for _, x := range c.inOrder() {
		// Rare: what was judged of that moment is judged anew.
		if n := len(x.Emitted); x.place > 0 || n > 0 && !x.Emitted[n-1].At.Before(g.From.Add(-nearGap)) {
			c.touch(x)
		}
	}
}

// nearGap is how near a moment lies to a stretch that touches it.
const nearGap = 10 * time.Second

// gapsAround are the stretches of blindness that touch a moment.
func (c *Correlator) gapsAround(at time.Time) []incident.Gap { return c.gapsBetween(at, at) }

// gapsBetween are the stretches of blindness that touch one of time.
func (c *Correlator) gapsBetween(first, last time.Time) (out []incident.Gap) {
	near := func(from, to time.Time) bool {
		return !last.Before(from.Add(-nearGap)) && !first.After(to.Add(nearGap))
	}
	for _, g := range c.host.Lost {
		if near(g.From, g.To) {
			out = append(out, g)
		}
	}
	for _, name := range c.host.names {
		s := c.host.Sources[name]
		for i := 1; i < len(s.Spans) && !s.forWarnings(); i++ {
			if before := &s.Spans[i-1]; near(before.To, s.Spans[i].From) {
				out = append(out, incident.Gap{Source: name, From: before.To, To: s.Spans[i].From, Reason: before.Reason})
			}
		}
	}
	return out
}

// blind names the sources that were not there at a moment, with the reason. An engine
// counts for its own containers, or where it is not known whose it was (engine "").
func (c *Correlator) blind(engine string, at time.Time) map[string]string {
	var out map[string]string
	for name, s := range c.host.Sources {
		if s.State.Name == "" || s.State.Up || s.there(at) || s.forWarnings() || s.State.Kind == observe.KindEngine && engine != "" && engine != name {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = s.State.Reason
	}
	return out
}

// forWarnings is true for a source that is read for warnings alone and tells of no end.
func (s *source) forWarnings() bool {
	return s.State.Kind == observe.KindDisk || s.State.Kind == observe.KindProc
}

// there is true where the source is known to have been there at a moment.
func (s *source) there(at time.Time) bool {
	return slices.ContainsFunc(s.Spans, func(p span) bool { return !at.Before(p.From) && (p.To.IsZero() || at.Before(p.To)) })
}

// live is true where an engine's word about a moment can have come as it happened: the
// engine was there, and so was oomwatch.
func (c *Correlator) live(engine string, at time.Time) bool {
	if slices.ContainsFunc(c.host.Away, func(p span) bool { return at.After(p.From) && at.Before(p.To) }) {
		return false
	}
	s := c.host.Sources[engine]
	return c.opt.Offline || s != nil && s.there(at)
}

// wasDown is true where an engine was away at a moment, or went in the seconds after.
func (c *Correlator) wasDown(engine string, at time.Time) bool {
	const before = 12 * time.Second
	s := c.host.Sources[engine]
	if s == nil {
		return false
	}
	for i, p := range s.Spans {
		if p.To.IsZero() || !at.After(p.To.Add(-before)) {
			continue
		}
		if i == len(s.Spans)-1 || !at.After(s.Spans[i+1].From) {
			return true
		}
	}
	return len(s.Spans) == 0 && len(s.Downs) > 0 && at.After(s.Downs[0].Add(-before))
}

// untraced is why the signals to a run's main process were not watched without a gap
// around its end; "" where they were. Where its pid is not known any SIGKILL to a process
// that is not known either may have been for it.
func (c *Correlator) untraced(x *container, r *run, at time.Time) string {
	s := c.host.Sources[observe.Trace]
	from := sooner(at, later(at.Add(-time.Second), r.lo.Add(-early))) // nobody can signal what has not begun
	switch {
	case s == nil || len(s.Spans) == 0 || !s.there(at) && at.After(s.Spans[len(s.Spans)-1].From):
		return "signals were not traced"
	case !s.there(from) || !s.there(at):
		return "signals were not traced yet"
	case slices.ContainsFunc(c.host.Away, func(p span) bool { return at.After(p.From.Add(-time.Second)) && at.Before(p.To.Add(time.Second)) }):
		return "oomwatch did not run then"
	}
	for _, g := range c.host.Lost {
		if g.Source == observe.Trace && !at.Before(g.From.Add(-time.Second)) && !at.After(g.To.Add(time.Second)) {
			return "the trace of signals lost records around then"
		}
	}
	if r.pid != 0 {
		return ""
	}
	if r.maybeMain() != 0 {
		return "its main process's pid was not known before it ended"
	}
	return c.stray.mayHaveKilled(x, r)
}

// engineStop is which containers an engine stopped as it went, as of a version of the facts.
type engineStop struct {
	version uint64
	stopped map[*container]bool
}

const (
	// goesDown is how long an engine that stops takes for its containers, and lastEnd how
	// soon after the last of them it is gone itself.
	goesDown, lastEnd = 30 * time.Second, 10 * time.Second
	// askedAtOnce is how far apart it asks the first and the last of them to stop.
	askedAtOnce = 3 * time.Second
)

// engineWent has the ends of the last seconds judged anew: the engine may have asked
// for them as it went.
func (c *Correlator) engineWent(engine string, at time.Time) {
	for _, id := range slices.Sorted(maps.Keys(c.containers)) {
		x := c.containers[id]
		if r := x.current(); x.Engine == engine && r != nil && r.exit != nil && at.Sub(r.endTime()) < goesDown {
			c.touch(x)
		}
	}
}

// stoppedWithEngine is true for a run that its engine stopped as it went down itself.
func (c *Correlator) stoppedWithEngine(x *container, r *run) bool {
	s := c.host.Sources[x.Engine]
	if s == nil || r.exit == nil || len(r.asked) == 0 {
		return false
	}
	for _, at := range s.Downs {
		if d := at.Sub(r.endTime()); d > -lastEnd && d < goesDown && c.stopsOf(x.Engine, s, at)[x] {
			return true
		}
	}
	return false
}

// stopsOf finds the containers that an engine stopped as it went. It asks all of them at
// once; one that runs on unasked means that they outlive it.
func (c *Correlator) stopsOf(engine string, s *source, down time.Time) map[*container]bool {
	if e := s.stops[down]; e != nil && e.version == s.version {
		return e.stopped
	}
	type stop struct {
		x          *container
		asked, end time.Time
	}
	var all []stop
	var last stop
	unasked := false
	for _, x := range c.inOrder() {
		r := x.lastBefore(down)
		if x.Engine != engine || r == nil || r.over {
			continue
		}
		asked := r.asked
		switch {
		case r.exit == nil && len(asked) == 0:
			unasked = true
		case r.exit != nil && len(asked) > 0 && down.Sub(r.endTime()) < goesDown:
			p := stop{x, asked[0].At, r.endTime()}
			if all = append(all, p); p.end.After(last.end) {
				last = p
			}
		}
	}
	e := &engineStop{version: s.version, stopped: map[*container]bool{}}
	for _, p := range all {
		if !unasked && down.Sub(last.end) <= lastEnd && last.asked.Sub(p.asked).Abs() < askedAtOnce {
			e.stopped[p.x] = true
		}
	}
	if s.stops == nil {
		s.stops = map[time.Time]*engineStop{}
	}
	s.stops[down] = e
	return e.stopped
}

// lastBefore is the newest run that began before a moment; nil for none.
func (x *container) lastBefore(at time.Time) *run {
	all := x.timeline()
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].lo.After(at) {
			return all[i]
		}
	}
	return nil
}

// learnHost takes the host's particulars, part by part. An engine's name is also kept with
// its source: a host may have several.
func (c *Correlator) learnHost(from string, h incident.Host) {
	if h.Engine != "" && from != "" {
		c.source(from).Engine, c.host.unsaved = h.Engine, true
	}
	to := &c.opt.Host
	for _, p := range []struct {
		to *string
		v  string
	}{{&to.Name, h.Name}, {&to.BootID, h.BootID}, {&to.Kernel, h.Kernel}, {&to.Cgroup, h.Cgroup}, {&to.Engine, h.Engine}} {
		if p.v != "" {
			*p.to = p.v
		}
	}
}

// hostOf is the host with the engine that speaks of a container.
func (c *Correlator) hostOf(x *container) incident.Host {
	h := c.opt.Host
	if s := c.host.Sources[x.Engine]; s != nil && s.Engine != "" {
		h.Engine = s.Engine
	}
	return h
}
