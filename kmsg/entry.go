package kmsg

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// entry is a record of a log that spreads its fields over lines or keys:
// journalctl -o export, verbose, json; dmesg -J.
type entry struct {
	active    bool
	verbose   bool
	inMessage bool // the lines that follow may continue MESSAGE
	hasText   bool
	text      string
	transport string
	ident     string
	facility  int16
	rec       Record
	// head is the length that a binary field begins with, as far as it was
	// read; binary the bytes still missing of the field.
	head    []byte
	binary  uint64
	keep    bool // the binary field is MESSAGE
	data    []byte
	list    bool // inside an array (json-pretty)
	numbers bool // of the bytes of MESSAGE
	nested  int  // objects open around the field (json-pretty)
	parents [maxNested]string
	// rank is how likely the field that text is of holds a record's text.
	rank      int
	record    bool    // by its fields the kernel log's own record, as dmesg prints it
	unit      bool    // a process's record, by its fields
	leveled   bool    // a field names its level, as programs' loggers do
	container bool    // a container's output, by its fields
	more      []entry // records that stand in a list in this one
}

// around is what is said of the things in a list of an object that is spread over lines,
// in front of it: they are a container's. It holds for the lines indented by more.
type around struct {
	container bool
	indent    int
}

// outerOf reads the first lines of a log that is one JSON value spread over lines: a list
// that begins in them holds what comes megabytes later.
func outerOf(samples [][]byte, opt *ScanOptions) around {
	if len(samples) == 0 || !bytes.HasPrefix(samples[0], []byte("{\n")) && !bytes.HasPrefix(samples[0], []byte("[\n")) {
		return around{}
	}
	f := feeder{asm: NewAssembler(), opt: opt, tell: func(Event) {}}
	head := samples[0][:min(len(samples[0]), 8<<10)]
	for l := range bytes.Lines(head[:bytes.LastIndexByte(head, '\n')+1]) {
		f.line(string(bytes.TrimSuffix(l, []byte("\n"))))
	}
	return f.around
}

// structured takes lines of the formats that are not one record a line. done
// is false for the others.
func (f *feeder) structured(s string) (done, matters bool) {
	if s == "" {
		if f.entry.active && !f.entry.verbose {
			f.endEntry()
			return true, false
		}
		return false, false
	}
	if s[len(s)-1] != ']' {
	} else if i := strings.Index(s, " [s="); i > 20 && i < 48 && s[len(s)-1] == ']' {
		f.endEntry()
		f.flushRecord()
		f.entry = entry{active: true, verbose: true, facility: FacilityUnknown}
		var l line
		parseLine(s[:i]+" ", f.opt.Location, &l)
		f.entry.rec = l.rec
		f.entry.rec.Ident = ""
		return true, true
	}
	if f.around.container && len(s)-len(trimBlanks(s)) <= f.around.indent {
		f.around = around{}
	}
	switch c := s[0]; {
	case c == '{' && len(s) > 2 && s[len(s)-1] == '}', strings.HasPrefix(s, "[{") && s[len(s)-1] == ']':
		return f.jsonLine(s)
	case c == '_' || c >= 'A' && c <= 'Z':
		return f.exportLine(s)
	case c == ' ' || c == '\t' || c == '}' || c == '{' || c == ']' || c == '"':
		t := trimBlanks(s)
		if f.entry.active && f.entry.verbose {
			return f.verboseLine(s, t), true
		}
		return f.prettyLine(t, len(s)-len(t))
	case f.entry.active && f.entry.verbose:
		f.endEntry()
	}
	return false, false
}

// exportLine takes "KEY=value", or "KEY" before a binary field.
func (f *feeder) exportLine(s string) (done, matters bool) {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] >= 'A' && s[i] <= 'Z' || s[i]-'0' <= 9) {
		i++
	}
	if i == len(s) && f.entry.active && !f.entry.verbose {
		f.entry.head = make([]byte, 0, 8)
		f.entry.keep = s == "MESSAGE"
		return true, true
	}
	if i == len(s) || s[i] != '=' || !f.entry.active && !isJournalKey(s[:i]) {
		return false, false
	}
	if !f.entry.active {
		f.flushRecord()
		f.entry = entry{active: true, facility: FacilityUnknown}
	} else if s[:i] == "__CURSOR" {
		f.endEntry()
		f.entry = entry{active: true, facility: FacilityUnknown}
	}
	f.entry.set(s[:i], s[i+1:])
	return true, s[:i] == "MESSAGE" && classify(s[i+1:]) != classNone
}

func isJournalKey(k string) bool {
	switch k {
	case "__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "_BOOT_ID", "_TRANSPORT", "MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "_SOURCE_MONOTONIC_TIMESTAMP", "_MACHINE_ID", "_HOSTNAME":
		return true
	}
	return false
}

