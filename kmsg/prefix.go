package kmsg

import (
	"strconv"
	"strings"
	"time"
)

// line is one line of a log with its prefixes taken off.
type line struct {
	rec Record
	// text is the message. It shares memory with the line.
	text string
	// width is the length of all prefixes: continuation lines of dmesg and
	// journald are indented by it.
	width int
	// outer is how much of the width a tool's marks take: quotes, line numbers.
	outer int
	// stamped is true when the line had a time, a level or an ident of its own.
	stamped bool
	// noYear is true when rec.Time is a date in the year 0 of a log that
	// prints none.
	noYear bool
	class  class
	// tagged is true when the log names the writer.
	tagged bool
	// stampAt is where a stamp in brackets behind the writer's name begins.
	stampAt int
	// bare is true for a stamp behind which the message stands at once.
	bare bool
	// closed is true where the kernel's own stamp or name ends the prefix: what
	// follows is the message, whatever it looks like.
	closed bool
	// numbered is how much of the line a line number takes.
	numbered int
	// unclear is true for the kernel's words behind a prefix that is not understood.
	unclear bool
}

// parseLine takes the prefixes off a line, whatever order they come in, and
// fills in what they say. It never fails: a line without prefix is all text.
func parseLine(s string, loc *time.Location, l *line) {
	*l = line{rec: Record{Facility: FacilityUnknown, Level: -1}}
	whole := s
	s = stripQuotes(s)
	if s != "" && s[0] == '\x1b' {
		s = stripColour(s)
		if len(s) > len(whole) {
			whole = s
		}
	}
	if raw, ok := l.rawRecord(s); ok {
		l.text = raw
		l.width = len(whole) - len(raw)
		l.stamped, l.closed = true, true
		return
	}
	if t := stripLineNumber(s); len(t) < len(s) {
		l.numbered = len(whole) - len(t)
		for l.numbered > 1 && whole[l.numbered-1] == ' ' && whole[l.numbered-2] == ' ' {
			l.numbered--
		}
		s = t
	}
	inner := s
	s = l.talos(s, loc)
	s = l.facilityLevel(s)
	s = l.kernelName(s)
	dated := false
	s, dated = l.priority(s, loc)
	if !dated {
		s, dated = l.date(s, loc)
	}
	if !dated {
		s, dated = l.dateColumn(s, loc)
	}
	if dated && !l.bare {
		s = l.ident(s)
	}
	if l.tagged {
		l.stampAt = len(whole) - len(s)
	}
	if isRelay(l.rec.Ident) {
		s = l.relayed(s, loc)
	}
	s = l.bracketStamp(s, loc)
	if l.closed && !l.rec.HasUptime && !dated { // a terminal program's date stands before the kernel's stamp
		s = l.bracketStamp(s, loc)
	}
	if !dated && l.rec.HasUptime {
		s = l.hostAndKernel(s)
	}
	l.text = s
	l.width = len(whole) - len(s)
	if len(inner) < len(trimBlanks(whole)) {
		l.outer = len(whole) - len(inner)
	}
}

// kernelName takes off "kernel: " where it begins the line, or ": " before a
// stamp: what is left where somebody cut off the columns before it.
func (l *line) kernelName(s string) string {
	if rest, ok := strings.CutPrefix(s, "kernel: "); ok {
		l.tagged, l.closed, l.stamped = true, true, true
		return rest
	}
	if strings.HasPrefix(s, ": [") || strings.HasPrefix(s, ": <") {
		return s[2:]
	}
	return s
}

// relayed reads the kernel's line that a virtual machine's console log repeats
// behind its own tag, if it is one by its stamp.
func (l *line) relayed(s string, loc *time.Location) string {
	t, _ := l.priority(s, loc)
	if end := strings.IndexByte(t[:min(len(t), 32)], ']'); end > 0 && t[0] == '[' {
		if _, ok := parseUptime(strings.Trim(t[1:end], " ")); ok {
			l.rec.Ident = ""
			return t
		}
	}
	return s
}

// prefixCache spares the work on the lines that begin as the one before did:
// the same second, host and writer.
type prefixCache struct {
	prefix []byte // up to the stamp in brackets or the message
	line   line
}

// parse is parseLine with the cache.
func (c *prefixCache) parse(s string, opt *ScanOptions, l *line) {
	if n := len(c.prefix); n > 0 && len(s) > n && s[:n] == string(c.prefix) {
		*l = c.line
		rest := s[n:]
		if rest[0] == '[' {
			rest = l.bracketStamp(rest, opt.Location)
		}
		l.text = rest
		l.width = len(s) - len(rest)
		return
	}
	parseLine(s, opt.Location, l)
	if l.noYear {
		l.rec.Time = opt.withYear(l.rec.Time)
	}
	if l.tagged && !l.rec.HasUptime && l.rec.Caller == "" {
		c.keep(s, l, l.width)
	} else if l.tagged && l.stampAt > 0 {
		c.keep(s, l, l.stampAt)
	}
}

