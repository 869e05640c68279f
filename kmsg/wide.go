package kmsg

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// wideOrder is the order of the bytes of a text in UTF-16, as PowerShell's > writes it;
// nil for other texts.
func wideOrder(magic []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}):
		return binary.LittleEndian
	case bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return binary.BigEndian
	}
	return nil
}

// wideReader gives a text in UTF-16 as UTF-8.
type wideReader struct {
	r     io.Reader
	order binary.ByteOrder
	in    [32 << 10]byte
	n     int    // bytes in that are not decoded yet
	out   []byte // decoded, not yet read
	buf   []byte // memory of out
	high  rune   // the first half of a letter of two
	err   error
}

func (w *wideReader) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		if w.err != nil {
			return 0, w.err
		}
		n, err := w.r.Read(w.in[w.n:])
		w.n, w.err = w.n+n, err
		w.decode()
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

func (w *wideReader) decode() {
	w.buf = w.buf[:0]
	whole := w.n &^ 1
	for i := 0; i < whole; i += 2 {
		r := rune(w.order.Uint16(w.in[i:]))
		if w.high != 0 {
			if full := utf16.DecodeRune(w.high, r); full != utf8.RuneError {
				w.buf, w.high = utf8.AppendRune(w.buf, full), 0
				continue
			}
			w.buf, w.high = utf8.AppendRune(w.buf, utf8.RuneError), 0
		}
		if r >= 0xd800 && r < 0xdc00 {
			w.high = r
			continue
		}
		w.buf = utf8.AppendRune(w.buf, r)
	}
	w.n = copy(w.in[:], w.in[whole:w.n])
	w.out = w.buf
}
