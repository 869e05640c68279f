package recorder

import (
	"hash/fnv"
	"strconv"
	"sync"
	"time"
)

// Options are what New needs.
type Options struct {
	// Keeper is nil where nothing outlives the program.
	Keeper Keeper
	// Trouble is called with an error when the keeper begins to refuse, and with nil when
	// it takes again; nil for nobody. It must not call the Recorder.
	Trouble func(error)
}

// Recorder holds the recent past of every container, and of the host, and hands
// it to its Keeper. Its methods may be called from any goroutine.
type Recorder struct {
	keeper  Keeper
	trouble func(error)

	mu      sync.Mutex
	series  map[string]*series
	tracks  map[string]*Track // by container id; those that ended stay for keepEnded
	failing bool

	refusals, dropped int64 // see Stats
}

// Stats are what the recorder has counted since it began.
type Stats struct {
	// Refused is how many times the keeper took nothing; it is offered again.
	Refused int64
	// Dropped is how many readings were given up because they could not be kept for long.
	Dropped int64
}

// Stats are the counters.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{Refused: r.refusals, Dropped: r.dropped}
}

const (
	// keepEnded is how long the readings of a container that is gone can be
	// asked for by its id, and how long those of its service are held for
	// another to go on with. Then the keeper alone has them.
	keepEnded = 10 * time.Minute
	// maxSame bounds the containers of one service that run at once.
	maxSame = 10_000
)

// New returns a Recorder. Run hands what it holds to the keeper.
func New(opt Options) *Recorder {
	if opt.Trouble == nil {
		opt.Trouble = func(error) {}
	}
	return &Recorder{keeper: opt.Keeper, trouble: opt.Trouble, series: map[string]*series{}, tracks: map[string]*Track{}}
}

// series is the recent past of one service. The newer part, now, is what has not
// been rolled up; the older part, before, has been, and is kept to be asked for.
type series struct {
	name   string
	phase  int64 // the minute of a quarter of an hour at which it is rolled up
	now    writer
	before []byte
	newest row
	last   int64 // ticks of the newest reading; 0 for none
	kept   int   // how much of now has gone to the keeper
	base   row   // what the row after that differs from
	live   *Track
}

func newSeries(name string) *series {
	h := fnv.New32a()
	h.Write([]byte(name))
	s := &series{name: name, phase: int64(h.Sum32() % rollMinutes), now: newWriter(StepRead)}
	s.kept = len(s.now.block)
	return s
}

// Track is one container that is being recorded, from Begin to End.
type Track struct {
	r       *Recorder
	s       *series
	id      string
	started time.Time
	from    int64 // ticks of its first reading
	to      int64 // of its last, once it has ended; else 0
	ended   time.Time
	fresh   bool // its next reading starts a generation
}

// Begin starts recording a container as part of a service. started is when its
// generation began, so that a recorder which begins anew does not see a start
// where there was none; zero when that is not known. id is "" for the host.
func (r *Recorder) Begin(id, service string, started time.Time) *Track {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.free(service, id)
	t := &Track{r: r, s: s, id: id, started: started, fresh: true}
	if s.last > 0 && (id == "" || !started.IsZero() && !whenOf(s.last).Before(started)) {
		t.fresh, t.from = false, ticksAt(started)
	}
	if old := r.tracks[id]; old != nil && old.s == s {
		t.from = old.from // a restart: the generation before can still be asked for
	}
	s.live, r.tracks[id] = t, t
	return t
}

// free is the series of a service that no other container writes to.
func (r *Recorder) free(service, id string) *series {
	name := service
	for n := 2; n < maxSame; n++ {
		s := r.series[name]
		if s == nil {
			s = newSeries(name)
			r.series[name] = s
		}
		if s.live == nil || s.live.id == id {
			return s
		}
		name = service + "#" + strconv.Itoa(n)
	}
	return newSeries(name) // recorded, and never kept
}

// Add takes one reading: Min, Max and Start are the recorder's to set.
func (t *Track) Add(x *Reading) {
	x.Min, x.Max = x.Used, x.Used
	w := rowOf(x)
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	s := t.s
	if w[colWhen] <= s.last {
		if s.last-w[colWhen] < ticksOf(time.Minute) {
			return // the same moment again, or a clock that was set back a little
		}
		// A clock that was set back a lot: what is after now in time is given
		// up, so that the series stays in order.
		s.restart()
	}
	w[colStart] = 0
	if t.fresh {
		w[colStart], t.fresh = 1, false
	}
	if t.from == 0 {
		t.from = w[colWhen]
	}
	s.now.add(&w)
	s.newest, s.last = w, w[colWhen]
}

// restart forgets the readings that are held.
func (s *series) restart() {
	s.now, s.before, s.last, s.base = newWriter(StepRead), nil, 0, row{}
	s.kept = len(s.now.block)
}

// End stops the recording of a container; its readings can still be asked for,
// for a while after now.
func (t *Track) End(now time.Time) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	if t.s.live == t {
		t.s.live = nil
	}
	t.to, t.ended = t.s.last, now
}

// Service is the name of the series that the container is recorded in.
func (t *Track) Service() string { return t.s.name }

// Recent is the readings of a container that are held in memory, oldest first: a
// quarter to half an hour at one second, of all its generations. It is nil for a
// container that is not known, or has been gone for long. "" is the host.
func (r *Recorder) Recent(id string) []Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tracks[id]
	if t == nil {
		return nil
	}
	return t.s.recent(t.from, t.to)
}

// Latest is like Recent, for a name of a service.
func (r *Recorder) Latest(service string) []Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.series[service]
	if s == nil {
		return nil
	}
	return s.recent(0, 0)
}

// recent is the readings from one moment to another, 0 for the newest.
func (s *series) recent(from, to int64) []Reading {
	var out []Reading
	for _, b := range [][]byte{s.before, s.now.block} {
		rows, err := readBlock(b)
		if err != nil {
			continue // there is nothing before
		}
		for rows.next() {
			if at := rows.row[colWhen]; at >= from && (to == 0 || at <= to) {
				out = append(out, rows.row.reading())
			}
		}
	}
	return out
}

// Each calls f with every container that is being recorded and has been read, and
// the host, in no order. f must not call the Recorder.
func (r *Recorder) Each(f func(Live)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		if t.ended.IsZero() && t.s.last >= max(t.from, 1) {
			f(Live{ID: t.id, Service: t.s.name, Started: t.started, Last: t.s.newest.reading()})
		}
	}
}

// Containers is how many are being recorded.
func (r *Recorder) Containers() (n int) {
	r.Each(func(l Live) {
		if l.ID != "" {
			n++
		}
	})
	return n
}

func ticksAt(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli() / int64(tick/time.Millisecond)
}
