package kmsg

import (
	"strings"
	"time"
	"unicode/utf8"
)

// date reads the date that a line begins with: syslog's, ISO's, journald's, or
// seconds since 1970. A date without a year is left in the year 0 and noted.
func (l *line) date(s string, loc *time.Location) (rest string, ok bool) {
	if s == "" {
		return s, false
	}
	if c := s[0]; c-'0' <= 9 {
		if t, rest, comma, ok := parseISO(s, loc); ok {
			l.rec.Time, l.stamped = t, true
			// A comma is dmesg's, which prints neither host nor ident.
			l.bare = comma
			return l.afterISO(rest), true
		}
		if t, rest, ok := parseEpoch(s); ok {
			l.rec.Time, l.stamped = t, true
			return rest, true
		}
		return l.anyDate(s, loc)
	} else if (c|0x20 < 'a' || c|0x20 > 'z') && c < 0x80 {
		return s, false
	}
	body := s
	if len(s) > 4 && s[3] == ' ' && isWeekday(s[:3]) {
		body = trimBlanks(s[4:])
		if t, rest, _, ok := parseISO(body, loc); ok {
			l.rec.Time, l.stamped = t, true
			return l.afterISO(rest), true
		}
	}
	if t, rest, hasYear, ok := parseSyslogDate(body, loc); ok {
		l.rec.Time, l.noYear, l.stamped = t, !hasYear, true
		return rest, true
	}
	return l.anyDate(s, loc)
}

// anyDate is date for the forms that only some write.
func (l *line) anyDate(s string, loc *time.Location) (rest string, ok bool) {
	t, rest, hasYear, ok := anyDate(s, loc)
	if !ok {
		return s, false
	}
	l.rec.Time, l.noYear, l.stamped = t, !hasYear, true
	return l.afterISO(rest), true
}

// afterISO takes off a zone's name ("UTC"), which journalctl -o short-full prints.
func (l *line) afterISO(s string) string {
	s = trimBlanks(s)
	sp := strings.IndexByte(s, ' ')
	if sp >= 3 && sp <= 5 && isUpper(s[:sp]) {
		switch s[:sp] {
		case "UTC", "GMT":
			if !l.rec.Time.IsZero() {
				t := l.rec.Time
				l.rec.Time = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
			}
			return s[sp+1:]
		case "CPU", "SLUB", "INFO", "BUG":
			return s
		}
		if _, ok := levelOf(s[:sp]); ok {
			return s
		}
		return s[sp+1:]
	}
	return s
}

