package kmsg

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A prefix that parseLine does not know is read from the other end: the kernel's
// own text is found in the line, and what stands before it is cut into tokens.
// Tokens that fit (a date, a stamp, a level, "kernel:") say what they say. Of the
// others only a few are allowed, as columns: a file, a host, a thread. Prose before
// the kernel's words makes them a quotation, which is counted and not believed.

// maxPrefix bounds how much of a line is looked at for a prefix.
const maxPrefix = 512

// prefixWord is a token that says nothing known.
type prefixWord struct {
	text  string
	sep   byte // what ends it: ' ', ':', '|', ']', '-', '\t'
	dated bool // a date stands before it
	after bool // the kernel's own stamp or name stands before it
	far   bool // more than one blank stands before the bar behind it
}

// prefixScan cuts a prefix into tokens and keeps what they say.
type prefixScan struct {
	l       line
	loc     *time.Location
	words   [6]prefixWord
	n       int // words seen, more than are kept
	dated   bool
	closed  bool // the kernel's stamp or name was seen
	end     int  // where the last token of that kind ended
	outer   int  // where the first token begins that is no column of a tool's
	named   bool // "kernel:" was seen
	raw     bool // the prefix is /dev/kmsg's
	program string
	behind  bool // what is asked about stands behind a number
	column  bool // the kernel's name stands in brackets
	leveled bool // a level, or a mark for one, stands there as programs write it
}

// scan cuts s up to the place at. Without anchor the prefix ends where a token
// follows the kernel's stamp or name that is of no known kind.
func (p *prefixScan) scan(s string, at int, anchored bool) {
	p.outer = -1
	for pos := 0; pos < at && !p.raw; {
		c := s[pos]
		if n := p.labels(s[pos:at]); n > 0 {
			pos += n
			if p.closed || p.program != "" {
				p.end = pos
			}
			continue
		}
		if c == ' ' || isSeparator(c) {
			if (c == '*' || c == '#') && (p.dated || pos+1 < at && s[pos+1] == c && pos+2 < at && s[pos+2] == ' ') {
				p.leveled = true // how Redis marks a level, and Erlang and Capistrano what they print: **
			}
			if c == '\t' || c == '|' {
				p.endWord(c, pos > 1 && s[pos-1] == ' ' && s[pos-2] == ' ')
			}
			pos++
			continue
		}
		if n := p.known(s[pos:], at-pos); n > 0 {
			if p.outer < 0 && (p.dated || p.closed) {
				p.outer = pos
			}
			pos += n
			if p.closed || p.program != "" {
				p.end = pos
			}
			continue
		}
		if (p.closed || p.program != "") && !anchored || p.n > len(p.words) {
			return
		}
		pos += p.word(s[pos:at])
	}
}

// labels reads a set of them, {host="db3", transport="kernel"}, and returns its length,
// 0 for none. They say what the fields of an object say.
func (p *prefixScan) labels(s string) int {
	if s[0] != '{' {
		return 0
	}
	e := entry{rec: Record{Facility: FacilityUnknown, Level: -1}, facility: FacilityUnknown}
	rest := s[1:]
	for {
		rest = strings.TrimLeft(rest, ", ")
		key, value, ok := strings.Cut(rest, "=")
		if !ok || len(key) > 64 || strings.ContainsAny(key, " \"{}") {
			return 0
		}
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			return 0
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return 0
		}
		e.foreignField("", key, text)
		rest = value[len(quoted):]
		if strings.HasPrefix(rest, "}") {
			break
		}
	}
	switch {
	case e.container:
		p.program = "container"
	case e.transport == "kernel":
		p.closed, p.named = true, true
	case e.unit:
		p.program = "unit"
	case e.ident != "" && e.ident != "kernel":
		p.program = e.ident
	}
	if e.rec.Host != "" {
		p.l.rec.Host = e.rec.Host
	}
	return len(s) - len(rest) + 1
}

func isSeparator(c byte) bool {
	switch c {
	case '\t', '|', ',', ';', '>', '#', '*', '"', '\'', '=', '-', ':', '{', '(':
		return true
	}
	return false
}

