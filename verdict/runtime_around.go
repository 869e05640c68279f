package verdict

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// javaSaid tells from how an OutOfMemoryError was printed whether anything
// caught it: the virtual machine itself, a thread that died, a log record.
func javaSaid(m *message) bool {
	r, head := m.found, m.pre
	line := m.lines[m.at][len(m.pre):]
	switch {
	case strings.HasSuffix(head, "Terminating due to ") || strings.HasSuffix(head, "Aborting due to ") || strings.HasPrefix(line, "fatal error: "):
		r.Fatal = true
		return !talk(strings.TrimSuffix(strings.TrimSuffix(head, "Terminating due to "), "Aborting due to "), m.post)
	case strings.HasSuffix(head, "# ") && m.at+1 < len(m.lines) && strings.Contains(m.lines[m.at+1], `-XX:OnOutOfMemoryError="`):
		r.Fatal = strings.Contains(m.lines[m.at+1], "kill")
		return true
	}
	// An error printed with its trace stands alone on the line, or as a cause of
	// another; the head of the trace then says whether anything caught it.
	if cause := strings.HasSuffix(head, "Caused by: "); cause || strings.TrimSpace(head) == "" {
		for i, n := m.at-1, 0; i >= 0 && n < maxTrace; i, n = i-1, n+1 {
			head = m.lines[i]
			if !cause || !isJavaFrame(head) {
				break
			}
		}
	}
	thread := strings.Index(head, `Exception in thread "`)
	r.Caught = !(thread >= 0 && !talk(head[:thread], "") || reUncaught.MatchString(head))
	return true
}

// reUncaught are words of a record that nothing caught the error.
var reUncaught = lazyre.New(`(?i)\b(?:uncaught|unhandled|fatal error in thread|fatal exception|exiting|terminating|halting|shutting down)\b`)

func isJavaFrame(l string) bool {
	l = strings.TrimPrefix(strings.TrimLeft(l, " \t"), `\t`)
	return strings.HasPrefix(l, "at ") || strings.HasPrefix(l, "... ") || strings.HasPrefix(l, "Caused by: ") || strings.HasPrefix(l, "Suppressed: ")
}

var reXmx = lazyre.New(`\bPicked up \S+: .*-Xmx(\d{1,15}[kKmMgGtT]?)\b`)

// javaHeap also reads the heap's limit from the options that Java prints at start.
func javaHeap(m *message) bool {
	for i := m.at - 1; i >= 0; i-- {
		if strings.Contains(m.lines[i], "Picked up ") {
			if g := reXmx.FindStringSubmatch(m.lines[i]); g != nil {
				m.found.Limit = parseSize(g[1])
				break
			}
		}
	}
	return javaSaid(m)
}

// javaNative reads the size from the line that follows.
func javaNative(m *message) bool {
	for i := m.at + 1; i < min(m.at+3, len(m.lines)); i++ {
		if g := reNative.FindStringSubmatch(m.lines[i]); g != nil {
			m.found.Requested = parseSize(g[1])
		}
	}
	return true
}

// v8Heap reads how much the last full collection left: the heap was full with that.
// One allocation can also be too large for what is left; then it tells nothing.
func v8Heap(m *message) bool {
	if !strings.Contains(m.lines[m.at], "heap limit") {
		return true
	}
	for i := m.at - 1; i >= max(0, m.at-24); i-- {
		all := reMarked.FindAllStringSubmatch(m.lines[i], -1)
		if len(all) > 0 {
			m.found.Limit = parseSize(all[len(all)-1][1] + "M")
			m.found.About = m.found.Limit != nil
			break
		}
		if strings.Contains(m.lines[i], "Last few GCs") {
			break
		}
	}
	return true
}

// pythonTrace asks for the traceback above an exception, which tells a real one
// from a word in a text, and says whether it was logged and so caught.
func pythonTrace(m *message) bool {
	for i, n := m.at-1, 0; i >= 0 && n < maxTrace; i, n = i-1, n+1 {
		l := m.lines[i]
		if at := strings.Index(l, "Traceback (most recent call last):"); at >= 0 {
			head := l[:at]
			if strings.TrimSpace(head) == "" && i > 0 {
				head = m.lines[i-1]
			}
			m.found.Caught = reRecord.MatchString(head)
			return true
		}
	}
	// The head of the trace is beyond the tail: its last frame must do.
	return m.at > 0 && (strings.HasPrefix(m.lines[m.at-1], "    ") || strings.HasPrefix(m.lines[m.at-1], `  File "`))
}

// dotnetTrace asks for the stack below "Out of memory.", which others say too.
func dotnetTrace(m *message) bool {
	return m.at+1 < len(m.lines) && strings.HasPrefix(m.lines[m.at+1], "   at ")
}

// erlangWords reads the limit of an Erlang process, which is in words of 8 bytes.
func erlangWords(m *message) bool {
	for i := m.at + 1; i < min(m.at+4, len(m.lines)); i++ {
		if g := reWords.FindStringSubmatch(m.lines[i]); g != nil {
			if n := parseSize(g[1]); n != nil {
				*n *= 8
				m.found.Limit = n
			}
		}
	}
	return true
}

func postgresDetail(m *message) bool { return below(m, reDetail, &m.found.Requested) }

func postgresHint(m *message) bool { return below(m, reHint, &m.found.Requested) }

func haskellHeap(m *message) bool { return below(m, reGHC, &m.found.Limit) }

// below reads a size from one of the next three lines.
func below(m *message, re *lazyre.Regexp, into **int64) bool {
	for i := m.at + 1; i < min(m.at+4, len(m.lines)); i++ {
		if g := re.FindStringSubmatch(m.lines[i]); g != nil {
			*into = parseSize(g[1])
			break
		}
	}
	return true
}

// notPinned refuses what programs try and do without: locked memory, huge pages.
func notPinned(m *message) bool { return !rePinned.MatchString(m.pre) }
