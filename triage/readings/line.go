package readings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unsafe"
)

// line is one JSON line.
type line struct {
	service []byte
	time    float64
	start   bool
	v       [fields]float64 // NaN where it is not given
}

const (
	used = iota
	anon
	file
	shmem
	kernel
	reclaimable
	swap
	limit
	kills
	fields
)

// place is where a field is kept; false for what is none of ours.
func place(key []byte) (int, bool) {
	switch string(key) {
	case "used_bytes":
		return used, true
	case "anon_bytes":
		return anon, true
	case "file_bytes":
		return file, true
	case "shmem_bytes":
		return shmem, true
	case "kernel_bytes":
		return kernel, true
	case "kernel_reclaimable_bytes":
		return reclaimable, true
	case "swap_bytes":
		return swap, true
	case "limit_bytes":
		return limit, true
	case "oom_kills":
		return kills, true
	}
	return 0, false
}

// parse reads one line: {"time": ..., "service": ..., "used_bytes": ...}. Flat
// objects of the usual shape are read in place, all others by encoding/json.
func (l *line) parse(b []byte) error {
	l.service, l.time, l.start = l.service[:0], math.NaN(), false
	for i := range l.v {
		l.v[i] = math.NaN()
	}
	if !l.fast(b) {
		l.service, l.time, l.start = l.service[:0], math.NaN(), false
		if err := l.slow(b); err != nil {
			return err
		}
	}
	switch {
	case math.IsNaN(l.time) || math.IsInf(l.time, 0):
		return errors.New(`it has no "time"; give Unix seconds or RFC 3339`)
	case len(l.service) == 0:
		return errors.New(`it has no "service"; give its name`)
	case math.IsNaN(l.v[used]):
		return errors.New(`it has no "used_bytes"; give what counts against the limit`)
	}
	if l.time = seconds(l.time); !sane(l.time) {
		return errors.New(`"time" is before 1970; give Unix seconds or RFC 3339`)
	}
	for i, v := range l.v {
		if v < 0 && i != limit {
			l.v[i] = math.NaN() // absent is written as -1 by some
		}
		if v >= 1<<60 && i != limit {
			return errors.New("a size is larger than any memory; give bytes")
		}
	}
	if l.v[used] > 0 || l.v[used] == 0 {
		return nil
	}
	return errors.New(`"used_bytes" is negative`)
}

// fast reads the common shape; false for anything else.
func (l *line) fast(b []byte) bool {
	n := len(b)
	if n < 2 || b[0] != '{' || b[n-1] != '}' {
		return false
	}
	for i := 1; ; {
		key, at := quoted(b, blank(b, i))
		if at < 0 {
			return false
		}
		if i = blank(b, at); i >= n || b[i] != ':' {
			return false
		}
		if i = blank(b, i+1); i >= n {
			return false
		}
		if b[i] == '"' {
			value, at := quoted(b, i)
			if at < 0 || !l.text(key, value) {
				return false
			}
			i = at
		} else {
			from := i
			for i < n && b[i] != ',' && b[i] != '}' && b[i] != ' ' {
				i++
			}
			if !l.bare(key, b[from:i]) {
				return false
			}
		}
		i = blank(b, i)
		switch {
		case i < n && b[i] == ',':
			i++
		case i == n-1 && b[i] == '}':
			return true
		default:
			return false
		}
	}
}

// blank is where what is no blank begins.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// quoted reads a string without escapes, and returns where it ends; -1 for none.
func quoted(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end := bytes.IndexByte(b[i+1:], '"')
	if end < 0 {
		return nil, -1
	}
	s := b[i+1 : i+1+end]
	for _, c := range s {
		if c == '\\' || c < ' ' || c >= 0x80 {
			return nil, -1
		}
	}
	return s, i + end + 2
}

func (l *line) text(key, value []byte) bool {
	switch string(key) {
	case "service":
		l.service = append(l.service[:0], value...)
	case "time":
		t, err := time.Parse(time.RFC3339Nano, string(value))
		if err != nil {
			return false
		}
		l.time = unix(t)
	default:
		_, ours := place(key)
		return !ours && string(key) != "start"
	}
	return true
}

func (l *line) bare(key, value []byte) bool {
	switch string(value) {
	case "null":
		return true
	case "true", "false":
		if string(key) == "start" {
			l.start = value[0] == 't'
			return true
		}
		_, ours := place(key)
		return !ours
	}
	v, ok := number(value)
	if !ok {
		return false
	}
	if string(key) == "time" {
		l.time = v
	} else if at, ours := place(key); ours {
		l.v[at] = v
	} else if string(key) == "service" || string(key) == "start" {
		return false
	}
	return true
}

// number reads digits in place, and leaves the rest to strconv.
func number(b []byte) (float64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	if len(b) <= 15 {
		var n int64
		for _, c := range b {
			if c < '0' || c > '9' {
				n = -1
				break
			}
			n = n*10 + int64(c-'0')
		}
		if n >= 0 {
			return float64(n), true
		}
	}
	v, err := strconv.ParseFloat(unsafe.String(&b[0], len(b)), 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// slow reads any JSON object.
func (l *line) slow(b []byte) error {
	var x struct {
		Time    json.RawMessage `json:"time"`
		Service string          `json:"service"`
		Start   bool            `json:"start"`
		Used    *float64        `json:"used_bytes"`
		Anon    *float64        `json:"anon_bytes"`
		File    *float64        `json:"file_bytes"`
		Shmem   *float64        `json:"shmem_bytes"`
		Kernel  *float64        `json:"kernel_bytes"`
		Reclaim *float64        `json:"kernel_reclaimable_bytes"`
		Swap    *float64        `json:"swap_bytes"`
		Limit   *float64        `json:"limit_bytes"`
		Kills   *float64        `json:"oom_kills"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return fmt.Errorf("it is not a reading as JSON: %w", err)
	}
	l.service, l.start = append(l.service[:0], x.Service...), x.Start
	for i, p := range []*float64{x.Used, x.Anon, x.File, x.Shmem, x.Kernel, x.Reclaim, x.Swap, x.Limit, x.Kills} {
		l.v[i] = math.NaN()
		if p != nil {
			l.v[i] = *p
		}
	}
	if len(x.Time) == 0 || string(x.Time) == "null" {
		return nil
	}
	if x.Time[0] != '"' {
		if err := json.Unmarshal(x.Time, &l.time); err != nil {
			return fmt.Errorf(`"time" is neither Unix seconds nor RFC 3339: %w`, err)
		}
		return nil
	}
	var t time.Time
	if err := json.Unmarshal(x.Time, &t); err != nil {
		return fmt.Errorf(`"time" is neither Unix seconds nor RFC 3339: %w`, err)
	}
	l.time = unix(t)
	return nil
}

func unix(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

// row is what is kept of a line.
func (l *line) row() row {
	v := &l.v
	r := row{at: l.time, used: v[used], held: held(v), start: l.start,
		anon: float32(zero(v[anon])), shmem: float32(zero(v[shmem])), swap: float32(zero(v[swap])), kills: float32(v[kills])}
	r.kernel = float32(max(0, zero(v[kernel])-zero(v[reclaimable])))
	if v[limit] > 0 && v[limit] < 1<<50 {
		r.limit = v[limit]
	}
	return r
}

// held is what the kernel cannot take back: without the pages of files on disk and
// without kernel memory that is only cached, and with what is in swap.
func held(v *[fields]float64) float64 {
	h := v[used] - max(zero(v[file])-zero(v[shmem]), 0) - zero(v[reclaimable])
	return max(h, 0) + zero(v[swap])
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
