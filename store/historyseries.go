package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// Series is History at one step.
func (h *History) Series(ctx context.Context, service string, step time.Duration, from, to time.Time) (recorder.Series, error) {
	s := recorder.Series{Service: service, Step: step}
	n := 0
	err := h.each(ctx, nil, service, step, from, to, func(rows int) { n = rows }, func(r *recorder.Reading) {
		if s.Readings == nil { // memory for all at once: a month is megabytes
			s.Readings = make([]recorder.Reading, 0, n)
		}
		s.Readings = append(s.Readings, *r)
	})
	return s, err
}

// Each calls f with each reading that Series would give, which is f's for the time of the
// call only: a month of readings takes no memory.
func (h *History) Each(ctx context.Context, service string, step time.Duration, from, to time.Time, f func(*recorder.Reading)) error {
	return h.each(ctx, nil, service, step, from, to, func(int) {}, f)
}

// Names are the names of all services that are kept, in order: their times are not looked
// for.
func (h *History) Names(ctx context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	rows, err := h.db.QueryContext(ctx, "SELECT name FROM services")
	if err != nil {
		return nil, fmt.Errorf("list the services: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the services: %w", err)
		}
		seen[name] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the services: %w", err)
	}
	rows.Close() // the one connection is needed again
	err = h.recent(ctx, time.Time{}, "", func(b recorder.Block) error {
		seen[b.Service] = true
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

// Sweep is a History for who goes through all of its services at one moment: what has not
// been rolled up yet lies mixed, and is read once instead of once for each of them.
type Sweep struct {
	*History
	fresh map[string][]byte // blocks, each after its length
}

// Sweep reads what has not been rolled up.
func (h *History) Sweep(ctx context.Context) (*Sweep, error) {
	rolled, err := h.Rolled(ctx)
	if err != nil {
		return nil, err
	}
	s := &Sweep{History: h, fresh: map[string][]byte{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.recent(ctx, time.Time{}, "", func(b recorder.Block) error {
		if b.To.Before(rolled[b.Service]) {
			return nil
		}
		s.fresh[b.Service] = appendPiece(s.fresh[b.Service], b.Data)
		return nil
	})
	return s, err
}

// Each is that of History.
func (s *Sweep) Each(ctx context.Context, service string, step time.Duration, from, to time.Time, f func(*recorder.Reading)) error {
	if step == recorder.StepRead { // that is all of it, rolled up or not
		return s.History.Each(ctx, service, step, from, to, f)
	}
	known := s.fresh[service]
	if known == nil {
		known = []byte{} // none, and that is known
	}
	return s.each(ctx, known, service, step, from, to, func(int) {}, f)
}

// pieces are the rooms for what is read of one service: some hundred kilobytes.
var pieces = sync.Pool{New: func() any { return new([]byte) }}

// each calls f with each reading of a service at one step: what has been rolled up, and
// then what is newer, rolled up here. known are the blocks of the latter where they have
// been read; expect is told how many readings there are at the most. Blocks are read
// while nothing is written, and decoded after that.
func (h *History) each(ctx context.Context, known []byte, service string, step time.Duration, from, to time.Time, expect func(int), f func(*recorder.Reading)) error {
	room := pieces.Get().(*[]byte)
	defer pieces.Put(room)
	older, newer, first, err := h.blocks(ctx, (*room)[:0], known, service, step, from, to)
	*room = older
	if err != nil {
		return fmt.Errorf("read the history of %q: %w", service, err)
	}
	if !first.IsZero() {
		// A reading takes a byte at least.
		expect(int(max(0, min(int64(len(older)+len(newer)), int64(to.Sub(first)/step)+64))))
	}
	var last time.Time
	any := false
	within := func(r *recorder.Reading) {
		last, any = r.At, true
		if !r.At.Before(from) && !r.At.After(to) {
			f(r)
		}
	}
	rolled := recorder.Rows{To: within}
	h.read(&rolled, older)
	fresh := recorder.Rows{Forward: true, To: within}
	if any {
		fresh.After = last
	}
	if step != recorder.StepRead {
		fresh.Step = step
	}
	h.read(&fresh, newer)
	fresh.End()
	return nil
}

// read reads blocks, each after its length.
func (h *History) read(into *recorder.Rows, blocks []byte) {
	for len(blocks) > 0 {
		block, rest, ok := cutPiece(blocks)
		if !ok {
			h.bad.Inc()
			return
		}
		if into.Add(block) != nil {
			h.bad.Inc()
		}
		blocks = rest
	}
}

// blocks reads the blocks of a service that reach into a time: what has been rolled up,
// into room, and what is newer, where that is not known. first is when they begin.
func (h *History) blocks(ctx context.Context, room, known []byte, service string, step time.Duration, from, to time.Time) (older, newer []byte, first time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	after := from
	if levels[step] != 0 {
		var until time.Time
		if room, first, until, err = h.rolled(ctx, room, service, step, from, to); err != nil {
			return room, nil, first, err
		}
		if until.After(after) {
			after = until
		}
	}
	if known != nil {
		return room, known, first, nil
	}
	err = h.recent(ctx, after, service, func(b recorder.Block) error {
		newer = appendPiece(newer, b.Data)
		return nil
	})
	if first.IsZero() && len(newer) > 0 {
		first = from
	}
	return room, newer, first, err
}

// rolled reads the blocks of what has been rolled up, and from when until when that is.
func (h *History) rolled(ctx context.Context, room []byte, service string, step time.Duration, from, to time.Time) (_ []byte, first, last time.Time, err error) {
	var id int64
	err = h.db.QueryRowContext(ctx, "SELECT id FROM services WHERE name = ?", service).Scan(&id)
	if err == sql.ErrNoRows {
		return room, first, last, nil
	}
	if err != nil {
		return room, first, last, err
	}
	rows, err := h.db.QueryContext(ctx, "SELECT key & 0x3ffffffff, until, data, crc FROM blocks WHERE key BETWEEN ? AND ? AND until >= ? ORDER BY key",
		keyOf(id, step, time.Time{}), keyOf(id, step, to), from.UnixMilli())
	if err != nil {
		return room, first, last, err
	}
	defer rows.Close()
	for rows.Next() {
		var data sql.RawBytes
		var second, until, crc int64
		if err := rows.Scan(&second, &until, &data, &crc); err != nil {
			return room, first, last, err
		}
		if !h.good(data, crc, service) {
			continue
		}
		if first.IsZero() {
			first = time.Unix(second, 0)
		}
		last = time.UnixMilli(until)
		room = appendPiece(room, data)
	}
	return room, first, last, rows.Err()
}
