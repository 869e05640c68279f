package kmsg

import (
	"slices"
	"strings"
	"time"
)

// Bounds of what an Assembler keeps.
const (
	maxOpen    = 8       // episodes open at once
	maxLines   = 16      // evidence lines of one episode
	maxLineLen = 1 << 10 // bytes of one evidence line
	maxKills   = 1 << 13 // kills of one episode
	recentLen  = 256     // kills remembered to tell a repeat
	// closeAfter ends an episode: the kernel prints one in milliseconds.
	closeAfter = 5 * time.Second
)

// Assembler joins the kernel's records into episodes and faults. It is pure:
// no clock, no I/O. Records of interleaved episodes are kept apart by the
// printing context where the log has it, and by the victim's pid. Nothing is
// carried from one episode into another. Its memory is bounded.
type Assembler struct {
	open   []*open
	recent []recentKill
	next   int // where in recent the next kill goes
	// release is the kernel's, from the newest CPU line.
	release string
	events  []Event
	spare   []*open    // closed ones, to be used again
	unused  []*Episode // given back by recycle
	last    Record     // the record before, for fragments
}

// recentKill is a kill already told.
type recentKill struct {
	pid     int
	comm    string
	uptime  time.Duration
	at      time.Time
	hasTime bool
	stamped bool
	reaper  bool
}

// open is an episode that is not yet told.
type open struct {
	ep        *Episode
	caller    string
	last      moment // of the newest record of it
	invoked   bool   // its header was seen
	dumped    bool   // usage, tables or limit were seen
	summary   summaryLine
	hasSum    bool
	announce  killLine
	announced bool
	anew      bool // its announcement was printed again behind the kill
	taskIn    bool // "Task in" was seen
	taskInAt  time.Duration
	wantLimit bool // "Task in" came in pieces: the limit's path is missing
	head      tableHead
	hasHead   bool
	ptes      bool // page tables are in pages
	mixed     bool // another episode's lines stand between
	unknown   bool // the decisive line's facility is not known
	sawKill   bool
}

// moment is when a record was printed.
type moment struct {
	seq       uint64
	uptime    time.Duration
	hasUptime bool
	time      time.Time
}

// NewAssembler returns an Assembler with nothing open.
func NewAssembler() *Assembler { return &Assembler{} }

// Pending tells whether something is open that Flush would tell.
func (a *Assembler) Pending() bool { return len(a.open) > 0 }

// Flush tells what is open: call it after a quiet moment and at the end of input.
func (a *Assembler) Flush() []Event {
	a.events = nil
	a.closeAll()
	a.last = Record{}
	return a.take()
}

// reset forgets everything.
func (a *Assembler) reset() {
	a.open = a.open[:0]
	a.recent, a.next = a.recent[:0], 0
	a.release, a.events, a.last = "", nil, Record{}
}

// AwaitsKill tells whether an episode is open whose kill was not yet seen. A
// live caller that flushes after a quiet moment gives it more time then: on a
// slow console the lines of one report come tens of milliseconds apart.
func (a *Assembler) AwaitsKill() bool {
	for _, o := range a.open {
		if !o.sawKill && o.ep.NoKill == "" {
			return true
		}
	}
	return false
}

// AwaitsGroup tells whether the processes of a group (memory.oom.group) are being
// killed: how many lines are to come, none of them says.
func (a *Assembler) AwaitsGroup() bool {
	return slices.ContainsFunc(a.open, func(o *open) bool { return o.ep.Group && o.ep.NoKill == "" })
}

// Add takes the next record and returns what it completed. The Text of r must
// stay valid as long as the events.
func (a *Assembler) Add(r *Record) []Event {
	a.events = nil
	t := trimBlanks(r.Text)
	a.add(r, t, classify(t))
	return a.take()
}

func (a *Assembler) take() []Event {
	e := a.events
	a.events = nil
	return e
}

// add is Add with the text's class already known.
func (a *Assembler) add(r *Record, t string, c class) {
	if r.Facility > 0 && r.Ident == "" {
		return // written by user space: never believed
	}
	if r.Ident != "" {
		if f, ok := parseKiller(r); ok {
			a.tellFault(r, f)
		}
		return
	}
	if a.last.Text != "" {
		if r.Continuation && !startsKnown(r.Text) {
			rec := a.last
			rec.Text += r.Text
			r, t = &rec, trimBlanks(rec.Text)
			c = classify(t)
			a.dropLast()
		}
		a.last = Record{}
	}
	if c == classNone {
		a.pieces(r, t)
		return
	}
	if c != classFault {
		a.closeStale(r)
	}
	if c == classSummary && isIncomplete(c, t) {
		a.last = *r
	}
	a.dispatch(r, c, t)
}

