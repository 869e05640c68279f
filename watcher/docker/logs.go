package docker

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// maxLogRead bounds what is read of a log, in bytes.
const maxLogRead = 4 << 20

// readTail reads a log as the engine sends it and keeps the last lines. With a
// terminal the log is plain text; without one it is cut into frames of 8 bytes head
// (stream, 0, 0, 0, size) and their contents. What was read before an error is kept.
func readTail(r io.Reader, tty bool, lines int) (logtail.Words, error) {
	t := logtail.New(lines)
	r = io.LimitReader(r, maxLogRead)
	buf := make([]byte, 32<<10)
	if tty {
		for {
			n, err := r.Read(buf)
			t.Write(1, buf[:n])
			if err != nil {
				return t.Words(lines), notEOF(err)
			}
		}
	}
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return t.Words(lines), notEOF(err)
		}
		stream := head[0]
		if stream == 3 || stream > 3 || head[1] != 0 || head[2] != 0 || head[3] != 0 {
			if stream == 3 {
				// The engine's own error, in the place of a log.
				b, _ := io.ReadAll(io.LimitReader(r, 512)) // best effort: it is an error already
				return t.Words(lines), errors.New("the engine's log reader: " + redact.Sanitize(string(b)))
			}
			return t.Words(lines), errors.New("the engine's log stream is not in Docker's frame format")
		}
		for left := int64(binary.BigEndian.Uint32(head[4:])); left > 0; {
			n, err := r.Read(buf[:min(left, int64(len(buf)))])
			t.Write(stream, buf[:n])
			left -= int64(n)
			if err != nil {
				return t.Words(lines), notEOF(err)
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
