package kmsg

import "strings"

// anyPrefix takes off l, read from s, a prefix that parseLine did not understand.
// It tells whether the line has been dealt with.
func (f *feeder) anyPrefix(s string, l *line) (done bool) {
	if open := strings.Index(s[:min(len(s), maxPrefix)], `{"`); open > 0 && strings.HasSuffix(s, "}") {
		if done, _ := f.jsonLine(s[open:]); done {
			return true
		}
	}
	if f.fieldPrefix(s) {
		return true
	}
	at := kernelText(s)
	var p prefixScan
	p.loc = f.opt.Location
	p.l.rec = Record{Facility: FacilityUnknown, Level: -1}
	switch {
	case at >= 0 && at <= maxPrefix:
		p.scan(s, at, true)
		if p.raw {
			at = p.end
		}
	default:
		p.scan(s, min(len(s), maxPrefix), false)
		if !p.closed && p.program == "" || p.n > 4 {
			return false
		}
		if at = p.end; !p.raw {
			at += columnEnd(s[at:])
		}
	}
	text := s[at:]
	if strings.Count(s[:at], `"`)%2 == 1 {
		text = strings.TrimRight(text, `",`)
	}
	t := trimBlanks(text)
	c := classify(t)
	switch p.judge(isWhole(c, t)) {
	case written:
		l.rec = p.l.rec
		l.rec.Ident = p.program
		l.text, l.class, l.stamped, l.width = text, c, true, at-max(p.outer, 0)
	case unclear:
		l.unclear = isDecisive(c) && kernelText(s) == at
	case trusted:
		if at == 0 {
			break
		}
		if p.closed || p.dated || blanksBefore(s, at) < 8 {
			f.trusted(s, at, &p, l)
		}
		l.text, l.class = text, c
	}
	return false
}

// columnEnd is how much of s, behind a prefix, ends its last column: a blank, the bar
// or colon that stands behind some, or what separates the columns of a table.
func columnEnd(s string) int {
	if t := strings.TrimLeft(s, " "); strings.HasPrefix(t, ": ") || strings.HasPrefix(t, "| ") {
		return len(s) - len(t) + 2
	}
	if t := strings.TrimLeft(s, `",;`); len(t) < len(s) {
		return len(s) - len(t)
	}
	return min(indent(s), 1)
}

// recordFields are fields by which a record that is spread over lines is known.
var recordFields = []string{`"__CURSOR"`, `"__REALTIME_TIMESTAMP"`, `"_TRANSPORT"`, `"MESSAGE"`, `"pri":`, `"msg":`, "__CURSOR=", "__REALTIME_TIMESTAMP=", "_TRANSPORT=", "MESSAGE="}

// fieldPrefix finds what a tool has put before the lines of such a record, notes it,
// and reads the line without it.
func (f *feeder) fieldPrefix(s string) bool {
	at := -1
	for _, k := range recordFields {
		if i := strings.Index(s[:min(len(s), maxPrefix)], k); i > 0 && (at < 0 || i < at) {
			at = i
		}
	}
	var p prefixScan
	p.loc = f.opt.Location
	p.l.rec = Record{Facility: FacilityUnknown, Level: -1}
	if at < 0 && strings.HasSuffix(s, "]") && strings.Contains(s, " [s=") {
		p.scan(s, min(len(s), maxPrefix), false)
		at = p.outer
	} else if at > 0 {
		for at > 0 && (s[at-1] == ' ' || s[at-1] == '\t') {
			at--
		}
		p.scan(s, at, true)
	}
	if at <= 0 || p.n > 1 || p.closed || p.judge(true) != trusted {
		return false
	}
	if s[at] == '\t' && s[at-1]-'0' <= 9 || s[at] == ' ' && (p.n == 0 || !isFileName(p.words[0].text)) && s[at-1]-'0' > 9 && (p.n > 0 || s[at-1] == '>') {
		at++ // a host stands apart from the line, a file does not
	}
	f.shape = append(f.shape[:0], s[:at]...)
	f.shapeHost = p.host()
	if sameShape(s[:at], s) == 0 {
		return false
	}
	f.stats.Lines--
	f.line(s)
	return true
}

// trusted makes l the line whose prefix p has read, and notes what a tool has put
// before it for the lines around it that nothing marks as the kernel's.
func (f *feeder) trusted(s string, at int, p *prefixScan, l *line) {
	*l = line{rec: p.l.rec, width: at - max(p.outer, 0), noYear: p.l.noYear, stamped: true, closed: true}
	if l.rec.Host == "" {
		l.rec.Host = p.host()
	}
	if l.noYear {
		l.rec.Time = f.opt.withYear(l.rec.Time)
	}
	end := at
	if p.outer >= 0 {
		end = p.outer
	}
	if end == 0 {
		return
	}
	f.shape = append(f.shape[:0], s[:end]...)
	f.shapeHost = p.host()
	if p.outer < 0 {
		if f.hasPend && f.pend.class == classInvoked {
			f.pend.text = f.pend.text[sameShape(s[:at], f.pend.text):]
		}
		f.asm.trimTrigger(s[:at])
	}
}

// sameShape tells where in s a prefix ends that differs from shape by its
// numbers alone; 0 where s begins otherwise.
func sameShape(shape, s string) int {
	i := 0
	for j := 0; j < len(shape); {
		switch c := shape[j]; {
		case c-'0' <= 9:
			for j < len(shape) && shape[j]-'0' <= 9 {
				j++
			}
			first := i
			for i < len(s) && s[i]-'0' <= 9 {
				i++
			}
			if i == first {
				return 0
			}
		case c == ' ' && j+1 < len(shape):
			// Blanks that fill up a number's column.
			for j < len(shape) && shape[j] == ' ' {
				j++
			}
			for i < len(s) && s[i] == ' ' {
				i++
			}
		default:
			// grep puts a colon behind the file of a match, a hyphen behind that of its context.
			if i >= len(s) || s[i] != c && (j < len(shape)-1 || c != ':' && c != '-' || s[i] != ':' && s[i] != '-') {
				return 0
			}
			i++
			j++
		}
	}
	return i
}

// isEngineStamp tells the stamp that an engine puts before what a container writes, as
// docker logs -t prints it: nanoseconds in UTC. No tool of the kernel's log has as many
// digits without the machine or the kernel's name behind them.
func isEngineStamp(s string) bool {
	const form = "0000-00-00T00:00:00.000000000Z "
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		if c := form[i]; c != s[i] && (c != '0' || s[i]-'0' > 9) {
			return false
		}
	}
	_, behind, _ := strings.Cut(s[len(form):], " ")
	return !strings.HasPrefix(behind, "kernel:") // behind a level, in a column of its own
}
