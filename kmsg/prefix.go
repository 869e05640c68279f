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
		l.stamped = true
		return
	}
	s = stripLineNumber(s)
	s = l.talos(s, loc)
	s = l.facilityLevel(s)
	dated := false
	s, dated = l.priority(s, loc)
	if !dated {
		s, dated = l.date(s, loc)
	}
	if dated && !l.bare {
		s = l.ident(s)
	}
	if l.tagged {
		l.stampAt = len(whole) - len(s)
	}
	s = l.bracketStamp(s, loc)
	if !dated && l.rec.HasUptime {
		s = l.hostAndKernel(s)
	}
	l.text = s
	l.width = len(whole) - len(s)
}

// prefixCache spares the work on the lines that begin as the one before did:
// the same second, host and writer.
type prefixCache struct {
	prefix string // up to the stamp in brackets or the message
	line   line
}

// parse is parseLine with the cache.
func (c *prefixCache) parse(s string, opt *ScanOptions, l *line) {
	if n := len(c.prefix); n > 0 && len(s) > n && s[:n] == c.prefix {
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
	c.prefix = strings.Clone(s[:width])
	c.line = *l
	c.line.rec.Uptime, c.line.rec.HasUptime, c.line.rec.Caller = 0, false, ""
	c.line.rec.Ident = strings.Clone(l.rec.Ident)
	c.line.text = ""
}

// rawRecord reads the /dev/kmsg form "prio,seq,usec,flags;text".
func (l *line) rawRecord(s string) (string, bool) {
	if len(s) < 8 || s[0]-'0' > 9 {
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
		case len(t) > 1 && t[0] == '#' && t[1] == '[':
			t = t[1:]
		case strings.HasPrefix(t, "\ufeff"):
			t = t[3:]
		default:
			return t
		}
		s = t
	}
}

// stripColour takes out what dmesg -L prints to colour a line.
func stripColour(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\x1b' && i+1 < len(s) && s[i+1] == '[' {
			j := i + 2
			for j < len(s) && j < i+16 && (s[j]-'0' <= 9 || s[j] == ';') {
				j++
			}
			if j < len(s) && s[j] == 'm' {
				i = j
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// talos reads "10.5.0.2: kern:    info: [2026-03-10T08:34:12.542986Z]: ", as
// talosctl dmesg prints it.
func (l *line) talos(s string, loc *time.Location) string {
	i := strings.Index(s[:min(len(s), 80)], ": kern: ")
	if i <= 0 || strings.IndexByte(s[:i], ' ') >= 0 {
		return s
	}
	rest := trimBlanks(s[i+len(": kern: "):])
	end := wordEnd(rest)
	level, ok := levelNames[rest[:end]]
	if !ok || !strings.HasPrefix(rest[end:], ": [") {
		return s
	}
	rest = rest[end+2:]
	close := strings.Index(rest, "]: ")
	if close < 0 {
		return s
	}
	t, after, _, ok := parseISO(rest[1:close], loc)
	if !ok || after != "" {
		return s
	}
	l.rec.Facility, l.rec.Level, l.rec.Time, l.stamped = 0, level, t, true
	return rest[close+3:]
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
		if rest != "" && (rest[0] == '[' || rest[0] == '<' || monthOf(rest) > 0 || strings.HasPrefix(rest, "kern")) {
			return rest
		}
	}
	return s
}

// facilityNames are syslog's, as dmesg -x prints them.
var facilityNames = map[string]int16{"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7,
	"uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23}

var levelNames = map[string]int8{"emerg": 0, "panic": 0, "alert": 1, "crit": 2, "err": 3, "error": 3, "warn": 4, "warning": 4, "notice": 5, "info": 6, "debug": 7}

// facilityLevel reads dmesg -x's "kern  :err   : ", busybox's "kern.err " and "err|kernel[-]|".
func (l *line) facilityLevel(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	word := wordEnd(s)
	if fac, ok := facilityNames[s[:word]]; ok && word < len(s) {
		rest := trimBlanks(s[word:])
		switch {
		case strings.HasPrefix(rest, ":"):
			rest = rest[1:]
			end := wordEnd(rest)
			level, ok := levelNames[rest[:end]]
			after := trimBlanks(rest[end:])
			if ok && strings.HasPrefix(after, ":") {
				l.rec.Facility, l.rec.Level, l.stamped = fac, level, true
				return strings.TrimPrefix(after[1:], " ")
			}
		case strings.HasPrefix(rest, "."):
			rest = rest[1:]
			end := wordEnd(rest)
			if level, ok := levelNames[rest[:end]]; ok && (end == len(rest) || rest[end] == ' ' || rest[end] == ':') {
				l.rec.Facility, l.rec.Level, l.stamped = fac, level, true
				return l.ident(strings.TrimLeft(rest[end:], " :"))
			}
		}
	}
	if level, ok := levelNames[s[:word]]; ok && strings.HasPrefix(s[word:], "|") {
		if bar := strings.IndexByte(s[word+1:], '|'); bar > 0 && bar < 40 {
			ident := s[word+1 : word+1+bar]
			l.rec.Level, l.stamped = level, true
			l.setIdent(ident)
			return s[word+2+bar:]
		}
	}
	return s
}

func wordEnd(s string) int {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i]-'0' <= 9) {
		i++
	}
	return i
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
			return l.rfc5424(rest), false
		}
	}
	rest, dated := l.date(s, loc)
	if dated {
		l.rec.Facility = int16(n >> 3)
		return rest, true
	}
	return s, false
}

