package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// toldV2 are the columns of what was told in versions before 3, which knew no host.
const toldV2 = "receiver, '', key, at_ns, wait_ns, thread"

// salvaged counts what was carried over from a damaged store.
type salvaged struct{ state, incidents, deliveries, pending, lost int }

func (n salvaged) String() string {
	s := fmt.Sprintf("carried over: incidents %d, deliveries %d (pending %d), source positions %d", n.incidents, n.deliveries, n.pending, n.state)
	if n.lost > 0 {
		s += fmt.Sprintf("; lost: rows %d", n.lost)
	}
	return s
}

// salvage carries over into the new store what can still be read of a damaged one:
// rows whose checksum holds, from the front up to the first damage and from the
// back. It does what it can; what it could not is counted where it can be.
func (s *Store) salvage(ctx context.Context, from string) salvaged {
	var n salvaged
	copied, err := mended(from)
	if err != nil {
		s.log.Warn("the header of the damaged store is read as it is", zap.Error(err))
	}
	if copied != "" {
		from = copied
		defer func() {
			if err := dropMended(copied); err != nil {
				s.log.Warn("a copy of the damaged store stays", zap.String("path", copied), zap.Error(err))
			}
		}()
	}
	old, err := sql.Open("sqlite", dsn(from, "mode=ro&_pragma=mmap_size(0)&_pragma=query_only(ON)&_pragma=cell_size_check(ON)"))
	if err != nil {
		return n
	}
	defer old.Close()
	old.SetMaxOpenConns(1)
	columns, told := rowCols+", crc", "receiver, host, key, at_ns, wait_ns, thread"
	var version int
	if err := old.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err == nil {
		switch version {
		case 1:
			columns, told = rowsV1, toldV2
		case 2:
			columns, told = rowsV2+", crc", toldV2
		}
	}
	for _, part := range []struct {
		table, columns string
		order          string
		keep           func(*tx, []any) error
	}{
		{"state", "key, value, crc", "key", func(tx *tx, v []any) error {
			value, ok := v[1].([]byte)
			if crc, _ := v[2].(int64); !ok || checksum(value) != crc {
				n.lost++
				return nil
			}
			return count(&n.state)(tx.ExecContext(ctx, "INSERT OR IGNORE INTO state(key, value, crc) VALUES(?,?,?)", v...))
		}},
		{"incidents", "id, time_ns, kind, cause, crc, body", "rowid", func(tx *tx, v []any) error {
			k := kept{}
			var ok [6]bool
			k.id, ok[0] = v[0].(string)
			k.at, ok[1] = v[1].(int64)
			k.kind, ok[2] = v[2].(string)
			k.cause, ok[3] = v[3].(string)
			k.crc, ok[4] = v[4].(int64)
			k.body, ok[5] = v[5].([]byte)
			if ok != [6]bool{true, true, true, true, true, true} {
				n.lost++
				return nil
			}
			inc := s.decode(k.id, k.body, k.crc)
			if inc == nil {
				n.lost++
				return nil
			}
			known := 0
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incidents WHERE id = ? AND host = ?", k.id, inc.HostName()).Scan(&known); err != nil || known > 0 {
				return err // the second pass, from the other end
			}
			n.incidents++
			return k.of(inc).insert(ctx, tx)
		}},
		{"deliveries", columns, "rowid", func(tx *tx, v []any) error {
			r, ok := rowOf(v)
			if !ok {
				n.lost++
				return nil
			}
			return s.carryDelivery(ctx, tx, r, &n)
		}},
		{"told", told, "receiver, key", func(tx *tx, v []any) error {
			// Without a host it is of an earlier version, which kept what happened on one.
			_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO told(receiver, host, key, at_ns, wait_ns, thread)
				VALUES(?1, coalesce(nullif(?2, ''), (SELECT host FROM incidents ORDER BY seq DESC LIMIT 1), ''), ?3, ?4, ?5, ?6)`, v...)
			return err
		}},
		{"tally", "receiver, generated, delivered, parked", "receiver", func(tx *tx, v []any) error {
			_, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO tally(receiver, generated, delivered, parked) VALUES(?,?,?,?)", v...)
			return err
		}},
		{"silences", "id, until_ns, body, crc", "id", func(tx *tx, v []any) error {
			body, ok := v[2].([]byte)
			if crc, _ := v[3].(int64); !ok || checksum(body) != crc {
				n.lost++
				return nil
			}
			_, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO silences(id, until_ns, body, crc) VALUES(?,?,?,?)", v...)
			return err
		}},
	} {
		for _, dir := range []string{"ASC", "DESC"} {
			query := "SELECT " + part.columns + " FROM " + part.table + " NOT INDEXED ORDER BY " + part.order + " " + dir
			done, err := s.carry(ctx, old, query, strings.Count(part.columns, ",")+1, part.keep)
			if err != nil {
				s.log.Warn("a part of the damaged store cannot be read", zap.String("table", part.table), zap.Error(err))
			}
			if done {
				break
			}
		}
	}
	// Where the account itself was damaged it begins anew with what is there.
	if _, err := s.db.ExecContext(ctx, "INSERT OR IGNORE INTO tally(receiver, generated) SELECT receiver, count(*) FROM deliveries GROUP BY receiver"); err != nil {
		s.log.Warn("the accounts of the receivers cannot be made", zap.Error(err))
	}
	return n
}

// rowOf reads the values of a delivery: as version 1 had it, without a checksum; as
// version 2, without a host; or as it is now. ok is false for what is damaged.
func rowOf(v []any) (r *row, ok bool) {
	r = new(row)
	columns := len(v)
	if columns > columnsV1 {
		columns--
	}
	for i, into := range r.pointers()[:columns] {
		switch p := into.(type) {
		case *string:
			*p, ok = v[i].(string)
		case *int64:
			*p, ok = v[i].(int64)
		case *bool:
			var n int64
			n, ok = v[i].(int64)
			*p = n != 0
		}
		if !ok {
			return nil, false
		}
	}
	sum, _ := v[len(v)-1].(int64)
	switch columns {
	case columnsV1:
		return r, r.genuine()
	case columnsV2:
		return r, r.sumV2() == sum
	}
	return r, r.sum() == sum
}

// carryDelivery keeps a delivery whose incident was carried over.
func (s *Store) carryDelivery(ctx context.Context, tx *tx, r *row, n *salvaged) error {
	if r.host == "" { // of an earlier version, perhaps
		err := tx.QueryRowContext(ctx, "SELECT host FROM incidents WHERE id = ?", r.incident).Scan(&r.host)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	var known int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incidents WHERE id = ? AND host = ?", r.incident, r.host).Scan(&known); err != nil {
		return err
	}
	if known == 0 {
		n.lost++
		return nil
	}
	if have, err := rowByID(ctx, tx, r.id, r.host); err != nil || have != nil {
		return err // the second pass, from the other end
	}
	if r.key == "" {
		if err := r.complete(ctx, tx); err != nil {
			return err
		}
	}
	n.deliveries++
	if r.state == string(incident.Pending) {
		n.pending++
	}
	return r.put(ctx, tx)
}

// carry copies the rows of a query until the first that cannot be read; done is
// true when there was none such.
func (s *Store) carry(ctx context.Context, old *sql.DB, query string, columns int, keep func(*tx, []any) error) (done bool, err error) {
	rows, err := old.QueryContext(ctx, query)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	werr := s.transact(ctx, func(tx *tx) error {
		values, ptrs := make([]any, columns), make([]any, columns)
		for i := range values {
			ptrs[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(ptrs...); err != nil {
				return nil // what came before it is kept
			}
			// A row of nonsense (a constraint of the new tables broken) is not kept.
			if err := keep(tx, values); err != nil && ctx.Err() != nil {
				return err
			}
		}
		return nil
	})
	if werr != nil {
		return false, werr
	}
	return rows.Err() == nil, rows.Err()
}

// count adds the rows that a statement changed.
func count(n *int) func(sql.Result, error) error {
	return func(r sql.Result, err error) error {
		if err != nil {
			return err
		}
		if added, err := r.RowsAffected(); err == nil {
			*n += int(added)
		}
		return nil
	}
}
