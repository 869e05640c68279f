package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// field is the place of one field in an event, as events/*/*/format says:
//
//	field:pid_t pid;	offset:36;	size:4;	signed:1;
//	field:char comm[16];	offset:20;	size:16;	signed:0;
//	field:__data_loc char[] comm;	offset:12;	size:4;	signed:0;
type field struct {
	offset, size int
	signed       bool
	loc          locKind
}

// locKind tells a field whose place holds its bytes from one whose place holds
// where they are: the offset in the low, the length in the high 16 bits.
type locKind int

const (
	inPlace locKind = iota
	dataLoc         // the offset counts from the event's start
	relLoc          // the offset counts from the field's end
)

// format describes one kind of event.
type format struct {
	id     int
	fields map[string]field
}

// parseFormat reads the text of a format file.
func parseFormat(text string) (format, error) {
	f := format{id: -1, fields: make(map[string]field)}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, "ID:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 16)
			if err != nil {
				return f, fmt.Errorf("event id %q: %w", id, err)
			}
			f.id = int(n)
		}
		if strings.HasPrefix(line, "print fmt:") {
			break
		}
		if name, fl, ok := parseField(line); ok {
			f.fields[name] = fl
		}
	}
	if f.id < 0 {
		return f, errors.New("event format without an ID")
	}
	return f, nil
}

// parseField reads one "field:" line. A line of another kind is passed by.
func parseField(line string) (name string, f field, ok bool) {
	decl, rest, found := strings.Cut(line, ";")
	decl, isField := strings.CutPrefix(decl, "field:")
	if !found || !isField {
		return "", f, false
	}
	switch {
	case strings.HasPrefix(decl, "__data_loc"):
		f.loc = dataLoc
	case strings.HasPrefix(decl, "__rel_loc"):
		f.loc = relLoc
	}
	decl, _, _ = strings.Cut(strings.ReplaceAll(decl, "[] ", " "), "[")
	words := strings.Fields(decl)
	if len(words) == 0 {
		return "", f, false
	}
	seen := 0
	for part := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			continue
		}
		switch key {
		case "offset":
			f.offset, seen = int(n), seen|1
		case "size":
			f.size, seen = int(n), seen|2
		case "signed":
			f.signed = n != 0
		}
	}
	return words[len(words)-1], f, seen == 3
}

// need returns an error unless each named field is there and is a number.
func (f format) need(names ...string) error {
	for _, name := range names {
		fl, ok := f.fields[name]
		if !ok {
			return fmt.Errorf("this kernel's event has no field %q", name)
		}
		switch fl.size {
		case 1, 2, 4, 8:
		default:
			return fmt.Errorf("field %q of this kernel's event is %d bytes long, not a number", name, fl.size)
		}
	}
	return nil
}

// record is one event's bytes with the description to read them by. ok turns
// false with the first field that reaches beyond them.
type record struct {
	format
	order binary.ByteOrder
	data  []byte
	ok    bool
}

// has reports whether this kernel's event has the field.
func (r *record) has(name string) bool {
	_, ok := r.fields[name]
	return ok
}

// bytes returns the n bytes at offset; nil and not ok where they are not there.
func (r *record) bytes(offset, n int) []byte {
	if offset < 0 || n < 0 || offset > len(r.data)-n {
		r.ok = false
		return nil
	}
	return r.data[offset : offset+n]
}

// int returns a number field; 0 where the event has none.
func (r *record) int(name string) int64 {
	f, there := r.fields[name]
	if !there {
		return 0
	}
	b := r.bytes(f.offset, f.size)
	var u uint64
	switch len(b) {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(r.order.Uint16(b))
	case 4:
		u = uint64(r.order.Uint32(b))
	case 8:
		return int64(r.order.Uint64(b))
	default:
		r.ok = false
	}
	if shift := 64 - 8*len(b); f.signed {
		return int64(u<<shift) >> shift
	}
	return int64(u)
}

// str returns a text field up to its NUL, as comm gives it.
func (r *record) str(name string) string {
	f, there := r.fields[name]
	if !there {
		return ""
	}
	offset, size := f.offset, f.size
	if f.loc != inPlace {
		b := r.bytes(f.offset, 4)
		if b == nil {
			return ""
		}
		at := r.order.Uint32(b)
		offset, size = int(at&0xffff), int(at>>16)
		if f.loc == relLoc {
			offset += f.offset + f.size
		}
	}
	return comm(r.bytes(offset, size))
}

// headerLines makes the lines of header_page those of a format file, which have
// no blank behind "field:".
func headerLines(text string) string { return strings.ReplaceAll(text, "field: ", "field:") }
