package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
)

// Entry is one incident to keep.
type Entry struct {
	Incident *incident.Incident
	// Update is true when the incident may replace what is kept under its
	// id; otherwise an id that is kept already stays as it is.
	Update bool
	// Receivers are the names of those who are owed it. Who was told of it before
	// is owed an update when there is news, named here or not.
	Receivers []string
	// Past is what became of deliveries that were told from memory while the
	// incident could not be kept, by their ids.
	Past map[string]incident.Word
	// Silent is true when nobody is owed anything.
	Silent bool
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
// the program and the machine, or none of it was written. A first delivery exists
// once for an incident and a receiver, for ever: a replay tells nobody twice. An
// update is one more when it is news to whom was told before.
func (s *Store) Save(ctx context.Context, b Batch) (Saved, error) {
	var saved Saved
	err := s.write(ctx, func(tx *tx) error {
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

// write runs f in one transaction; when it returns, that is on disk.
func (s *Store) write(ctx context.Context, f func(*tx) error) error {
	if err := s.restore(ctx); err != nil {
		return err
	}
	return s.healing(ctx, func() error { return s.transact(ctx, f) })
}

// healing runs f, and once more where the file was found damaged by it and replaced.
func (s *Store) healing(ctx context.Context, f func() error) error {
	generation := s.generation.Load()
	err := f()
	switch healed, herr := s.heal(ctx, generation, err); {
	case herr != nil:
		return errors.Join(err, herr)
	case healed:
		return f()
	}
	return err
}

// transact is write on the file as it is open.
func (s *Store) transact(ctx context.Context, f func(*tx) error) error {
	s.db.parseWanted(ctx)
	begun, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&tx{begun, s.db}); err != nil {
		_ = begun.Rollback() // its error says nothing that err does not
		return err
	}
	crashpoint.At("before-commit")
	return s.commit(begun)
}

// jot is write without waiting for the disk: it outlives the program at once, and
// the machine with the next write. It is for what a repeat makes up for: that an
// attempt was begun and how it ended.
func (s *Store) jot(ctx context.Context, f func(*tx) error) error {
	return s.healing(ctx, func() error { return s.tryJot(ctx, f) })
}

func (s *Store) tryJot(ctx context.Context, f func(*tx) error) error {
	s.db.parseWanted(ctx)
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // back to the pool of one
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
		return err
	}
	// Not ctx: the connection must not go on like this.
	defer conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = FULL") //nolint:errcheck // a pragma without I/O
	begun, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&tx{begun, s.db}); err != nil {
		_ = begun.Rollback() // its error says nothing that err does not
		return err
	}
	return s.commit(begun)
}

// commit is begun's, counted for the checkpoints.
func (s *Store) commit(begun *sql.Tx) error {
	defer s.committed(1)
	return begun.Commit()
}

func saveEntry(ctx context.Context, tx *tx, e *Entry, saved *Saved) error {
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
	return owe(ctx, tx, e, added == 0, now, saved)
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
	// In memory nothing is removed: it would be missing in the account on disk.
	if s.maxAge <= 0 || s.memory.Load() || now.Sub(time.Unix(last, 0)) < pruneEvery || !s.pruned.CompareAndSwap(last, now.Unix()) {
		return
	}
	if err := s.prune(ctx, now.Add(-s.maxAge)); err != nil {
		s.log.Warn("old incidents were not removed", zap.Error(err))
	}
}

// lastKept is how long it is remembered what a receiver was told last of a key, and
// that there was a silence.
const lastKept = 7 * 24 * time.Hour

// prune removes settled incidents from before a time, and their deliveries, which
// stay in the account.
func (s *Store) prune(ctx context.Context, before time.Time) error {
	return s.write(ctx, func(tx *tx) error {
		const old = `SELECT id FROM incidents WHERE time_ns < ?1 AND NOT EXISTS
			(SELECT 1 FROM deliveries d WHERE d.incident = incidents.id AND d.state = 'pending')`
		for _, q := range []string{
			`INSERT INTO tally(receiver, generated, delivered, parked)
				SELECT receiver, 0, sum(state = 'delivered'), sum(state = 'parked') FROM deliveries WHERE incident IN (` + old + `) GROUP BY receiver
				ON CONFLICT(receiver) DO UPDATE SET delivered = delivered + excluded.delivered, parked = parked + excluded.parked`,
			"DELETE FROM deliveries WHERE incident IN (" + old + ")",
			"DELETE FROM incidents WHERE time_ns < ?1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident = incidents.id)",
		} {
			if _, err := tx.ExecContext(ctx, q, before.UnixNano()); err != nil {
				return err
			}
		}
		for _, q := range []string{"DELETE FROM told WHERE at_ns < ?", "DELETE FROM silences WHERE until_ns < ?"} {
			if _, err := tx.ExecContext(ctx, q, time.Now().Add(-lastKept).UnixNano()); err != nil {
				return err
			}
		}
		return nil
	})
}
