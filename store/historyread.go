package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// reach is the second of the first reading of the blocks of a service, and the millisecond
// of the last, of each step: found by the key, without going through all blocks.
const reach = `SELECT name,
	(SELECT key & 0x3ffffffff FROM blocks WHERE key BETWEEN (id << 36) | (1 << 34) AND (id << 36) | (1 << 34) | 0x3ffffffff ORDER BY key LIMIT 1),
	(SELECT key & 0x3ffffffff FROM blocks WHERE key BETWEEN (id << 36) | (2 << 34) AND (id << 36) | (2 << 34) | 0x3ffffffff ORDER BY key LIMIT 1),
	(SELECT until FROM blocks WHERE key BETWEEN (id << 36) | (1 << 34) AND (id << 36) | (1 << 34) | 0x3ffffffff ORDER BY key DESC LIMIT 1),
	(SELECT until FROM blocks WHERE key BETWEEN (id << 36) | (2 << 34) AND (id << 36) | (2 << 34) | 0x3ffffffff ORDER BY key DESC LIMIT 1)
	FROM services`

// scanReach reads a row of reach; the times are zero where there are no blocks.
func scanReach(scan func(...any) error) (s recorder.Service, err error) {
	var first, last [2]sql.NullInt64
	if err := scan(&s.Name, &first[0], &first[1], &last[0], &last[1]); err != nil {
		return s, err
	}
	for i := range first {
		if at := time.Unix(first[i].Int64, 0).UTC(); first[i].Valid && (s.First.IsZero() || at.Before(s.First)) {
			s.First = at
		}
		if at := time.UnixMilli(last[i].Int64).UTC(); last[i].Valid && at.After(s.Last) {
			s.Last = at
		}
	}
	return s, nil
}

// Services lists the series that are kept, by name.
func (h *History) Services(ctx context.Context) ([]recorder.Service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byName := map[string]recorder.Service{}
	rows, err := h.db.QueryContext(ctx, reach)
	if err != nil {
		return nil, fmt.Errorf("list the services: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanReach(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list the services: %w", err)
		}
		if !s.First.IsZero() {
			byName[s.Name] = s
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the services: %w", err)
	}
	rows.Close() // the one connection is needed again
	if err := h.addRecent(ctx, byName); err != nil {
		return nil, err
	}
	out := make([]recorder.Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b recorder.Service) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Service is the series of one name, and false where nothing is kept of it.
func (h *History) Service(ctx context.Context, name string) (recorder.Service, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := scanReach(h.db.QueryRowContext(ctx, reach+" WHERE name = ?", name).Scan)
	if err != nil && err != sql.ErrNoRows {
		return s, false, fmt.Errorf("look for the service %q: %w", name, err)
	}
	s.Name = name
	err = h.recent(ctx, s.Last, name, func(b recorder.Block) error {
		read, err := recorder.Decode(nil, b.Data)
		if err != nil || len(read) == 0 {
			return nil // the rest is worth listing
		}
		if first := read[0].At; s.First.IsZero() || first.Before(s.First) {
			s.First = first
		}
		if last := read[len(read)-1].At; last.After(s.Last) {
			s.Last = last
		}
		return nil
	})
	return s, !s.First.IsZero(), err
}

// addRecent adds the services, and the times, of what has not been rolled up yet. Of each
// service it reads the first block and the last: a thousand services have a hundred
// thousand blocks.
func (h *History) addRecent(ctx context.Context, byName map[string]recorder.Service) error {
	newest := map[string][]byte{}
	err := h.recent(ctx, time.Time{}, "", func(b recorder.Block) error {
		block, seen := newest[b.Service]
		if !seen {
			first, _, err := recorder.Span(b.Data)
			if err != nil {
				return nil // the rest is worth listing
			}
			s, known := byName[b.Service]
			if !known || first.Before(s.First) {
				s.Name, s.First = b.Service, first
			}
			byName[b.Service] = s
		}
		newest[b.Service] = append(block[:0], b.Data...)
		return nil
	})
	if err != nil {
		return err
	}
	for name, block := range newest {
		s := byName[name]
		if _, last, err := recorder.Span(block); err == nil && last.After(s.Last) {
			s.Last = last
		}
		byName[name] = s
	}
	return nil
}

// History is what is kept of a service between two times, each included: a
// series for each step, the finest first. What has not been rolled up yet is
// rolled up here, so that each series reaches up to the last half minute. A
// series of which nothing is kept is left out.
func (h *History) History(ctx context.Context, service string, from, to time.Time) ([]recorder.Series, error) {
	var out []recorder.Series
	for _, step := range []time.Duration{recorder.StepRead, recorder.StepShort, recorder.StepLong} {
		s, err := h.Series(ctx, service, step, from, to)
		if err != nil {
			return nil, err
		}
		if len(s.Readings) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// Rolled implements recorder.Past.
func (h *History) Rolled(ctx context.Context) (map[string]time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows, err := h.db.QueryContext(ctx, "SELECT name, (SELECT until FROM blocks WHERE key BETWEEN (id << 36) | (2 << 34) AND (id << 36) | (2 << 34) | 0x3ffffffff ORDER BY key DESC LIMIT 1) FROM services")
	if err != nil {
		return nil, fmt.Errorf("read until when history is rolled up: %w", err)
	}
	defer rows.Close()
	out := map[string]time.Time{}
	for rows.Next() {
		var name string
		var until sql.NullInt64
		if err := rows.Scan(&name, &until); err != nil {
			return nil, fmt.Errorf("read until when history is rolled up: %w", err)
		}
		if until.Valid {
			out[name] = time.UnixMilli(until.Int64)
		}
	}
	return out, rows.Err()
}

// Read implements recorder.Past.
func (h *History) Read(ctx context.Context, f func(recorder.Block) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.recent(ctx, time.Time{}, "", f)
}

// recent calls f with what is kept as it was read, oldest first: of all
// services, or of one. A block's To is when all of its half minute ended. f has the block's data for the time of the call.
func (h *History) recent(ctx context.Context, after time.Time, service string, f func(recorder.Block) error) error {
	since := int64(0)
	if !after.IsZero() {
		since = after.UnixMilli()
	}
	rows, err := h.db.QueryContext(ctx, "SELECT until, data, crc FROM recent WHERE until >= ? ORDER BY seq", since)
	if err != nil {
		return fmt.Errorf("read recent history: %w", err)
	}
	defer rows.Close()
	names := map[string]string{} // each is made once
	for rows.Next() {
		var data sql.RawBytes
		var until, crc int64
		if err := rows.Scan(&until, &data, &crc); err != nil {
			return fmt.Errorf("read recent history: %w", err)
		}
		if !h.good(data, crc, "half a minute of all services") {
			continue
		}
		for rest := []byte(data); len(rest) > 0; {
			var name, block []byte
			var ok bool
			if name, rest, ok = cutPiece(rest); ok {
				block, rest, ok = cutPiece(rest)
			}
			if !ok {
				h.bad.Inc()
				break
			}
			if service != "" && string(name) != service {
				continue
			}
			of, ok := names[string(name)]
			if !ok {
				of = string(name)
				names[of] = of
			}
			if err := f(recorder.Block{Service: of, Step: recorder.StepRead, To: time.UnixMilli(until), Data: block}); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

// appendPiece appends a piece after its length.
func appendPiece(b, piece []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(piece))), piece...)
}

// cutPiece cuts a piece off that comes after its length.
func cutPiece(b []byte) (piece, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}