func (c *prefixCache) keep(s string, l *line, width int) {
	if width < 8 || width > 300 {
		return
	}
	c.prefix = append(c.prefix[:0], s[:width]...)
	c.line = *l
	c.line.rec.Uptime, c.line.rec.HasUptime, c.line.rec.Caller = 0, false, ""
	c.line.rec.Ident = strings.Clone(l.rec.Ident)
	c.line.rec.Host = strings.Clone(l.rec.Host)
	c.line.text = ""
}

// rawRecord reads the /dev/kmsg form "prio,seq,usec,flags;text".
func (l *line) rawRecord(s string) (string, bool) {
	if len(s) < 8 || s[0]-'0' > 9 {
		return "", false
	}
	digits := 1
	for digits < 6 && s[digits]-'0' <= 9 {
		digits++
	}
	if s[digits] != ',' { // its error would cost more than the line
		return "", false
	}
	text, caller, err := parseHeader(bytesOf(s), &l.rec)
	if err != nil {
		l.rec = Record{Facility: FacilityUnknown, Level: -1}
		return "", false
	}
	l.rec.Caller = stringOf(caller)
	return stringOf(text), true
}

// stripQuotes takes off what mail, shell comments and indentation put in
// front of a line.
func stripQuotes(s string) string {
	for {
		t := trimBlanks(s)
		switch {
		case strings.HasPrefix(t, "> "), strings.HasPrefix(t, "# "), strings.HasPrefix(t, "| "), strings.HasPrefix(t, "* "):
			t = t[2:]
		case len(t) > 1 && t[0] == '>':
			t = t[1:]
		case len(t) > 1 && (t[0] == '#' || t[0] == '+') && t[1] == '[':
			t = t[1:]
		case strings.HasPrefix(t, "\ufeff"):
			t = t[3:]
		default:
			return t
		}
		s = t
	}
}

// isColoured tells a line that a program has coloured, which resets what it sets,
// from one with such bytes in a name, which must stay what it is.
func isColoured(s string) bool {
	return strings.Contains(s, "\x1b[0m") || strings.Contains(s, "\x1b[m") || strings.Contains(s, "\x1b[K")
}

