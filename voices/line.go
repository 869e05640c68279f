package voices

import (
	"encoding/json"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strconv"
	"strings"
	"time"
)

var (
	// reISO, reSyslog and reBracket are the stamps of a text log's lines, with the
	// rest: "2026-03-11T06:25:01.2+00:00 ", "Mar 11 06:25:01 ", "[Thu Dec  7 00:20:58 2017] ".
	reISO     = lazyre.New(`^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(Z|[+-]\d\d:?\d\d)?\]? +(.*)$`)
	reSyslog  = lazyre.New(`^(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? +(.*)$`)
	reBracket = lazyre.New(`^\[([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\] +(.*)$`)
	// reWho is "HOST IDENT[PID]: " or "IDENT[PID]: ".
	reWho = lazyre.New(`^(?:\S{1,255} )?([A-Za-z0-9_.@/\-]{1,64})(?:\[\d{1,10}\])?: (.*)$`)
)

// ParseLine takes a line of a text log or of journalctl -o json apart. loc is the zone
// of stamps without one; now bounds the year of those without a year. At is zero where
// there is no stamp.
func ParseLine(line string, loc *time.Location, now time.Time) Line {
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "{") {
		return journalLine(line)
	}
	var l Line
	rest := line
	switch {
	case len(line) < 15:
	case line[0] == '[' && reBracket.MatchString(line):
		g := reBracket.FindStringSubmatch(line)
		l.At, _ = time.ParseInLocation("Mon Jan _2 15:04:05 2006", g[1], loc)
		l.Ident, l.Text = "kernel", g[2]
		return l
	case line[0] == '[' || line[0] >= '0' && line[0] <= '9':
		if g := reISO.FindStringSubmatch(line); g != nil {
			l.At, rest = isoTime(g[1], g[2], loc), g[3]
		}
	default:
		if g := reSyslog.FindStringSubmatch(line); g != nil {
			l.At, rest = yearOf(g[1], loc, now), g[2]
		}
	}
	if g := reWho.FindStringSubmatch(rest); g != nil {
		l.Ident, l.Text = g[1], g[2]
		if i := strings.LastIndexByte(l.Ident, '/'); i >= 0 {
			l.Ident = l.Ident[i+1:]
		}
	} else {
		l.Text = rest
	}
	return l
}

func isoTime(stamp, zone string, loc *time.Location) time.Time {
	stamp = strings.Replace(strings.Replace(stamp, " ", "T", 1), ",", ".", 1)
	if zone == "" {
		t, _ := time.ParseInLocation("2006-01-02T15:04:05", stamp, loc)
		return t
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, stamp+zone); err == nil {
			return t
		}
	}
	return time.Time{}
}

// yearOf gives a stamp without a year the newest that does not put it after now.
func yearOf(stamp string, loc *time.Location, now time.Time) time.Time {
	const slack = 24 * time.Hour
	for year := now.Year() + 1; year > now.Year()-9; year-- {
		t, err := time.ParseInLocation("2006 Jan _2 15:04:05", strconv.Itoa(year)+" "+stamp, loc)
		if err == nil && !t.After(now.Add(slack)) {
			return t
		}
	}
	return time.Time{}
}

func journalLine(line string) Line {
	var j map[string]any
	if json.Unmarshal([]byte(line), &j) != nil {
		return Line{}
	}
	text := func(key string) string { s, _ := j[key].(string); return s }
	l := Line{Ident: text("SYSLOG_IDENTIFIER"), Unit: text("_SYSTEMD_UNIT"), Text: text("MESSAGE")}
	if l.Ident == "" {
		l.Ident = text("_COMM")
	}
	if u := text("_SYSTEMD_USER_UNIT"); u != "" {
		l.Unit = u
	}
	if us, err := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64); err == nil {
		l.At = time.UnixMicro(us).UTC()
	}
	return l
}
