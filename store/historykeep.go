package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/recorder"
)

const (
	// maxBlock is how large a block grows: with what SQLite writes beside it,
	// it fills one page.
	maxBlock = 3900
	// sweepServices is how many services are looked at in one Keep for what is
	// too old, beside those that it writes.
	sweepServices = 50
	// maxIDs bounds how many services' numbers are remembered.
	maxIDs = 4096
	// squeezeStep is by how much less is kept after each round of sweeping that
	// has left the file too large; leastKeep is always kept.
	squeezeStep = 12 * time.Hour
	leastKeep   = 24 * time.Hour
)

// Keep implements recorder.Keeper.
func (h *History) Keep(ctx context.Context, blocks []recorder.Block) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if free, err := h.free(h.path); err == nil && free < reserve {
		return ErrNoRoom
	}
	if h.closed {
		if err := h.openOrWait(ctx); err != nil {
			return fmt.Errorf("open history %s: %w", h.path, explainSQLite(err))
		}
		h.closed = false
	}
	err := h.keep(ctx, blocks)
	if damaged(err) {
		// What is new matters more than what cannot be read any more.
		_ = h.db.Close()
		h.closed = true // until a new one is there
		if rerr := h.renew(ctx, err); rerr != nil {
			return rerr
		}
		h.closed = false
		err = h.keep(ctx, blocks)
	}
	if err != nil {
		clear(h.ids)
		return fmt.Errorf("keep history in %s: %w", h.path, explainSQLite(err))
	}
	return nil
}

func (h *History) keep(ctx context.Context, blocks []recorder.Block) error {
	h.db.parseWanted(ctx)
	begun, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	tx := &tx{begun, h.db}
	if err := h.keepIn(ctx, tx, blocks); err != nil {
		_ = tx.Rollback() // its error says nothing that err does not
		return err
	}
	return tx.Commit()
}

func (h *History) keepIn(ctx context.Context, tx *tx, blocks []recorder.Block) error {
	var recent []byte
	var newest time.Time
	for i := range blocks {
		b := &blocks[i]
		if b.To.After(newest) {
			newest = b.To
		}
		if b.Step == recorder.StepRead {
			recent = binary.AppendUvarint(recent, uint64(len(b.Service)))
			recent = append(recent, b.Service...)
			recent = binary.AppendUvarint(recent, uint64(len(b.Data)))
			recent = append(recent, b.Data...)
			continue
		}
		if err := h.append(ctx, tx, b); err != nil {
			return err
		}
	}
	if len(recent) > 0 {
		if _, err := tx.ExecContext(ctx, "INSERT INTO recent(until, data, crc) VALUES(?,?,?)", newest.UnixMilli(), recent, checksum(recent)); err != nil {
			return err
		}
	}
	if newest.IsZero() {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM recent WHERE until < ?", newest.Add(-recorder.KeepRead).UnixMilli()); err != nil {
		return err
	}
	return h.sweep(ctx, tx, newest)
}

// append goes on with the last block of a service and step, or begins one.
func (h *History) append(ctx context.Context, tx *tx, b *recorder.Block) error {
	if levels[b.Step] == 0 {
		return fmt.Errorf("a block of %q has the step %v, which is not kept", b.Service, b.Step)
	}
	id, err := h.serviceID(ctx, tx, b.Service)
	if err != nil {
		return err
	}
	key := keyOf(id, b.Step, b.From)
	var last, crc int64
	var data []byte
	err = tx.QueryRowContext(ctx, "SELECT key, data, crc FROM blocks WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1",
		keyOf(id, b.Step, time.Time{}), keyOf(id, b.Step, time.Unix(1<<keySecond, 0))).Scan(&last, &data, &crc)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case last == key, len(data)+len(b.Data) <= maxBlock && h.good(data, crc, b.Service):
		joined, err := recorder.Append(data, b.Data)
		if err != nil {
			return fmt.Errorf("go on with the history of %q: %w", b.Service, err)
		}
		_, err = tx.ExecContext(ctx, "UPDATE blocks SET until=?, data=?, crc=? WHERE key=?", b.To.UnixMilli(), joined, checksum(joined), last)
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO blocks(key, until, data, crc) VALUES(?,?,?,?) ON CONFLICT(key) DO UPDATE SET until=excluded.until, data=excluded.data, crc=excluded.crc",
		key, b.To.UnixMilli(), b.Data, checksum(b.Data))
	return err
}

