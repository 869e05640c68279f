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
		if had, err = lastWords(ctx, tx, e.Incident.ID); err != nil {
			return err
		}
	}
	fresh := row{incident: e.Incident.ID, lane: e.Incident.Lane(), key: e.Incident.Key(), news: e.Incident.News(),
		state: string(incident.Pending), kept: now.UnixNano()}
	for _, name := range e.Receivers {
		if had[name] == nil {
			if _, err := fresh.add(ctx, tx, name, 0, e.Past, saved); err != nil {
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
		case last.state == string(incident.Pending) && last.attempts == 0 && !last.maybe && !e.tried(name, last.rev) && !e.tried(name, last.rev+1):
			// It has not gone out: it will tell the news itself.
			last.news, last.key = fresh.news, fresh.key
			if err := last.put(ctx, tx); err != nil {
				return err
			}
		default:
			// One after the other, as they may have been told from memory.
			for told := *last; told.news != fresh.news; {
				var err error
				if told, err = fresh.add(ctx, tx, name, told.rev+1, e.Past, saved); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tried is true when a delivery was told, or tried to be, from memory.
func (e *Entry) tried(receiver string, rev int64) bool {
	return !e.Past[incident.UpdateID(e.Incident.ID, int(rev), receiver)].Outcome.At.IsZero()
}

// querier is what can be asked, in a transaction or without.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// lastWords are the last deliveries of an incident, by receiver.
func lastWords(ctx context.Context, q querier, id string) (map[string]*row, error) {
	had := map[string]*row{}
	rows, err := q.QueryContext(ctx, "SELECT "+rowCols+" FROM deliveries WHERE incident = ? ORDER BY rev", id)
	if err != nil {
		return nil, fmt.Errorf("incident %s: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		r := new(row)
		if err := rows.Scan(r.pointers()...); err != nil {
			return nil, fmt.Errorf("incident %s: %w", id, err)
		}
		had[r.receiver] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("incident %s: %w", id, err)
	}
	return had, nil
}

// Words returns the last delivery of an incident that is kept, by receiver.
func (s *Store) Words(ctx context.Context, id string) (map[string]incident.Word, error) {
	had, err := lastWords(ctx, s.db, id)
	if err != nil {
		return nil, fmt.Errorf("read who was told: %w", explainSQLite(err))
	}
	out := map[string]incident.Word{}
	for name, r := range had {
		out[name] = incident.Word{Rev: int(r.rev), News: r.news, Outcome: incident.Outcome{State: incident.DeliveryState(r.state)}}
	}
	return out, nil
}

// since is r after what became of it already.
func (r row) since(w incident.Word) row {
	o := w.Outcome
	if o.State == "" || o.At.IsZero() {
		return r
	}
	r.news, r.state, r.error, r.maybe, r.held = w.News, string(o.State), o.Error, o.Unknown, o.Held
	if r.state == string(incident.Pending) {
		r.next = o.Next.UnixNano()
	}
	if !o.NotTried {
		r.attempts, r.first = 1, o.At.UnixNano()
	}
	return r
}

// add writes a new delivery made after the pattern of r, with its past, and returns it.
func (r row) add(ctx context.Context, tx *tx, receiver string, rev int64, past map[string]incident.Word, saved *Saved) (row, error) {
	r.receiver, r.rev = receiver, rev
	r.id = incident.UpdateID(r.incident, int(rev), receiver)
	r = r.since(past[r.id])
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq),0)+1 FROM deliveries").Scan(&r.seq); err != nil {
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
