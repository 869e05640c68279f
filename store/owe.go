package store

import (
	"context"
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
	had := map[string]*row{} // receiver → the last word to it
	if known {
		rows, err := tx.QueryContext(ctx, "SELECT "+rowCols+" FROM deliveries WHERE incident = ? ORDER BY rev", e.Incident.ID)
		if err != nil {
			return fmt.Errorf("incident %s: %w", e.Incident.ID, err)
		}
		for rows.Next() {
			r := new(row)
			if err := rows.Scan(r.pointers()...); err != nil {
				rows.Close()
				return fmt.Errorf("incident %s: %w", e.Incident.ID, err)
			}
			had[r.receiver] = r
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("incident %s: %w", e.Incident.ID, err)
		}
		rows.Close()
	}
	fresh := row{incident: e.Incident.ID, lane: e.Incident.Lane(), key: e.Incident.Key(), news: e.Incident.News(),
		state: string(incident.Pending), kept: now.UnixNano()}
	for _, name := range e.Receivers {
		if had[name] == nil {
			if err := fresh.since(e.Past[name]).add(ctx, tx, name, 0, saved); err != nil {
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
			if err := fresh.add(ctx, tx, name, last.rev+1, saved); err != nil {
				return err
			}
		}
	}
	return nil
}

// since is r after what became of it already.
func (r row) since(o incident.Outcome) row {
	if o.State == "" || o.At.IsZero() {
		return r
	}
	r.state, r.error, r.maybe, r.held = string(o.State), o.Error, o.Unknown, o.Held
	if r.state == string(incident.Pending) {
		r.next = o.Next.UnixNano()
	}
	if !o.NotTried {
		r.attempts, r.first = 1, o.At.UnixNano()
	}
	return r
}

// add writes a new delivery made after the pattern of r.
func (r row) add(ctx context.Context, tx *tx, receiver string, rev int64, saved *Saved) error {
	r.receiver, r.rev = receiver, rev
	r.id = incident.UpdateID(r.incident, int(rev), receiver)
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq),0)+1 FROM deliveries").Scan(&r.seq); err != nil {
		return fmt.Errorf("delivery of %s to %s: %w", r.incident, receiver, err)
	}
	if err := r.put(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO tally(receiver, generated) VALUES(?, 1) ON CONFLICT(receiver) DO UPDATE SET generated = generated + 1", receiver)
	if err != nil {
		return fmt.Errorf("account of %s: %w", receiver, err)
	}
	saved.Owed++
	return nil
}
