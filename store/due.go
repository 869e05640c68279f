package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/incident"
)

// Due returns up to limit deliveries that a receiver is owed now, oldest first.
// What concerns one container is told in order: while an earlier delivery of the
// same container waits for its next attempt, the later ones wait behind it.
func (s *Store) Due(ctx context.Context, receiver string, now time.Time, limit int) ([]incident.Delivery, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT d.id, d.seq, d.lane, d.attempts, d.first_ns, d.maybe, d.kept_ns, d.error, i.id, i.body, i.crc
		FROM deliveries d JOIN incidents i ON i.id = d.incident
		WHERE d.receiver = ?1 AND d.state = 'pending' AND d.next_ns <= ?2
		AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.receiver = ?1 AND e.state = 'pending'
			AND e.lane = d.lane AND e.seq < d.seq AND e.next_ns > ?2)
		ORDER BY d.seq LIMIT ?3`, receiver, now.UnixNano(), limit)
	if err != nil {
		return nil, fmt.Errorf("read what is due to %q: %w", receiver, err)
	}
	defer rows.Close()
	var due []incident.Delivery
	var broken []string
	for rows.Next() {
		d := incident.Delivery{Receiver: receiver}
		var first, kept, crc int64
		var incID string
		var body []byte
		if err := rows.Scan(&d.ID, &d.Seq, &d.Lane, &d.Attempts, &first, &d.Unknown, &kept, &d.Error, &incID, &body, &crc); err != nil {
			return nil, fmt.Errorf("read what is due to %q: %w", receiver, err)
		}
		d.KeptAt = time.Unix(0, kept)
		if first != 0 {
			d.FirstAttempt = time.Unix(0, first)
		}
		if d.Incident = s.decode(incID, body, crc); d.Incident == nil {
			broken = append(broken, d.ID)
			continue
		}
		due = append(due, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is due to %q: %w", receiver, err)
	}
	rows.Close()
	// A damaged incident cannot be told; it must not stand before the others.
	for _, id := range broken {
		if err := s.Settle(ctx, incident.Delivery{ID: id}, incident.Outcome{State: incident.Parked, At: now, NotTried: true, Error: "the kept incident is damaged"}); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// Begin notes that an attempt at these deliveries is about to be made, so that
// after a crash in the middle the next attempt knows it may be a repeat.
func (s *Store) Begin(ctx context.Context, ids ...string) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "UPDATE deliveries SET maybe = 1 WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("begin delivery: %w", explainSQLite(err))
	}
	return nil
}

// Settle writes how an attempt ended.
func (s *Store) Settle(ctx context.Context, d incident.Delivery, o incident.Outcome) error {
	tried := 1
	if o.NotTried {
		tried = 0
	}
	var next int64
	if o.State == incident.Pending {
		next = o.Next.UnixNano()
	}
	maybe := d.Unknown && o.State == incident.Pending || o.Unknown
	_, err := s.db.ExecContext(ctx, `UPDATE deliveries SET state = ?, attempts = attempts + ?,
		first_ns = CASE WHEN first_ns = 0 AND ? = 1 THEN ? ELSE first_ns END,
		next_ns = ?, maybe = ?, error = ? WHERE id = ?`,
		o.State, tried, tried, o.At.UnixNano(), next, maybe, o.Error, d.ID)
	if err != nil {
		return fmt.Errorf("settle delivery %s: %w", d.ID, explainSQLite(err))
	}
	return nil
}

// NextDue is when the next pending delivery of a receiver may be tried; zero
// when nothing is pending. What waits behind another of its container counts as
// that one does.
func (s *Store) NextDue(ctx context.Context, receiver string) (time.Time, error) {
	var next sql.NullInt64
	err := s.db.QueryRowContext(ctx, `
		SELECT min(next_ns) FROM (SELECT next_ns, min(seq) FROM deliveries
			WHERE receiver = ? AND state = 'pending' GROUP BY lane)`, receiver).Scan(&next)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when %q is due: %w", receiver, err)
	}
	if !next.Valid {
		return time.Time{}, nil
	}
	return time.Unix(0, next.Int64), nil
}

// Deliveries counts what each receiver is owed and was told, by state. For every
// receiver owed = delivered + pending + parked.
func (s *Store) Deliveries(ctx context.Context) (map[string]map[incident.DeliveryState]int64, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT receiver, state, count(*) FROM deliveries GROUP BY receiver, state")
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	defer rows.Close()
	out := map[string]map[incident.DeliveryState]int64{}
	for rows.Next() {
		var receiver string
		var state incident.DeliveryState
		var n int64
		if err := rows.Scan(&receiver, &state, &n); err != nil {
			return nil, fmt.Errorf("count deliveries: %w", err)
		}
		if out[receiver] == nil {
			out[receiver] = map[incident.DeliveryState]int64{}
		}
		out[receiver][state] = n
	}
	return out, rows.Err()
}

// collector reads the counts when metrics are asked for.
type collector struct {
	s    *Store
	desc *prometheus.Desc
	size *prometheus.Desc
}

func newCollector(s *Store) *collector {
	return &collector{s: s,
		desc: prometheus.NewDesc("oomwatch_deliveries", "Deliveries kept, by receiver and state.", []string{"receiver", "state"}, nil),
		size: prometheus.NewDesc("oomwatch_store_incidents", "Incidents kept.", nil, nil)}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc; ch <- c.size }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counts, err := c.s.Deliveries(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.desc, err)
		return
	}
	for receiver, states := range counts {
		for _, st := range []incident.DeliveryState{incident.Pending, incident.Delivered, incident.Parked} {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(states[st]), receiver, string(st))
		}
	}
	var n float64
	if err := c.s.db.QueryRowContext(ctx, "SELECT count(*) FROM incidents").Scan(&n); err != nil {
		ch <- prometheus.NewInvalidMetric(c.size, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, n)
}
