package kmsg

import (
	"bytes"
	"strings"
)

const (
	// reachDump is how far the next line of a report may lie from the last
	// one while a kill is still awaited: a call trace stands between.
	reachDump = 32 << 10
	// reachDone is the same after the kill line.
	reachDone = 4 << 10
	// patience is how many records without meaning are read before the
	// search for the next anchor is taken up again.
	patience = 8
	// wholeUpTo is the size up to which a log is read line by line throughout.
	wholeUpTo = 4 << 20
	// maxLine is how much of one line is looked at, maxJSON of one that is an object.
	maxLine = 16 << 10
	maxJSON = 1 << 20
	// lookBack is how far before an anchor its record may begin.
	lookBack = 8 << 10
)

// region is a stretch of a log that was read closely, and what it told. No
// state goes from one region to the next, so that they can be read in
// parallel and out of order.
type region struct {
	start, end int64
	// events are what it told, unless they were rendered: out is the rendering
	// of all. told describes each of them.
	events []Event
	out    []byte
	told   []telling
	stats  ScanStats
	// clipped: the first line could have begun before the chunk.
	clipped bool
}

// regionScanner finds the regions of a stretch of a log.
type regionScanner struct {
	find   *finder
	whole  bool // read every line
	feed   feeder
	render func(dst []byte, e *Event) []byte

	cur     *region // the open region
	lines   bool    // reading line by line, not searching
	hot     int64   // end of the last line that mattered
	anchor  int64   // the anchor that the lines being read lead to
	fed     int64   // end of the last line that was read
	regions []*region
	spare   []*region // dealt with, to be used again
	event   Event     // the one being rendered
}

func newRegionScanner(find *finder, opt *ScanOptions, whole bool, render func([]byte, *Event) []byte) *regionScanner {
	s := &regionScanner{find: find, whole: whole, render: render}
	s.feed = feeder{asm: NewAssembler(), opt: opt}
	s.feed.tell = s.tell
	return s
}

// telling is what must be known of an event to tell a repeat, and where its
// rendering ends.
type telling struct {
	end   int
	kills []recentKill // nil when it is no episode
}

func (s *regionScanner) tell(e Event) {
	t := s.cur.nextTelling()
	if e.Episode != nil {
		for i := range e.Episode.Kills {
			k := &e.Episode.Kills[i]
			t.kills = append(t.kills, recentKill{pid: k.PID, uptime: k.Uptime, stamped: k.HasUptime, reaper: k.Evidence == "reaper"})
		}
	}
	if s.render != nil {
		s.event = e
		s.cur.out = s.render(s.cur.out, &s.event)
		t.end = len(s.cur.out)
		if e.Episode != nil {
			s.feed.asm.recycle(e.Episode)
		}
	} else {
		e.detach()
		s.cur.events = append(s.cur.events, e)
	}
}

// nextTelling adds an empty telling, in memory that was used before if there is some.
func (g *region) nextTelling() *telling {
	n := len(g.told)
	if n == cap(g.told) {
		g.told = append(g.told, telling{})
		return &g.told[n]
	}
	g.told = g.told[:n+1]
	g.told[n] = telling{kills: g.told[n].kills[:0]}
	return &g.told[n]
}

// reuse makes the scanner ready for another chunk. Its regions have been dealt with.
func (s *regionScanner) reuse() {
	if s.cur != nil {
		s.recycle(s.cur)
	}
	s.cur, s.lines, s.hot, s.fed = nil, false, 0, 0
	s.recycleAll()
}

func (s *regionScanner) recycleAll() {
	for _, g := range s.regions {
		s.recycle(g)
	}
	clear(s.regions)
	s.regions = s.regions[:0]
}

// Bounds of the memory that is kept for regions to come.
const (
	maxSpare    = 16
	maxSpareOut = 256 << 10
)

// recycle takes back a region for its memory. Its events are the reader's.
func (s *regionScanner) recycle(g *region) {
	if len(s.spare) < maxSpare && cap(g.out) <= maxSpareOut {
		*g = region{out: g.out[:0], told: g.told[:0]}
		s.spare = append(s.spare, g)
	}
}