// serviceID is the number of a service, which it is given the first time.
func (h *History) serviceID(ctx context.Context, tx *tx, name string) (int64, error) {
	if id := h.ids[name]; id != 0 {
		return id, nil
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO services(name) VALUES(?) ON CONFLICT(name) DO NOTHING", name); err != nil {
		return 0, err
	}
	var id int64
	if err := tx.QueryRowContext(ctx, "SELECT id FROM services WHERE name = ?", name).Scan(&id); err != nil {
		return 0, err
	}
	if len(h.ids) >= maxIDs {
		clear(h.ids) // containers that ran once each have a name of their own
	}
	h.ids[name] = id
	return id, nil
}

// sweep removes what is too old of the next few services, and those of which
// nothing is left: little at a time, so that no transaction is long.
func (h *History) sweep(ctx context.Context, tx *tx, now time.Time) error {
	rows, err := tx.QueryContext(ctx, "SELECT id, name FROM services WHERE id > ? ORDER BY id LIMIT ?", h.swept, sweepServices)
	if err != nil {
		return err
	}
	type service struct {
		id   int64
		name string
	}
	var next []service
	for rows.Next() {
		var s service
		if err := rows.Scan(&s.id, &s.name); err != nil {
			return errors.Join(err, rows.Close())
		}
		next = append(next, s)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if len(next) < sweepServices {
		h.swept = 0
		if err := h.squeeze(ctx, tx); err != nil {
			return err
		}
	} else {
		h.swept = next[len(next)-1].id
	}
	for _, s := range next {
		for step, keep := range map[time.Duration]time.Duration{recorder.StepShort: min(recorder.KeepShort, h.keepLong()), recorder.StepLong: h.keepLong()} {
			old := now.Add(-keep)
			if _, err := tx.ExecContext(ctx, "DELETE FROM blocks WHERE key BETWEEN ? AND ? AND until < ?",
				keyOf(s.id, step, time.Time{}), keyOf(s.id, step, old), old.UnixMilli()); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, "DELETE FROM services WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM blocks WHERE key >= ?1 << 36 AND key < (?1 + 1) << 36)", s.id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n > 0 {
			delete(h.ids, s.name)
		}
	}
	return nil
}

// keepLong is how long readings of a minute are kept.
func (h *History) keepLong() time.Duration {
	return max(h.opt.Keep-h.squeezed, min(h.opt.Keep, leastKeep))
}

// squeeze finds out, after each round of all services, whether less can be kept
// than was asked for. It measures within the transaction: a page that is free
// is used again.
func (h *History) squeeze(ctx context.Context, tx *tx) error {
	if h.opt.MaxBytes <= 0 {
		return nil
	}
	var pages, free, size int64
	for q, n := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
		if err := tx.QueryRowContext(ctx, q).Scan(n); err != nil {
			return err
		}
	}
	used, was := (pages-free)*size, h.squeezed
	switch {
	case used > h.opt.MaxBytes && h.keepLong() > min(h.opt.Keep, leastKeep):
		h.squeezed += squeezeStep
	case used < h.opt.MaxBytes/10*9 && h.squeezed > 0:
		h.squeezed = max(0, h.squeezed-squeezeStep)
	}
	if (was == 0) != (h.squeezed == 0) {
		said := "history is kept for its whole retention again"
		if h.squeezed > 0 {
			said = "history has reached its size limit: the oldest readings go before their time"
		}
		h.log.Warn(said, zap.Duration("kept_for", h.keepLong()),
			zap.Int64("bytes", used), zap.Int64("max_bytes", h.opt.MaxBytes))
	}
	return nil
}
