package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// A store whose disk takes no writes goes on in memory: what a restart must know and
// what is owed is copied, what else the file holds is read from it as far as it can
// be. Every write, alert and note goes on as before. When the disk takes writes
// again, what is in memory is merged into the file.

const (
	// memoryPages bound what is in memory to 16 MB, and copiedPages what is copied
	// of the file at once: the rest waits there.
	memoryPages = 4096
	copiedPages = memoryPages / 2
	// roomBack must be free before the store goes back to its file: else the next
	// write would find it full again.
	roomBack = 1 << 20
)

// memories numbers what is in memory: the name is the process's.
var memories atomic.Int64

// base is a store's file while the store is in memory.
type base struct {
	db     *sql.DB // nil where conn is one of the store's own
	conn   *sql.Conn
	copied int64 // number of the last delivery that was looked at
	whole  bool  // all that is owed was copied
}

func (b *base) close() error {
	if b == nil {
		return nil
	}
	if b.db == nil {
		err := closeConn(b.conn)
		return errors.Join(err, b.conn.Close())
	}
	return errors.Join(b.conn.Close(), b.db.Close())
}

// InMemory is true while the store is on no disk.
func (s *Store) InMemory() bool { return s.memory.Load() }

// Unwritable says why the store is in memory; "" while it is on disk.
func (s *Store) Unwritable() string {
	if why := s.unwritable.Load(); why != nil {
		return *why
	}
	return ""
}

// toMemory moves the store into memory, as its file takes no writes.
func (s *Store) toMemory(ctx context.Context, why error) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if s.memory.Load() {
		return nil // somebody else was quicker
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	conn, err := s.db.Conn(ctx) // the only one: nobody else reads or writes meanwhile
	if err != nil {
		// Its file cannot even be opened any more.
		return s.startMemory(ctx, nil, why)
	}
	return s.startMemory(ctx, &base{conn: conn}, why)
}

// beginInMemory is toMemory for a store that could not be opened.
func (s *Store) beginInMemory(ctx context.Context, why error) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	db, err := readOnly(ctx, s.path, s.path+".lock", "SELECT count(*) FROM state")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("what the store kept cannot be read for now", zap.Error(err))
		}
		return s.startMemory(ctx, nil, why)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return s.startMemory(ctx, &base{db: db, conn: conn}, why)
}

// startMemory begins in memory with what is needed of the file; s.swap is held.
func (s *Store) startMemory(ctx context.Context, b *base, why error) error {
	// What is under way must end well also while the program stops.
	ctx = context.WithoutCancel(ctx)
	name := fmt.Sprintf("/oomwatch-store-%d", memories.Add(1))
	memory := dsn(name, fmt.Sprintf("vfs=memdb&%s&_pragma=max_page_count(%d)", pragmas, memoryPages))
	anchor, err := sql.Open("sqlite", memory)
	if err != nil {
		return errors.Join(err, b.close())
	}
	anchor.SetMaxOpenConns(1)
	db := newParsed(anchor)
	if err := s.layDown(ctx, db, true); err != nil {
		return errors.Join(fmt.Errorf("begin a store in memory: %w", err), anchor.Close(), b.close())
	}
	floor := int64(0)
	if b != nil {
		if floor, err = copySmall(ctx, db, b.conn); err != nil {
			s.log.Error("what the store kept cannot be read for now", zap.Error(err))
			_ = b.close() // it is of no use
			b = nil
		}
	}
	s.place.lead(memory + "&_txlock=immediate")
	s.db.floor.Store(floor)
	if b != nil && b.db == nil {
		s.db.SetMaxOpenConns(2) // one is the file's
	}
	s.anchor, s.base = anchor, b
	said := explainSQLite(why).Error()
	s.unwritable.Store(&said)
	s.memory.Store(true)
	s.log.Error("the disk takes no writes: the store is in memory until it does", zap.String("path", s.path), zap.Error(why))
	err = s.readers.lead(dsn(name, fmt.Sprintf("vfs=memdb%s", readPragmas)))
	return errors.Join(err, s.copyOwed(ctx))
}

// copySmall copies what a restart must know, what was told last, the silences and
// the accounts; floor is the highest number in use.
func copySmall(ctx context.Context, into *parsed, from *sql.Conn) (floor int64, err error) {
	err = from.QueryRowContext(ctx, "SELECT max((SELECT coalesce(max(seq),0) FROM incidents), (SELECT coalesce(max(seq),0) FROM deliveries))").Scan(&floor)
	if err != nil {
		return 0, err
	}
	return floor, transactOn(ctx, into, func(tx *tx) error {
		if err := copyRows(ctx, tx, from, smallParts); err != nil {
			return err
		}
		// What stays in the file counts as kept no more; what is owed is counted
		// when it is copied.
		return copyRows(ctx, tx, from, []part{{"SELECT receiver, generated - pending, delivered, parked FROM (" + `
			SELECT receiver, sum(generated) AS generated, sum(delivered) AS delivered, sum(parked) AS parked, sum(pending) AS pending FROM (
				SELECT receiver, generated, delivered, parked, 0 AS pending FROM tally
				UNION ALL
				SELECT receiver, 0, sum(state = 'delivered'), sum(state = 'parked'), sum(state = 'pending') FROM deliveries GROUP BY receiver)
			GROUP BY receiver)`, 4, "INSERT INTO tally(receiver, generated, delivered, parked) VALUES(?,?,?,?)"}})
	})
}

