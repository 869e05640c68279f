package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
	"modernc.org/sqlite"

	"github.com/oomwatch/oomwatch/incident"
)

// place is where the connections of a store lead: its file, or memory while that
// cannot be written. It implements driver.Connector.
type place struct{ dsn atomic.Pointer[string] }

// Connect implements driver.Connector.
func (p *place) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := sqlite.NewConnector(*p.dsn.Load())
	if err != nil {
		return nil, err
	}
	return c.Connect(ctx)
}

// Driver implements driver.Connector.
func (p *place) Driver() driver.Driver { return &sqlite.Driver{} }

func (p *place) lead(dsn string) { p.dsn.Store(&dsn) }

// letGo has a connection closed, so that the next use opens another.
func letGo(conn *sql.Conn) error {
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

// toDisk moves what is kept in memory to the file, if that can be written now. From
// then on the store is one on disk.
func (s *Store) toDisk(ctx context.Context) error {
	disk, err := Open(ctx, Options{Path: s.path, Logger: s.log})
	if err != nil {
		return err
	}
	defer disk.Close()
	conn, err := s.db.Conn(ctx) // the only one: nobody else reads or writes meanwhile
	if err != nil {
		return fmt.Errorf("move the store from memory to %s: %w", s.path, err)
	}
	defer conn.Close()
	if err := disk.take(ctx, conn); err != nil {
		return fmt.Errorf("move the store from memory to %s: %w", s.path, explainSQLite(err))
	}
	s.lock, disk.lock = disk.lock, nil
	s.swap.Lock()
	s.opened = disk.opened
	s.swap.Unlock()
	s.place.lead(onDisk(s.path))
	s.memory.Store(false)
	if err := letGo(conn); err != nil {
		return fmt.Errorf("move the store from memory to %s: %w", s.path, err)
	}
	s.log.Warn("the store can be written: what was kept in memory is on disk now", zap.String("path", s.path))
	s.replaced(disk.Recovered())
	return nil
}

// take adds what another store keeps, all of it or nothing. Where both know a
// delivery, the other has the later word. What a restart must know is the other's
// as a whole: it goes together.
func (s *Store) take(ctx context.Context, from *sql.Conn) error {
	return s.write(ctx, func(tx *tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM state"); err != nil {
			return err
		}
		for _, part := range []struct {
			query   string
			columns int
			keep    string
		}{
			{"SELECT key, value, crc FROM state", 3, "INSERT INTO state(key, value, crc) VALUES(?,?,?)"},
			{"SELECT receiver, key, at_ns, wait_ns, thread FROM told", 5, "INSERT OR REPLACE INTO told(receiver, key, at_ns, wait_ns, thread) VALUES(?,?,?,?,?)"},
			{"SELECT id, until_ns, body, crc FROM silences", 4, "INSERT OR REPLACE INTO silences(id, until_ns, body, crc) VALUES(?,?,?,?)"},
		} {
			values, ptrs := make([]any, part.columns), make([]any, part.columns)
			for i := range values {
				ptrs[i] = &values[i]
			}
			if err := each(ctx, from, part.query, ptrs, func() error {
				_, err := tx.ExecContext(ctx, part.keep, values...)
				return err
			}); err != nil {
				return err
			}
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
			return saveEntry(ctx, tx, &Entry{Incident: inc, Update: true, Silent: true}, &Saved{})
		}); err != nil {
			return err
		}
		var r row
		return each(ctx, from, "SELECT "+rowCols+" FROM deliveries ORDER BY seq", r.pointers(), func() error {
			known, err := rowByID(ctx, tx, r.id)
			switch {
			case err != nil:
				return err
			case known == nil:
				_, err := r.add(ctx, tx, r.receiver, r.rev, nil, &Saved{})
				return err
			case known.state != string(incident.Pending):
				return nil
			}
			r.seq, r.kept = known.seq, known.kept
			return r.put(ctx, tx)
		})
	})
}

// each reads the rows of a query into pointers and calls f after each.
func each(ctx context.Context, from *sql.Conn, query string, into []any, f func() error) error {
	rows, err := from.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}
