package kmsg

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// errRecord says that bytes are not a /dev/kmsg record.
var errRecord = errors.New(`not a kmsg record: want "prio,seq,usec,flags;text"`)

// ParseRecord reads one raw /dev/kmsg record,
//
//	prio,seq,usec,flags[,key=value ...];text\n[ KEY=value\n ...]
//
// into r (Documentation/ABI/testing/dev-kmsg). Text and Caller are copied out
// of b; Lost and Time are left alone, they are the reader's to know. The
// dictionary after the text is skipped.
func ParseRecord(b []byte, r *Record) error {
	text, caller, err := parseHeader(b, r)
	if err != nil {
		return err
	}
	r.Text = string(text)
	r.Caller = string(caller)
	return nil
}

// ParseHeader is ParseRecord without copies: it fills in r all but Text and
// Caller and returns the text as a part of b. It allocates nothing, so that a
// reader can ask Interesting(text) before it pays for a string.
func ParseHeader(b []byte, r *Record) (text []byte, err error) {
	text, _, err = parseHeader(b, r)
	return text, err
}

func parseHeader(b []byte, r *Record) (text, caller []byte, err error) {
	prio, rest, ok := cutUint(b, ',')
	if !ok || prio > 1<<14 {
		return nil, nil, recordError(b)
	}
	seq, rest, ok := cutUint(rest, ',')
	if !ok {
		return nil, nil, recordError(b)
	}
	usec, rest, ok := cutUint(rest, ',')
	if !ok || usec > uint64(1<<63-1)/uint64(time.Microsecond) {
		return nil, nil, recordError(b)
	}
	semi := bytes.IndexByte(rest, ';')
	if semi < 0 {
		return nil, nil, recordError(b)
	}
	flags := rest[:semi]
	text = rest[semi+1:]
	if nl := bytes.IndexByte(text, '\n'); nl >= 0 {
		text = text[:nl]
	}
	if i := bytes.IndexByte(flags, ','); i >= 0 {
		caller = headerValue(flags[i+1:], "caller=")
		flags = flags[:i]
	}
	if len(flags) != 1 {
		return nil, nil, recordError(b)
	}
	r.Seq = seq
	r.Facility = int16(prio >> 3)
	r.Level = int8(prio & 7)
	// 'c' is a fragment since 4.9; before that it began a line and '+'
	// continued it. Which of the two it is shows in the text.
	r.Continuation = flags[0] == 'c' || flags[0] == '+'
	r.Uptime = time.Duration(usec) * time.Microsecond
	r.HasUptime = true
	r.Escaped = true
	r.Ident, r.Host = "", ""
	return text, caller, nil
}

// headerValue finds key in a comma-separated list of header fields.
func headerValue(fields []byte, key string) []byte {
	for len(fields) > 0 {
		field := fields
		if i := bytes.IndexByte(fields, ','); i >= 0 {
			field, fields = fields[:i], fields[i+1:]
		} else {
			fields = nil
		}
		if v, ok := bytes.CutPrefix(field, []byte(key)); ok {
			return v
		}
	}
	return nil
}

// cutUint reads the decimal number that b begins with, which must be followed
// by end, and returns what follows.
func cutUint(b []byte, end byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if n > (1<<64-1-9)/10 {
			return 0, nil, false
		}
		n = n*10 + uint64(b[i]-'0')
	}
	if i == 0 || i == len(b) || b[i] != end {
		return 0, nil, false
	}
	return n, b[i+1:], true
}

func recordError(b []byte) error {
	return fmt.Errorf("%w, have %.60q", errRecord, b)
}
