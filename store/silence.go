package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// PutSilence keeps a silence, over the one with its id if there is one.
func (s *Store) PutSilence(ctx context.Context, x incident.Silence) error {
	body, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("keep silence %s: %w", x.ID, err)
	}
	err = s.write(ctx, func(tx *tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO silences(id, until_ns, body, crc) VALUES(?,?,?,?)
			ON CONFLICT(id) DO UPDATE SET until_ns=excluded.until_ns, body=excluded.body, crc=excluded.crc`,
			x.ID, x.Until.UnixNano(), body, checksum(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep silence %s: %w", x.ID, explainSQLite(err))
	}
	return nil
}

// Silences returns those that end after a time, the first to end first.
func (s *Store) Silences(ctx context.Context, after time.Time) ([]incident.Silence, error) {
	rows, err := s.readers.QueryContext(ctx, "SELECT id, body, crc FROM silences WHERE until_ns > ? ORDER BY until_ns, id", after.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	defer rows.Close()
	var out []incident.Silence
	for rows.Next() {
		var id string
		var body []byte
		var crc int64
		if err := rows.Scan(&id, &body, &crc); err != nil {
			return nil, fmt.Errorf("read silences: %w", err)
		}
		var x incident.Silence
		if !s.good(body, crc, "silence", id) {
			continue
		}
		if err := json.Unmarshal(body, &x); err != nil {
			return nil, fmt.Errorf("read silence %s: %w", id, err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}
