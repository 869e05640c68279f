package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// Container is a name, an id or the beginning of one.
	Container string
	Cause     string
	Kind      string
	// Limit bounds the answer to the newest ones; 0 is no bound.
	Limit int
	// NewestFirst turns the order round; the default is oldest first.
	NewestFirst bool
}

// List returns the incidents that a query selects, by the time they happened.
func (s *Store) List(ctx context.Context, q Query) ([]*incident.Incident, error) {
	var where []string
	var args []any
	and := func(cond string, a ...any) { where = append(where, cond); args = append(args, a...) }
	if !q.Since.IsZero() {
		and("time_ns >= ?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		and("time_ns <= ?", q.Until.UnixNano())
	}
	if q.Container != "" {
		and("(name = ? OR (length(?) >= 4 AND substr(container, 1, length(?)) = ?))", q.Container, q.Container, q.Container, q.Container)
	}
	if q.Cause != "" {
		and("cause = ?", q.Cause)
	}
	if q.Kind != "" {
		and("kind = ?", q.Kind)
	}
	query := "SELECT id, body, crc FROM incidents"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY time_ns DESC, seq DESC"
	if q.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	list, err := s.incidents(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	if !q.NewestFirst {
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return list, nil
}

// Incident returns the incident of an id, or of the beginning of one (at least
// four characters) that only one incident has; ErrNotFound where there is none.
func (s *Store) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	list, err := s.incidents(ctx, "SELECT id, body, crc FROM incidents WHERE id = ?1 OR (length(?1) >= 4 AND substr(id, 1, length(?1)) = ?1) LIMIT 2", id)
	if err != nil {
		return nil, fmt.Errorf("read incident %q: %w", id, err)
	}
	for _, inc := range list {
		if inc.ID == id {
			return inc, nil
		}
	}
	switch len(list) {
	case 0:
		return nil, fmt.Errorf("incident %q: %w", id, ErrNotFound)
	case 1:
		return list[0], nil
	}
	return nil, fmt.Errorf("incident %q: several ids begin like that; give more of it", id)
}

func (s *Store) incidents(ctx context.Context, query string, args ...any) ([]*incident.Incident, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*incident.Incident
	for rows.Next() {
		var id string
		var body []byte
		var crc int64
		if err := rows.Scan(&id, &body, &crc); err != nil {
			return nil, err
		}
		if inc := s.decode(id, body, crc); inc != nil {
			list = append(list, inc)
		}
	}
	return list, rows.Err()
}

// decode reads a kept incident; nil, counted and logged, where it is damaged.
func (s *Store) decode(id string, body []byte, crc int64) *incident.Incident {
	if !s.good(body, crc, "incident", id) {
		return nil
	}
	inc := &incident.Incident{}
	if err := json.Unmarshal(body, inc); err != nil {
		s.badRows.Inc()
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
	s.badRows.Inc()
	s.log.Error("a row is damaged and was skipped", zap.String("what", what), zap.String("key", key))
	return false
}
