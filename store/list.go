package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// ErrNotFound is returned for an id that is not kept.
var ErrNotFound = errors.New("no such incident")

// Query selects incidents. Zero fields select everything.
type Query struct {
	Since, Until time.Time
	// Container is what a person may call it: a name, a service, a pod, a unit, an
	// id or the beginning of one (at least four characters).
	Container string
	Cause     string
	Kind      string
	// Limit bounds the answer to the newest ones; 0 is no bound.
	Limit int
	// NewestFirst turns the order round; the default is oldest first.
	NewestFirst bool
	// Before and After bound the answer to what comes before or after a place,
	// in the order of time; zero for no bound.
	Before, After Place
}

// Place is where an incident stands in the order of time: when it happened, in
// nanoseconds since 1970, and when it was kept beside those of the same moment.
type Place struct{ TimeNS, Seq int64 }

// String is the place as ParsePlace reads it.
func (p Place) String() string { return fmt.Sprintf("%d.%d", p.TimeNS, p.Seq) }

// ParsePlace reads what String wrote.
func ParsePlace(s string) (Place, error) {
	at, seq, ok := strings.Cut(s, ".")
	p := Place{}
	var err, err2 error
	p.TimeNS, err = strconv.ParseInt(at, 10, 64)
	p.Seq, err2 = strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil || err2 != nil {
		return Place{}, fmt.Errorf("read the place %q: want what an earlier answer gave, such as 1764403200000000000.17", s)
	}
	return p, nil
}

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.TimeNS, o.TimeNS), cmp.Compare(p.Seq, o.Seq))
}

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

// List returns the incidents that a query selects, by the time they happened. All of
// them are in memory at once: where there may be many, Each is better.
func (s *Store) List(ctx context.Context, q Query) ([]*incident.Incident, error) {
	var list []*incident.Incident
	err := s.Each(ctx, q, func(_ Place, inc *incident.Incident) error {
		list = append(list, inc)
		return nil
	})
	return list, err
}

// Each calls f with each incident that a query selects, by the time it happened. It
// reads a page at a time, and holds nothing of the store while f runs: what is kept
// meanwhile may be among them. It ends with the first error of f, which it returns.
func (s *Store) Each(ctx context.Context, q Query, f func(Place, *incident.Incident) error) error {
	return s.EachBody(ctx, q, func(p Place, body []byte) error {
		inc := &incident.Incident{}
		if err := json.Unmarshal(body, inc); err != nil {
			s.bad()
			s.log.Error("a kept incident cannot be read", zap.Stringer("place", p), zap.Error(err))
			return nil
		}
		return f(p, inc)
	})
}

// EachBody is Each with the incidents as they are kept, each one JSON object on a
// line. f has the body for the time of the call.
func (s *Store) EachBody(ctx context.Context, q Query, f func(Place, []byte) error) error {
	if !s.readOnly {
		return s.eachBody(ctx, q, f)
	}
	n := 0
	err := s.eachBody(ctx, q, func(p Place, body []byte) error {
		n++
		if q.NewestFirst {
			q.Before = p
		} else {
			q.After = p
		}
		return f(p, body)
	})
	if !damaged(err) {
		return err
	}
	if q.Limit > 0 {
		q.Limit -= n
	}
	return s.eachReadable(ctx, q, f)
}

func (s *Store) eachBody(ctx context.Context, q Query, f func(Place, []byte) error) error {
	if s.old && q.Container != "" {
		return s.eachOld(ctx, q, f)
	}
	if q.Limit > 0 && !q.NewestFirst {
		start, err := s.start(ctx, q)
		if err != nil {
			return fmt.Errorf("list incidents: %w", explainSQLite(err))
		}
		if start != (Place{}) {
			start.Seq-- // it is included
			q.After = start
		}
	}
	for n := 0; ; {
		limit := pageRows
		if q.Limit > 0 {
			limit = min(limit, q.Limit-n)
		}
		page, more, err := s.turn(ctx, n > 0, q, limit)
		if err != nil {
			return fmt.Errorf("list incidents: %w", explainSQLite(err))
		}
		for i := range page {
			p := &page[i]
			if s.good(p.body, p.crc, "incident", p.id) {
				if err := f(p.Place, p.body); err != nil {
					return err
				}
			}
			if q.NewestFirst {
				q.Before = p.Place
			} else {
				q.After = p.Place
			}
			p.body = nil
		}
		if n += len(page); !more || q.Limit > 0 && n >= q.Limit {
			return nil
		}
	}
}

