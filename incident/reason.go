package incident

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/redact"
)

// maxReason bounds a reason line, in characters.
const maxReason = 160

// reasons are the shapes of lines in which a program says why it ends, the surest
// first. Of several lines of one shape the last counts, but of a shape that is first
// the first one: a panic is followed by the panics that it causes.
var reasons = []struct {
	shape *lazyre.Regexp
	first bool
}{
	// Java's root cause stands last, in a chain of causes.
	{lazyre.New(`^Caused by: \S`), false},
	// Go, Rust: the first panic is the cause.
	{lazyre.New(`^(panic: |fatal error: |thread '.*' (\(\d+\) )?panicked at )`), true},
	// Elasticsearch and OpenSearch count the checks that failed, then name each.
	{lazyre.New(`(?i)bootstrap check failure \[\d+\]`), true},
	// An exception by its class: Python, Node, Ruby, Java, .NET, PHP.
	{lazyre.New(`^(?:Uncaught |Unhandled exception\.? |Exception in thread "[^"]*" |PHP Fatal error: +)?(?:[\w$]+(?:\.|::|\\))*[A-Z][\w$]*(?:Error|Exception|Exit|Interrupt|Failure)(?: \[\w+\])?(?:: .*)?$`), false},
	// A level that means the end.
	{lazyre.New(`(?i)^\W*(fatal|critical|crit|emerg|emergency|panic|alert)\b`), false},
	{lazyre.New(`\b(FATAL|CRITICAL|EMERG|PANIC)\b`), false},
	{lazyre.New(`(?i)^\W*(error|err|severe)\b`), false},
	{lazyre.New(`\b(ERROR|SEVERE)\b|\[(error|emerg|crit|alert|fatal)\]`), false},
	// Words that say what failed.
	{lazyre.New(`(?i)\b(failed to|failure|cannot|can't|could not|couldn't|unable to|no such file|not found|denied|refused|invalid|missing|required|already in use|unknown option|unrecognized|exception|error:)`), false},
}

// stackFrame is a line of a stack trace, which names a place and no reason.
var stackFrame = lazyre.New(`^\s+at |^\s*File "|^goroutine \d+|^\s+\.\.\. \d+ more|^\t|^note: run with|^\s*\^+\s*$|^Traceback \(|^    at `)

// ReasonLine is the line of a log's end that reads as the reason why the program
// ended, without its time stamp; "" where none does.
func ReasonLine(lines []string) string {
	best, found := len(reasons), ""
	for i, raw := range lines {
		if stackFrame.MatchString(raw) {
			continue
		}
		line, level := plainLine(raw)
		if line == "" {
			continue
		}
		for rank, r := range reasons[:min(best+1, len(reasons))] {
			if !r.shape.MatchString(level+line) || rank == best && r.first {
				continue
			}
			best, found = rank, withNext(line, lines[i+1:])
			break
		}
	}
	return clipReason(found)
}

// maxRead is how much of a line is looked at, in bytes.
const maxRead = 2 << 10

// stamp is a time and what stands around it at the beginning of a line.
var stamp = lazyre.New(`^[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?[\])]?:?\s*`)

// plainLine is a line without its time stamp, and of a structured one (JSON, logfmt)
// the message with its error; level is what it gives as its level, with a blank.
func plainLine(raw string) (line, level string) {
	s := strings.TrimSpace(raw[:min(len(raw), maxRead)])
	s = strings.TrimSpace(s[len(stamp.FindString(s)):])
	if strings.HasPrefix(s, "{") {
		if msg, level, ok := jsonLine(s); ok {
			return strings.TrimSpace(msg), level
		}
	}
	if m := logfmtMessage.FindStringSubmatch(s); m != nil {
		msg := unquoted(m[1])
		if e := logfmtError.FindStringSubmatch(s); e != nil && !strings.Contains(msg, unquoted(e[1])) {
			msg += ": " + unquoted(e[1])
		}
		if l := logfmtLevel.FindStringSubmatch(s); l != nil {
			level = l[1] + " "
		}
		return strings.TrimSpace(msg), level
	}
	return s, ""
}

var (
	logfmtMessage = lazyre.New(`(?:^|\s)msg=("(?:[^"\\]|\\.)*"|\S+)`)
	logfmtError   = lazyre.New(`\serr(?:or)?=("(?:[^"\\]|\\.)*"|\S+)`)
	logfmtLevel   = lazyre.New(`(?:^|\s)(?:level|lvl)=(\w+)`)
)

func unquoted(s string) string {
	var out string
	if strings.HasPrefix(s, `"`) && json.Unmarshal([]byte(s), &out) == nil {
		return out
	}
	return strings.Trim(s, `"`)
}

// jsonLine is the message of a line of JSON, with its error.
func jsonLine(s string) (msg, level string, ok bool) {
	var m map[string]any
	if json.Unmarshal([]byte(s), &m) != nil {
		return "", "", false
	}
	text := func(keys ...string) string {
		for _, k := range keys {
			if v, is := m[k].(string); is && v != "" {
				return v
			}
		}
		return ""
	}
	msg = text("msg", "message", "log", "event")
	if e := text("error", "err", "exception"); e != "" && !strings.Contains(msg, e) {
		msg = strings.TrimPrefix(msg+": "+e, ": ")
	}
	if level = text("level", "severity", "lvl", "log.level"); level != "" {
		level += " "
	}
	return msg, level, msg != ""
}

// withNext adds the line after a reason that ends in a colon: Rust's panics, and what
// announces a list, have the words there.
func withNext(line string, after []string) string {
	if !strings.HasSuffix(line, ":") || len(after) == 0 || stackFrame.MatchString(after[0]) {
		return line
	}
	next, _ := plainLine(after[0])
	return line + " " + next
}

// clipReason makes a line safe and short. What was unquoted is redacted anew: a secret
// may have stood in it in escapes.
func clipReason(s string) string {
	s = strings.TrimSpace(redact.Sanitize(redact.Line(s)))
	if utf8.RuneCountInString(s) <= maxReason {
		return s
	}
	return string([]rune(s)[:maxReason-1]) + "…"
}