// openAt begins a region at an offset.
func (s *regionScanner) openAt(at int64) {
	if n := len(s.spare); n > 0 {
		s.cur = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else {
		s.cur = new(region)
	}
	s.cur.start = at
	s.hot = at
	s.feed.reset()
}

// close ends the open region.
func (s *regionScanner) close(at int64) {
	s.feed.finish()
	s.cur.end = at
	s.cur.stats = s.feed.stats
	s.regions = append(s.regions, s.cur)
	s.cur = nil
	s.lines = false
}

// reach is how far the open region stretches over lines that do not matter.
func (s *regionScanner) reach() int64 {
	if s.feed.asm.AwaitsKill() {
		return reachDump
	}
	return reachDone
}

// scan reads b, whose first byte has the offset base in the log and begins a
// line, from the place from on. It goes on with the open region, if there is
// one. until, if positive, is where it may stop as soon as no region is open.
// It returns how far it came.
func (s *regionScanner) scan(b []byte, base int64, from int, until int64) int {
	pos := from
	for pos < len(b) {
		if !s.lines {
			if s.cur == nil && until > 0 && base+int64(pos) >= until {
				return pos
			}
			at := pos
			if !s.whole {
				if at = s.find.next(b, pos); at < 0 {
					at = len(b)
				} else {
					s.anchor = base + int64(at) + 1
					at = bytes.LastIndexByte(b[:at], '\n') + 1
				}
			}
			if s.cur != nil && base+int64(at) > s.hot+s.reach() {
				end := s.hot + s.reach()
				s.close(end)
				if until > 0 && end >= until {
					return int(end - base)
				}
			}
			if at == len(b) || s.cur == nil && until > 0 && base+int64(at) >= until {
				return at
			}
			clipped := false
			if !s.whole {
				floor := max(s.fed-base, 0)
				at, clipped = backUp(b, int(floor), at)
				clipped = clipped && floor == 0
			}
			if s.cur == nil {
				s.openAt(base + int64(at))
				s.cur.clipped = clipped
			}
			s.lines = true
			s.feed.quiet = 0
			pos = at
		}
		if next := s.run(b, base, pos); next > pos {
			pos = next
		} else {
			pos = s.line(b, base, pos)
		}
		if s.whole {
			if base+int64(pos) > s.hot+s.reach() {
				s.close(base + int64(pos))
			}
		} else if s.fed <= s.anchor {
			continue
		} else if s.feed.quiet > patience || s.feed.quiet > 1 && !s.feed.asm.AwaitsKill() {
			s.feed.endEntry()
			s.feed.flushRecord()
			s.lines = false
		}
	}
	return pos
}

// line feeds the line at pos and returns where the next one begins.
func (s *regionScanner) line(b []byte, base int64, pos int) int {
	end := len(b)
	if nl := bytes.IndexByte(b[pos:], '\n'); nl >= 0 {
		end = pos + nl
	}
	l := b[pos:end]
	if len(l) > maxLine && (l[0] != '{' || len(l) > maxJSON) {
		l = l[:maxLine]
	}
	next := min(end+1, len(b))
	s.fed = base + int64(next)
	if s.feed.line(stringOf(l)) {
		s.hot = s.fed
		s.feed.quiet = 0
	}
	return next
}

// backUp finds where the record around the line at pos begins: some lines
// before it for records that are broken into lines or spread over them.
// clipped is true when it ran into the floor.
func backUp(b []byte, floor, pos int) (start int, clipped bool) {
	if floor > pos {
		return pos, false
	}
	lines := 2
	l := b[pos:min(len(b), pos+64)]
	if t := bytes.TrimLeft(l, " \t"); isFieldLine(t) || bytes.HasPrefix(t, []byte(`"`)) || len(l)-len(t) >= 4 {
		lines = 48
	}
	start = pos
	for range lines {
		if start <= floor {
			return floor, true
		}
		if pos-start > lookBack {
			break
		}
		start = bytes.LastIndexByte(b[floor:start-1], '\n') + 1 + floor
	}
	return start, start <= floor
}

// isFieldLine tells "KEY=value", as journald exports it.
func isFieldLine(l []byte) bool {
	i := 0
	for i < len(l) && (l[i] == '_' || l[i] >= 'A' && l[i] <= 'Z') {
		i++
	}
	return i >= 3 && i < len(l) && (l[i] == '=' || l[i] == '\n')
}

// detach copies the strings of an event, which share memory with the log, into
// memory of their own: one piece for all.
func (e *Event) detach() {
	var d detacher
	for range 2 {
		switch {
		case e.Episode != nil:
			d.episode(e.Episode)
		case e.Fault != nil:
			d.fault(e.Fault)
		case e.Unrecognised != nil:
			d.record(e.Unrecognised)
		case e.Boot != nil:
			d.record(e.Boot)
		}
		if d.buf == nil {
			d.buf = new(strings.Builder)
			d.buf.Grow(d.size)
		}
	}
}

func (d *detacher) record(r *Record) {
	d.str(&r.Text)
	d.str(&r.Caller)
	d.str(&r.Ident)
	d.str(&r.Host)
}

// detacher sums up sizes on its first round and copies on its second.
type detacher struct {
	size int
	buf  *strings.Builder
}

func (d *detacher) str(s *string) {
	if d.buf == nil {
		d.size += len(*s)
		return
	}
	if *s == "" {
		return
	}
	start := d.buf.Len()
	d.buf.WriteString(*s)
	*s = d.buf.String()[start:]
}

func (d *detacher) episode(e *Episode) {
	for _, s := range []*string{&e.Trigger.Comm, &e.GFPMask, &e.OOMMemcg, &e.TaskMemcg, &e.Cpuset, &e.GroupMemcg, &e.Kernel, &e.Host} {
		d.str(s)
	}
	for i := range e.Tasks {
		d.str(&e.Tasks[i].Comm)
	}
	for i := range e.Kills {
		d.str(&e.Kills[i].Comm)
		d.str(&e.Kills[i].Line)
	}
	for i := range e.Lines {
		d.str(&e.Lines[i])
	}
}

func (d *detacher) fault(f *Fault) {
	for _, s := range []*string{&f.Comm, &f.Cgroup, &f.Killer, &f.Signal, &f.Object, &f.Line} {
		d.str(s)
	}
}