// entryBinary takes the lines of a binary field: 8 bytes of length, the bytes,
// a line end. Any of the bytes may be a line end.
func (f *feeder) entryBinary(s string) bool {
	e := &f.entry
	b := s + "\n"
	if e.head != nil {
		n := min(8-len(e.head), len(b))
		e.head = append(e.head, b[:n]...)
		b = b[n:]
		if len(e.head) < 8 {
			return true
		}
		e.binary = binary.LittleEndian.Uint64(e.head) + 1 // and the line end
		e.head = nil
		e.data = e.data[:0]
		if e.binary > 1<<26 {
			f.entry = entry{} // not an export after all
			return true
		}
	}
	n := min(uint64(len(b)), e.binary)
	if e.keep && len(e.data) < maxRecord {
		e.data = append(e.data, b[:n]...)
	}
	e.binary -= n
	if e.binary == 0 {
		if e.keep {
			e.setText(strings.TrimSuffix(string(e.data), "\n"))
		}
		e.keep = false
	}
	return true
}

// verboseLine takes "    KEY=value" and the lines that continue MESSAGE.
func (f *feeder) verboseLine(s, t string) bool {
	e := &f.entry
	n := indent(s)
	if n == 4 {
		if k, v, ok := strings.Cut(t, "="); ok && isField(k) {
			e.set(k, v)
			e.inMessage = k == "MESSAGE"
			return true
		}
	}
	if e.inMessage && n >= 12 && len(e.text) < maxRecord {
		e.text += "\n" + s[12:]
	}
	return true
}

func isField(k string) bool {
	for i := range len(k) {
		if k[i] != '_' && (k[i] < 'A' || k[i] > 'Z') && k[i]-'0' > 9 {
			return false
		}
	}
	return k != ""
}

func (e *entry) setText(s string) {
	e.offer(directRank, s)
}

// set notes one field of an entry.
func (e *entry) set(key, v string) {
	switch key {
	case "MESSAGE":
		e.setText(v)
	case "_TRANSPORT":
		e.transport = v
	case "_HOSTNAME":
		e.rec.Host = v
	case "SYSLOG_IDENTIFIER":
		e.ident = v
	case "SYSLOG_FACILITY", "fac":
		if n, ok := atoi(v); ok {
			e.facility = int16(n)
		} else if n, ok := facilityNames[v]; ok {
			e.facility = n
		}
	case "PRIORITY", "pri":
		if n, ok := atoi(v); ok {
			e.rec.Level = int8(n & 7)
		} else if n, ok := levelNames[v]; ok {
			e.rec.Level = n
		}
	case "__REALTIME_TIMESTAMP":
		if n, _, ok := leadingInt(v); ok {
			e.rec.Time = time.UnixMicro(n).UTC()
		}
	case "_SOURCE_MONOTONIC_TIMESTAMP":
		if n, _, ok := leadingInt(v); ok {
			e.rec.Uptime, e.rec.HasUptime = time.Duration(n)*time.Microsecond, true
		}
	case "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_CGROUP", "_PID", "_COMM", "_EXE", "_CMDLINE":
		e.unit = true
	}
}

// endEntry makes a record of the entry that was read, and tells whether it can matter.
func (f *feeder) endEntry() (matters bool) {
	e := f.entry
	f.entry = entry{}
	if !e.active {
		return false
	}
	matters = f.endRecord(&e)
	for i := range e.more {
		matters = f.endRecord(&e.more[i]) || matters
	}
	return matters
}

// hasOwnPrefix tells a text in front of whose message a stamp or more stands.
func hasOwnPrefix(c class, t string) bool {
	return !byItsStart(c, t) && (c == classNone || c == classSuspect || t[0] == '[' || t[0] == '<')
}

// endRecord is endEntry for one record of it.
func (f *feeder) endRecord(e *entry) (matters bool) {
	if !e.hasText {
		return false
	}
	r := e.rec
	r.Text = e.text
	r.Facility = e.facility
	kernel := e.transport == "kernel"
	switch {
	case kernel && (e.ident == "" || e.ident == "kernel"):
	case e.ident != "" && e.ident != "kernel":
		r.Ident = e.ident
	case e.transport != "":
		r.Ident = e.transport // a program that calls itself "kernel"
	case e.unit:
		r.Ident = "unit"
	case e.leveled && !e.record && e.rank != directRank && !r.HasUptime && r.Host == "" && r.Facility == FacilityUnknown:
		r.Ident = "program" // its logger writes a level, a time and a message; who ships a node's log adds which node
	}
	if e.container && !kernel {
		r.Ident = "container"
	}
	t := trimBlanks(r.Text)
	c := classify(t)
	direct := e.rank == directRank
	if r.Ident == "" && (!kernel && !direct && !e.record && !r.HasUptime || !(kernel && direct) && hasOwnPrefix(c, t)) {
		return f.wrapped(e)
	}
	if r.Ident != "" && c != classKill && c != classSummary && kernelText(r.Text) >= 0 {
		f.stats.Foreign++
	}
	f.record(&r, c)
	return r.Ident == "" && c != classNone || isKillerIdent(r.Ident)
}
