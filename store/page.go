package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// pageRows and pageBytes bound what is in memory of one answer.
	pageRows  = 128
	pageBytes = 256 << 10
)

// found is one incident of a page, not decoded yet.
type found struct {
	Place
	id   string
	body []byte
	crc  int64
}

// A sheet is the memory of a page, which the pages of an answer share: what is read of a
// store would else be garbage three times over, and its collection what delays alerts.
type sheet struct {
	rows  []found
	bytes []byte
}

// turn reads a page. Beside a writer all pages but the first of an answer are read one
// at a time, each with a rest after it: however many read everything, half of one
// processor and of the disk's time is left to what dies now.
func (s *Store) turn(ctx context.Context, long bool, q Query, limit int, on *sheet) ([]found, bool, error) {
	if !long || s.readOnly {
		return s.page(ctx, q, limit, on)
	}
	select {
	case s.long <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	begun := time.Now()
	page, more, err := s.page(ctx, q, limit, on)
	time.AfterFunc(min(time.Since(begun), longestRest), func() { <-s.long })
	return page, more, err
}

// sources are where incidents are read: the file, or memory and then the file.
func (s *Store) sources() []querier {
	if !s.memory.Load() {
		return []querier{&s.readers}
	}
	s.swap.Lock()
	defer s.swap.Unlock()
	out := []querier{&s.readers}
	if s.base != nil {
		out = append(out, s.base.conn)
	}
	return out
}

// floor is the place of the last incident that a search of Depth looks at; zero where
// there are no more than that.
func (s *Store) floor(ctx context.Context, q Query) (Place, error) {
	if q.Depth <= 0 || !q.NewestFirst {
		return Place{}, nil
	}
	q.Words, q.Severity, q.Limit = nil, "", q.Depth
	return s.start(ctx, q)
}

// start is the place of the oldest of the newest Limit incidents; zero where there are
// no more than that.
func (s *Store) start(ctx context.Context, q Query) (Place, error) {
	var all []Place
	sources := s.sources()
	for i, source := range sources {
		where, args, err := q.conditions(ctx, source)
		if err != nil {
			return Place{}, err
		}
		query := "SELECT i.time_ns, i.seq FROM " + where + " ORDER BY i.time_ns DESC, i.seq DESC LIMIT ?"
		if args = append(args, q.Limit); len(sources) == 1 {
			query += " OFFSET ?"
			args[len(args)-1] = 1
			args = append(args, q.Limit-1)
		}
		var p Place
		if err := eachOf(ctx, source, query, args, []any{&p.TimeNS, &p.Seq}, func() error { all = append(all, p); return nil }); err != nil && i == 0 {
			return Place{}, err
		}
	}
	if len(sources) == 1 {
		if len(all) == 0 {
			return Place{}, nil
		}
		return all[0], nil
	}
	slices.SortFunc(all, func(a, b Place) int { return b.compare(a) })
	all = slices.Compact(all)
	if len(all) < q.Limit {
		return Place{}, nil
	}
	return all[q.Limit-1], nil
}

// page reads up to limit incidents onto a sheet; more is true where others may follow.
func (s *Store) page(ctx context.Context, q Query, limit int, on *sheet) (page []found, more bool, err error) {
	for i, source := range s.sources() {
		if i > 0 {
			on = &sheet{} // both parts are needed at once
		}
		part, again, err := s.pageOf(ctx, source, q, limit, on)
		if err != nil && (i == 0 || ctx.Err() != nil) {
			return nil, false, err
		}
		if err != nil {
			s.leftOut.Add(1) // the file cannot be read, and memory can
			s.log.Warn("what the store's file keeps cannot be read", zap.Error(err))
			continue
		}
		more = more || again
		if i == 0 {
			page = part
			continue
		}
		seen := map[Place]bool{}
		for _, x := range page {
			seen[x.Place] = true
		}
		for _, x := range part {
			var known int
			if seen[x.Place] {
				continue
			}
			if err := scanOne(ctx, &s.readers, "SELECT count(*) FROM incidents WHERE seq = ?", []any{x.Seq}, &known); err != nil || known == 0 {
				page = append(page, x)
			}
		}
		slices.SortFunc(page, func(a, b found) int {
			if q.NewestFirst {
				return b.compare(a.Place)
			}
			return a.compare(b.Place)
		})
		if len(page) > limit {
			page, more = page[:limit], true
		}
	}
	return page, more, nil
}

func (s *Store) pageOf(ctx context.Context, source querier, q Query, limit int, on *sheet) (page []found, more bool, err error) {
	where, args, err := q.conditions(ctx, source)
	if err != nil {
		return nil, false, err
	}
	order := " ORDER BY i.time_ns, i.seq"
	if q.NewestFirst {
		order = " ORDER BY i.time_ns DESC, i.seq DESC"
	}
	rows, err := source.QueryContext(ctx, "SELECT i.time_ns, i.seq, i.id, i.crc, i.body FROM "+where+order+fmt.Sprintf(" LIMIT %d", limit), args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	on.rows, on.bytes = on.rows[:0], on.bytes[:0]
	var body sql.RawBytes // until the next row is read
	for len(on.bytes) < pageBytes && rows.Next() {
		var x found
		if err := rows.Scan(&x.TimeNS, &x.Seq, &x.id, &x.crc, &body); err != nil {
			return nil, false, err
		}
		from := len(on.bytes)
		on.bytes = append(on.bytes, body...)
		x.body = on.bytes[from:len(on.bytes):len(on.bytes)]
		on.rows = append(on.rows, x)
		more = len(on.bytes) >= pageBytes || len(on.rows) == limit
	}
	return on.rows, more, rows.Err()
}

// conditions are the tables and the condition that select a query's incidents, and
// its arguments.
func (q *Query) conditions(ctx context.Context, source querier) (string, []any, error) {
	from := "incidents i"
	var where []string
	var args []any
	and := func(cond string, a ...any) { where = append(where, cond); args = append(args, a...) }
	if q.Container != "" {
		ids, err := calledIDs(ctx, source, q.Container)
		if err != nil {
			return "", nil, err
		}
		switch len(ids) {
		case 0:
			return "incidents i WHERE 0", nil, nil
		case 1:
			// In the order of the index: no sorting.
			from = "called c CROSS JOIN incidents i ON i.seq = c.seq"
			and("c.name = ?", ids[0])
		default:
			list := make([]string, len(ids))
			for n, id := range ids {
				list[n] = strconv.FormatInt(id, 10)
			}
			and("i.seq IN (SELECT seq FROM called WHERE name IN (" + strings.Join(list, ",") + "))")
		}
	}
	table := "i."
	if strings.HasPrefix(from, "called") {
		table = "c."
	}
	place := func(op string, p Place) { and("("+table+"time_ns, "+table+"seq) "+op+" (?, ?)", p.TimeNS, p.Seq) }
	if !q.Since.IsZero() {
		and(table+"time_ns >= ?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		and(table+"time_ns <= ?", q.Until.UnixNano())
	}
	if q.After != (Place{}) {
		place(">", q.After)
	}
	if q.Before != (Place{}) {
		place("<", q.Before)
	}
	if q.Cause != "" {
		and("i.cause = ?", q.Cause)
	}
	if q.Kind != "" {
		and(map[bool]string{true: "c.kind = ?", false: "i.kind = ?"}[table == "c."], q.Kind)
	}
	if q.Open {
		and("i.open = 1")
	}
	if len(q.Words) > 0 || q.Severity != "" {
		severity := ""
		if q.Severity != "" {
			severity = `"severity":"` + q.Severity + `"`
		}
		and("oomwatch_may_be(substr(i.body, 1, "+strconv.Itoa(headBytes)+"), ?, ?)", strings.Join(q.Words, " "), severity)
	}
	if len(where) > 0 {
		from += " WHERE " + strings.Join(where, " AND ")
	}
	return from, args, nil
}
