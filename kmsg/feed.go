package kmsg

import (
	"strings"
	"time"
)

// feeder turns the lines of a log into records: it takes off prefixes, joins
// what a reader or a mail has broken into lines, and hands each whole record
// to the Assembler.
type feeder struct {
	asm  *Assembler
	opt  *ScanOptions
	tell func(Event)

	pend    *line // the record whose lines are being collected
	next    *line // the line being read
	hasPend bool
	joins   int
	entry   entry   // the structured entry (journal export, JSON) being read
	around  around  // what the lines around a list say of what is in it
	outer   around  // the same of the list that the whole log is
	base    *Record // what the entry around a line says of it
	quiet   int     // records without meaning since the last one that had any
	prefix  prefixCache
	running Record // the one that run reads
	// shape is what a tool has put before a line that was the kernel's: a file, a
	// host. It is taken off the lines that begin alike.
	shape     []byte
	shapeHost string
	stats     ScanStats
}

// reset forgets everything, for a stretch of the log that has nothing to do
// with the one before.
func (f *feeder) reset() {
	f.asm.reset()
	f.hasPend, f.entry, f.around, f.quiet, f.stats = false, entry{}, f.outer, 0, ScanStats{}
	f.shape, f.shapeHost = f.shape[:0], ""
}

// maxJoins bounds the lines that are joined into one record.
const maxJoins = 64

// maxRecord bounds the text of one record.
const maxRecord = 16 << 10

// line takes the next line, without its end, and tells whether it can matter.
func (f *feeder) line(s string) bool {
	s = strings.TrimPrefix(strings.TrimSuffix(s, "\r"), "\r") // a console may print either first
	f.stats.Lines++
	if f.entry.binary > 0 || f.entry.head != nil {
		return f.entryBinary(s)
	}
	if strings.IndexByte(s, 0x1b) >= 0 && isColoured(s) {
		s = stripColour(s)
	}
	if len(f.shape) > 0 {
		s = s[sameShape(stringOf(f.shape), s):]
	}
	if done, matters := f.structured(s); done {
		return matters
	}
	return f.textLine(s)
}

// textLine takes a line of a log that holds one record a line.
func (f *feeder) textLine(s string) bool {
	if f.next == nil {
		f.pend, f.next = new(line), new(line)
	}
	l := f.next
	f.prefix.parse(s, f.opt, l)
	if f.around.container {
		l.rec.Ident = "container"
	}
	t := trimBlanks(l.text)
	l.class = classify(t)
	if l.rec.Ident != "" || l.closed && l.class == classSuspect {
		f.foreign(l, t)
	} else if !l.closed && l.text != s && l.rec.Host == "" && isEngineStamp(s) {
		l.rec.Ident = "container"
		f.foreign(l, t)
	} else if !l.closed && !byItsStart(l.class, t) {
		if f.anyPrefix(s, l) {
			return true
		}
		t = trimBlanks(l.text)
	}
	if len(f.shape) > 0 && l.rec.Host == "" {
		l.rec.Host = f.shapeHost
	}
	if l.numbered > 0 && l.closed && l.rec.Ident == "" && f.base == nil {
		f.shape = append(f.shape[:0], s[:l.numbered]...)
	}
	if f.base != nil {
		l.fill(f.base)
	}
	if cut := glued(t, l.class, l.rec.Escaped); cut > 0 {
		l.text = t[:cut]
		f.plain(s)
		f.line(t[cut:])
		return true
	}
	return f.plain(s)
}

