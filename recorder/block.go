package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// A block is readings written one after another, each as its difference to the
// one before:
//
//	version, step, base row, row, row, ...
//
// A row is a mask that says which columns changed, and their differences. The
// columns that change most come first, so that the mask of most rows is one byte,
// and a row in which nothing changed is nothing but that byte. The base is what
// the first row differs from; it is no reading itself. A block can be gone on
// with by appending rows, which is how one in memory grows.

// version is the first byte of a block.
const version = 1

// tick is the precision of a reading's time.
const tick = 100 * time.Millisecond

// The columns of a row, the restless first.
const (
	colUsed = iota
	colOver // Max - Used
	colAnon
	colKernel
	colFile
	colUnder // Used - Min
	colWhen  // in ticks; the difference is to one step later
	colPIDs
	colPSISome
	colPSIFull
	colThrottledUS
	colThrottled
	colPeriods
	colShmem
	colSwap
	colLimitHits
	colHigh
	colLow
	colOOM
	colOOMKill
	colLimit
	colPIDsLimit
	colStart // in the mask alone
	colReclaimable
	columns
)

// sizes are the columns in bytes, nearly always of whole pages.
const sizes = 1<<colUsed | 1<<colOver | 1<<colUnder | 1<<colAnon | 1<<colFile | 1<<colKernel |
	1<<colShmem | 1<<colSwap | 1<<colLimit | 1<<colReclaimable

const pageShift = 12

type row [columns]int64

func rowOf(r *Reading) row {
	w := row{
		colUsed: r.Used, colOver: r.Max - r.Used, colUnder: r.Used - r.Min,
		colAnon: r.Anon, colKernel: r.Kernel, colFile: r.File, colShmem: r.Shmem, colSwap: r.Swap, colReclaimable: r.Reclaimable,
		colWhen: r.At.UnixMilli() / int64(tick/time.Millisecond),
		colPIDs: r.PIDs, colPIDsLimit: r.PIDsLimit, colLimit: r.Limit,
		colPSISome: r.PSISome, colPSIFull: r.PSIFull,
		colPeriods: r.CPUPeriods, colThrottled: r.CPUThrottled, colThrottledUS: r.CPUThrottledUS,
		colLow: r.Low, colHigh: r.High, colLimitHits: r.LimitHits, colOOM: r.OOM, colOOMKill: r.OOMKill,
	}
	if r.Start {
		w[colStart] = 1
	}
	return w
}

func (w *row) reading() Reading {
	return Reading{
		At: whenOf(w[colWhen]), Start: w[colStart] != 0,
		Used: w[colUsed], Max: w[colUsed] + w[colOver], Min: w[colUsed] - w[colUnder], Limit: w[colLimit],
		Anon: w[colAnon], Kernel: w[colKernel], File: w[colFile], Shmem: w[colShmem], Swap: w[colSwap], Reclaimable: w[colReclaimable],
		PIDs: w[colPIDs], PIDsLimit: w[colPIDsLimit], PSISome: w[colPSISome], PSIFull: w[colPSIFull],
		CPUPeriods: w[colPeriods], CPUThrottled: w[colThrottled], CPUThrottledUS: w[colThrottledUS],
		Low: w[colLow], High: w[colHigh], LimitHits: w[colLimitHits], OOM: w[colOOM], OOMKill: w[colOOMKill],
	}
}

func whenOf(ticks int64) time.Time {
	return time.UnixMilli(ticks * int64(tick/time.Millisecond)).UTC()
}

// ticksOf is a step in ticks.
func ticksOf(step time.Duration) int64 { return int64(step / tick) }

// appendHeader begins a block whose first row will differ from base.
func appendHeader(b []byte, step time.Duration, base *row) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(ticksOf(step)))
	return appendRow(b, &row{}, base, 0)
}

// appendRow writes w as its difference to prev.
func appendRow(b []byte, prev, w *row, step int64) []byte {
	var mask uint64
	for i := range columns {
		if w[i] != prev[i] {
			mask |= 1 << i
		}
	}
	mask &^= 1<<colWhen | 1<<colStart
	late := w[colWhen] - prev[colWhen] - step
	if late != 0 {
		mask |= 1 << colWhen
	}
	if w[colStart] != 0 {
		mask |= 1 << colStart
	}
	b = binary.AppendUvarint(b, mask)
	for mask &^= 1 << colStart; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		d := w[i] - prev[i] // may wrap, and wraps back when it is read
		if i == colWhen {
			d = late
		}
		switch page := d >> pageShift; {
		case sizes>>i&1 == 0:
			b = binary.AppendUvarint(b, zigzag(d))
		case page<<pageShift == d:
			b = binary.AppendUvarint(b, zigzag(page)+1)
		default:
			b = append(b, 0) // not of whole pages
			b = binary.AppendUvarint(b, zigzag(d))
		}
	}
	return b
}

func zigzag(d int64) uint64   { return uint64(d<<1) ^ uint64(d>>63) }
func unzigzag(z uint64) int64 { return int64(z>>1) ^ -int64(z&1) }

// errDamaged is returned for a block that does not read to its end.
var errDamaged = errors.New("block is damaged")

