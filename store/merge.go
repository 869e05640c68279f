package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/oomwatch/oomwatch/incident"
	"go.uber.org/zap"
)

// toDisk moves what is kept in memory to the file, if that can be written now. From
// then on the store is one on disk.
func (s *Store) toDisk(ctx context.Context) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if !s.memory.Load() {
		return nil
	}
	disk := newStore(Options{Path: s.path, Logger: s.log})
	disk.lock = s.lock
	defer func() {
		s.lock, disk.lock = disk.lock, nil
		_ = disk.letGo() // what it wrote is on disk
	}()
	if err := disk.prepare(); err != nil {
		return err
	}
	whole := s.base != nil && disk.recovered != ""
	if free, err := freeBytes(s.path); err == nil && free < roomBack {
		return fmt.Errorf("move the store from memory to %s: less than %d MiB are free", s.path, roomBack>>20)
	}
	if err := disk.openPrepared(ctx, s.putBase); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx) // nobody else writes meanwhile
	if err != nil {
		return fmt.Errorf("move the store from memory to %s: %w", s.path, err)
	}
	defer conn.Close()
	if err := disk.take(ctx, conn); err != nil {
		return fmt.Errorf("move the store from memory to %s: %w", s.path, explainSQLite(err))
	}
	s.opened = disk.opened
	s.place.lead(onDisk(s.path))
	s.db.floor.Store(0)
	s.memory.Store(false)
	s.unwritable.Store(nil)
	err = errors.Join(closeConn(conn), s.base.close(), s.readers.lead(onlyRead(s.path)), s.anchor.Close())
	s.base, s.anchor = nil, nil
	s.db.SetMaxOpenConns(1)
	if err != nil {
		s.log.Warn("the store in memory is not closed", zap.Error(err))
	}
	s.log.Warn("the store can be written: what was kept in memory is on disk now", zap.String("path", s.path))
	if whole {
		disk.recovered = "" // it was gone, and has been put back
	}
	s.replaced(disk.recovered)
	return nil
}

// putBase writes all that the file had to an empty one: it was removed, another disk
// is mounted there, or what is there cannot be used.
func (s *Store) putBase(ctx context.Context) error {
	if s.base == nil {
		return nil
	}
	// It does not write to the file that it reads.
	if _, err := s.base.conn.ExecContext(ctx, "PRAGMA query_only = OFF"); err != nil {
		return fmt.Errorf("put the store %s back: %w", s.path, err)
	}
	_, err := s.base.conn.ExecContext(ctx, "VACUUM INTO ?", s.path)
	switch {
	case damaged(err):
		return os.Truncate(s.path, 0) // what can be read of it is carried over
	case err != nil:
		return errors.Join(fmt.Errorf("put the store %s back: %w", s.path, err), removeHalf(s.path))
	}
	return nil
}

// take adds what another store keeps, all of it or nothing. Where both know a
// delivery, the other has the later word. What a restart must know is the other's
// as a whole: it goes together.
func (s *Store) take(ctx context.Context, from *sql.Conn) error {
	return s.transact(ctx, func(tx *tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM state"); err != nil {
			return err
		}
		if err := copyRows(ctx, tx, from, smallParts); err != nil {
			return err
		}
		var id string
		var body []byte
		var crc int64
		if err := each(ctx, from, "SELECT id, body, crc FROM incidents ORDER BY seq", []any{&id, &body, &crc}, func() error {
			inc := s.decode(id, body, crc)
			if inc == nil {
				return nil
			}
			inc.NotStored = "" // it is now
			return s.saveEntry(ctx, tx, &Entry{Incident: inc, Update: true, Silent: true}, &Saved{})
		}); err != nil {
			return err
		}
		var r row
		return each(ctx, from, "SELECT "+rowCols+" FROM deliveries ORDER BY seq", r.pointers(), func() error {
			known, err := rowByID(ctx, tx, r.id, r.host)
			switch {
			case err != nil:
				return err
			case known == nil:
				_, err := r.add(ctx, tx, r.receiver, r.rev, &Saved{})
				return err
			case known.state == string(incident.Delivered) && r.state == string(incident.Pending):
				return nil // the file could not be read, and it was owed anew
			}
			r.seq, r.kept = known.seq, known.kept
			return r.put(ctx, tx)
		})
	})
}

// more copies what is owed and had no room before.
func (s *Store) more(ctx context.Context) {
	s.swap.Lock()
	defer s.swap.Unlock()
	if !s.memory.Load() {
		return
	}
	if err := s.copyOwed(ctx); err != nil {
		s.log.Warn("not all undelivered alerts can be read", zap.Error(err))
	}
}
