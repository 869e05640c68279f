package kmsg

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// anyDate reads a date and time of day in whatever order, language and
// separators they are written: "11 déc. 2025 10:33:02", "2024/10/12 03:04:05",
// "Oct 12, 2024 @ 03:04:05.123", "5月 29 23:06:20". t is zero where the month is in
// a language not known here, or where day and month could be either.
func anyDate(s string, loc *time.Location) (t time.Time, rest string, hasYear, ok bool) {
	clockAt := clockIn(s)
	if clockAt < 4 {
		return t, s, false, false
	}
	var d dateFields
	if !d.read(s[:clockAt]) {
		return t, s, false, false
	}
	clock, rest, ok := parseAnyClock(s[clockAt:])
	if !ok || rest != "" && !endsDate(rest) {
		return t, s, false, false
	}
	zone := loc
	if after, off, ok := dateZone(rest); ok {
		rest, zone, clock = after, time.UTC, clock-off
	}
	rest = strings.TrimLeft(rest, " \t")
	if d.year == 0 && len(rest) >= 4 {
		if y, ok := atoi(rest[:4]); ok && y > 1990 && y < 2200 && (len(rest) == 4 || rest[4] == ' ' || rest[4] == ']') {
			d.year, rest = y, strings.TrimLeft(rest[4:], " ")
		}
	}
	if !d.sound() {
		return t, s, false, false
	}
	rest = strings.TrimLeft(strings.TrimPrefix(rest, ":"), " \t")
	if d.month == 0 || d.day == 0 {
		return t, rest, true, true
	}
	return time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, int(clock), zone), rest, d.year != 0, true
}

// isDate tells whether s begins with a date and a time of day.
func isDate(s string) bool {
	_, _, _, ok := anyDate(s, time.UTC)
	return ok
}

// clockIn finds the time of day that a date at the beginning of s ends with.
func clockIn(s string) int {
	for i := 1; i < len(s) && i < 48; i++ {
		if s[i] != ':' || s[i-1]-'0' > 9 || i+5 >= len(s) || s[i+3] != ':' || s[i+1]-'0' > 9 || s[i+4]-'0' > 9 {
			continue
		}
		at := i - 1
		if at > 0 && s[at-1]-'0' <= 9 {
			at--
		}
		if at > 0 && s[at-1]-'0' <= 9 {
			continue // a year before it: 03/May/2026:11:02:09
		}
		return at
	}
	return -1
}

func endsDate(s string) bool {
	switch s[0] {
	case ' ', '\t', ']', ':', ',', '|', '"', 'Z', '+', '-', ';':
		return true
	}
	return false
}

// parseAnyClock is parseClock for an hour of one digit too, and with AM or PM.
func parseAnyClock(s string) (d time.Duration, rest string, ok bool) {
	if len(s) > 1 && s[1] == ':' {
		s = "0" + s
	}
	d, rest, ok = parseClock(s)
	if !ok {
		return 0, s, false
	}
	half := strings.TrimLeft(rest, " ")
	if len(half) >= 2 && (half[1]|0x20) == 'm' && (len(half) == 2 || half[2] == ' ' || half[2] == ',' || half[2] == '"') {
		switch half[0] | 0x20 {
		case 'p':
			if d < 12*time.Hour {
				d += 12 * time.Hour
			}
			return d, half[2:], true
		case 'a':
			if d >= 12*time.Hour {
				d -= 12 * time.Hour
			}
			return d, half[2:], true
		}
	}
	return d, rest, true
}

// dateZone reads "Z", "+02:00" or " +0200" behind a time of day.
func dateZone(s string) (rest string, off time.Duration, ok bool) {
	if strings.HasPrefix(s, "Z") {
		return s[1:], 0, true
	}
	z := strings.TrimPrefix(s, " ")
	if off, after, ok := parseOffset(z); ok && (after == "" || after[0] == ' ' || after[0] == ']' || after[0] == ':') {
		return after, off, true
	}
	return s, 0, false
}

