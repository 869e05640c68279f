package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oomwatch/oomwatch/incident"
)

// ErrNotFound is returned for an id that is not kept.
var ErrNotFound = errors.New("no such incident")

// Explain calls f with what answers "why did it die?", oldest first, as it is kept:
// the incident with that id, or the newest death or kill of what is called so ("" for
// anything), of a kill and the death that it led to the death; a warning only where there
// is neither; with all, everything of it.
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
	var newest, death *answer
	for _, kind := range []incident.Kind{incident.KindDeath, incident.KindKill, incident.KindHost} {
		x, err := s.newest(ctx, what, kind)
		if err != nil {
			return err
		}
		if kind == incident.KindDeath {
			death = x
		}
		if x != nil && (newest == nil || x.compare(newest.Place) > 0) {
			newest = x
		}
	}
	if death != nil && death.outcomeOf(newest) {
		newest = death
	}
	if newest == nil {
		var err error
		if newest, err = s.newest(ctx, what, ""); err != nil || newest == nil {
			return err
		}
	}
	return f(newest.Place, newest.body)
}

// answer is an incident as it is kept.
type answer struct {
	Place
	body []byte
}

// outcomeOf is true for a death that came of a kill. What cannot be read is of none.
func (a *answer) outcomeOf(kill *answer) bool {
	var d, k incident.Incident
	return json.Unmarshal(a.body, &d) == nil && json.Unmarshal(kill.body, &k) == nil && d.OutcomeOf(&k)
}

// newest is the newest incident of a kind ("" for any) of what is called so; nil for none.
func (s *Store) newest(ctx context.Context, what string, kind incident.Kind) (out *answer, err error) {
	err = s.EachBody(ctx, Query{Container: what, Kind: string(kind), NewestFirst: true, Limit: 1}, func(p Place, body []byte) error {
		out = &answer{p, bytes.Clone(body)}
		return nil
	})
	return out, err
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
	if len(id) < incident.ShortestID {
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