// rfc5424 reads HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG.
func (l *line) rfc5424(s string) string {
	var app string
	for i := range 4 {
		sp := strings.IndexByte(s, ' ')
		if sp < 0 {
			return s
		}
		if i == 1 {
			app = s[:sp]
		}
		s = s[sp+1:]
	}
	l.setIdent(app)
	if strings.HasPrefix(s, "[") && !isStampOrRow(s) {
		if end := strings.Index(s, "] "); end > 0 {
			s = s[end+2:]
		}
	} else {
		s = strings.TrimPrefix(s, "- ")
	}
	// rsyslog keeps the blank that syslog(3) has behind the tag.
	return strings.TrimPrefix(strings.TrimPrefix(s, "\ufeff"), " ")
}

func isStampOrRow(s string) bool {
	t := trimBlanks(s[1:])
	return t != "" && t[0]-'0' <= 9
}

// setIdent notes the program that the log names as the writer. The kernel is "".
func (l *line) setIdent(name string) {
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	if name == "kernel" {
		l.rec.Ident = ""
		return
	}
	l.rec.Ident = name
}

// ident reads what stands between a date and the message: "host kernel: ",
// "kernel: ", "host prog[12]: ", or nothing.
func (l *line) ident(s string) string {
	l.stamped = true
	if s == "" || s[0] == '[' || startsKnown(s) {
		return s
	}
	if strings.HasPrefix(s, "stdout ") || strings.HasPrefix(s, "stderr ") {
		l.rec.Ident = "container" // its output, as a CRI runtime keeps it
		return s
	}
	rest := s
	for words := 0; words < 2; words++ {
		sp := strings.IndexByte(rest, ' ')
		word := rest
		if sp >= 0 {
			word = rest[:sp]
		}
		if word == "" || len(word) > 255 {
			return s
		}
		if dot := strings.IndexByte(word, '.'); dot > 0 { // kern.info, as busybox and OpenWrt print it
			if fac, ok := facilityNames[word[:dot]]; ok {
				if level, ok := levelNames[word[dot+1:]]; ok && sp >= 0 {
					l.rec.Facility, l.rec.Level = fac, level
					rest = rest[sp+1:]
					words--
					continue
				}
			}
		}
		if word[len(word)-1] == ':' && isIdent(word[:len(word)-1]) {
			l.setIdent(word[:len(word)-1])
			l.tagged = true
			if sp < 0 {
				return ""
			}
			msg := rest[sp+1:]
			// Docker Desktop's virtual machine prints its kernel's log through its own process.
			if strings.HasPrefix(l.rec.Ident, "com.docker.") && strings.HasPrefix(msg, "[") {
				l.rec.Ident = ""
			}
			return msg
		}
		if word == "kernel" && sp >= 0 { // an empty or odd ident column
			l.rec.Ident = ""
			return strings.TrimLeft(rest[sp+1:], ": ")
		}
		if sp < 0 {
			return s
		}
		rest = trimBlanks(rest[sp+1:])
		if strings.HasPrefix(rest, "[") || startsKnown(rest) {
			return rest // a host and no ident
		}
	}
	return s
}

// isIdent tells a syslog tag: a program's name, perhaps with a pid.
func isIdent(s string) bool {
	if i := strings.IndexByte(s, '['); i > 0 && s[len(s)-1] == ']' {
		s = s[:i]
	}
	if s == "" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c-'0' <= 9, strings.IndexByte("._-/@+()", c) >= 0, c >= 0x80:
		default:
			return false
		}
	}
	return true
}

// hostAndKernel reads "vm kernel: " after a stamp in brackets: journalctl -o
// short-monotonic, which looks like dmesg.
func (l *line) hostAndKernel(s string) string {
	sp := strings.IndexByte(s, ' ')
	if sp <= 0 || sp > 255 || s[sp-1] == ':' {
		return strings.TrimPrefix(s, "kernel: ")
	}
	rest := s[sp+1:]
	if msg, ok := strings.CutPrefix(rest, "kernel: "); ok {
		return msg
	}
	if msg, ok := strings.CutPrefix(rest, "unknown: "); ok {
		l.rec.Ident = "unknown"
		return msg
	}
	return s
}

// bracketStamp reads "[ 5864.708440] ", "[12.5][ T91] " and "[Tue Mar 11
// 10:16:36 2025] ".
func (l *line) bracketStamp(s string, loc *time.Location) string {
	if len(s) < 4 || s[0] != '[' {
		return s
	}
	end := strings.IndexByte(s[:min(len(s), 64)], ']')
	if end < 0 {
		return s
	}
	in := strings.Trim(s[1:end], " ")
	if i := strings.IndexByte(in, '<'); i > 0 { // dmesg -d adds the time since the line before
		in = strings.TrimRight(in[:i], " ")
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
	l.stamped = true
	s = s[end+1:]
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
