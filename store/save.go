package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
			if err := s.saveEntry(ctx, tx, &b.Entries[i], &saved); err != nil {
				return err
			}
		}
		for key, value := range b.State {
			var err error
			if value == nil {
				_, err = tx.ExecContext(ctx, "DELETE FROM state WHERE key = ?", key)
			} else {
				_, err = tx.ExecContext(ctx, putState, key, value, checksum(value))
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

// write runs f in one transaction; when it returns, that is on disk, or in memory
// where the disk takes no writes. f may run more than once.
func (s *Store) write(ctx context.Context, f func(*tx) error) error {
	return s.writing(ctx, func() error {
		if err := s.restore(ctx); err != nil {
			return err
		}
		return s.transact(ctx, f)
	})
}

// writing runs attempt, and again where it has failed and that can be helped: a
// damaged file is replaced, and in the place of one that takes no writes goes memory.
func (s *Store) writing(ctx context.Context, attempt func() error) error {
	err := s.healing(ctx, attempt)
	if err == nil || s.readOnly || ctx.Err() != nil {
		return err
	}
	if !s.memory.Load() && takesNoWrites(err) {
		if merr := s.toMemory(ctx, err); merr != nil {
			return errors.Join(err, merr)
		}
		err = attempt()
	}
	for s.memory.Load() && full(err) {
		made, merr := s.makeRoom(ctx)
		if merr != nil || !made {
			return errors.Join(err, merr)
		}
		err = attempt()
	}
	return err
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

// transact is write on what is open.
func (s *Store) transact(ctx context.Context, f func(*tx) error) error {
	defer s.committed(1)
	return transactOn(ctx, s.db, f)
}

func transactOn(ctx context.Context, db *parsed, f func(*tx) error) error {
	db.parseWanted(ctx)
	begun, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&tx{begun, db}); err != nil {
		_ = begun.Rollback() // its error says nothing that err does not
		return err
	}
	crashpoint.At("before-commit")
	return begun.Commit()
}

// writeNoSync is write without waiting for the disk: it outlives the program at
// once, and the machine with the next write. It is for what a repeat makes up for:
// that an attempt was begun and how it ended.
func (s *Store) writeNoSync(ctx context.Context, f func(*tx) error) error {
	return s.writing(ctx, func() error { return s.tryNoSync(ctx, f) })
}

func (s *Store) tryNoSync(ctx context.Context, f func(*tx) error) error {
	s.db.parseWanted(ctx)
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // back to the pool
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
	defer s.committed(1)
	return begun.Commit()
}

// saveEntry keeps one incident and what is owed of it.
func (s *Store) saveEntry(ctx context.Context, tx *tx, e *Entry, saved *Saved) error {
	inc := e.Incident
	host := inc.HostName()
	if s.memory.Load() {
		if err := s.fetch(ctx, tx, inc.ID, host); err != nil {
			return fmt.Errorf("incident %s: %w", inc.ID, err)
		}
		unkept := *inc
		unkept.NotStored = s.Unwritable()
		inc = &unkept
	}
	body, err := json.Marshal(inc)
	if err != nil {
		return fmt.Errorf("incident %s: %w", inc.ID, err)
	}
	now := time.Now()
	at := inc.Time
	if at.IsZero() {
		at = now
	}
	k := (&kept{id: inc.ID, kind: string(inc.Kind), cause: string(inc.Cause), at: at.UnixNano(), crc: checksum(body), body: body}).of(inc)
	err = tx.QueryRowContext(ctx, "SELECT seq FROM incidents WHERE id = ? AND host = ?", inc.ID, host).Scan(&k.seq)
	known := err == nil
	switch {
	case known && e.Update:
		err = k.update(ctx, tx)
	case known:
	case errors.Is(err, sql.ErrNoRows):
		err = k.insert(ctx, tx)
		saved.New = append(saved.New, inc.ID)
	}
	if err != nil {
		return fmt.Errorf("incident %s: %w", inc.ID, err)
	}
	return owe(ctx, tx, e, known, now, saved)
}

// kept is an incident as it is kept.
type kept struct {
	seq                   int64 // 0 for the next
	id, host, kind, cause string
	at, crc               int64
	open                  bool
	body                  []byte
	inc                   *incident.Incident
}

// of fills in what comes from the incident itself.
func (k *kept) of(inc *incident.Incident) *kept {
	k.inc, k.host, k.open = inc, inc.HostName(), inc.Open()
	return k
}

func (k *kept) insert(ctx context.Context, tx *tx) error {
	res, err := tx.ExecContext(ctx, "INSERT INTO incidents(seq, id, host, time_ns, kind, cause, open, crc, body) VALUES(coalesce(nullif(?,0), max((SELECT coalesce(max(seq),0) FROM incidents), ?)+1),?,?,?,?,?,?,?,?)",
		k.seq, tx.db.floor.Load(), k.id, k.host, k.at, k.kind, k.cause, k.open, k.crc, k.body)
	if err != nil {
		return err
	}
	if k.seq, err = res.LastInsertId(); err != nil {
		return err
	}
	return putNames(ctx, tx, k.inc, k.kind, k.at, k.seq)
}

func (k *kept) update(ctx context.Context, tx *tx) error {
	if _, err := tx.ExecContext(ctx, "UPDATE incidents SET time_ns=?, kind=?, cause=?, open=?, crc=?, body=? WHERE seq=?",
		k.at, k.kind, k.cause, k.open, k.crc, k.body, k.seq); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM called WHERE seq = ?", k.seq); err != nil {
		return err
	}
	return putNames(ctx, tx, k.inc, k.kind, k.at, k.seq)
}

// State returns all that a restart must know: key → value. A value whose
// checksum does not match is left out and counted.
func (s *Store) State(ctx context.Context) (map[string][]byte, error) {
	rows, err := s.readers.QueryContext(ctx, "SELECT key, value, crc FROM state WHERE key <> ?", keyVersion)
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
