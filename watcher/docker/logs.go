package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/oomwatch/oomwatch/redact"
)

// Bounds on a log tail.
const (
	maxLogLines = 1000
	maxLogBytes = 64 << 10 // kept
	maxLogRead  = 4 << 20  // read
	maxLogLine  = 4 << 10  // kept of one line
)

// judgedLines is how many last lines are read for what they say of the end: a
// crash dump can push the message that explains it far up.
const judgedLines = 300

// lastWords is the end of a container's log: what may be shown, and what is
// judged, as it was written.
type lastWords struct{ shown, raw []string }

// tail keeps the last lines of a log that come in pieces.
type tail struct {
	max   int
	lines [][]byte
	bytes int
	// part is the unfinished line of each stream: stdout and stderr come interleaved.
	part [3][]byte
}

// write takes a piece of a stream (0 to 2).
func (t *tail) write(stream byte, b []byte) {
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
	return append(line, b[:min(len(b), max(0, maxLogLine-len(line)))]...)
}

func (t *tail) add(line []byte) {
	line = bytes.TrimRight(line, "\r")
	t.lines = append(t.lines, line)
	t.bytes += len(line)
	for len(t.lines) > t.max || t.bytes > maxLogBytes {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

// words returns the lines that are kept: the last few redacted and safe to show.
func (t *tail) words(show int) lastWords {
	for i := range t.part {
		if len(t.part[i]) > 0 {
			t.add(t.part[i])
			t.part[i] = nil
		}
	}
	if len(t.lines) == 0 {
		return lastWords{}
	}
	w := lastWords{raw: make([]string, len(t.lines))}
	begin := false
	for i, l := range t.lines {
		w.raw[i] = string(l)
		begin = begin || bytes.Contains(l, []byte("-----BEGIN "))
	}
	shown := w.raw[max(0, len(w.raw)-show):]
	if begin {
		// A key whose first line is further up is known by that line only.
		shown = redact.Lines(append([]string(nil), w.raw...))
		shown = shown[max(0, len(shown)-show):]
	} else {
		shown = redact.Lines(append([]string(nil), shown...))
	}
	for i := range shown {
		shown[i] = redact.Sanitize(shown[i])
	}
	w.shown = shown
	return w
}

// readTail reads a log as the engine sends it and keeps the last lines. With a
// terminal the log is plain text; without one it is cut into frames of 8 bytes head
// (stream, 0, 0, 0, size) and their contents. What was read before an error is kept.
func readTail(r io.Reader, tty bool, lines int) (lastWords, error) {
	t := &tail{max: max(lines, judgedLines)}
	r = io.LimitReader(r, maxLogRead)
	buf := make([]byte, 32<<10)
	if tty {
		for {
			n, err := r.Read(buf)
			t.write(1, buf[:n])
			if err != nil {
				return t.words(lines), notEOF(err)
			}
		}
	}
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return t.words(lines), notEOF(err)
		}
		stream := head[0]
		if stream == 3 || stream > 3 || head[1] != 0 || head[2] != 0 || head[3] != 0 {
			if stream == 3 {
				// The engine's own error, in the place of a log.
				b, _ := io.ReadAll(io.LimitReader(r, 512)) // best effort: it is an error already
				return t.words(lines), errors.New("the engine's log reader: " + redact.Sanitize(string(b)))
			}
			return t.words(lines), errors.New("the log is not in frames")
		}
		for left := int64(binary.BigEndian.Uint32(head[4:])); left > 0; {
			n, err := r.Read(buf[:min(left, int64(len(buf)))])
			t.write(stream, buf[:n])
			left -= int64(n)
			if err != nil {
				return t.words(lines), notEOF(err)
			}
		}
	}
}

// notEOF returns nil for an end that is one, also in the middle of a frame: the
// container may have been removed under us.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
