package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// maxDue bounds the bodies that Due holds in memory at once.
const maxDue = 4 << 20

// Due returns up to limit deliveries that a receiver is owed now, oldest first.
// What concerns one container is told in order: while an earlier delivery of the
// same container waits for its next attempt, the later ones wait behind it. One
// that is held to be told with others holds up nothing.
func (s *Store) Due(ctx context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error) {
	var due []incident.Delivery
	err := s.healing(ctx, func() (err error) {
		due, err = s.tryDue(ctx, receiver, now, limit)
		return err
	})
	return due, err
}

func (s *Store) tryDue(ctx context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT `+prefixed("d.", rowCols)+`, d.crc, i.body, i.crc, coalesce(t.at_ns, 0), coalesce(t.wait_ns, 0), coalesce(t.thread, '')
		FROM deliveries d JOIN incidents i ON i.id = d.incident AND i.host = d.host LEFT JOIN told t ON t.receiver = d.receiver AND t.host = d.host AND t.key = d.key
		WHERE d.receiver = ?1 AND d.state = 'pending' AND d.next_ns <= ?2
		AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.receiver = ?1 AND e.state = 'pending'
			AND e.host = d.host AND e.lane = d.lane AND e.seq < d.seq AND e.next_ns > ?2 AND e.held = 0)
		ORDER BY d.seq`, receiver, now.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("read the alerts due to %q: %w", receiver, err)
	}
	defer rows.Close()
	var due, broken []incident.Delivery
	for size := 0; len(due) < limit && size < maxDue && rows.Next(); {
		var r row
		var sum, crc, told, wait int64
		var body []byte
		var thread string
		if err := rows.Scan(append(r.pointers(), &sum, &body, &crc, &told, &wait, &thread)...); err != nil {
			return nil, fmt.Errorf("read the alerts due to %q: %w", receiver, err)
		}
		size += len(body)
		d := r.delivery()
		if r.sum() != sum {
			s.bad()
			d.Unknown = true // rather told twice than not
		}
		if d.Incident = s.decode(r.incident, body, crc); d.Incident == nil {
			broken = append(broken, d)
			continue
		}
		if told != 0 {
			d.Last = incident.Last{At: time.Unix(0, told), Wait: time.Duration(wait), Thread: thread}
		}
		due = append(due, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the alerts due to %q: %w", receiver, err)
	}
	rows.Close()
	// A damaged incident cannot be told; it must not stand before the others.
	if len(broken) > 0 {
		if err := s.Settle(ctx, incident.Outcome{State: incident.Parked, At: now, NotTried: true, Error: "the kept incident is damaged"}, broken...); err != nil {
			return nil, err
		}
	}
	return due, nil
}

func (r *row) delivery() incident.Delivery {
	d := incident.Delivery{ID: r.id, Receiver: r.receiver, Host: r.host, Rev: int(r.rev), Lane: r.lane, Key: r.key, News: r.news, Seq: r.seq, Attempts: int(r.attempts),
		Unknown: r.maybe, Batch: r.batch, KeptAt: time.Unix(0, r.kept), Error: r.error}
	if r.first != 0 {
		d.FirstAttempt = time.Unix(0, r.first)
	}
	return d
}

// Begin notes that an attempt at these deliveries is about to be made, together
// as the message batch where that is not "", so that after a crash in the middle
// the next attempt knows it may be a repeat, and is the same message.
func (s *Store) Begin(ctx context.Context, batch string, ds ...incident.Delivery) error {
	err := s.writeNoSync(ctx, func(tx *tx) error {
		return change(ctx, tx, ds, func(r *row, _ *incident.Delivery) error {
			r.maybe, r.batch = true, batch
			return r.mark(ctx, tx)
		})
	})
	if err != nil {
		return fmt.Errorf("begin delivery: %w", explainSQLite(err))
	}
	return nil
}

// Settle writes how an attempt at these deliveries ended.
func (s *Store) Settle(ctx context.Context, o incident.Outcome, ds ...incident.Delivery) error {
	settle := func(r *row, d *incident.Delivery) {
		r.state, r.error, r.next, r.held = string(o.State), o.Error, 0, false
		r.maybe = d.Unknown && o.State == incident.Pending || o.Unknown
		if o.State == incident.Pending {
			r.next, r.held = o.Next.UnixNano(), o.Held
		}
		if !r.maybe {
			r.batch = ""
		}
		if !o.NotTried {
			r.attempts++
			if r.first == 0 {
				r.first = o.At.UnixNano()
			}
		}
	}
	err := s.writeNoSync(ctx, func(tx *tx) error {
		err := change(ctx, tx, ds, func(r *row, d *incident.Delivery) error {
			settle(r, d)
			if o.State == incident.Delivered && d.News != "" && d.News != r.news {
				return r.overtaken(ctx, tx, d.News, o.At)
			}
			return r.put(ctx, tx)
		})
		if err != nil || o.State != incident.Delivered {
			return err
		}
		return tell(ctx, tx, ds)
	})
	if err != nil {
		return fmt.Errorf("settle delivery: %w", explainSQLite(err))
	}
	return nil
}

// overtaken writes a delivery that was brought up to date while it was on its way,
// and told the old news: the new is owed yet, unless something newer is.
func (r *row) overtaken(ctx context.Context, tx *tx, told string, at time.Time) error {
	fresh := row{incident: r.incident, host: r.host, lane: r.lane, key: r.key, news: r.news, state: string(incident.Pending), kept: at.UnixNano()}
	r.news = told
	if err := r.put(ctx, tx); err != nil {
		return err
	}
	next, err := rowOfRev(ctx, tx, r.host, r.incident, r.receiver, r.rev+1)
	if err != nil || next != nil {
		return err
	}
	_, err = fresh.add(ctx, tx, r.receiver, r.rev+1, &Saved{})
	return err
}

// tell keeps what the receiver was told last under the keys of deliveries.
func tell(ctx context.Context, tx *tx, ds []incident.Delivery) error {
	for i := range ds {
		d := &ds[i]
		if d.Key == "" || d.Last.At.IsZero() || i > 0 && d.Host == ds[i-1].Host && d.Key == ds[i-1].Key && d.Last == ds[i-1].Last {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO told(receiver, host, key, at_ns, wait_ns, thread) VALUES(?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET at_ns=excluded.at_ns, wait_ns=excluded.wait_ns, thread=excluded.thread`,
			d.Receiver, d.Host, d.Key, d.Last.At.UnixNano(), d.Last.Wait, d.Last.Thread); err != nil {
			return err
		}
	}
	return nil
}