// dropLast takes back the summary that a fragment completes.
func (a *Assembler) dropLast() {
	if o := a.current(a.last.Caller); o != nil && o.hasSum && !o.summary.complete {
		o.hasSum = false
		if n := len(o.ep.Lines); n > 0 {
			o.ep.Lines = o.ep.Lines[:n-1]
		}
	}
}

// isIncomplete tells a message that the kernel has split: records end at
// about 1 KiB, and a long path pushes the rest into the next.
func isIncomplete(c class, t string) bool {
	if c != classSummary {
		return false
	}
	i := strings.LastIndex(t, ",uid=")
	return i < 0 || !digitsOnly(t[i+5:])
}

func (a *Assembler) dispatch(r *Record, c class, t string) {
	switch c {
	case classInvoked:
		a.header(r, t)
	case classCPU:
		a.cpu(r, t)
	case classCpusetLine:
		a.cpusetLine(r, t)
	case classTaskIn:
		a.taskIn(r, t)
	case classUsage:
		a.usage(r, t)
	case classStatsHead:
		a.statsHead(r, t)
	case classStat:
		if o := a.current(r.Caller); o != nil && !o.sawKill && o.dumped {
			addStats(&o.ep.Stats, t)
			o.touch(r)
		}
	case classMemInfo:
		if o := a.current(r.Caller); o != nil && !o.sawKill {
			o.memInfo(t)
			o.touch(r)
		}
	case classTableHead:
		a.tableHead(r, t)
	case classRow:
		a.row(r, t)
	case classSummary:
		a.summary(r, t)
	case classKill:
		a.kill(r, t)
	case classGroup:
		a.group(r, t)
	case classReaper:
		a.reaper(r, t)
	case classNoKill:
		a.noKill(r, t)
	case classSysRq:
		if strings.Contains(t, "anual OOM execution") {
			o := a.start(r)
			o.ep.SysRq = true
			o.evidence(r)
		}
	case classFault:
		if f, ok := parseFault(t, r.Escaped); ok {
			a.tellFault(r, f)
		}
	case classBoot:
		a.closeAll()
		boot := *r
		boot.Text = cutLine(boot.Text)
		a.events = append(a.events, Event{Boot: &boot})
	case classSuspect:
		if isSuspect(t) {
			a.unrecognised(r)
		}
	}
}

// current is the open episode that a line without a pid belongs to: the one of
// its printing context, else the newest.
func (a *Assembler) current(caller string) *open {
	for i := len(a.open) - 1; i >= 0; i-- {
		if o := a.open[i]; o.caller == caller || o.caller == "" || caller == "" {
			return o
		}
	}
	return nil
}

// start opens an episode with r as its first record. The one that was open in
// the same printing context is over; in another it goes on.
func (a *Assembler) start(r *Record) *open { return a.startAfter(r, false) }

// startAfter is start; with half the reports stay open that consist of a summary or a
// kill line whose counterpart is still to come: two processors' lines may be mixed.
func (a *Assembler) startAfter(r *Record, half bool) *open {
	for i := 0; i < len(a.open); {
		o := a.open[i]
		if (r.Caller == "" || o.caller == "" || o.caller == r.Caller) && !(half && o.isHalf()) {
			a.close(i)
		} else {
			i++
		}
	}
	if len(a.open) >= maxOpen {
		a.close(0)
	}
	o := a.newOpen()
	o.caller = r.Caller
	o.ep.Seq, o.ep.Uptime, o.ep.HasUptime, o.ep.Time = r.Seq, r.Uptime, r.HasUptime, r.Time
	o.ep.Host = r.Host
	o.touch(r)
	a.open = append(a.open, o)
	return o
}

// isHalf tells a report of which the summary or the kill line was seen and the other was not.
func (o *open) isHalf() bool {
	return o.hasSum != o.sawKill && (o.hasSum || !o.invoked && !o.dumped) && o.ep.NoKill == "" && !o.ep.Group && !o.taskIn && !o.announced
}

func (a *Assembler) newOpen() *open {
	var o *open
	if n := len(a.spare); n > 0 {
		o = a.spare[n-1]
		a.spare = a.spare[:n-1]
		*o = open{}
	} else {
		o = new(open)
	}
	if n := len(a.unused); n > 0 {
		o.ep = a.unused[n-1]
		a.unused = a.unused[:n-1]
	} else {
		o.ep = new(Episode)
	}
	return o
}