// endWord notes what stands behind the last word where blanks stood first.
func (p *prefixScan) endWord(sep byte, far bool) {
	if p.n > 0 && p.n <= len(p.words) && p.words[p.n-1].sep == ' ' {
		p.words[p.n-1].sep, p.words[p.n-1].far = sep, far
	}
}

// known takes a token of a known kind off s and returns its length, 0 for none.
func (p *prefixScan) known(s string, most int) int {
	c := s[0]
	switch {
	case c == '[':
		return p.bracket(s, most)
	case c == '<':
		return p.head(s, most)
	case c-'0' <= 9:
		var l line
		if text, ok := l.rawRecord(s); ok && len(s)-len(text) <= most {
			p.l, p.raw, p.closed = l, true, true
			return len(s) - len(text)
		}
		if n := p.head(s, most); n > 0 {
			return n
		}
		return lineNumber(s, most)
	case c == '!' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80:
		l := line{rec: Record{Facility: FacilityUnknown, Level: -1}}
		if n := len(s) - len(l.facilityLevel(s)); n > 0 && n <= most {
			p.adopt(&l)
			return n
		}
		if n := p.name(s); n > 0 && n <= most {
			return n
		}
		return p.head(s, most)
	}
	return 0
}

// head reads a date or a priority, with what parseLine finds behind it.
func (p *prefixScan) head(s string, most int) int {
	var l line
	if s[0] != '<' {
		if _, dated := l.date(s, p.loc); !dated {
			return 0
		}
	}
	parseLine(s, p.loc, &l)
	n := len(s) - len(l.text)
	if !l.stamped || n <= 0 || n > most {
		return 0
	}
	p.adopt(&l)
	p.dated = p.dated || s[0] != '<' || !l.rec.Time.IsZero()
	return n
}

// adopt takes over what a part of the prefix says. A date with a year is worth
// more than one without; else the one nearer to the message is.
func (p *prefixScan) adopt(l *line) {
	r := &p.l.rec
	if !l.rec.Time.IsZero() && (r.Time.IsZero() || p.l.noYear || !l.noYear) {
		r.Time, p.l.noYear = l.rec.Time, l.noYear
	}
	if l.rec.HasUptime {
		r.Uptime, r.HasUptime = l.rec.Uptime, true
	}
	if l.rec.Facility != FacilityUnknown {
		r.Facility = l.rec.Facility
	}
	if l.rec.Level >= 0 {
		r.Level = l.rec.Level
	}
	if l.rec.Host != "" {
		r.Host = l.rec.Host
	}
	if l.rec.Caller != "" {
		r.Caller = l.rec.Caller
	}
	if l.rec.Ident != "" {
		p.program = l.rec.Ident
	}
	p.closed = p.closed || l.closed
	p.named = p.named || l.rec.Ident == "" && (l.tagged || l.rec.Facility == 0)
}

// bracket reads a stamp in brackets, or a column that stands in some.
func (p *prefixScan) bracket(s string, most int) int {
	l := line{rec: Record{Facility: FacilityUnknown, Level: -1}}
	rest := l.bracketStamp(s, p.loc)
	if n := len(s) - len(rest); n > 0 {
		if n > most {
			return 0
		}
		p.adopt(&l)
		return n
	}
	end := strings.IndexByte(s[:min(len(s), most, 80)], ']')
	if end < 2 || strings.IndexByte(s[:end], ' ') >= 0 || isRow(s) && (p.n > 0 || p.closed) {
		return 0
	}
	in := s[1:end]
	switch level, ok := levelOf(in); {
	case ok:
		p.l.rec.Level, p.leveled = level, true
	case digitsOnly(in):
	case in == "kernel", in == "kern":
		p.column = true
	default:
		p.addWord(in, ']')
	}
	return end + 1
}

// lineNumber reads the number that grep -n, cat -n and their like put before a line.
func lineNumber(s string, most int) int {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	if i > 9 || i >= most || s[i] != ' ' && !isSeparator(s[i]) && s[i] != ')' || s[i] == '#' && i+1 < len(s) && s[i+1]-'0' <= 9 {
		return 0
	}
	return i + 1
}

