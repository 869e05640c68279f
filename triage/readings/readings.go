// Package readings reads memory readings from elsewhere (JSON lines, and what
// Prometheus answers to query_range) into the histories that triage judges. It
// does no I/O but to read what it is given.
package readings

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/triage"
)

// The bounds: of lines, readings kept in all and of one service; of Prometheus' answers,
// which are unpacked service by service, readings of one service and of one part of it.
// Beyond them, of every four neighbours the lowest and the highest stay.
const (
	maxReadings = 4_000_000
	perService  = 32_768
	leastKept   = 2_048
	// smallRun is up to how many readings a run is kept whole.
	smallRun = 64
)

// row is one reading. Sizes are bytes, NaN where they are not known.
type row struct {
	at         float64
	used, held float64
	anon       float32
	shmem      float32
	kernel     float32
	swap       float32
	limit      float64
	kills      float32
	start      bool
}

// series is the readings of one service.
type series struct {
	service string
	// part tells series of one service apart: a pod, a container's id.
	part   string
	rows   []row
	late   bool // not in the order of time
	squash int
}

// Set collects readings of many services.
type Set struct {
	// Until leaves out what is later, Since what is earlier (Unix seconds); 0 for none.
	Until, Since float64
	// Read counts the readings that were taken.
	Read int
	// Notes say what was left out, and why.
	Notes []string

	byName map[string]*series
	order  []*series
	last   *series
	total  int
	most   int // kept of one service

	tables     map[string]*wide
	tableOrder []string
	room       column // of the series that is being read
	groups     int    // series of what is no container
}

// Add reads one stream of readings: JSON lines or Prometheus' answer.
func (s *Set) Add(r io.Reader, name string) error {
	br := bufio.NewReaderSize(r, 1<<20)
	if mark, _ := br.Peek(3); string(mark) == "\ufeff" {
		br.Discard(3) // PowerShell begins files with it
	}
	if answers(br) {
		return s.addPrometheus(br, name)
	}
	var l line
	for n := 1; ; n++ {
		text, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return fmt.Errorf("read %q: line %d is longer than 1 MiB; give one reading a line", name, n)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if perr := l.parse(text); perr != nil {
				return fmt.Errorf("read %q: line %d: %w", name, n, perr)
			}
			s.add(l.service, nil, l.row())
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %q: %w", name, err)
		}
	}
}

// answers tells Prometheus' answer by its first key, or as a list of its results.
func answers(br *bufio.Reader) bool {
	head, _ := br.Peek(512)
	head = bytes.TrimLeft(head, " \t\r\n")
	list, ok := bytes.CutPrefix(head, []byte("["))
	if ok {
		head = bytes.TrimLeft(list, " \t\r\n")
		if bytes.HasPrefix(head, []byte("]")) {
			return true
		}
	}
	head, ok = bytes.CutPrefix(head, []byte("{"))
	if !ok {
		return false
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	for _, key := range []string{"status", "data", "resultType", "result", "error", "errorType", "isPartial", "warnings", "infos", "metric"} {
		if bytes.HasPrefix(head, []byte(`"`+key+`"`)) {
			return true
		}
	}
	return false
}

// note says something of what was read, once.
func (s *Set) note(format string, args ...any) {
	const most = 20
	if said := fmt.Sprintf(format, args...); len(s.Notes) < most && !slices.Contains(s.Notes, said) {
		s.Notes = append(s.Notes, said)
	}
}

// add takes one reading of a service.
func (s *Set) add(service []byte, part []byte, r row) {
	if s.Until != 0 && r.at > s.Until || r.at < s.Since {
		return
	}
	x := s.last
	if x == nil || x.service != string(service) || x.part != string(part) {
		x = s.find(service, part)
	}
	s.last = x
	if n := len(x.rows); n > 0 && r.at < x.rows[n-1].at {
		x.late = true
	}
	x.rows = append(x.rows, r)
	s.Read++
	s.total++
	if s.most == 0 {
		s.most = perService
	}
	if len(x.rows) >= s.most<<min(x.squash, 1) {
		s.total -= x.thin()
	}
	if s.total > maxReadings && s.most > leastKept {
		s.most /= 2
		for _, x := range s.order {
			if len(x.rows) > s.most {
				s.total -= x.thin()
			}
		}
	}
}

func (s *Set) find(service, part []byte) *series {
	if s.byName == nil {
		s.byName = map[string]*series{}
	}
	if len(part) == 0 {
		if x := s.byName[string(service)]; x != nil {
			return x // without making a string of it
		}
	}
	key := string(service)
	if len(part) > 0 {
		key += "\x00" + string(part)
	}
	x := s.byName[key]
	if x == nil {
		x = &series{service: string(service), part: string(part)}
		s.byName[key] = x
		s.order = append(s.order, x)
	}
	return x
}

// sort puts the rows into the order of time.
func (x *series) sort() {
	if !x.late {
		return
	}
	slices.SortStableFunc(x.rows, func(a, b row) int { return cmp.Compare(a.at, b.at) })
	x.late = false
}

// thin keeps of every four neighbours of a run the lowest and the highest, and
// returns how many went. What begins and ends a run stays.
func (x *series) thin() int {
	x.sort()
	kept := x.rows[:0]
	all := len(x.rows)
	for i := 0; i < all; {
		j := i + 1
		for j < all && !x.rows[j].start {
			j++
		}
		kept = thinRun(kept, x.rows[i:j])
		i = j
	}
	x.rows = kept
	x.squash = 0
	if len(kept) > all*3/4 {
		x.squash = 1 // of small runs little can go: ask again later
	}
	return all - len(kept)
}

func thinRun(kept, run []row) []row {
	if len(run) <= smallRun {
		return append(kept, run...)
	}
	first, last := run[0], run[len(run)-1]
	kept = append(kept, first)
	for k := 1; k < len(run)-1; k += 4 {
		four := run[k:min(k+4, len(run)-1)]
		low, high := 0, 0
		for i := range four {
			if four[i].held < four[low].held {
				low = i
			}
			if four[i].held > four[high].held {
				high = i
			}
		}
		a, b := four[min(low, high)], four[max(low, high)]
		kept = append(kept, a)
		if low != high {
			kept = append(kept, b)
		}
	}
	return append(kept, last)
}

// Histories are those of all services, by name, each made when its turn comes. What was
// left out is in Notes, and Read is whole, when all have had theirs.
func (s *Set) Histories() iter.Seq[*triage.History] {
	if s.groups > 0 && len(s.tables) == 0 {
		s.note("the series are of pods' sandboxes and of groups of containers only: ask for those with a container's name or image")
	}
	s.share()
	tables, lines := map[string][]*wide{}, map[string][]*series{}
	names := map[string]bool{}
	for _, key := range s.tableOrder {
		w := s.tables[key]
		tables[w.service], names[w.service] = append(tables[w.service], w), true
	}
	for _, x := range s.order {
		lines[x.service], names[x.service] = append(lines[x.service], x), true
	}
	return func(yield func(*triage.History) bool) {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			one := Set{Until: s.Until, Since: s.Since, order: lines[name]}
			for _, w := range tables[name] {
				w.into(&one)
			}
			s.Read += one.Read
			for _, h := range one.histories() {
				if !yield(&h) {
					return
				}
			}
		}
	}
}