// turn reads a page. Beside a writer all pages but the first of an answer are read one
// at a time, each with a rest after it: however many read everything, half of one
// processor and of the disk's time is left to what dies now.
func (s *Store) turn(ctx context.Context, long bool, q Query, limit int) ([]found, bool, error) {
	if !long || s.readOnly {
		return s.page(ctx, q, limit)
	}
	select {
	case s.long <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	begun := time.Now()
	page, more, err := s.page(ctx, q, limit)
	time.AfterFunc(min(time.Since(begun), longestRest), func() { <-s.long })
	return page, more, err
}

// eachOld is Each in a file that is only read and is of a version without names.
func (s *Store) eachOld(ctx context.Context, q Query, f func(Place, []byte) error) error {
	word, limit, newestFirst := strings.TrimPrefix(q.Container, "/"), q.Limit, q.NewestFirst
	q.Container, q.Limit, q.NewestFirst = "", 0, true
	type hit struct {
		place Place
		body  []byte
	}
	var hits []hit
	err := s.EachBody(ctx, q, func(p Place, body []byte) error {
		var inc incident.Incident
		if err := json.Unmarshal(body, &inc); err != nil {
			s.bad()
			return nil
		}
		if (limit == 0 || len(hits) < limit) && isCalled(&inc, word) {
			hits = append(hits, hit{p, body})
		}
		return nil
	})
	if !newestFirst {
		slices.Reverse(hits)
	}
	for _, h := range hits {
		if err == nil {
			err = f(h.place, h.body)
		}
	}
	return err
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

// page reads up to limit incidents; more is true where others may follow.
func (s *Store) page(ctx context.Context, q Query, limit int) (page []found, more bool, err error) {
	for i, source := range s.sources() {
		part, again, err := s.pageOf(ctx, source, q, limit)
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

func (s *Store) pageOf(ctx context.Context, source querier, q Query, limit int) (page []found, more bool, err error) {
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
	for size := 0; size < pageBytes && rows.Next(); {
		var x found
		if err := rows.Scan(&x.TimeNS, &x.Seq, &x.id, &x.crc, &x.body); err != nil {
			return nil, false, err
		}
		size += len(x.body)
		page = append(page, x)
		more = size >= pageBytes || len(page) == limit
	}
	return page, more, rows.Err()
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
	if len(where) > 0 {
		from += " WHERE " + strings.Join(where, " AND ")
	}
	return from, args, nil
}

// Explain calls f with what answers "why did it die?", oldest first, as it is kept:
// the incident with that id, or the newest death of what is called so ("" for
// anything), or its newest kill or warning where nothing has died; with all,
// everything of it.
func (s *Store) Explain(ctx context.Context, what string, all bool, f func(Place, []byte) error) error {
	if what != "" {
		x, err := s.exact(ctx, what)
		if err != nil {
			return fmt.Errorf("explain %q: %w", what, explainSQLite(err))
		}
		if x != nil && s.good(x.body, x.crc, "incident", x.id) {
			return f(x.Place, x.body)
		}
	}
	if all {
		return s.EachBody(ctx, Query{Container: what}, f)
	}
	for _, kind := range []incident.Kind{incident.KindDeath, ""} {
		n := 0
		if err := s.EachBody(ctx, Query{Container: what, Kind: string(kind), NewestFirst: true, Limit: 1}, func(p Place, body []byte) error {
			n++
			return f(p, body)
		}); err != nil || n > 0 {
			return err
		}
	}
	return nil
}

// exact is the newest incident with an id; nil where there is none.
func (s *Store) exact(ctx context.Context, id string) (*found, error) {
	for i, source := range s.sources() {
		var x found
		err := scanOne(ctx, source, "SELECT time_ns, seq, id, body, crc FROM incidents WHERE id = ? ORDER BY time_ns DESC LIMIT 1", []any{id}, &x.TimeNS, &x.Seq, &x.id, &x.body, &x.crc)
		if err == nil {
			return &x, nil
		}
		if !errors.Is(err, sql.ErrNoRows) && i == 0 {
			return nil, err
		}
	}
	return nil, nil
}

// Incident returns the incident of an id, or of the beginning of one (at least
// four characters) that only one incident has; ErrNotFound where there is none.
func (s *Store) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	x, err := s.exact(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read incident %q: %w", id, explainSQLite(err))
	}
	if x != nil {
		if inc := s.decode(x.id, x.body, x.crc); inc != nil {
			return inc, nil
		}
		return nil, fmt.Errorf("incident %q: %w: what is kept of it is damaged", id, ErrNotFound)
	}
	if len(id) < shortID {
		return nil, fmt.Errorf("incident %q: %w", id, ErrNotFound)
	}
	ids := map[string]bool{}
	for i, source := range s.sources() {
		var one string
		if err := eachOf(ctx, source, "SELECT id FROM incidents WHERE id >= ?1 AND id < ?1 || char(0x10ffff) LIMIT 2", []any{id}, []any{&one}, func() error { ids[one] = true; return nil }); err != nil && i == 0 {
			return nil, fmt.Errorf("read incident %q: %w", id, explainSQLite(err))
		}
	}
	switch len(ids) {
	case 0:
		return nil, fmt.Errorf("incident %q: %w", id, ErrNotFound)
	case 1:
		for whole := range ids {
			return s.Incident(ctx, whole)
		}
	}
	return nil, fmt.Errorf("incident %q: several ids begin like that; give more of it", id)
}

// decode reads a kept incident; nil, counted and logged, where it is damaged.
func (s *Store) decode(id string, body []byte, crc int64) *incident.Incident {
	if !s.good(body, crc, "incident", id) {
		return nil
	}
	inc := &incident.Incident{}
	if err := json.Unmarshal(body, inc); err != nil {
		s.bad()
		s.log.Error("a kept incident cannot be read", zap.String("id", id), zap.Error(err))
		return nil
	}
	return inc
}

// good checks a row's checksum.
func (s *Store) good(b []byte, crc int64, what, key string) bool {
	if checksum(b) == crc {
		return true
	}
	s.bad()
	s.log.Error("a row is damaged and was skipped", zap.String("what", what), zap.String("key", key))
	return false
}

// bad counts a row that cannot be read.
func (s *Store) bad() {
	s.badRows.Inc()
	s.leftOut.Add(1)
}
