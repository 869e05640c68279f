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
)

// row is a delivery as it is kept.
type row struct {
	id, incident, receiver, lane, state   string
	seq, attempts, first, next, kept, rev int64
	maybe, held                           bool
	error, key, news, batch, host         string
}

const (
	// rowsV1 and rowsV2 are the columns of these versions, rowCols today's, all
	// without the checksum.
	rowsV1    = "id, seq, incident, receiver, lane, state, attempts, first_ns, next_ns, kept_ns, maybe, error"
	rowsV2    = rowsV1 + ", rev, key, news, held, batch"
	rowCols   = rowsV2 + ", host"
	columnsV1 = 12
	columnsV2 = 17
)

// pointers are where a scan of rowCols puts them, in order.
func (r *row) pointers() []any {
	return []any{&r.id, &r.seq, &r.incident, &r.receiver, &r.lane, &r.state, &r.attempts, &r.first, &r.next, &r.kept, &r.maybe, &r.error,
		&r.rev, &r.key, &r.news, &r.held, &r.batch, &r.host}
}

// values are what an insert of rowCols and crc takes, in order.
func (r *row) values() []any {
	return []any{r.id, r.seq, r.incident, r.receiver, r.lane, r.state, r.attempts, r.first, r.next, r.kept, r.maybe, r.error,
		r.rev, r.key, r.news, r.held, r.batch, r.host, r.sum()}
}

// sum is the row's checksum, sumV2 as version 2 made it.
func (r *row) sum() int64 { return checksum(fmt.Appendf(r.text(), " %q", r.host)) }

func (r *row) sumV2() int64 { return checksum(r.text()) }

func (r *row) text() []byte {
	return fmt.Appendf(nil, "%q %d %q %q %q %q %d %d %d %d %t %q %d %q %q %t %q", r.id, r.seq, r.incident, r.receiver, r.lane, r.state,
		r.attempts, r.first, r.next, r.kept, r.maybe, r.error, r.rev, r.key, r.news, r.held, r.batch)
}

// put writes the row over what is kept under its id, or as a new one.
func (r *row) put(ctx context.Context, tx *tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO deliveries("+rowCols+`, crc) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT(id, host) DO UPDATE SET state=excluded.state, attempts=excluded.attempts, first_ns=excluded.first_ns, next_ns=excluded.next_ns,
		maybe=excluded.maybe, error=excluded.error, key=excluded.key, news=excluded.news, held=excluded.held, batch=excluded.batch, crc=excluded.crc`, r.values()...)
	if err != nil {
		return fmt.Errorf("delivery of %s to %s: %w", r.incident, r.receiver, err)
	}
	return nil
}

// mark writes only that the row's delivery is about to be tried, and in which
// message: that is in no index.
func (r *row) mark(ctx context.Context, tx *tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE deliveries SET maybe=?, batch=?, crc=? WHERE id=? AND host=?", r.maybe, r.batch, r.sum(), r.id, r.host)
	if err != nil {
		return fmt.Errorf("delivery of %s to %s: %w", r.incident, r.receiver, err)
	}
	return nil
}

// complete takes from the incident what a row of version 1 did not have.
func (r *row) complete(ctx context.Context, tx *tx) error {
	var body []byte
	if err := tx.QueryRowContext(ctx, "SELECT body FROM incidents WHERE id = ?", r.incident).Scan(&body); err != nil {
		return err
	}
	var inc incident.Incident
	if json.Unmarshal(body, &inc) == nil { // one that is damaged is parked when it is due
		r.key, r.news = inc.Key(), inc.News()
	}
	return nil
}

// rowByID reads one row; nil where there is none.
func rowByID(ctx context.Context, tx *tx, id, host string) (*row, error) {
	return oneRow(ctx, tx, "id = ? AND host = ?", id, host)
}

// rowOfRev returns a delivery by what it is of; nil where there is none.
func rowOfRev(ctx context.Context, tx *tx, host, incident, receiver string, rev int64) (*row, error) {
	return oneRow(ctx, tx, "incident = ? AND host = ? AND receiver = ? AND rev = ?", incident, host, receiver, rev)
}

func oneRow(ctx context.Context, tx *tx, where string, args ...any) (*row, error) {
	r := new(row)
	err := tx.QueryRowContext(ctx, "SELECT "+rowCols+" FROM deliveries WHERE "+where, args...).Scan(r.pointers()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// eachRow hands every row that a condition selects to f, with the checksum as it is kept.
func eachRow(ctx context.Context, tx *tx, where string, f func(*row, int64) error, args ...any) error {
	// In pages: to write while a statement still reads shows the writes to it.
	for after := int64(-1 << 62); ; {
		var page []*row
		var sums []int64
		rows, err := tx.QueryContext(ctx, "SELECT "+rowCols+", crc, rowid FROM deliveries WHERE rowid > ?"+where+" ORDER BY rowid LIMIT 500", append([]any{after}, args...)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			r := new(row)
			var sum int64
			if err := rows.Scan(append(r.pointers(), &sum, &after)...); err != nil {
				rows.Close()
				return err
			}
			page, sums = append(page, r), append(sums, sum)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for i, r := range page {
			if err := f(r, sums[i]); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// genuine is true when the row is what its id says, whatever else is damaged. Earlier
// versions made the id without the host.
func (r *row) genuine() bool {
	switch incident.DeliveryState(r.state) {
	case incident.Pending, incident.Delivered, incident.Parked:
		return r.id == incident.UpdateID(r.host, r.incident, int(r.rev), r.receiver) || r.id == incident.UpdateID("", r.incident, int(r.rev), r.receiver)
	}
	return false
}

// mend looks at every delivery once. One whose checksum does not hold is told
// (again) when its id still proves what it is, and removed otherwise.
func (s *Store) mend(ctx context.Context) (removed int, err error) {
	var bad []*row
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	reading, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	err = eachRow(ctx, &tx{reading, s.db}, "", func(r *row, sum int64) error {
		if r.sum() != sum {
			bad = append(bad, r)
		}
		return nil
	})
	_ = reading.Rollback() // it has only read
	if err != nil || len(bad) == 0 {
		return 0, err
	}
	err = s.write(ctx, func(tx *tx) error {
		for _, r := range bad {
			s.bad()
			s.log.Error("a delivery is damaged", zap.String("id", r.id), zap.String("receiver", r.receiver), zap.Bool("mended", r.genuine()))
			if !r.genuine() {
				removed++
				if _, err := tx.ExecContext(ctx, "DELETE FROM deliveries WHERE id = ? AND host = ?", r.id, r.host); err != nil {
					return err
				}
				continue
			}
			if r.state == string(incident.Pending) {
				r.next, r.held, r.batch, r.maybe = 0, false, "", true
			}
			if err := r.put(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}