// part is what is copied from one store to another as it is.
type part struct {
	query   string
	columns int
	keep    string
}

var smallParts = []part{
	{"SELECT key, value, crc FROM state", 3, putState},
	{"SELECT receiver, host, key, at_ns, wait_ns, thread FROM told", 6, "INSERT OR REPLACE INTO told(receiver, host, key, at_ns, wait_ns, thread) VALUES(?,?,?,?,?,?)"},
	{"SELECT id, until_ns, body, crc FROM silences", 4, "INSERT OR REPLACE INTO silences(id, until_ns, body, crc) VALUES(?,?,?,?)"},
}

func copyRows(ctx context.Context, tx *tx, from *sql.Conn, parts []part) error {
	for _, p := range parts {
		values, ptrs := make([]any, p.columns), make([]any, p.columns)
		for i := range values {
			ptrs[i] = &values[i]
		}
		if err := each(ctx, from, p.query, ptrs, func() error {
			_, err := tx.ExecContext(ctx, p.keep, values...)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// copyOwed copies deliveries that are owed into memory, as far as there is room;
// what there is none for is copied later, when others are settled.
func (s *Store) copyOwed(ctx context.Context) error {
	const page = 100
	for more := true; more && s.base != nil && !s.base.whole; {
		err := s.healing(ctx, func() error {
			return s.transact(ctx, func(tx *tx) error {
				var used int
				if err := tx.QueryRowContext(ctx, "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)").Scan(&used); err != nil {
					return err
				}
				if more = used < copiedPages; !more {
					return nil
				}
				type owed struct {
					incident, host string
					seq            int64
				}
				var list []owed
				var o owed
				if err := each(ctx, s.base.conn, fmt.Sprintf("SELECT incident, host, seq FROM deliveries WHERE state = 'pending' AND seq > %d ORDER BY seq LIMIT %d", s.base.copied, page),
					[]any{&o.incident, &o.host, &o.seq}, func() error { list = append(list, o); return nil }); err != nil {
					return err
				}
				for _, o := range list {
					if err := s.fetch(ctx, tx, o.incident, o.host); err != nil {
						return err
					}
					s.base.copied = o.seq
				}
				s.base.whole = len(list) < page
				return nil
			})
		})
		if full(err) {
			return nil // what is there is told first
		}
		if err != nil {
			return fmt.Errorf("read pending alerts: %w", err)
		}
	}
	return nil
}

// fetch copies an incident of the file into memory, with what became of it, where
// it is not there yet. What cannot be read does not count.
func (s *Store) fetch(ctx context.Context, tx *tx, id, host string) error {
	b := s.base
	if b == nil {
		return nil
	}
	known := 0
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incidents WHERE id = ? AND host = ?", id, host).Scan(&known); err != nil || known > 0 {
		return err
	}
	k := kept{id: id}
	err := b.conn.QueryRowContext(ctx, "SELECT seq, time_ns, kind, cause, crc, body FROM incidents WHERE id = ? AND host = ?", id, host).
		Scan(&k.seq, &k.at, &k.kind, &k.cause, &k.crc, &k.body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	var inc *incident.Incident
	if err == nil {
		inc = s.decode(id, k.body, k.crc)
	}
	if inc == nil {
		s.log.Warn("an incident of the file cannot be read", zap.String("id", id), zap.Error(err))
		return nil
	}
	if err := k.of(inc).insert(ctx, tx); err != nil {
		return err
	}
	words, err := rowsOf(ctx, b.conn, id, host)
	if err != nil {
		s.log.Warn("which alerts were sent cannot be read", zap.String("id", id), zap.Error(err))
	}
	for _, r := range words {
		if err := r.put(ctx, tx); err != nil {
			return err
		}
		counted := map[incident.DeliveryState]string{incident.Pending: "generated = generated + 1", incident.Delivered: "delivered = delivered - 1", incident.Parked: "parked = parked - 1"}
		if _, err := tx.ExecContext(ctx, "UPDATE tally SET "+counted[incident.DeliveryState(r.state)]+" WHERE receiver = ?", r.receiver); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom removes from memory what is settled, oldest first; made is false where
// there is nothing more. What the file has is not lost by it.
func (s *Store) makeRoom(ctx context.Context) (made bool, err error) {
	n := 0
	err = s.transact(ctx, func(tx *tx) error {
		var err error
		n, err = removeIn(ctx, tx, forever)
		return err
	})
	if n > 0 {
		s.dropped.Add(float64(n))
		s.log.Error("memory is full while the disk takes no writes: incidents that were already sent are dropped", zap.Int("incidents", n))
	}
	return n > 0, err
}
