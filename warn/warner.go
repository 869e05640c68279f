package warn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/verdict"
)

// HostID stands for the host where a container's id is asked for.
const HostID = ""

// Alert is a warning to keep and to tell.
type Alert struct {
	Incident *incident.Incident
	// Update is true when it was told before: it is over, or more is known.
	Update bool
	// Quiet is true when it is kept and told nobody: a further sign of what was
	// told already.
	Quiet bool
}

// Run is what a Warner must know of a running container.
type Run struct {
	Name  string
	Start time.Time
	// Silent is true when nobody wants to be warned of it (see Label).
	Silent bool
	// Restarts is how often its engine has started it again; nil where that is not known.
	Restarts *int64
}

// Options are what a Warner is made of.
type Options struct {
	Rules Rules
	// Run is asked at every reading; false is a container that is not running.
	Run func(id string) (Run, bool)
	// Facts is what is known of a container, for an alert; nil when nothing is.
	Facts func(id string, at time.Time) *verdict.Facts
}

// Warner holds one open warning per container and cause at most. It is not safe
// for concurrent use.
type Warner struct {
	opt    Options
	states map[string]*state
	// lives are the newest containers of pods, by the pod's uid and their name in it.
	lives map[string]string
	// restless are those that time alone can change something of: of a thousand
	// that are read and well there are none.
	restless map[string]bool
	// tops are the most that runs held which ended by themselves, by the container's name.
	tops  map[string]int64
	swept time.Time // when it was last looked for those that are not read any more
	dirty bool
	now   time.Time
	// thrasher is the container that was last seen to thrash, and when.
	thrasher struct {
		id, name string
		at       time.Time
	}
}

// state is one container.
type state struct {
	id    string
	name  string
	start time.Time
	seen  time.Time // the last reading
	// restarts is how often its engine has started it again; nil where that is not known.
	restarts *int64

	ended bool // and not read since
	// top is the most that this run held, former the most that those before it held and
	// ended by themselves.
	top, former int64
	series      series
	counters    []counters
	last        recorder.Reading
	held        int64           // -1 where it is not known
	above       *recorder.Above // nil where its own limit leaves the least room

	forecast struct {
		at      time.Time // when it was made; zero for none
		seconds float64
		err     float64
		ok      bool
	}
	// disk is the last reading of a filesystem; nil for all else. log is that of the
	// container's log file.
	disk *incident.Disk
	log  *incident.LogFile
	// leak is what the last look for leaks said of a service; nil for all else.
	leak *incident.Leak
	// zombies, files and host are what was counted last; nil for nothing.
	zombies *incident.Zombies
	files   *incident.OpenFiles
	host    *incident.HostCounts

	// hostStall is for how much of the time the whole host stood still for want of
	// memory, in percent, -1 where that is not known; thrasher is the container that the
	// host waits for.
	hostStall float64
	thrasher  string

	signs  map[string]*sign
	deaths []death
	pod    bool // it is one of several containers that a pod's was made anew as
	// about is the container as it was when a sign was last put into words; nil for none.
	about  *incident.Container
	healed time.Time
	ill    time.Time // since when the health check fails; zero while it does not

	// open are the warnings that last, passed those of a run that has ended and
	// whose death may still be told.
	open   map[string]*episode
	passed []*episode
	// linked are the warnings that the incident told last was linked to: when it
	// is told again, with more known, it still is.
	linkedTo string
	linked   []string
}

// death is one end of a run that counts towards a restart loop.
type death struct {
	id    string
	at    time.Time
	cause incident.Cause
	what  string
	// over is how many restarts its policy allows, where its engine counts so many; it
	// may count the one after this death among them. 0 where it does not.
	over int
}

// episode is one warning from its first sign to its end. It outlives the program.
type episode struct {
	Container string             `json:"container"`
	Of        string             `json:"of"` // its cause, or restart_loop
	Incident  *incident.Incident `json:"incident"`
	passed    time.Time
}