// plain takes the line read last, which is s, of a log that holds one record a line.
func (f *feeder) plain(s string) bool {
	l := f.next
	if !l.stamped && f.hasPend {
		if l.text == "" {
			f.flushRecord()
			return false
		}
		at := len(s) - len(trimBlanks(l.text))
		n := blanksBefore(s, at)
		if n > 0 && at > n && strings.IndexByte(">|#*", s[at-n-1]) >= 0 {
			n-- // the mark's own
		}
		if f.fieldsGoOn(trimBlanks(l.text)) {
			return true
		}
		if f.continues(s[at-n:]) {
			f.join("\n", s[at-n+min(f.pend.width-f.pend.outer, n):])
			return f.pend.class != classNone
		}
		if f.wraps(l.text) {
			return true
		}
	}
	if l.stamped && f.hasPend && f.splitName(l) {
		f.join("\n", l.text)
		return true
	}
	if !l.stamped && !f.hasPend && blanksBefore(s, len(s)-len(trimBlanks(l.text))) >= 8 && l.class != classNone {
		// The rest of a record whose begin is not at hand: it may be a
		// program's message of several lines.
		f.stats.Foreign++
		return false
	}
	f.flushRecord()
	f.pend, f.next = l, f.pend
	f.hasPend, f.joins = true, 0
	return l.rec.Ident == "" && l.class != classNone || isKillerIdent(l.rec.Ident) || l.unclear
}

func isKillerIdent(s string) bool {
	switch s {
	case "earlyoom", "systemd-oomd", "nohang", "oomd", "oomd_bin":
		return true
	}
	return false
}

// blanksBefore counts the blanks that end at a place of s.
func blanksBefore(s string, at int) int {
	n := 0
	for n < at && s[at-n-1] == ' ' {
		n++
	}
	return n
}

func indent(s string) int {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	return i
}

// continues tells a further line of a multi-line record as dmesg and journald
// print it: indented by the width of the prefix.
func (f *feeder) continues(s string) bool {
	n := indent(s)
	return f.pend.stamped && n >= 8 && (n >= f.pend.width-f.pend.outer || n >= 12 && !startsKnown(s[n:]))
}

// splitName tells a further line of a record whose text holds a line end, in
// the readers that repeat the prefix: the same stamp, and the record before it
// ends inside a name.
func (f *feeder) splitName(l *line) bool {
	p := f.pend
	switch p.class {
	case classKill, classSummary, classCPU:
	case classNone:
		// A name that begins with a line end.
		return p.text == "" && p.rec.HasUptime && l.rec.HasUptime && p.rec.Uptime == l.rec.Uptime && strings.Contains(l.text, " invoked oom-killer: ")
	default:
		return false
	}
	if !sameMoment(&p.rec, &l.rec) || p.rec.Ident != "" || l.rec.Ident != "" || p.rec.Escaped {
		return false
	}
	switch p.class {
	case classKill:
		k, ok := parseKill(p.text, false)
		if ok && (k.fields > 0 || k.announce) || !strings.Contains(p.text, " (") {
			return false
		}
		_, whole := parseKill(l.text, false)
		return !whole && strings.Contains(l.text, ") ")
	case classSummary:
		return isIncomplete(classSummary, p.text) && strings.Contains(p.text, ",task=") && strings.Contains(l.text, ",pid=")
	case classCPU:
		return strings.Contains(p.text, "omm: ") && !strings.Contains(p.text, "ainted") && strings.Contains(l.text, "ainted")
	}
	return false
}

// sameMoment tells the stamps of one record's lines: alike, or, where a syslog
// daemon stamps each line anew, a moment apart.
func sameMoment(a, b *Record) bool {
	switch {
	case a.HasUptime != b.HasUptime:
		return false
	case a.HasUptime:
		return a.Uptime == b.Uptime
	}
	d := b.Time.Sub(a.Time)
	return d >= 0 && d <= time.Millisecond
}

func (f *feeder) join(sep, s string) {
	if f.joins >= maxJoins || len(f.pend.text)+len(s) > maxRecord {
		return
	}
	f.joins++
	f.pend.text += sep + s
	f.pend.class = classify(trimBlanks(f.pend.text))
}

// flushRecord hands the collected record to the Assembler.
func (f *feeder) flushRecord() {
	if !f.hasPend {
		return
	}
	f.hasPend = false
	p := f.pend
	p.rec.Text = p.text
	if p.unclear {
		f.unrecognised(&p.rec)
		return
	}
	f.record(&p.rec, p.class)
}

// unrecognised counts and tells a line that holds the kernel's words and is not
// believed for what stands before them.
func (f *feeder) unrecognised(r *Record) {
	f.stats.Records++
	f.asm.events = f.asm.events[:0]
	f.asm.unrecognised(r)
	for _, e := range f.asm.events {
		f.event(e)
	}
}