// dateFields are what stands before the time of day.
type dateFields struct {
	year, month, day int
	nums             [3]int
	wide             [3]bool // four digits
	n                int
	words, unknown   int
	joint            byte // what stands between the numbers, if it is always the same
}

// read cuts the fields. It refuses whatever no date has.
func (d *dateFields) read(s string) bool {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c-'0' <= 9:
			j := i
			for j < len(s) && s[j]-'0' <= 9 {
				j++
			}
			n, ok := atoi(s[i:j])
			if !ok || j-i > 4 || j-i == 3 || d.n == len(d.nums) {
				return false
			}
			i = j
			if r, size := utf8.DecodeRuneInString(s[j:]); r == '月' || r == '월' {
				d.month, i = n, j+size
				d.words++
				continue
			} else if r == '年' || r == '년' || r == '日' || r == '일' {
				i += size
			}
			d.nums[d.n], d.wide[d.n] = n, j-i == 4 || n > 99
			d.n++
			if i < len(s) && strings.IndexByte("-/.", s[i]) >= 0 {
				d.joint = s[i]
			}
		case strings.IndexByte(" ,./-@\t", c) >= 0, c == ':' && i == len(s)-1, c == 'T' && i > 0 && s[i-1]-'0' <= 9:
			i++
		default:
			j := i
			for j < len(s) {
				r, size := utf8.DecodeRuneInString(s[j:])
				if !unicode.IsLetter(r) && !unicode.IsMark(r) {
					break
				}
				j += size
			}
			if j == i || j-i > 24 || d.words == 3 {
				return false
			}
			if unknown := d.word(s[i:j]); unknown && !strings.HasPrefix(strings.TrimLeft(s[j:], ".,"), " ") {
				return false // a file, a host
			}
			i = j
		}
	}
	return d.settle()
}

// word takes a word, and tells whether it is neither a month nor a weekday known here.
func (d *dateFields) word(w string) (unknown bool) {
	d.words++
	if len(w) == 1 { // no language has a weekday of one letter: a program's role, 123:M
		d.unknown = 9
	}
	m := localMonth(w)
	switch {
	case m > 0 && d.month == 0:
		d.month = m
	case m == 0 && !isWeekday(w):
		d.unknown++
		return true
	}
	return false
}

// settle says which number is what.
func (d *dateFields) settle() bool {
	if d.month > 0 || d.words > 0 && d.joint == 0 {
		for i := range d.n {
			switch n := d.nums[i]; {
			case d.wide[i] && d.year == 0:
				d.year = n
			case !d.wide[i] && d.day == 0 && n >= 1 && n <= 31:
				d.day = n
			default:
				return false
			}
		}
		return d.day > 0 && d.month <= 12
	}
	if d.n != 3 || d.joint == 0 {
		return false
	}
	a, b, c := d.nums[0], d.nums[1], d.nums[2]
	switch {
	case d.wide[0] && b <= 12 && c <= 31:
		d.year, d.month, d.day = a, b, c
	case (d.wide[2] || c < 100) && a <= 31 && b <= 31 && !d.wide[0]:
		d.year = c
		if !d.wide[2] {
			d.year += 2000
		}
		switch {
		case a > 12 && b <= 12 || d.joint == '.':
			d.day, d.month = a, b
		case b > 12 && a <= 12, a == b:
			d.month, d.day = a, b
		case a <= 12 && b <= 12: // either
			d.unknown = 0
			return true
		}
	}
	return d.month >= 1 && d.month <= 12 && d.day >= 1
}

// sound refuses what only looks like a date: a word that is neither a month nor
// a weekday needs a year beside it, or to be the one word there is.
func (d *dateFields) sound() bool {
	switch {
	case d.unknown >= 9:
		return false
	case d.unknown == 0:
		return d.month > 0 || d.n == 3
	case d.month > 0:
		return d.year > 0
	}
	return d.year > 0 || d.words == 1 && d.n == 1
}
