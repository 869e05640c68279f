// Package logtail keeps the end of a container's log: what may be shown, and what is
// judged.
package logtail

import (
	"bytes"

	"github.com/oomwatch/oomwatch/redact"
)

// Bounds on a log tail.
const (
	MaxLines = 1000
	MaxBytes = 64 << 10 // kept
	MaxLine  = 4 << 10  // kept of one line
)

// Judged is how many last lines are read for what they say of the end: a crash dump
// can push the message that explains it far up.
const Judged = 300

// Words are the end of a container's log: what may be shown, redacted and safe, and
// what is judged, as it was written.
type Words struct{ Shown, Raw []string }

// Tail keeps the last lines of a log that come in pieces.
type Tail struct {
	max   int
	lines [][]byte
	bytes int
	// part is the unfinished line of each stream: stdout and stderr come interleaved.
	part [3][]byte
}

// New returns a Tail for as many lines as are to be shown, and those that are judged.
func New(show int) *Tail { return &Tail{max: max(show, Judged)} }

// Write takes a piece of a stream (0 to 2).
func (t *Tail) Write(stream byte, b []byte) {
	p := &t.part[stream]
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			*p = appendLine(*p, b)
			return
		}
		t.add(appendLine(*p, b[:i]))
		*p, b = nil, b[i+1:]
	}
}

// appendLine adds to a line as much as is kept of one.
func appendLine(line, b []byte) []byte {
	return append(line, b[:min(len(b), max(0, MaxLine-len(line)))]...)
}

func (t *Tail) add(line []byte) {
	line = bytes.TrimRight(line, "\r")
	t.lines = append(t.lines, line)
	t.bytes += len(line)
	for len(t.lines) > t.max || t.bytes > MaxBytes {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

// Words returns the lines that are kept: the last few redacted and safe to show.
func (t *Tail) Words(show int) Words {
	for i := range t.part {
		if len(t.part[i]) > 0 {
			t.add(t.part[i])
			t.part[i] = nil
		}
	}
	if len(t.lines) == 0 {
		return Words{}
	}
	w := Words{Raw: make([]string, len(t.lines))}
	begin := false
	for i, l := range t.lines {
		w.Raw[i] = string(l)
		begin = begin || bytes.Contains(l, []byte("-----BEGIN "))
	}
	shown := w.Raw[max(0, len(w.Raw)-show):]
	if begin {
		// A key whose first line is further up is known by that line only.
		shown = redact.Lines(append([]string(nil), w.Raw...))
		shown = shown[max(0, len(shown)-show):]
	} else {
		shown = redact.Lines(append([]string(nil), shown...))
	}
	for i := range shown {
		shown[i] = redact.Sanitize(shown[i])
	}
	w.Shown = shown
	return w
}
