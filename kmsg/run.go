package kmsg

import "bytes"

// Most lines of a report are counters, rows of the task table and a call trace, printed
// in the same second by the same writer. They are read here, with less ado than
// feeder.line takes: each is a record of its own, as the line behind it shows, which
// begins as it does.

// run reads such lines from pos on and returns where it stopped: at the first line
// that is for feeder.line, or where enough lines have been read that do not matter.
func (s *regionScanner) run(b []byte, base int64, pos int) int {
	f := &s.feed
	if !f.canRun() {
		return pos
	}
	prefix := f.prefix.prefix
	r := &f.running
	*r = f.prefix.line.rec
	for hasStamp(b[pos:], prefix) {
		end := bytes.IndexByte(b[pos:], '\n')
		if end < 0 || end > maxLine || !hasStamp(b[pos+end+1:], prefix) {
			break
		}
		c, ok := f.plainRecord(r, stringOf(b[pos+len(prefix):pos+end]))
		if !ok {
			break
		}
		if f.hasPend {
			f.flushRecord()
		}
		f.stats.Lines++
		f.record(r, c)
		pos += end + 1
		s.fed = base + int64(pos)
		if c != classNone {
			s.hot = s.fed
		} else if f.quiet > patience || f.quiet > 1 && !f.asm.AwaitsKill() {
			break
		}
	}
	return pos
}

// hasStamp tells a line that begins with the prefix, which the kernel's stamp follows.
func hasStamp(b, prefix []byte) bool {
	return len(b) > len(prefix) && b[len(prefix)] == '[' && string(b[:len(prefix)]) == string(prefix)
}

// canRun tells whether the lines that begin with the cached prefix are the kernel's
// records with nothing around them, and the line before them is a whole record.
func (f *feeder) canRun() bool {
	l := &f.prefix.line
	if len(f.prefix.prefix) == 0 || l.rec.Ident != "" || l.rec.Facility > 0 || l.numbered > 0 ||
		len(f.shape) > 0 || f.base != nil || f.entry.active || f.entry.binary > 0 || f.entry.head != nil || f.asm.last.Text != "" {
		return false
	}
	if !f.hasPend {
		return true
	}
	switch f.pend.class {
	case classKill, classSummary, classCPU: // the next line can be the rest of a name
		return false
	case classNone:
		return f.pend.text != ""
	}
	return true
}

// plainRecord reads a stamp and the message behind it into r, if the message stands for
// itself: no part of it is a record of its own or the begin of another line's.
func (f *feeder) plainRecord(r *Record, s string) (class, bool) {
	up, n := plainStamp(s)
	if n == 0 || len(s) < n+2 || s[n] != ' ' || s[len(s)-1] == '\r' || s[len(s)-1] == ']' {
		return classNone, false
	}
	r.Text = s[n+1:]
	t := trimBlanks(r.Text)
	if t == "" || bytes.IndexByte(bytesOf(t), 0x1b) >= 0 {
		return classNone, false
	}
	r.Uptime, r.HasUptime = up, true
	switch c := classify(t); c {
	case classNone, classRow:
		return c, c == classRow || t[0] != '['
	case classStatsHead, classStat, classMemInfo, classTableHead:
		return c, true
	}
	return classNone, false
}
