package kmsg

import (
	"encoding/binary"
	"encoding/json"
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
	numbers bool // inside an array of bytes (json-pretty)
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
	switch c := s[0]; {
	case c == '{' && len(s) > 2 && s[len(s)-1] == '}':
		return f.jsonLine(s)
	case c == '_' || c >= 'A' && c <= 'Z':
		return f.exportLine(s)
	case c == ' ' || c == '\t' || c == '}' || c == '{' || c == ']' || c == '"':
		t := trimBlanks(s)
		if f.entry.active && f.entry.verbose {
			return f.verboseLine(s, t), true
		}
		return f.prettyLine(t)
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
	if !e.hasText {
		e.text, e.hasText = s, true
	}
}

// set notes one field of an entry.
func (e *entry) set(key, v string) {
	switch key {
	case "MESSAGE", "msg":
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
	case "time":
		if up, ok := parseUptime(v); ok {
			e.rec.Uptime, e.rec.HasUptime = up, true
		} else if t, _, _, ok := parseISO(v, time.UTC); ok {
			e.rec.Time = t
		}
	}
}

// endEntry makes a record of the entry that was read.
func (f *feeder) endEntry() {
	e := f.entry
	f.entry = entry{}
	if !e.active || !e.hasText {
		return
	}
	r := e.rec
	r.Text = e.text
	r.Facility = e.facility
	switch {
	case e.transport == "kernel" || e.transport == "":
		if e.ident != "" && e.ident != "kernel" {
			r.Ident = e.ident
		}
		if e.transport == "kernel" && e.facility == FacilityUnknown && e.ident == "" {
			r.Facility = FacilityUnknown
		}
	case e.ident == "" || e.ident == "kernel":
		r.Ident = e.transport // a program that calls itself "kernel"
	default:
		r.Ident = e.ident
	}
	f.record(&r, classify(trimBlanks(r.Text)))
}

// jsonLine takes an object on a line: journalctl -o json.
func (f *feeder) jsonLine(s string) (done, matters bool) {
	var m map[string]json.RawMessage
	if len(s) > 1<<20 || json.Unmarshal([]byte(s), &m) != nil {
		return false, false
	}
	f.endEntry()
	f.flushRecord()
	if _, ok := m["log"]; ok && m["stream"] != nil {
		f.stats.Foreign++ // a container's output can print anything
		return true, false
	}
	f.entry = entry{active: true, facility: FacilityUnknown}
	for k, v := range m {
		f.entry.set(k, jsonText(v))
	}
	matters = classify(f.entry.text) != classNone
	f.endEntry()
	return true, matters
}

// jsonText reads a JSON value as journald writes fields: a string, a number,
// or the bytes of a text that is not UTF-8 or not printable.
func jsonText(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var b []uint8
	var n []int
	if json.Unmarshal(v, &n) == nil && n != nil {
		for _, c := range n {
			if c < 0 || c > 255 {
				return ""
			}
			b = append(b, uint8(c))
		}
		return string(b)
	}
	return strings.TrimSpace(string(v))
}

// prettyLine takes a line of an object that is spread over lines: dmesg -J,
// journalctl -o json-pretty.
func (f *feeder) prettyLine(t string) (done, matters bool) {
	e := &f.entry
	if t == "" {
		return false, false
	}
	switch {
	case e.active && e.numbers:
		if t[0] == ']' {
			e.numbers = false
			e.setText(string(e.data))
			return true, true
		}
		for _, w := range strings.Split(t, ",") {
			if n, ok := atoi(strings.TrimSpace(w)); ok && n < 256 && len(e.data) < maxRecord {
				e.data = append(e.data, byte(n))
			}
		}
		return true, true
	case t[0] == '}' || t[0] == '{' && len(t) <= 2:
		if !e.active && t[0] == '}' {
			return false, false
		}
		f.endEntry()
		return true, true
	case t[0] != '"':
		return false, false
	}
	end := strings.IndexByte(t[1:], '"')
	if end < 1 || end > 40 {
		return false, false
	}
	key := t[1 : 1+end]
	v, ok := strings.CutPrefix(trimBlanks(t[2+end:]), ":")
	if !ok {
		return false, false
	}
	v = strings.TrimSuffix(strings.TrimSpace(v), ",")
	if !e.active {
		f.flushRecord()
		*e = entry{active: true, facility: FacilityUnknown}
	}
	if v == "[" {
		if key == "MESSAGE" {
			e.numbers, e.data = true, nil
		}
		return true, true
	}
	e.set(key, jsonText(json.RawMessage(v)))
	return true, true
}
