package redact

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Sanitize makes foreign text (names, labels, comms, log lines) safe to show on
// one line of a terminal or in a message: control bytes, ESC, newlines, bidi
// and other invisible characters are written as escapes (\n, \x1b, \u202e),
// bytes that are not UTF-8 as \xNN. Sanitizing twice changes nothing more.
func Sanitize(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case visible(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// JSON writes what Sanitize would escape in the strings of a JSON text as JSON's own
// escapes: bidi and other invisible characters. What it says stays the same.
func JSON(b []byte) []byte {
	i := nextInvisible(b, 0)
	if i == len(b) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for start := 0; ; {
		out = append(out, b[start:i]...)
		if i == len(b) {
			return out
		}
		r, n := utf8.DecodeRune(b[i:])
		for _, u := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, u)
		}
		start = i + n
		i = nextInvisible(b, start)
	}
}

// nextInvisible finds the next letter at or after i that Sanitize would escape; len(b)
// where none is. It looks at 8 bytes at a time, as nearly all of what is printed is ASCII.
func nextInvisible(b []byte, i int) int {
	for i < len(b) {
		if i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&0x8080808080808080 == 0 {
			i += 8
			continue
		}
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r != utf8.RuneError && !visible(r) {
			return i
		}
		i += n
	}
	return i
}

// printable is true for text of printable ASCII alone. It looks at 8 bytes at a time.
func printable(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		// The high bit of a byte is set where it is not ASCII, below a blank, or
		// DEL; a carry or borrow comes only from a byte that has it set, too.
		w := eight(s)
		if (w|(w-ones*' ')|(w+ones))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// visible is true for what a reader sees and what cannot move other text:
// printable by Unicode, and none of the letters that are drawn as nothing.
func visible(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return false
	}
	if r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef {
		return false // variation selectors can carry hidden text
	}
	return unicode.IsPrint(r)
}

// eight is the first 8 bytes of s as a little-endian number.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