// stripColour takes out what dmesg -L, journalctl and grep print to colour a line.
func stripColour(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\x1b' && i+1 < len(s) && s[i+1] == '[' {
			j := i + 2
			for j < len(s) && j < i+24 && (s[j]-'0' <= 9 || s[j] == ';' || s[j] == '?') {
				j++
			}
			if j < len(s) && s[j]|0x20 >= 'a' && s[j]|0x20 <= 'z' {
				i = j
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// stripLineNumber takes off "123:", "123\t" and "123 " before a stamp.
func stripLineNumber(s string) string {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	if i == 0 || i > 8 || i >= len(s)-1 {
		return s
	}
	switch c := s[i]; {
	case c == ':' && (s[i+1]-'0' > 9), c == '\t':
		return trimBlanks(s[i+1:])
	case c == ' ' || c == '|' || c == ')' || c == '-':
		rest := strings.TrimLeft(s[i+1:], " \t|")
		if rest != "" && (rest[0] == '[' || rest[0] == '<' || monthOf(rest) > 0 && !isDate(s) || strings.HasPrefix(rest, "kern")) {
			return rest
		}
	}
	return s
}

// priority reads "<3>": dmesg -r before a stamp, syslog's PRI before a date.
// dmesg -r prints the level alone, so that a number under 8 says nothing of
// the facility; one from 8 up was not the kernel's.
func (l *line) priority(s string, loc *time.Location) (string, bool) {
	if len(s) < 3 || s[0] != '<' {
		return s, false
	}
	end := strings.IndexByte(s[:min(len(s), 6)], '>')
	if end < 2 {
		return s, false
	}
	n, err := strconv.ParseUint(s[1:end], 10, 16)
	if err != nil {
		return s, false
	}
	l.rec.Level = int8(n & 7)
	l.stamped = true
	if n >= 8 {
		l.rec.Facility = int16(n >> 3)
	}
	s = s[end+1:]
	if strings.HasPrefix(s, "1 ") { // RFC 5424
		if rest, ok := l.date(s[2:], loc); ok {
			l.rec.Facility = int16(n >> 3)
			rest = l.rfc5424(rest)
			l.closed = l.rec.Ident == "" && n>>3 == 0
			return rest, false
		}
	}
	rest, dated := l.date(s, loc)
	if dated {
		l.rec.Facility = int16(n >> 3)
		return rest, true
	}
	return s, false
}

// dateColumn takes off "[2026-05-03 11:02:09,123] " where "kernel:" or a host and it
// stand behind: a shipper's column. dmesg writes no such name behind its own dates.
func (l *line) dateColumn(s string, loc *time.Location) (string, bool) {
	end := strings.IndexByte(s[:min(len(s), 64)], ']')
	if end < 2 || s[0] != '[' {
		return s, false
	}
	in, rest := s[1:end], trimBlanks(s[end+1:])
	if _, ok := parseBracketDate(in, loc); ok {
		return s, false
	}
	host, behind, _ := strings.Cut(rest, " ")
	if !strings.HasPrefix(rest, "kernel: ") && (!strings.HasPrefix(behind, "kernel: ") || strings.HasSuffix(host, ":")) {
		return s, false
	}
	var d line
	if left, ok := d.date(in, loc); !ok || trimBlanks(left) != "" {
		return s, false
	}
	l.rec.Time, l.noYear, l.stamped = d.rec.Time, d.noYear, true
	return rest, true
}

// bracketStamp reads "[ 5864.708440] ", "[12.5][ T91] " and "[Tue Mar 11
// 10:16:36 2025] ".
func (l *line) bracketStamp(s string, loc *time.Location) string {
	if len(s) < 4 || s[0] != '[' {
		return s
	}
	if up, end := plainStamp(s); end > 0 {
		l.rec.Uptime, l.rec.HasUptime = up, true
		return l.afterStamp(s[end:])
	}
	end := strings.IndexByte(s[:min(len(s), 64)], ']')
	if end < 0 {
		return s
	}
	in := strings.Trim(s[1:end], " ")
	if i := strings.IndexByte(in, '<'); i > 0 { // dmesg -d adds the time since the line before
		in = strings.TrimRight(in[:i], " ")
	} else if i == 0 && in[len(in)-1] == '>' { // and with -t prints nothing else
		in = "+" + in[1:len(in)-1]
	}
	if up, ok := parseUptime(in); ok {
		l.rec.Uptime, l.rec.HasUptime = up, true
	} else if t, ok := parseBracketDate(in, loc); ok {
		l.rec.Time = t
	} else if t, rest, _, ok := parseISO(in, loc); ok && rest == "" {
		l.rec.Time = t
	} else if t, ok := parseHumanDate(in, loc); ok {
		l.rec.Time, l.noYear = t, true
	} else if len(in) < 2 || in[0] != '+' {
		return s
	} else if _, ok := parseUptime(trimBlanks(in[1:])); !ok {
		return s
	}
	return l.afterStamp(s[end+1:])
}

// plainStamp reads "[ 5864.708440]", the form of nearly all stamps, and tells
// where it ends; 0 for any other.
func plainStamp(s string) (up time.Duration, end int) {
	i := 1
	for i < len(s) && s[i] == ' ' {
		i++
	}
	first, n := i, time.Duration(0)
	for i < len(s) && s[i]-'0' <= 9 {
		n = n*10 + time.Duration(s[i]-'0')
		i++
	}
	if i == first || i-first > 9 || i+7 >= len(s) || s[i] != '.' || s[i+7] != ']' {
		return 0, 0
	}
	for _, c := range []byte(s[i+1 : i+7]) {
		if c-'0' > 9 {
			return 0, 0
		}
		n = n*10 + time.Duration(c-'0')
	}
	return n * time.Microsecond, i + 8
}

// afterStamp notes that there was a stamp, and reads the caller that may follow it.
func (l *line) afterStamp(s string) string {
	l.stamped, l.closed = true, true
	s = strings.TrimPrefix(s, ":")
	t := trimBlanks(s)
	if strings.HasPrefix(t, "[") {
		if end := strings.IndexByte(t[:min(len(t), 24)], ']'); end > 2 {
			caller := strings.Trim(t[1:end], " ")
			if len(caller) > 1 && (caller[0] == 'T' || caller[0] == 'C') && digitsOnly(caller[1:]) {
				l.rec.Caller = caller
				s = t[end+1:]
			}
		}
	}
	return strings.TrimPrefix(s, " ")
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// parseUptime reads seconds with a fraction: "5864.708440".
func parseUptime(s string) (time.Duration, bool) {
	sec, i := uint64(0), 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		sec = sec*10 + uint64(s[i]-'0')
	}
	if i == 0 || i > 10 || i+1 >= len(s) || s[i] != '.' {
		return 0, false
	}
	frac, ok := parseFraction(s[i+1:])
	if !ok || sec > 9e9 {
		return 0, false
	}
	return time.Duration(sec)*time.Second + frac, true
}

// parseFraction reads the digits after a decimal point as parts of a second.
func parseFraction(s string) (time.Duration, bool) {
	if s == "" || len(s) > 9 || !digitsOnly(s) {
		return 0, false
	}
	d := time.Duration(0)
	for i := range 9 {
		d *= 10
		if i < len(s) {
			d += time.Duration(s[i] - '0')
		}
	}
	return d, true
}
