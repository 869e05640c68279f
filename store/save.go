package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// Entry is one incident to keep.
type Entry struct {
	Incident *incident.Incident
	// Update is true when the incident may replace what is kept under its
	// id; otherwise an id that is kept already stays as it is.
	Update bool
	// Receivers are the names of those who are owed it.
	Receivers []string
}

// Batch is what one transaction keeps.
type Batch struct {
	Entries []Entry
	// State is what a restart must know: key → value, nil to delete.
	State map[string][]byte
}

// Saved says what a Save did.
type Saved struct {
	// New are the ids that were not kept before; Owed is how many deliveries were added.
	New  []string
	Owed int
}

// Save writes a batch in one transaction: after it returns, all of it outlives
// the program and the machine, or none of it was written. A delivery exists once
// for an incident and a receiver, for ever: a replay tells nobody twice.
func (s *Store) Save(ctx context.Context, b Batch) (Saved, error) {
	var saved Saved
	err := s.write(ctx, func(tx *sql.Tx) error {
		saved = Saved{}
		for i := range b.Entries {
			if err := saveEntry(ctx, tx, &b.Entries[i], &saved); err != nil {
				return err
			}
		}
		for key, value := range b.State {
			var err error
			if value == nil {
				_, err = tx.ExecContext(ctx, "DELETE FROM state WHERE key = ?", key)
			} else {
				_, err = tx.ExecContext(ctx, "INSERT INTO state(key, value, crc) VALUES(?,?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value, crc=excluded.crc",
					key, value, checksum(value))
			}
			if err != nil {
				return fmt.Errorf("state %q: %w", key, err)
			}
		}
		return nil
	})
	if err != nil {
		return Saved{}, fmt.Errorf("save: %w", explainSQLite(err))
	}
	s.pruneNowAndThen(ctx, time.Now())
	return saved, nil
}

// write runs f in one transaction.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // its error says nothing that err does not
		return err
	}
	return tx.Commit()
}

func saveEntry(ctx context.Context, tx *sql.Tx, e *Entry, saved *Saved) error {
	inc := e.Incident
	body, err := json.Marshal(inc)
	if err != nil {
		return fmt.Errorf("incident %s: %w", inc.ID, err)
	}
	now := time.Now()
	at := inc.Time
	if at.IsZero() {
		at = now
	}
	var cid, name string
	if inc.Container != nil {
		cid, name = inc.Container.ID, inc.Container.Name
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO incidents(id, seq, time_ns, kind, cause, container, name, body, crc)
		VALUES(?, (SELECT coalesce(max(seq),0)+1 FROM incidents), ?,?,?,?,?,?,?) ON CONFLICT(id) DO NOTHING`,
		inc.ID, at.UnixNano(), inc.Kind, inc.Cause, cid, name, body, checksum(body))
	if err != nil {
		return fmt.Errorf("incident %s: %w", inc.ID, err)
	}
	added, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("incident %s: %w", inc.ID, err)
	}
	switch {
	case added > 0:
		saved.New = append(saved.New, inc.ID)
	case e.Update:
		if _, err := tx.ExecContext(ctx, "UPDATE incidents SET time_ns=?, kind=?, cause=?, container=?, name=?, body=?, crc=? WHERE id=?",
			at.UnixNano(), inc.Kind, inc.Cause, cid, name, body, checksum(body), inc.ID); err != nil {
			return fmt.Errorf("incident %s: %w", inc.ID, err)
		}
	}
	for _, r := range e.Receivers {
		res, err := tx.ExecContext(ctx, `INSERT INTO deliveries(id, seq, incident, receiver, lane, state, kept_ns)
			VALUES(?, (SELECT coalesce(max(seq),0)+1 FROM deliveries), ?,?,?,?,?) ON CONFLICT(id) DO NOTHING`,
			incident.DeliveryID(inc.ID, r), inc.ID, r, inc.Lane(), incident.Pending, now.UnixNano())
		if err != nil {
			return fmt.Errorf("delivery of %s to %s: %w", inc.ID, r, err)
		}
		if n, err := res.RowsAffected(); err == nil {
			saved.Owed += int(n)
		}
	}
	return nil
}

// State returns all that a restart must know: key → value. A value whose
// checksum does not match is left out and counted.
func (s *Store) State(ctx context.Context) (map[string][]byte, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT key, value, crc FROM state")
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	defer rows.Close()
	out := map[string][]byte{}
	for rows.Next() {
		var key string
		var value []byte
		var crc int64
		if err := rows.Scan(&key, &value, &crc); err != nil {
			return nil, fmt.Errorf("read state: %w", err)
		}
		if s.good(value, crc, "state", key) {
			out[key] = value
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return out, nil
}

// pruneEvery is how often old incidents are looked for.
const pruneEvery = time.Hour

// pruneNowAndThen prunes when that is due; a failure is only logged, as nothing is
// lost by it.
func (s *Store) pruneNowAndThen(ctx context.Context, now time.Time) {
	last := s.pruned.Load()
	if s.maxAge <= 0 || now.Sub(time.Unix(last, 0)) < pruneEvery || !s.pruned.CompareAndSwap(last, now.Unix()) {
		return
	}
	if err := s.prune(ctx, now.Add(-s.maxAge)); err != nil {
		s.log.Warn("old incidents were not removed", zap.Error(err))
	}
}

// prune removes settled incidents from before a time, and their deliveries.
func (s *Store) prune(ctx context.Context, before time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		const old = `SELECT id FROM incidents WHERE time_ns < ? AND NOT EXISTS
			(SELECT 1 FROM deliveries d WHERE d.incident = incidents.id AND d.state = 'pending')`
		if _, err := tx.ExecContext(ctx, "DELETE FROM deliveries WHERE incident IN ("+old+")", before.UnixNano()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM incidents WHERE time_ns < ? AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident = incidents.id)", before.UnixNano())
		return err
	})
}