// New returns a Warner with the warnings that State of an earlier one kept.
func New(opt Options, kept []byte) (*Warner, error) {
	w := &Warner{opt: opt, states: map[string]*state{}, lives: map[string]string{}, restless: map[string]bool{}, tops: map[string]int64{}}
	if len(kept) == 0 {
		return w, nil
	}
	var open []*episode
	if err := json.Unmarshal(kept, &open); err != nil {
		return nil, fmt.Errorf("read the kept warnings: %w", err)
	}
	for _, e := range open {
		if e.Incident == nil || e.Incident.Warning == nil {
			continue
		}
		st := w.state(e.Container)
		st.open[e.Of] = e
		w.restless[st.id] = true
		for _, name := range e.Incident.Warning.Signs {
			// Whether it is still so is seen at the next readings: calm begins with them.
			st.signs[name] = &sign{on: true, since: e.Incident.Warning.Since, of: e.Of}
		}
	}
	return w, nil
}

// SetRules puts other thresholds into force: what no longer warns is over after
// the usual time of calm.
func (w *Warner) SetRules(r Rules) { w.opt.Rules = r }

// State returns the open warnings, to be kept, when they changed since the last call.
func (w *Warner) State() ([]byte, bool, error) {
	if !w.dirty {
		return nil, false, nil
	}
	open := []*episode{}
	for _, id := range w.ids() {
		st := w.states[id]
		open = append(open, st.passed...)
		for _, of := range sorted(st.open) {
			open = append(open, st.open[of])
		}
	}
	b, err := json.Marshal(open)
	if err != nil {
		return nil, false, fmt.Errorf("keep the open warnings: %w", err)
	}
	w.dirty = false
	return b, true, nil
}

func (w *Warner) ids() []string { return sorted(w.states) }

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (w *Warner) state(id string) *state {
	st := w.states[id]
	if st == nil {
		st = &state{id: id, held: -1, signs: map[string]*sign{}, open: map[string]*episode{}}
		w.states[id] = st
	}
	return st
}

// see takes how a sign stands at a moment. One that is off is not held: of a
// thousand containers that are well there are none.
func (st *state) see(name string, l level, at time.Time, hold, rest time.Duration) {
	s := st.signs[name]
	if s == nil {
		if l != alarm {
			return
		}
		s = &sign{}
		st.signs[name] = s
	}
	if s.see(l, at, hold, rest); *s == (sign{}) {
		delete(st.signs, name)
	}
}

// sameStart is how far two words on when a run began may lie apart.
const sameStart = time.Second

// Beside is what is read of a container beside a recorder.Reading.
type Beside struct {
	// Stalls is how often the kernel has notified of pressure since the container is
	// watched; -1 where it does not.
	Stalls int64
	// Refaults is how many pages of files it has had to read again, -1 where that is not
	// known.
	Refaults int64
	// Above is the tightest limit above it; nil where there is none.
	Above *recorder.Above
}

// Read takes one reading, and what is beside it.
func (w *Warner) Read(id string, r recorder.Reading, beside Beside) []Alert {
	w.tick(r.At)
	var run Run
	if id != HostID {
		var ok bool
		if run, ok = w.opt.Run(id); !ok || run.Silent {
			return nil
		}
	}
	st := w.state(id)
	if !run.Start.Equal(st.start) {
		if !st.start.IsZero() && run.Start.Sub(st.start).Abs() > sameStart {
			st.restart(r.At)
		}
		st.start = run.Start
	}
	if !st.seen.IsZero() && r.At.Sub(st.seen) > blind {
		// What was true before may not have been since.
		st.series, st.counters = series{}, nil
		maps.DeleteFunc(st.signs, func(_ string, s *sign) bool { return !s.on })
	}
	if st.seen.IsZero() || st.ended {
		st.former = w.tops[run.Name]
	}
	st.name, st.restarts, st.seen, st.last, st.ended = run.Name, run.Restarts, r.At, r, false
	st.held, st.above = held(id, &r), nil
	if a := beside.Above; a != nil && st.held >= 0 && (r.Limit <= 0 || a.Room() < r.Limit-st.held) {
		st.above = a
	}
	c := counters{at: r.At, hits: r.LimitHits, highs: r.High, stalls: beside.Stalls, some: r.PSISome, full: r.PSIFull, refaults: beside.Refaults, periods: r.CPUPeriods, throttled: r.CPUThrottled}
	if n := len(st.counters); n > 0 && fell(&st.counters[n-1], &c) {
		st.counters = st.counters[:0] // a new cgroup counts from zero
	}
	st.counters = bounded(recent(st.counters, r.At), c, maxCounters)
	if st.held >= 0 {
		st.series.add(r.At, st.held)
		st.top = max(st.top, st.held)
	}
	w.weigh(st)
	st.judge(&w.opt.Rules)
	return w.settle(st)
}

