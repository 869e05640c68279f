package recorder

import "time"

// roller joins the rows of each step into one, which has the last row's values
// and the extremes of memory in use. A row that starts a generation starts a new
// one too, so that the last of a generation keeps what was held before the end.
type roller struct {
	step int64 // ticks
	acc  row
	any  bool
}

// add takes the next row. When that completes a step, done is its row.
func (r *roller) add(w *row) (done row, ok bool) {
	if r.any && (w[colStart] != 0 || stepOf(w[colWhen], r.step) != stepOf(r.acc[colWhen], r.step)) {
		done, ok, r.any = r.acc, true, false
	}
	if !r.any {
		r.acc, r.any = *w, true
		return done, ok
	}
	high := max(r.acc[colUsed]+r.acc[colOver], w[colUsed]+w[colOver])
	low := min(r.acc[colUsed]-r.acc[colUnder], w[colUsed]-w[colUnder])
	start := r.acc[colStart]
	r.acc = *w
	r.acc[colOver], r.acc[colUnder], r.acc[colStart] = high-w[colUsed], w[colUsed]-low, start
	return done, ok
}

// rest is the row of the step that is not complete.
func (r *roller) rest() (row, bool) {
	ok := r.any
	r.any = false
	return r.acc, ok
}

// stepOf numbers the steps. A reading at the very end of one belongs to it.
func stepOf(when, step int64) int64 { return (when - 1) / step }

// writer writes rows into a block.
type writer struct {
	block []byte
	last  row
	first int64 // ticks
	n     int
	step  int64
}

func newWriter(step time.Duration) writer {
	w := writer{step: ticksOf(step)}
	w.block = appendHeader(nil, step, &w.last)
	return w
}

func (w *writer) add(r *row) {
	if w.n == 0 {
		w.first = r[colWhen]
	}
	w.block = appendRow(w.block, &w.last, r, w.step)
	w.last = *r
	w.n++
}

// as gives what was written as a block of a service.
func (w *writer) as(service string) Block {
	return Block{Service: service, Step: time.Duration(w.step) * tick, From: whenOf(w.first), To: whenOf(w.last[colWhen]), Data: w.block}
}

// Roll joins readings into steps; they must be in order of time.
func Roll(readings []Reading, step time.Duration) []Reading {
	r := roller{step: ticksOf(step)}
	var out []Reading
	for i := range readings {
		w := rowOf(&readings[i])
		if done, ok := r.add(&w); ok {
			out = append(out, done.reading())
		}
	}
	if done, ok := r.rest(); ok {
		out = append(out, done.reading())
	}
	return out
}
