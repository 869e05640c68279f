package store

import (
	"context"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Told implements notify.Queue.
func (s *Store) Told(ctx context.Context, receiver string, since time.Time) ([]incident.Delivery, error) {
	// By two indexes: warnings that last, and what was told of late.
	rows, err := s.readers.QueryContext(ctx, `
		SELECT i.id, i.body, i.crc, max(told.first_ns) FROM (
			SELECT d.incident, d.host, d.first_ns FROM incidents i JOIN deliveries d ON d.incident = i.id AND d.host = i.host
				WHERE i.open = 1 AND d.receiver = ?1 AND d.state = 'delivered'
			UNION ALL
			SELECT incident, host, first_ns FROM deliveries WHERE receiver = ?1 AND state = 'delivered' AND first_ns >= ?2
		) told JOIN incidents i ON i.id = told.incident AND i.host = told.host
		GROUP BY i.seq ORDER BY i.seq`, receiver, since.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("read which alerts %q was sent: %w", receiver, err)
	}
	defer rows.Close()
	var out []incident.Delivery
	for rows.Next() {
		var id string
		var body []byte
		var crc, first int64
		if err := rows.Scan(&id, &body, &crc, &first); err != nil {
			return nil, fmt.Errorf("read which alerts %q was sent: %w", receiver, err)
		}
		inc := s.decode(id, body, crc)
		if inc == nil || inc.Kind == incident.KindWarning && !inc.ResolvedAt.IsZero() {
			continue
		}
		out = append(out, incident.Delivery{Receiver: receiver, Incident: inc, FirstAttempt: time.Unix(0, first)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read which alerts %q was sent: %w", receiver, err)
	}
	return out, nil
}