func isUpper(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

func isWeekday(s string) bool {
	switch s {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// parseISO reads "2025-01-21T04:41:44,283302+00:00" and its relatives: a blank
// for the T, a point for the comma, no fraction, no zone.
func parseISO(s string, loc *time.Location) (t time.Time, rest string, comma, ok bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' {
		return t, s, false, false
	}
	y, ok1 := atoi(s[:4])
	mo, ok2 := atoi(s[5:7])
	d, ok3 := atoi(s[8:10])
	clock, rest, ok4 := parseClock(s[11:])
	if !ok1 || !ok2 || !ok3 || !ok4 || mo < 1 || mo > 12 || d < 1 || d > 31 {
		return t, s, false, false
	}
	comma = len(s) > 19 && s[19] == ','
	zone := loc
	switch {
	case strings.HasPrefix(rest, "Z"):
		zone, rest = time.UTC, rest[1:]
	default:
		z := rest
		if strings.HasPrefix(z, " +") || strings.HasPrefix(z, " -") {
			z = z[1:]
		}
		if off, after, ok := parseOffset(z); ok {
			rest = after
			zone = time.UTC
			clock -= off
		}
	}
	if rest != "" && rest[0] != ' ' && rest[0] != ']' && rest[0] != '\t' && rest[0] != ':' {
		return t, s, false, false
	}
	t = time.Date(y, time.Month(mo), d, 0, 0, 0, int(clock), zone)
	return t, strings.TrimLeft(strings.TrimPrefix(rest, ":"), " \t"), comma, true
}

// parseOffset reads "+01:00" or "+0100".
func parseOffset(s string) (off time.Duration, rest string, ok bool) {
	if len(s) < 5 || s[0] != '+' && s[0] != '-' {
		return 0, s, false
	}
	h, ok1 := atoi(s[1:3])
	n := 3
	if s[3] == ':' {
		n = 4
	}
	if len(s) < n+2 {
		return 0, s, false
	}
	m, ok2 := atoi(s[n : n+2])
	if !ok1 || !ok2 {
		return 0, s, false
	}
	off = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if s[0] == '-' {
		off = -off
	}
	return off, s[n+2:], true
}

// parseClock reads "04:41:44", perhaps with a fraction, as time since midnight.
func parseClock(s string) (d time.Duration, rest string, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, s, false
	}
	h, ok1 := atoi(s[:2])
	m, ok2 := atoi(s[3:5])
	sec, ok3 := atoi(s[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 60 {
		return 0, s, false
	}
	d = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second
	s = s[8:]
	if len(s) > 1 && (s[0] == '.' || s[0] == ',') && s[1]-'0' <= 9 {
		i := 1
		for i < len(s) && s[i]-'0' <= 9 {
			i++
		}
		if frac, ok := parseFraction(s[1:min(i, 10)]); ok {
			d += frac
		}
		s = s[i:]
	}
	return d, s, true
}

// parseEpoch reads seconds since 1970 with 9 or 10 digits, perhaps a fraction, and
// milliseconds (13 digits), microseconds (16) or nanoseconds (19).
func parseEpoch(s string) (t time.Time, rest string, ok bool) {
	i := 0
	n := int64(0)
	for i < len(s) && s[i]-'0' <= 9 && i < 20 {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	frac := time.Duration(0)
	switch {
	case i >= len(s):
		return t, s, false
	case i == 9 || i == 10:
	case i == 13 || i == 16 || i == 19:
		unit := map[int]int64{13: 1e3, 16: 1e6, 19: 1e9}[i]
		if n < unit*1e8 {
			return t, s, false // digits of something else
		}
		frac = time.Duration(n%unit) * time.Duration(1e9/unit)
		n /= unit
	default:
		return t, s, false
	}
	if s[i] == '.' && i <= 10 {
		j := i + 1
		for j < len(s) && s[j]-'0' <= 9 {
			j++
		}
		frac, _ = parseFraction(s[i+1 : min(j, i+10)])
		i = j
	}
	if i >= len(s) || strings.IndexByte(" \t,|", s[i]) < 0 {
		return t, s, false
	}
	return time.Unix(n, int64(frac)).UTC(), strings.TrimLeft(s[i:], " \t,|"), true
}

// parseSyslogDate reads "Feb  9 11:55:27", with a year in either of the two
// places where some write one.
func parseSyslogDate(s string, loc *time.Location) (t time.Time, rest string, hasYear, ok bool) {
	if len(s) < 14 || s[3] != ' ' {
		return t, s, false, false
	}
	mo := monthOf(s)
	if mo == 0 {
		return t, s, false, false
	}
	body := trimBlanks(s[4:])
	sp := strings.IndexByte(body, ' ')
	if sp < 1 || sp > 2 {
		return t, s, false, false
	}
	d, ok1 := atoi(body[:sp])
	if !ok1 || d < 1 || d > 31 {
		return t, s, false, false
	}
	body = trimBlanks(body[sp:])
	year := 0
	if len(body) > 5 && body[4] == ' ' {
		if y, ok := atoi(body[:4]); ok {
			year, body = y, body[5:]
		}
	}
	clock, rest, ok2 := parseClock(body)
	if !ok2 || rest != "" && rest[0] != ' ' && rest[0] != ':' {
		return t, s, false, false
	}
	rest = strings.TrimLeft(strings.TrimPrefix(rest, ":"), " ")
	if year == 0 && len(rest) > 5 && rest[4] == ' ' {
		if y, ok := atoi(rest[:4]); ok && y > 1990 && y < 2200 {
			year, rest = y, rest[5:]
		}
	}
	// The year 0 was a leap year: Feb 29 stays what it is until the year is known.
	return time.Date(year, time.Month(mo), d, 0, 0, 0, int(clock), loc), rest, year != 0, true
}

var months = [12]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// monthOf tells the English month that s begins with, 0 for none.
func monthOf(s string) int {
	if len(s) < 4 {
		return 0
	}
	lower := [3]byte{s[0] | 0x20, s[1] | 0x20, s[2] | 0x20}
	for i, m := range months {
		if m[0] == lower[0] && m[1] == lower[1] && m[2] == lower[2] {
			return i + 1
		}
	}
	return 0
}

// localMonths are other languages' short names as dmesg -T prints them there:
// enough letters to tell them apart.
var localMonths = [12][]string{
	{"gen", "ene", "янв", "sty", "led", "oca", "tam"}, {"fév", "fev", "фев", "lut", "úno", "şub", "hel"},
	{"mär", "mars", "mrt", "мар", "már", "bře", "maa"}, {"avr", "abr", "апр", "kwi", "ápr", "dub", "nis", "huh"},
	{"mai", "mei", "mag", "maj", "мая", "май", "máj", "kvě", "tou"}, {"juin", "giu", "июн", "cze", "jún", "čer", "haz", "kes"},
	{"juil", "lug", "июл", "lip", "júl", "čec", "tem", "hei"}, {"aoû", "ago", "авг", "sie", "srp", "ağu", "elo"},
	{"set", "сен", "wrz", "sze", "zář", "eyl", "syy"}, {"okt", "ott", "out", "окт", "paź", "říj", "eki", "lok"},
	{"noy", "ноя", "lis", "kas"}, {"dez", "déc", "dic", "дек", "gru", "pro", "ara", "jou"},
}

// parseBracketDate reads what dmesg -T prints between brackets, in any
// language: "Tue Mar 11 10:16:36 2025", "四 3月 18 18:47:12 2021".
func parseBracketDate(s string, loc *time.Location) (t time.Time, ok bool) {
	colon := strings.IndexByte(s, ':')
	if colon < 8 || len(s) > 48 {
		return t, false
	}
	clock, rest, ok := parseClock(s[colon-2:])
	if !ok {
		return t, false
	}
	var day, month, year int
	fields := strings.Fields(s[:colon-2])
	if len(fields) == 0 || len(fields) > 5 {
		return t, false
	}
	for _, f := range append(fields, strings.Fields(rest)...) {
		f = strings.TrimRight(f, ".,")
		if n, ok := atoi(f); ok {
			if len(f) == 4 {
				year = n
			} else if n >= 1 && n <= 31 {
				day = n
			}
			continue
		}
		if m := localMonth(f); m > 0 {
			month = m
		}
	}
	if day == 0 || year == 0 {
		return t, false
	}
	if month == 0 {
		return time.Time{}, true // a date, in a language not known here
	}
	return time.Date(year, time.Month(month), day, 0, 0, 0, int(clock), loc), true
}

// parseHumanDate reads what dmesg -H prints where a minute begins: "Mar10 08:34".
func parseHumanDate(s string, loc *time.Location) (t time.Time, ok bool) {
	mo := monthOf(s)
	sp := strings.IndexByte(s, ' ')
	if mo == 0 || sp < 4 || sp > 5 || len(s) != sp+6 || s[sp+3] != ':' {
		return t, false
	}
	d, ok1 := atoi(s[3:sp])
	h, ok2 := atoi(s[sp+1 : sp+3])
	m, ok3 := atoi(s[sp+4:])
	if !ok1 || !ok2 || !ok3 || d < 1 || d > 31 || h > 23 || m > 59 {
		return t, false
	}
	return time.Date(0, time.Month(mo), d, h, m, 0, 0, loc), true
}

func localMonth(f string) int {
	if i := strings.IndexRune(f, '月'); i > 0 {
		if n, ok := atoi(f[:i]); ok && n >= 1 && n <= 12 {
			return n
		}
	}
	if i := strings.IndexRune(f, '월'); i > 0 {
		if n, ok := atoi(f[:i]); ok && n >= 1 && n <= 12 {
			return n
		}
	}
	if isWeekday(f) || utf8.RuneCountInString(f) < 3 {
		return 0
	}
	if m := monthOf(f + " "); m > 0 && len(f) <= 5 {
		return m
	}
	low := strings.ToLower(f)
	for i, names := range localMonths {
		for _, n := range names {
			if strings.HasPrefix(low, n) {
				return i + 1
			}
		}
	}
	return 0
}

// atoi reads a short decimal number without sign.
func atoi(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