// change hands the rows of deliveries to f, which writes them.
func change(ctx context.Context, tx *tx, ds []incident.Delivery, f func(*row, *incident.Delivery) error) error {
	for i := range ds {
		r, err := rowByID(ctx, tx, ds[i].ID, ds[i].Host)
		if err != nil {
			return err
		}
		if r == nil {
			continue // pruned, or lost with a damaged file
		}
		if err := f(r, &ds[i]); err != nil {
			return err
		}
	}
	return nil
}

// NextDue is when the next pending delivery of a receiver may be tried; zero
// when nothing is pending. What waits behind another of its container counts as
// that one does.
func (s *Store) NextDue(ctx context.Context, receiver string) (time.Time, error) {
	st, err := s.db.statement(ctx, `
		SELECT min(next_ns) FROM (
			SELECT next_ns, min(seq) FROM deliveries WHERE receiver = ?1 AND state = 'pending' AND held = 0 GROUP BY host, lane
			UNION ALL
			SELECT min(next_ns), 0 FROM deliveries d WHERE receiver = ?1 AND state = 'pending' AND held = 1
				AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.receiver = ?1 AND e.state = 'pending'
					AND e.host = d.host AND e.lane = d.lane AND e.seq < d.seq AND e.next_ns > d.next_ns AND e.held = 0))`)
	var next sql.NullInt64
	if err == nil {
		err = st.QueryRowContext(ctx, receiver).Scan(&next)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read when %q is due: %w", receiver, err)
	}
	if !next.Valid {
		return time.Time{}, nil
	}
	return time.Unix(0, next.Int64), nil
}

// prefixed puts the name of a table before each of a list of columns.
func prefixed(table, columns string) string {
	return table + strings.ReplaceAll(columns, ", ", ", "+table)
}
