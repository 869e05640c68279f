// Package boundedjson keeps what a decoder of JSON holds within Bounds, whoever wrote
// the JSON: long strings and surplus members are cut before they are decoded.
package boundedjson

import (
	"fmt"
	"io"

	"github.com/oomwatch/oomwatch/units"
)

// Bounds say how much of a value is passed on.
type Bounds struct {
	// Total is the most bytes of one value after all else was cut; what is longer fails.
	Total int
	// Text is the most bytes of one string; its end is cut off.
	Text int
	// Depth is from which depth on the following two hold; the outermost object is 1.
	Depth int
	// Members is the most members of an object or array; those behind are dropped.
	Members int
	// Texts is the most bytes of all strings of an object or array, but for the first
	// 64 bytes of each.
	Texts int
}

const (
	shortText = 64
	maxDepth  = 64
	maxWord   = 64
)

// Reader passes JSON values through and cuts what is beyond Bounds, so that the
// decoder behind it never holds more. What is cut stays valid JSON.
type Reader struct {
	src  io.ReadCloser
	lim  Bounds
	note func() // called at the first cut of a value
	in   []byte
	out  []byte
	rest []byte // of out, not yet read
	err  error

	depth    int
	frames   [maxDepth + 1]level
	dropping int // depth of the object or array whose further members are dropped, 0 for none
	passed   int // bytes of this value so far
	word     int // length of this number or word so far
	cut      bool

	inText bool // within a string
	full   bool // whose end is dropped
	text   int  // bytes of it so far
	escape int  // bytes of an escape that are still to come; escapeKind for the one that tells how many
}

// level is an object or array that is open.
type level struct {
	members int // further ones
	texts   int // bytes of its strings
}

const escapeKind = -1

// New bounds what src gives. note, where it is not nil, is called once for each value
// of which something was cut.
func New(src io.ReadCloser, lim Bounds, note func()) *Reader {
	return &Reader{src: src, lim: lim, note: note, in: make([]byte, 16<<10)}
}

// Read implements io.Reader.
func (b *Reader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		var n int
		n, b.err = b.src.Read(b.in)
		b.out = b.out[:0]
		for _, c := range b.in[:n] {
			if err := b.take(c); err != nil {
				b.err = err
				break
			}
		}
		b.rest = b.out
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *Reader) Close() error { return b.src.Close() }

// take passes one byte on, unless it is cut.
func (b *Reader) take(c byte) error {
	switch {
	case b.inText:
		b.takeText(c)
	case c == '"':
		b.inText, b.full, b.text, b.word = true, false, 0, 0
		b.pass(c)
	default:
		if err := b.takeStructure(c); err != nil {
			return err
		}
	}
	if b.passed > b.lim.Total {
		return fmt.Errorf("the JSON holds more than %s", units.Bytes(int64(b.lim.Total)))
	}
	return nil
}

// takeStructure takes a byte that is outside of every string.
func (b *Reader) takeStructure(c byte) error {
	word := b.word
	b.word = 0
	switch c {
	case '{', '[':
		if b.depth++; b.depth > maxDepth {
			return fmt.Errorf("the JSON is nested more than %d deep", maxDepth)
		}
		b.frames[b.depth] = level{}
	case '}', ']':
		if b.dropping == b.depth {
			b.dropping = 0
		}
		b.pass(c)
		if b.depth = max(0, b.depth-1); b.depth == 0 {
			b.passed, b.cut = 0, false
		}
		return nil
	case ',':
		f := &b.frames[b.depth]
		if f.members++; b.dropping == 0 && b.depth >= b.lim.Depth && f.members >= b.lim.Members {
			b.dropping = b.depth
			b.noteCut()
		}
	case ' ', '\t', '\r', '\n':
		if b.depth > 0 {
			return nil
		}
	case ':':
	default:
		if b.word = word + 1; b.word > maxWord {
			return fmt.Errorf("the JSON holds a number of more than %d digits", maxWord)
		}
	}
	b.pass(c)
	return nil
}

// takeText takes a byte of a string. An escape is passed on whole or not at all.
func (b *Reader) takeText(c byte) {
	f := &b.frames[b.depth]
	switch {
	case b.escape == escapeKind:
		b.escape = 0
		if c == 'u' {
			b.escape = 4
		}
	case b.escape > 0:
		b.escape--
	case c == '"':
		b.inText = false
		b.pass(c)
		return
	default:
		if !b.full && (b.text >= b.lim.Text || b.depth >= b.lim.Depth && b.text >= shortText && f.texts >= b.lim.Texts) {
			b.full = true
			b.noteCut()
		}
		if c == '\\' {
			b.escape = escapeKind
		}
	}
	if b.full {
		return
	}
	b.text++
	f.texts++
	b.pass(c)
}

func (b *Reader) pass(c byte) {
	if b.dropping == 0 {
		b.out = append(b.out, c)
		b.passed++
	}
}

func (b *Reader) noteCut() {
	if !b.cut && b.note != nil {
		b.note()
	}
	b.cut = true
}