// maxCounters covers recently at one reading a second.
const maxCounters = 32

// recent drops what is no longer looked at, but for the one that the oldest of
// those that are is compared with.
func recent(c []counters, now time.Time) []counters {
	n := 0
	for n+1 < len(c) && now.Sub(c[n+1].at) > recently {
		n++
	}
	return append(c[:0], c[n:]...)
}

func fell(a, b *counters) bool {
	return b.hits < a.hits || b.highs < a.highs || b.stalls < a.stalls || b.full < a.full || b.some < a.some || b.periods < a.periods
}

// held is what reclaiming would not give back; of the host, what is not available.
func held(id string, r *recorder.Reading) int64 {
	if id == HostID {
		return r.Used
	}
	return r.Held()
}

// restart begins a new run: what was seen of the old one says nothing of it.
func (st *state) restart(at time.Time) {
	st.part(at)
	st.log, st.zombies, st.files = nil, nil, nil
	st.series, st.counters, st.held, st.last, st.ill, st.healed = series{}, nil, -1, recorder.Reading{}, time.Time{}, time.Time{}
	st.forecast.at, st.forecast.ok, st.top = time.Time{}, false, 0
}

// part puts the warnings of a run that ended aside, until its death is told.
func (st *state) part(at time.Time) {
	for _, of := range sorted(st.open) {
		if e := st.open[of]; !signs.named(of).lasts {
			e.passed = at
			st.passed = append(st.passed, e)
			delete(st.open, of)
		}
	}
	for name := range st.signs {
		if !signs.named(name).lasts {
			delete(st.signs, name)
		}
	}
}

// Due ends what has been calm for long enough, and forgets containers that are
// no longer read.
func (w *Warner) Due(now time.Time) []Alert {
	w.tick(now)
	var out []Alert
	for _, id := range w.due(now) {
		st := w.states[id]
		if st == nil {
			delete(w.restless, id)
			continue
		}
		for len(st.passed) > 0 && now.Sub(st.passed[0].passed) > untold {
			out = append(out, w.end(st.passed[0], st.passed[0].passed, "the container has ended", ""))
			st.passed = st.passed[1:]
		}
		st.events(&w.opt.Rules, now)
		if now.Sub(st.seen) > blind {
			for name := range st.signs {
				if !signs.named(name).apart {
					st.see(name, calm, now, 0, w.opt.Rules.ResolveAfter)
				}
			}
		}
		out = append(out, w.settle(st)...)
		if len(st.open)+len(st.passed)+len(st.deaths) == 0 && st.ill.IsZero() && now.Sub(st.seen) > forgotten {
			delete(w.states, id)
			delete(w.restless, id)
		}
	}
	return out
}

// due are the containers that Due looks at: the restless, and now and then those
// that have not been read for long.
func (w *Warner) due(now time.Time) []string {
	if now.Sub(w.swept) >= sweepEvery {
		w.swept = now
		for id, st := range w.states {
			if now.Sub(st.seen) > blind {
				w.restless[id] = true
			}
		}
	}
	return sorted(w.restless)
}

// mark notes whether a container is restless.
func (w *Warner) mark(st *state) {
	if len(st.open)+len(st.passed)+len(st.deaths)+len(st.signs) > 0 || !st.ill.IsZero() {
		w.restless[st.id] = true
	} else {
		delete(w.restless, st.id)
	}
}

const (
	// untold is how long after an end its death may still be told.
	untold = 15 * time.Second
	// sweepEvery is how often it is looked for containers without readings.
	sweepEvery = 10 * time.Second
	// forgotten is how long a container without readings is remembered.
	forgotten = 10 * time.Minute
)

func (w *Warner) tick(at time.Time) {
	if at.After(w.now) {
		w.now = at
	}
}

func appendUnique(s []string, v string) []string {
	if slices.Contains(s, v) {
		return s
	}
	return append(s, v)
}