// name reads a word of the kernel's or syslog's: "kernel:", "kern", "err".
func (p *prefixScan) name(s string) int {
	if rest, ok := strings.CutPrefix(s, "kernel"); ok {
		if strings.HasPrefix(rest, "[") {
			if end := strings.IndexByte(rest[:min(len(rest), 16)], ']'); end > 0 {
				rest = rest[end+1:]
			}
		}
		if len(rest) > 1 && rest[0] == ' ' && rest[1]-'0' <= 9 {
			return 0 // the counter of that name
		}
		if rest == "" || rest[0] == ' ' || isSeparator(rest[0]) && rest[0] != '-' || strings.HasPrefix(rest, "- ") {
			p.closed, p.named = true, true
			return len(s) - len(rest) + min(1, len(rest))
		}
		return 0
	}
	word := s
	if i := strings.IndexFunc(s, func(r rune) bool { return r == ' ' || r == '.' || r == ']' || r < 0x80 && isSeparator(byte(r)) }); i >= 0 {
		word = s[:i]
	}
	if len(word) == len(s) || len(word) > 12 {
		return 0
	}
	if level, ok := levelOf(word); ok {
		p.l.rec.Level, p.leveled = level, true
		return len(word)
	}
	if fac, ok := facilityNames[word]; ok && s[len(word)] == ':' {
		p.l.rec.Facility = fac
		p.named = p.named || fac == 0
		return len(word) + 1
	}
	return 0
}

// levelOf reads the name of a level as any program writes it.
func levelOf(s string) (int8, bool) {
	s = strings.ToLower(strings.TrimLeft(s, "!"))
	if level, ok := levelNames[s]; ok {
		return level, true
	}
	switch s {
	case "critical", "fatal":
		return 2, true
	case "information", "informational":
		return 6, true
	}
	return 0, false
}

// word takes a token of no known kind and returns its length. It ends at a blank
// or a bar, at a colon before a blank, and where a known token begins behind ':' or '-'.
func (p *prefixScan) word(s string) int {
	for i := range len(s) {
		switch c := s[i]; c {
		case '[':
			if _, n := plainStamp(s[i:]); n > 0 && i > 0 {
				p.addWord(s[:i], '[')
				return i
			}
		case ' ':
			p.addWord(s[:i], ' ')
			return i + 1
		case '\t', '|', '"', ',', ';':
			p.addWord(s[:i], c)
			return i + 1
		case ':', '-':
			rest := s[i+1:]
			if c == ':' && (rest == "" || rest[0] == ' ' || rest[0] == '\t') || rest != "" && p.begins(rest) {
				p.addWord(s[:i], c)
				return i + 1
			}
		}
	}
	p.addWord(s, ' ')
	return len(s)
}

// begins tells whether a token that says much begins here: no bare number or level.
func (p *prefixScan) begins(s string) bool {
	var q prefixScan
	q.loc = p.loc
	switch c := s[0]; {
	case c == '[':
		return q.bracket(s, len(s)) > 0 && q.n == 0
	case c == '<':
		return q.head(s, len(s)) > 0
	case c-'0' <= 9:
		var l line
		if _, ok := l.rawRecord(s); ok || q.head(s, len(s)) > 0 {
			return true
		}
		if p.behind {
			return false // grep puts one number before a line
		}
		q.behind = true
		n := lineNumber(s, len(s))
		return n > 0 && n < len(s) && (s[n-1] == ':' || s[n-1] == '-') && q.begins(s[n:])
	case strings.HasPrefix(s, "kernel:"):
		return true
	case c >= 'A' && c <= 'Z' || c >= 0x80 || c >= 'a' && c <= 'z':
		var l line
		return l.facilityLevel(s) != s || q.head(s, len(s)) > 0
	}
	return false
}

func (p *prefixScan) addWord(text string, sep byte) {
	if !strings.ContainsFunc(text, isAlphanumeric) {
		p.leveled = p.leveled || p.dated // it only separates, or is how a program marks a level
		return
	}
	if p.n < len(p.words) {
		p.words[p.n] = prefixWord{text: text, sep: sep, dated: p.dated, after: p.closed}
	}
	p.n++
}

func isAlphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
