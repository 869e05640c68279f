package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oomwatch/oomwatch/incident"
)

// migrations bring a file up from the version that is their key.
var migrations = map[int]func(context.Context, *tx) error{
	1: fromVersion1,
	2: fromVersion2,
}

func execAll(ctx context.Context, tx *tx, queries ...string) error {
	for _, q := range queries {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// fromVersion1 adds the columns and tables of version 2. What the deliveries lack,
// their checksums above all, fromVersion2 fills in.
func fromVersion1(ctx context.Context, tx *tx) error {
	return execAll(ctx, tx,
		"ALTER TABLE deliveries ADD COLUMN rev INTEGER NOT NULL DEFAULT 0",
		"ALTER TABLE deliveries ADD COLUMN key TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN news TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
		"ALTER TABLE deliveries ADD COLUMN batch TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN crc INTEGER NOT NULL DEFAULT 0",
		sideTables,
		"CREATE TABLE told (receiver TEXT, key TEXT, at_ns INTEGER, wait_ns INTEGER, thread TEXT)",
		"INSERT INTO tally(receiver, generated) SELECT receiver, count(*) FROM deliveries GROUP BY receiver")
}

// fromVersion2 puts the host's name into the keys and makes the table of names. The
// rows are written anew: SQLite cannot change the key of a table.
func fromVersion2(ctx context.Context, tx *tx) error {
	if err := execAll(ctx, tx,
		"ALTER TABLE incidents RENAME TO incidents_2", "ALTER TABLE deliveries RENAME TO deliveries_2", "ALTER TABLE told RENAME TO told_2",
		"DROP INDEX IF EXISTS incidents_time", "DROP INDEX IF EXISTS incidents_seq",
		"DROP INDEX IF EXISTS deliveries_due", "DROP INDEX IF EXISTS deliveries_seq", "DROP INDEX IF EXISTS deliveries_queue",
		"DROP INDEX IF EXISTS deliveries_incident", "DROP INDEX IF EXISTS deliveries_lane",
		incidentsTable, deliveriesTable, toldTable, namesTables); err != nil {
		return err
	}
	if err := incidentsFrom2(ctx, tx); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	if err := deliveriesFrom2(ctx, tx); err != nil {
		return fmt.Errorf("deliveries: %w", err)
	}
	// A store of version 2 kept what happened on one host.
	return execAll(ctx, tx,
		`INSERT INTO told(receiver, host, key, at_ns, wait_ns, thread)
			SELECT receiver, coalesce((SELECT host FROM incidents ORDER BY seq DESC LIMIT 1), ''), key, at_ns, wait_ns, thread FROM told_2`,
		"DROP TABLE told_2", "DROP TABLE deliveries_2", "DROP TABLE incidents_2")
}

// incidentsFrom2 copies the incidents, one at a time: a page of them at once may be
// many megabytes.
func incidentsFrom2(ctx context.Context, tx *tx) error {
	for after := int64(-1 << 62); ; {
		var id, kind, cause string
		var at, crc int64
		var body []byte
		err := tx.QueryRowContext(ctx, "SELECT rowid, id, time_ns, kind, cause, body, crc FROM incidents_2 WHERE rowid > ? ORDER BY rowid LIMIT 1", after).
			Scan(&after, &id, &at, &kind, &cause, &body, &crc)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		var inc incident.Incident
		// One that is damaged stays, with its wrong checksum: it is skipped and
		// counted when it is read.
		if checksum(body) != crc || json.Unmarshal(body, &inc) != nil {
			inc = incident.Incident{}
		}
		if err := (&kept{id: id, kind: kind, cause: cause, at: at, crc: crc, body: body}).of(&inc).insert(ctx, tx); err != nil {
			return err
		}
	}
}

// deliveriesFrom2 copies the deliveries. One whose checksum does not hold keeps a
// wrong one, and is mended or removed as ever.
func deliveriesFrom2(ctx context.Context, tx *tx) error {
	for after := int64(-1 << 62); ; {
		r := new(row)
		var sum int64
		err := tx.QueryRowContext(ctx, "SELECT "+rowsV2+", crc, rowid FROM deliveries_2 WHERE rowid > ? ORDER BY rowid LIMIT 1", after).
			Scan(append(r.pointers()[:columnsV2], &sum, &after)...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		whole := sum == r.sumV2()
		if r.key == "" { // of version 1
			whole = true
			if err := r.complete(ctx, tx); err != nil {
				return err
			}
		}
		err = tx.QueryRowContext(ctx, "SELECT host FROM incidents WHERE id = ?", r.incident).Scan(&r.host)
		if errors.Is(err, sql.ErrNoRows) {
			continue // its incident is lost
		}
		if err != nil {
			return err
		}
		if err := r.put(ctx, tx); err != nil {
			return err
		}
		if !whole {
			if _, err := tx.ExecContext(ctx, "UPDATE deliveries SET crc = crc + 1 WHERE id = ? AND host = ?", r.id, r.host); err != nil {
				return err
			}
		}
	}
}