// histories are those of a Set of one service.
func (s *Set) histories() (out []triage.History) {
	for _, x := range s.order {
		x.sort()
	}
	for _, group := range s.joined() {
		h := triage.History{Service: group.parts[0].service}
		if pod := group.parts[0].pod(); pod != "" && group.beside {
			h.Service += " (" + pod + ")"
		}
		for _, x := range group.parts {
			h.Runs = append(h.Runs, x.runs()...)
			if pod := x.pod(); pod != "" && (len(h.Containers) == 0 || h.Containers[0] != pod) {
				h.Containers = append([]string{pod}, h.Containers...)
			}
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b triage.History) int { return strings.Compare(a.Service, b.Service) })
	return out
}

// group is the parts of one service that follow one another; beside others, where beside.
type group struct {
	parts  []*series
	beside bool
}

// overlap is for how long a part may still be read while the next one runs: a rollout
// starts the new pod first, and Prometheus shows what is gone for five minutes.
const overlap = 900

// joined puts the parts of one service together that follow one another; those
// that ran at the same time stay apart.
func (s *Set) joined() []group {
	list := slices.DeleteFunc(slices.Clone(s.order), func(x *series) bool { return len(x.rows) == 0 })
	slices.SortStableFunc(list, func(a, b *series) int { return cmp.Compare(a.rows[0].at, b.rows[0].at) })
	var open []group
	for _, x := range list {
		at := slices.IndexFunc(open, func(g group) bool { return g.parts[len(g.parts)-1].follows(x) })
		if at < 0 {
			open = append(open, group{parts: []*series{x}})
			continue
		}
		open[at].parts = append(open[at].parts, x)
	}
	for i := range open {
		open[i].beside = len(open) > 1
	}
	return open
}

// follows tells a part that x comes after, and ends this one where x begins.
func (x *series) follows(next *series) bool {
	first, last, begins := x.rows[0].at, x.rows[len(x.rows)-1].at, next.rows[0].at
	ends := next.rows[len(next.rows)-1].at
	if over := last - begins; over >= 0 && (over > overlap || 4*over > begins-first || ends <= last) {
		return false
	}
	for n := len(x.rows); n > 1 && x.rows[n-1].at >= begins; n-- {
		x.rows = x.rows[:n-1]
	}
	return true
}

// pod is what people call the part.
func (x *series) pod() string {
	pod, _, _ := strings.Cut(x.part, "\x00")
	return pod
}

// runs cuts a series where a run starts.
func (x *series) runs() []triage.Run {
	var out []triage.Run
	for i := 0; i < len(x.rows); {
		j := i + 1
		for j < len(x.rows) && !x.rows[j].start {
			j++
		}
		r := triage.Run{Readings: make([]triage.Reading, 0, j-i)}
		kills := x.rows[i].kills
		for k := i; k < j; k++ {
			q := &x.rows[k]
			if q.limit > 0 {
				r.Limit = q.limit
			}
			if q.kills > kills || math.IsNaN(float64(kills)) {
				if q.kills > kills {
					r.Kills = append(r.Kills, q.at)
				}
				kills = q.kills
			}
			r.Readings = append(r.Readings, triage.Reading{At: q.at, Used: q.used, Held: q.held, Anon: float64(q.anon), Shmem: float64(q.shmem), Kernel: float64(q.kernel), Swap: float64(q.swap)})
		}
		// A counter that goes on over the restart tells how this one ended.
		if j < len(x.rows) && x.rows[j].kills > kills {
			r.OOM = true
		}
		out = append(out, r)
		i = j
	}
	return out
}