// rows reads the rows of a block one after another.
type rows struct {
	rest []byte
	step int64
	row  row
	err  error
}

// readBlock begins to read a block.
func readBlock(b []byte) (*rows, error) {
	if len(b) == 0 || b[0] != version {
		return nil, fmt.Errorf("%w: it does not begin as one of version %d", errDamaged, version)
	}
	step, n := binary.Uvarint(b[1:])
	if n <= 0 || step == 0 || step > uint64(ticksOf(24*time.Hour)) {
		return nil, fmt.Errorf("%w: step", errDamaged)
	}
	r := &rows{rest: b[1+n:]}
	if !r.next() {
		return nil, errors.Join(r.err, fmt.Errorf("%w: no base", errDamaged))
	}
	r.row[colStart] = 0
	r.step = int64(step)
	return r, nil
}

// next reads one row; at the end, or at damage (err), it is false.
func (r *rows) next() bool {
	if len(r.rest) == 0 || r.err != nil {
		return false
	}
	mask, rest, ok := uvarint(r.rest)
	if !ok || mask >= 1<<columns {
		r.err = errDamaged
		return false
	}
	r.row[colWhen] += r.step
	r.row[colStart] = int64(mask >> colStart & 1)
	for mask &^= 1 << colStart; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		var v uint64
		if v, rest, ok = uvarint(rest); !ok {
			r.err = errDamaged
			return false
		}
		switch {
		case sizes>>i&1 == 0:
			r.row[i] += unzigzag(v)
		case v > 0:
			r.row[i] += unzigzag(v-1) << pageShift
		default:
			if v, rest, ok = uvarint(rest); !ok {
				r.err = errDamaged
				return false
			}
			r.row[i] += unzigzag(v)
		}
	}
	r.rest = rest
	return true
}

// uvarint reads a number; most are one byte or two.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	if len(b) > 1 {
		if b[0] < 0x80 {
			return uint64(b[0]), b[1:], true
		}
		if b[1] < 0x80 {
			return uint64(b[0]&0x7f) | uint64(b[1])<<7, b[2:], true
		}
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// Decode appends the readings of a block to into. Damage gives what was read
// before it, and an error.
func Decode(into []Reading, block []byte) ([]Reading, error) {
	r, err := readBlock(block)
	if err != nil {
		return into, err
	}
	for r.next() {
		into = append(into, r.row.reading())
	}
	return into, r.err
}

// Rows reads the readings of blocks one after another, joined into steps where Step is not
// zero, without keeping them: a month of one service is megabytes.
type Rows struct {
	// Step is what they are joined into; zero for as they were kept.
	Step time.Duration
	// Forward leaves out what is not later than the reading before it, or than After.
	Forward bool
	After   time.Time
	// To is called with each reading, which is its own for the time of the call.
	To func(*Reading)

	roll  roller
	last  int64 // ticks of the last row that was taken
	begun bool
	r     Reading
}

// Add reads a block. Damage gives what was read before it, and an error.
func (s *Rows) Add(block []byte) error {
	r, err := readBlock(block)
	if err != nil {
		return err
	}
	if !s.begun {
		s.begun, s.last, s.roll.step = true, math.MinInt64, ticksOf(s.Step)
		if !s.After.IsZero() {
			s.last = s.After.UnixMilli() / int64(tick/time.Millisecond)
		}
	}
	for r.next() {
		if s.Forward && r.row[colWhen] <= s.last {
			continue
		}
		s.last = r.row[colWhen]
		if s.Step == 0 {
			s.give(&r.row)
		} else if done, ok := s.roll.add(&r.row); ok {
			s.give(&done)
		}
	}
	return r.err
}

// End gives the step that is not complete.
func (s *Rows) End() {
	if done, ok := s.roll.rest(); ok {
		s.give(&done)
	}
}

func (s *Rows) give(w *row) {
	s.r = w.reading()
	s.To(&s.r)
}

// Span is the times of a block's first and last reading. Damage gives the last before it;
// a block without readings is an error.
func Span(block []byte) (first, last time.Time, err error) {
	r, err := readBlock(block)
	if err != nil {
		return first, last, err
	}
	if !r.next() {
		return first, last, errors.Join(r.err, fmt.Errorf("%w: no reading", errDamaged))
	}
	first = whenOf(r.row[colWhen])
	for r.next() {
	}
	return first, whenOf(r.row[colWhen]), nil
}

// Append gives block with the readings of more that are later than its last. A
// block that is empty or damaged begins anew.
func Append(block, more []byte) ([]byte, error) {
	m, err := readBlock(more)
	if err != nil {
		return block, err
	}
	old, err := readBlock(block)
	if err == nil {
		for old.next() {
		}
		err = old.err
	}
	if err != nil || old.step != m.step {
		old = &rows{step: m.step}
		block = appendHeader(nil, time.Duration(m.step)*tick, &old.row)
	}
	last := old.row
	for m.next() {
		if m.row[colWhen] <= last[colWhen] {
			continue
		}
		block = appendRow(block, &last, &m.row, m.step)
		last = m.row
	}
	return block, m.err
}
