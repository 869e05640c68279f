package kmsg

import (
	"strings"
	"time"
)

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
	l.rec.Facility, l.rec.Level, l.rec.Time, l.stamped, l.closed = 0, level, t, true, true
	return rest[close+3:]
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
				l.rec.Facility, l.rec.Level, l.stamped, l.closed = fac, level, true, fac == 0
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

// rfc5424 reads HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG.
func (l *line) rfc5424(s string) string {
	var app string
	for i := range 4 {
		sp := strings.IndexByte(s, ' ')
		if sp < 0 {
			return s
		}
		switch i {
		case 0:
			l.setHost(s[:sp])
		case 1:
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

// setHost notes the machine that the log names; syslog writes - for none.
func (l *line) setHost(name string) {
	if name != "-" {
		l.rec.Host = name
	}
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
	rest, host := s, ""
	for words := 0; words < 2; words++ {
		sp := strings.IndexByte(rest, ' ')
		word := rest
		if sp >= 0 {
			word = rest[:sp]
		}
		if word == "" || len(word) > 255 {
			return s
		}
		if words == 0 && isStream(word) {
			l.rec.Ident = "container"
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
			if words == 1 {
				l.setHost(host)
			}
			l.closed = l.rec.Ident == ""
			if sp < 0 {
				return ""
			}
			return rest[sp+1:]
		}
		if word == "kernel" && sp >= 0 { // an empty or odd ident column
			l.rec.Ident = ""
			l.closed = true
			return strings.TrimLeft(rest[sp+1:], ": ")
		}
		if sp < 0 {
			return s
		}
		rest = trimBlanks(rest[sp+1:])
		if words == 0 {
			if _, level := levelOf(word); level || strings.ContainsAny(word, "\t|,;\"") || strings.HasSuffix(word, ":") || !strings.ContainsFunc(word, isAlphanumeric) {
				return s // no machine: a program's level, or columns
			}
			host = word
		}
		if words == 0 && (strings.HasPrefix(rest, "[") || startsKnown(rest)) {
			l.setHost(host)
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
		l.closed = true
		l.setHost(s[:sp])
		return msg
	}
	if msg, ok := strings.CutPrefix(rest, "unknown: "); ok {
		l.rec.Ident = "unknown"
		return msg
	}
	return s
}
