package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// owe adds the deliveries of an entry: the first to each of its receivers, and an
// update to whom was told of the incident before, where there is news.
func owe(ctx context.Context, tx *tx, e *Entry, known bool, now time.Time, saved *Saved) error {
	if e.Silent {
		return nil
	}
	var had map[string]*row
	if known {
		var err error
		if had, err = lastWords(ctx, tx, e.Incident.ID, e.Incident.HostName()); err != nil {
			return err
		}
	}
	fresh := row{incident: e.Incident.ID, host: e.Incident.HostName(), lane: e.Incident.Lane(), key: e.Incident.Key(), news: e.Incident.News(),
		state: string(incident.Pending), kept: now.UnixNano()}
	for _, name := range e.Receivers {
		if had[name] == nil {
			if _, err := fresh.add(ctx, tx, name, 0, saved); err != nil {
				return err
			}
		}
	}
	if !e.Update {
		return nil
	}
	for name, last := range had {
		switch {
		case last.news == fresh.news:
		case last.state == string(incident.Pending) && last.attempts == 0 && !last.maybe:
			// It has not gone out: it will tell the news itself.
			last.news, last.key = fresh.news, fresh.key
			if err := last.put(ctx, tx); err != nil {
				return err
			}
		default:
			if _, err := fresh.add(ctx, tx, name, last.rev+1, saved); err != nil {
				return err
			}
		}
	}
	return nil
}

// querier is what can be asked, in a transaction or without.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// lastWords are the last deliveries of an incident, by receiver.
func lastWords(ctx context.Context, q querier, id, host string) (map[string]*row, error) {
	had := map[string]*row{}
	list, err := rowsOf(ctx, q, id, host)
	for _, r := range list {
		had[r.receiver] = r
	}
	return had, err
}

// rowsOf are the deliveries of an incident, the first word first.
func rowsOf(ctx context.Context, q querier, id, host string) ([]*row, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+rowCols+" FROM deliveries WHERE incident = ? AND host = ? ORDER BY rev", id, host)
	if err != nil {
		return nil, fmt.Errorf("incident %s: %w", id, err)
	}
	defer rows.Close()
	var list []*row
	for rows.Next() {
		r := new(row)
		if err := rows.Scan(r.pointers()...); err != nil {
			return nil, fmt.Errorf("incident %s: %w", id, err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("incident %s: %w", id, err)
	}
	return list, nil
}

// add writes a new delivery made after the pattern of r and returns it.
func (r row) add(ctx context.Context, tx *tx, receiver string, rev int64, saved *Saved) (row, error) {
	r.receiver, r.rev = receiver, rev
	r.id = incident.UpdateID(r.host, r.incident, int(rev), receiver)
	if err := tx.QueryRowContext(ctx, "SELECT max(coalesce(max(seq),0), ?)+1 FROM deliveries", tx.db.floor.Load()).Scan(&r.seq); err != nil {
		return r, fmt.Errorf("delivery of %s to %s: %w", r.incident, receiver, err)
	}
	if err := r.put(ctx, tx); err != nil {
		return r, err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO tally(receiver, generated) VALUES(?, 1) ON CONFLICT(receiver) DO UPDATE SET generated = generated + 1", receiver)
	if err != nil {
		return r, fmt.Errorf("account of %s: %w", receiver, err)
	}
	saved.Owed++
	return r, nil
}
