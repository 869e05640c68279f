package readings

import (
	"encoding/binary"
	"math"
	"slices"
)

// column is the samples of one metric of one container, packed: metrics of a container
// come one after another, and all are kept until the last is read. A sample takes one
// byte to four instead of sixteen, and comes back as it was.
type column struct {
	b           []byte
	first, last sample
	n           int
	// late is true where a sample is earlier than one before it.
	late bool
	to   packing
}

// packing is the last sample that was packed as numbers: its time in milliseconds, what
// that was after the one before, and its value.
type packing struct{ at, step, v int64 }

// What stands before each sample.
const (
	newStep = 1 << iota // the step follows; else it is the last one
	inBytes             // the change of the value follows; with none it is as before
	inPages             // the same, as a number of pages
	asIs                // nothing is packed: time and value follow in eight bytes each
)

const pageSize = 4096

// exact is the largest whole number that is surely exact as a float.
const exact = 1 << 53

func (c *column) add(q sample) {
	if c.n == 0 {
		c.first = q
	}
	c.late = c.late || c.n > 0 && q.at < c.last.at
	c.last = q
	c.n++
	at, v := int64(math.Round(q.at*1e3)), int64(q.v)
	if math.Abs(q.at) > exact/1e3 || float64(at)/1e3 != q.at || q.v > exact || float64(v) != q.v {
		c.b = append(c.b, asIs)
		c.b = binary.LittleEndian.AppendUint64(c.b, math.Float64bits(q.at))
		c.b = binary.LittleEndian.AppendUint64(c.b, math.Float64bits(q.v))
		return
	}
	head, step, change := byte(0), at-c.to.at, v-c.to.v
	if step != c.to.step {
		head |= newStep
	}
	switch {
	case change == 0:
	case change%pageSize == 0:
		head |= inPages
		change /= pageSize
	default:
		head |= inBytes
	}
	c.to = packing{at, step, v}
	c.b = append(c.b, head)
	if head&newStep != 0 {
		c.b = binary.AppendVarint(c.b, step)
	}
	if change != 0 {
		c.b = binary.AppendVarint(c.b, change)
	}
}

// reset empties the column and keeps its room.
func (c *column) reset() { *c = column{b: c.b[:0]} }

// kept is the column in room of its own, in the order of time.
func (c *column) kept() *column {
	if !c.late {
		out := *c
		out.b = slices.Clone(c.b)
		return &out
	}
	list := make([]sample, 0, c.n)
	for r := c.read(); r.next(); {
		list = append(list, r.now)
	}
	slices.SortStableFunc(list, byTime)
	out := &column{}
	for _, q := range list {
		out.add(q)
	}
	return out
}

// reader goes over the samples of a column.
type reader struct {
	b    []byte
	now  sample
	from packing
}

func (c *column) read() reader { return reader{b: c.b} }

// next reads the next sample into now; false after the last.
func (r *reader) next() bool {
	if len(r.b) == 0 {
		return false
	}
	head := r.b[0]
	r.b = r.b[1:]
	if head == asIs {
		r.now.at = math.Float64frombits(binary.LittleEndian.Uint64(r.b))
		r.now.v = math.Float64frombits(binary.LittleEndian.Uint64(r.b[8:]))
		r.b = r.b[16:]
		return true
	}
	if head&newStep != 0 {
		r.from.step = r.number()
	}
	r.from.at += r.from.step
	switch {
	case head&inPages != 0:
		r.from.v += pageSize * r.number()
	case head&inBytes != 0:
		r.from.v += r.number()
	}
	r.now = sample{float64(r.from.at) / 1e3, float64(r.from.v)}
	return true
}

func (r *reader) number() int64 {
	v, n := binary.Varint(r.b)
	r.b = r.b[n:]
	return v
}

// merge puts b between a; at a moment of both a has the word. Both are in the order of
// time.
func merge(a, b *column) *column {
	if a == nil {
		return b
	}
	out := &column{b: make([]byte, 0, len(a.b)+len(b.b))}
	x, y := a.read(), b.read()
	left, right := x.next(), y.next()
	for left || right {
		var q sample
		if left && (!right || x.now.at <= y.now.at) {
			q = x.now
			left = x.next()
		} else {
			q = y.now
			right = y.next()
		}
		if out.n == 0 || q.at != out.last.at {
			out.add(q)
		}
	}
	return out
}

// differ tells series of two things from one that was scraped twice: at most of the
// moments that they share their values lie more than a tenth apart.
func differ(a, b *column) bool {
	shared, apart := 0, 0
	x, y := a.read(), b.read()
	for left, right := x.next(), y.next(); left && right; {
		switch {
		case x.now.at < y.now.at:
			left = x.next()
		case x.now.at > y.now.at:
			right = y.next()
		default:
			shared++
			if math.Abs(x.now.v-y.now.v) > 0.1*max(x.now.v, y.now.v) {
				apart++
			}
			left, right = x.next(), y.next()
		}
	}
	return 2*apart > shared
}

// cursor goes along a column; a column that is nil has no values.
type cursor struct {
	r          reader
	now, then  sample
	some, more bool // now and then are samples
	reach      float64
}

func newCursor(c *column) (out cursor) {
	if c == nil {
		return out
	}
	const most = 101
	gaps := make([]float64, 0, most)
	r := c.read()
	r.next()
	for before := r.now; len(gaps) < most && r.next(); before = r.now {
		gaps = append(gaps, r.now.at-before.at)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		out.reach = gaps[len(gaps)/2]
	}
	out.reach = max(1.5*out.reach, 300) // as Prometheus looks back
	out.r = c.read()
	out.some = out.r.next()
	out.now = out.r.now
	out.more = out.r.next()
	out.then = out.r.now
	return out
}

// at is the newest value that is not later than t, NaN where it is too old. The times
// that are asked for do not fall.
func (c *cursor) at(t float64) float64 {
	for c.more && c.then.at <= t {
		c.now = c.then
		c.more = c.r.next()
		c.then = c.r.now
	}
	if !c.some || c.now.at > t || t-c.now.at > c.reach {
		return math.NaN()
	}
	return c.now.v
}