// recycle takes back an episode that nobody needs any more, for its memory.
func (a *Assembler) recycle(e *Episode) {
	if len(a.unused) >= maxOpen {
		return
	}
	clear(e.Stats)
	*e = Episode{Tasks: e.Tasks[:0], Kills: e.Kills[:0], Lines: e.Lines[:0], Stats: e.Stats}
	a.unused = append(a.unused, e)
}

// dumping returns the episode that a line of the dump belongs to, opening one
// where its header is missing: after a kill line a dump is another episode's.
func (a *Assembler) dumping(r *Record) *open {
	o := a.current(r.Caller)
	if o == nil || o.sawKill || o.ep.NoKill != "" {
		o = a.start(r)
		o.ep.Kernel = ""
	}
	o.dumped = true
	o.touch(r)
	return o
}

// touch notes the newest record of an episode.
func (o *open) touch(r *Record) {
	o.last = moment{r.Seq, r.Uptime, r.HasUptime, r.Time}
}

// evidence keeps a decisive line as printed.
func (o *open) evidence(r *Record) {
	if len(o.ep.Lines) < maxLines {
		o.ep.Lines = append(o.ep.Lines, cutLine(r.Text))
	}
}

func cutLine(s string) string {
	if len(s) > maxLineLen {
		return s[:maxLineLen]
	}
	return s
}

// closeStale ends the episodes whose last record is too far from r, or lies in
// another boot.
func (a *Assembler) closeStale(r *Record) {
	for i := 0; i < len(a.open); {
		if apart(&a.open[i].last, r) {
			a.close(i)
		} else {
			i++
		}
	}
}

// apart tells whether a record cannot belong to an episode with one of that moment.
func apart(a *moment, b *Record) bool {
	var d time.Duration
	switch {
	case a.hasUptime && b.HasUptime:
		d = b.Uptime - a.uptime
	case !a.time.IsZero() && !b.Time.IsZero():
		d = b.Time.Sub(a.time)
	default:
		return false
	}
	return d > closeAfter || d < -closeAfter
}

func (a *Assembler) closeAll() {
	for len(a.open) > 0 {
		a.close(0)
	}
}

// close ends the i-th open episode and tells it, if it has something to tell.
func (a *Assembler) close(i int) {
	o := a.open[i]
	a.open = append(a.open[:i], a.open[i+1:]...)
	o.finish()
	if o.mixed && a.mixed(func(p *open) bool { return !p.dumped && !p.sawKill }) != nil {
		// The other never went on: which of the two headers was this one's cannot be told.
		o.ep.Trigger, o.ep.GFPMask = Task{}, ""
	}
	if len(o.ep.Kills) == 1 && !o.ep.Kills[0].strong() && a.isRepeat(&o.ep.Kills[0]) {
		// The kill itself was told: the lines stand in another order here.
		o.ep.Kills = o.ep.Kills[:0]
		o.invoked = false
	}
	for i := range o.ep.Kills {
		a.remember(&o.ep.Kills[i])
	}
	if len(o.ep.Stats) == 0 {
		o.ep.Stats = nil
	}
	if len(o.ep.Kills) > 0 || o.ep.NoKill != "" || o.invoked {
		if o.ep.Kernel == "" {
			o.ep.Kernel = a.release
		}
		a.events = append(a.events, Event{Episode: o.ep})
	} else {
		a.recycle(o.ep)
	}
	o.ep = nil
	if len(a.spare) < maxOpen {
		a.spare = append(a.spare, o)
	}
}

func (a *Assembler) remember(k *Kill) {
	if len(a.recent) < recentLen {
		a.recent = append(a.recent, recentKill{})
	}
	a.recent[a.next] = recentKill{pid: k.PID, comm: k.Comm, uptime: k.Uptime, at: k.Time, hasTime: !k.Time.IsZero(), stamped: k.HasUptime, reaper: k.Evidence == "reaper"}
	a.next = (a.next + 1) % recentLen
}

func (a *Assembler) tellFault(r *Record, f Fault) {
	f.Seq, f.Uptime, f.HasUptime, f.Time = r.Seq, r.Uptime, r.HasUptime, r.Time
	f.Line = cutLine(r.Text)
	f.Unverified = r.Facility != 0
	a.events = append(a.events, Event{Fault: &f})
}

func (a *Assembler) unrecognised(r *Record) {
	u := *r
	u.Text = cutLine(u.Text)
	a.events = append(a.events, Event{Unrecognised: &u})
}