// foreign counts a program's line that holds the kernel's words; record counts
// those that are nothing else.
func (f *feeder) foreign(l *line, t string) {
	if at := kernelText(t); l.rec.Ident == "" && at <= 0 {
		return
	}
	if l.class != classNone && l.class != classKill && l.class != classSummary && kernelText(t) >= 0 {
		f.stats.Foreign++
	}
}

// byItsStart tells the classes of messages that are told by their first words.
func byItsStart(c class, t string) bool {
	switch c {
	case classKill, classMemInfo:
		return startsKnown(t)
	case classNone, classSuspect, classInvoked, classCpusetLine, classFault:
		return false
	}
	return true
}

// record gives one whole record to the Assembler.
func (f *feeder) record(r *Record, c class) {
	if r.HasUptime && r.Time.IsZero() && !f.opt.Boot.IsZero() {
		r.Time = f.opt.Boot.Add(r.Uptime)
	}
	f.stats.Records++
	if (r.Ident != "" || r.Facility > 0) && (c == classKill || c == classSummary) {
		f.stats.Foreign++
	}
	if c == classNone {
		f.quiet++
	} else {
		f.quiet = 0
	}
	f.asm.events = f.asm.events[:0]
	f.asm.add(r, trimBlanks(r.Text), c)
	for _, e := range f.asm.events {
		f.event(e)
	}
}

func (f *feeder) event(e Event) {
	switch {
	case e.Episode != nil:
		f.stats.Episodes++
		f.stats.Kills += int64(len(e.Episode.Kills))
	case e.Fault != nil:
		f.stats.Faults++
	case e.Unrecognised != nil:
		f.stats.Unrecognised++
		if len(f.stats.UnrecognisedLines) < maxUnrecognised {
			f.stats.UnrecognisedLines = append(f.stats.UnrecognisedLines, strings.Clone(e.Unrecognised.Text))
		}
	}
	f.tell(e)
}

// finish hands on what is collected and tells what is open.
func (f *feeder) finish() {
	f.endEntry()
	f.flushRecord()
	for _, e := range f.asm.Flush() {
		f.event(e)
	}
}

// glued finds where in a message the next record begins, which a reader has run
// into the same line; 0 where none does. What is looked for behind the message's
// own end is longer than a process's name can be, so that none hides in one.
func glued(t string, c class, escaped bool) int {
	switch c {
	case classKill:
		if k, ok := parseKill(t, escaped); ok && beginsRecord(t[k.end:]) {
			return k.end
		}
		return 0
	case classSummary:
		return behindNumber(t, ",uid=")
	case classUsage:
		return behindNumber(t, "failcnt ")
	case classInvoked:
		return behindNumber(t, "oom_score_adj=")
	}
	return 0
}

// behindNumber finds a record that begins right behind a field's number.
func behindNumber(t, field string) int {
	for i := 0; ; {
		j := strings.Index(t[i:], field)
		if j < 0 {
			return 0
		}
		i += j + len(field)
		if _, rest, ok := leadingInt(t[i:]); ok && beginsRecord(rest) {
			return len(t) - len(rest)
		}
	}
}

// beginsRecord tells a kernel's stamp, or a message known by its begin.
func beginsRecord(s string) bool {
	if len(s) < 14 {
		return false
	}
	if s[0] == '[' {
		end := strings.IndexByte(s[:min(len(s), 24)], ']')
		if end > 7 && s[end-7] == '.' {
			_, ok := parseUptime(strings.Trim(s[1:end], " "))
			return ok
		}
	}
	return s[0] != ' ' && startsKnown(s)
}

// withYear gives a date from a log without years its year: the newest one that
// does not lie after Now (or after the year asked for).
func (o *ScanOptions) withYear(t time.Time) time.Time {
	if o.Year != 0 {
		return inYear(t, o.Year)
	}
	limit := o.Now
	if limit.IsZero() {
		return time.Time{}
	}
	y := inYear(t, limit.Year())
	if y.After(limit.Add(36 * time.Hour)) {
		y = inYear(t, limit.Year()-1)
	}
	return y
}

func inYear(t time.Time, year int) time.Time {
	return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}
