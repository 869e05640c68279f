package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/incident"
)

// Account is what became of all that a receiver was ever owed:
// Generated = Delivered + Parked + Pending + Lost, and Lost is 0 unless the file
// was damaged. What is kept no more is still counted.
type Account struct {
	Receiver                              string
	Generated, Delivered, Parked, Pending int64
	Lost                                  int64
	// Pruned of the parked are kept no more, and cannot be tried again.
	Pruned int64
	// Held of the pending only wait to be told together with others.
	Held int64
	// Oldest is when the oldest that is pending was kept, Next when the next
	// attempt is due; zero when nothing is pending.
	Oldest, Next time.Time
	// Error is the reason of the last failure among what is pending or parked.
	Error string
}

// Accounts returns the account of every receiver that was ever owed something,
// by name.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	by := map[string]*Account{}
	rows, err := s.readers.QueryContext(ctx, `
		SELECT receiver, generated, delivered, parked, parked, 0, 0, 0, 0 FROM tally
		UNION ALL
		SELECT receiver, 0, (state = 'delivered') * n, (state = 'parked') * n, 0, (state = 'pending') * n, 0, 0, 0
			FROM (SELECT receiver, state, count(*) AS n FROM deliveries INDEXED BY deliveries_due GROUP BY receiver, state)
		UNION ALL
		SELECT receiver, 0, 0, 0, 0, 0, held,
			coalesce((SELECT kept_ns FROM deliveries d WHERE d.receiver = q.receiver AND d.state = 'pending' ORDER BY d.seq LIMIT 1), 0), next
			FROM (SELECT receiver, sum(held) AS held, min(next_ns) AS next FROM deliveries INDEXED BY deliveries_queue WHERE state = 'pending' GROUP BY receiver) q`)
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a Account
		var oldest, next int64
		if err := rows.Scan(&a.Receiver, &a.Generated, &a.Delivered, &a.Parked, &a.Pruned, &a.Pending, &a.Held, &oldest, &next); err != nil {
			return nil, fmt.Errorf("read the accounts: %w", err)
		}
		b := by[a.Receiver]
		if b == nil {
			b = &Account{Receiver: a.Receiver}
			by[a.Receiver] = b
		}
		b.Generated, b.Delivered, b.Parked, b.Pruned = b.Generated+a.Generated, b.Delivered+a.Delivered, b.Parked+a.Parked, b.Pruned+a.Pruned
		b.Pending, b.Held = b.Pending+a.Pending, b.Held+a.Held
		if oldest != 0 {
			b.Oldest, b.Next = time.Unix(0, oldest), time.Unix(0, next)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	rows.Close()
	out := make([]Account, 0, len(by))
	for _, a := range by {
		a.Lost = a.Generated - a.Delivered - a.Parked - a.Pending
		if a.Parked+a.Pending > 0 {
			// No row is no error: nothing has failed.
			_ = scanOne(ctx, &s.readers, "SELECT error FROM deliveries WHERE receiver = ? AND state <> 'delivered' AND error <> '' ORDER BY seq DESC LIMIT 1", []any{a.Receiver}, &a.Error)
		}
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(a.Receiver, b.Receiver) })
	return out, nil
}

// Retry makes what a receiver is owed due at once, what was parked included, and
// returns how many deliveries that are; "" is every receiver.
func (s *Store) Retry(ctx context.Context, receiver string) (n int, err error) {
	now := time.Now().UnixNano()
	err = s.write(ctx, func(tx *tx) error {
		n = 0
		return eachRow(ctx, tx, " AND state <> 'delivered' AND (?2 = '' OR receiver = ?2)", func(r *row, _ int64) error {
			n++
			if r.state == string(incident.Parked) {
				r.state, r.attempts = string(incident.Pending), 0
			}
			// Its 72 hours begin anew, also for a daemon that starts later.
			r.next, r.held, r.first = 0, false, now
			return r.put(ctx, tx)
		}, receiver)
	})
	if err != nil {
		return 0, fmt.Errorf("retry the deliveries: %w", explainSQLite(err))
	}
	return n, nil
}

// GiveUp parks what has been owed since before a time to receivers that are none of
// those named, and returns how many deliveries that are, by receiver.
func (s *Store) GiveUp(ctx context.Context, named []string, before time.Time, why string) (map[string]int, error) {
	var given map[string]int
	err := s.write(ctx, func(tx *tx) error {
		given = map[string]int{}
		return eachRow(ctx, tx, " AND state = 'pending' AND kept_ns < ?2", func(r *row, _ int64) error {
			if slices.Contains(named, r.receiver) {
				return nil
			}
			given[r.receiver]++
			r.state, r.error, r.next, r.held = string(incident.Parked), why, 0, false
			return r.put(ctx, tx)
		}, before.UnixNano())
	})
	if err != nil {
		return nil, fmt.Errorf("give up deliveries of removed receivers: %w", explainSQLite(err))
	}
	return given, nil
}

// Deliveries counts the deliveries that are kept of each receiver, by state.
func (s *Store) Deliveries(ctx context.Context) (map[string]map[incident.DeliveryState]int64, error) {
	rows, err := s.readers.QueryContext(ctx, "SELECT receiver, state, count(*) FROM deliveries GROUP BY receiver, state")
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
	s                       *Store
	state, made, lost, size *prometheus.Desc
}

func newCollector(s *Store) *collector {
	return &collector{s: s,
		state: prometheus.NewDesc("oomwatch_deliveries", "Deliveries, by receiver and state; they add up to those generated.", []string{"receiver", "state"}, nil),
		made:  prometheus.NewDesc("oomwatch_deliveries_generated", "Deliveries ever made for a receiver: delivered, given up and pending.", []string{"receiver"}, nil),
		lost:  prometheus.NewDesc("oomwatch_deliveries_lost", "Deliveries that went with a damaged part of the store.", []string{"receiver"}, nil),
		size:  prometheus.NewDesc("oomwatch_store_incidents", "Incidents kept.", nil, nil)}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.made, c.lost, c.size} {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	accounts, err := c.s.Accounts(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.state, err)
		return
	}
	for _, a := range accounts {
		gauge := func(d *prometheus.Desc, n int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), append([]string{a.Receiver}, labels...)...)
		}
		gauge(c.state, a.Pending, string(incident.Pending))
		gauge(c.state, a.Delivered, string(incident.Delivered))
		gauge(c.state, a.Parked, string(incident.Parked))
		gauge(c.made, a.Generated)
		gauge(c.lost, a.Lost)
	}
	var n float64
	if err := scanOne(ctx, &c.s.readers, "SELECT count(*) FROM incidents", nil, &n); err != nil {
		ch <- prometheus.NewInvalidMetric(c.size, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, n)
}
