package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// Query selects incidents. Zero fields select everything.
type Query struct {
	Since, Until time.Time
	// Container is what a person may call it: a name, a service, a pod, a unit, an
	// id or the beginning of one (at least four characters).
	Container string
	Cause     string
	Kind      string
	// Open selects the warnings that last.
	Open bool
	// Words, in small letters, and Severity leave out what cannot be meant: an incident
	// whose head (headBytes) lacks one of them. Who asks
	// looks at the rest.
	Words    []string
	Severity string
	// Depth bounds how many incidents are looked through, the newest first: what lies
	// beyond is handed on as its place without a body. 0 is no bound.
	Depth int
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
	floor, err := s.floor(ctx, q)
	if err != nil {
		return fmt.Errorf("list incidents: %w", explainSQLite(err))
	}
	if floor != (Place{}) {
		q.After = floor
		q.After.Seq-- // it is included
	}
	var on sheet
	for n := 0; ; {
		limit := pageRows
		if q.Limit > 0 {
			limit = min(limit, q.Limit-n)
		}
		page, more, err := s.turn(ctx, n > 0, q, limit, &on)
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
		}
		if n += len(page); q.Limit > 0 && n >= q.Limit {
			return nil
		}
		if !more && floor != (Place{}) {
			return f(floor, nil)
		}
		if !more {
			return nil
		}
	}
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
		if (limit == 0 || len(hits) < limit) && inc.Called(word) {
			hits = append(hits, hit{p, bytes.Clone(body)})
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
