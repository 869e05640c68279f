package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"
)

const (
	// pruneEvery is how often old incidents are looked for, measureEvery after how
	// many transactions the size is compared with its limit.
	pruneEvery   = time.Hour
	measureEvery = 200
	// pruneBatch is how many incidents one transaction removes: the next alert
	// waits for it.
	pruneBatch = 200
	// lastKept is how long it is remembered what a receiver was told last of a key,
	// and that there was a silence.
	lastKept = 7 * 24 * time.Hour
)

// pruneNowAndThen removes one batch of what is too old or too much, where that is
// due; a failure is only logged, as nothing is lost by it.
func (s *Store) pruneNowAndThen(ctx context.Context, now time.Time) {
	// In memory nothing is removed: it would be missing in the account on disk.
	if s.memory.Load() {
		return
	}
	last := s.pruned.Load()
	if s.maxAge > 0 && now.Sub(time.Unix(last, 0)) >= pruneEvery && s.pruned.CompareAndSwap(last, now.Unix()) {
		more, err := s.prune(ctx, now.Add(-s.maxAge))
		if err != nil {
			s.log.Warn("old incidents were not removed", zap.Error(err))
		} else if more {
			s.pruned.Store(last) // the next call goes on
		}
	}
	if s.maxBytes <= 0 || s.unmeasured.Add(1) < measureEvery {
		return
	}
	switch more, err := s.squeeze(ctx); {
	case err != nil:
		s.log.Warn("incidents beyond the size limit were not removed", zap.Error(err))
		s.unmeasured.Store(0)
	case !more:
		s.unmeasured.Store(0)
	}
}

// squeeze removes the oldest incidents while the file is larger than its limit;
// more is true when it still is.
func (s *Store) squeeze(ctx context.Context) (more bool, err error) {
	used, err := s.Size(ctx)
	if err != nil {
		return false, err
	}
	if used <= s.maxBytes {
		if s.squeezing && used <= s.maxBytes/100*95 {
			s.squeezing = false
		}
		if !s.squeezing {
			return false, nil
		}
	}
	if !s.squeezing {
		s.squeezing = true
		s.log.Warn("the store has reached its size limit: the oldest incidents are removed before their time", zap.Int64("bytes", used), zap.Int64("max_bytes", s.maxBytes))
	}
	removed, err := s.remove(ctx, forever)
	if err == nil && removed == 0 {
		s.log.Error("the store is over its size limit, and every incident in it has undelivered alerts", zap.Int64("bytes", used), zap.Int64("max_bytes", s.maxBytes))
	}
	return removed > 0, err
}

// Size is how many bytes of the file are in use.
func (s *Store) Size(ctx context.Context) (int64, error) {
	var pages, free, size int64
	for q, n := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
		if err := s.db.QueryRowContext(ctx, q).Scan(n); err != nil {
			return 0, fmt.Errorf("measure the store: %w", explainSQLite(err))
		}
	}
	return (pages - free) * size, nil
}

// prune removes a batch of settled incidents from before a time; more is true when
// there may be others.
func (s *Store) prune(ctx context.Context, before time.Time) (more bool, err error) {
	removed, err := s.remove(ctx, before)
	if err != nil || removed == pruneBatch {
		return removed == pruneBatch, err
	}
	return false, s.write(ctx, func(tx *tx) error {
		old := time.Now().Add(-lastKept).UnixNano()
		for _, q := range []string{"DELETE FROM told WHERE at_ns < ?", "DELETE FROM silences WHERE until_ns < ?"} {
			if _, err := tx.ExecContext(ctx, q, old); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM names WHERE NOT EXISTS (SELECT 1 FROM called WHERE called.name = names.id)")
		return err
	})
}

// forever selects incidents of any age.
var forever = time.Unix(0, math.MaxInt64)

// remove removes the oldest settled incidents from before a time, pruneBatch at
// most, and their deliveries, which stay in the account.
func (s *Store) remove(ctx context.Context, before time.Time) (removed int, err error) {
	err = s.write(ctx, func(tx *tx) error {
		removed, err = removeIn(ctx, tx, before)
		return err
	})
	return removed, err
}

func removeIn(ctx context.Context, tx *tx, before time.Time) (int, error) {
	const old = `(SELECT seq FROM incidents i WHERE time_ns < ?1 AND NOT EXISTS
			(SELECT 1 FROM deliveries d WHERE d.incident = i.id AND d.host = i.host AND d.state = 'pending') ORDER BY time_ns, seq LIMIT ?2)`
	const theirs = " FROM deliveries WHERE (incident, host) IN (SELECT id, host FROM incidents WHERE seq IN " + old + ")"
	for _, q := range []string{
		`INSERT INTO tally(receiver, generated, delivered, parked)
			SELECT receiver, 0, sum(state = 'delivered'), sum(state = 'parked')` + theirs + ` GROUP BY receiver
			ON CONFLICT(receiver) DO UPDATE SET delivered = delivered + excluded.delivered, parked = parked + excluded.parked`,
		"DELETE" + theirs,
		"DELETE FROM called WHERE seq IN " + old,
	} {
		if _, err := tx.ExecContext(ctx, q, before.UnixNano(), pruneBatch); err != nil {
			return 0, err
		}
	}
	res, err := tx.ExecContext(ctx, "DELETE FROM incidents WHERE seq IN "+old, before.UnixNano(), pruneBatch)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
