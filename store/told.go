package store

import (
	"context"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Told implements notify.Queue.
func (s *Store) Told(ctx context.Context, receiver string, since time.Time) ([]incident.Delivery, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT i.id, i.body, i.crc, max(d.first_ns) FROM deliveries d JOIN incidents i ON i.id = d.incident
		WHERE d.receiver = ?1 AND d.state = 'delivered' AND (i.kind = ?2 OR d.first_ns >= ?3)
		GROUP BY i.id ORDER BY i.seq`, receiver, incident.KindWarning, since.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("read what %q was told: %w", receiver, err)
	}
	defer rows.Close()
	var out []incident.Delivery
	for rows.Next() {
		var id string
		var body []byte
		var crc, first int64
		if err := rows.Scan(&id, &body, &crc, &first); err != nil {
			return nil, fmt.Errorf("read what %q was told: %w", receiver, err)
		}
		inc := s.decode(id, body, crc)
		if inc == nil || inc.Kind == incident.KindWarning && !inc.ResolvedAt.IsZero() {
			continue
		}
		out = append(out, incident.Delivery{Receiver: receiver, Incident: inc, FirstAttempt: time.Unix(0, first)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what %q was told: %w", receiver, err)
	}
	return out, nil
}
