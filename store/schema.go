package store

import (
	"context"
	"fmt"
)

// schemaVersion is kept as user_version; a file of a later version is refused,
// one of an earlier version is brought up to date by migrations.
const schemaVersion = 2

const schema = `
CREATE TABLE IF NOT EXISTS incidents (
	id        TEXT PRIMARY KEY,
	seq       INTEGER NOT NULL,           -- order of keeping
	time_ns   INTEGER NOT NULL,           -- when it happened; when it was kept, where that is not known
	kind      TEXT NOT NULL,
	cause     TEXT NOT NULL,
	container TEXT NOT NULL,              -- id
	name      TEXT NOT NULL,
	body      BLOB NOT NULL,              -- the incident as JSON
	crc       INTEGER NOT NULL            -- CRC-32C of body
) STRICT;
CREATE INDEX IF NOT EXISTS incidents_time ON incidents(time_ns);
CREATE INDEX IF NOT EXISTS incidents_seq ON incidents(seq);
CREATE TABLE IF NOT EXISTS deliveries (
	id       TEXT PRIMARY KEY,
	seq      INTEGER NOT NULL,
	incident TEXT NOT NULL REFERENCES incidents(id),
	receiver TEXT NOT NULL,
	lane     TEXT NOT NULL,
	state    TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	first_ns INTEGER NOT NULL DEFAULT 0,
	next_ns  INTEGER NOT NULL DEFAULT 0,
	kept_ns  INTEGER NOT NULL,
	maybe    INTEGER NOT NULL DEFAULT 0,  -- an earlier attempt may have arrived
	error    TEXT NOT NULL DEFAULT '',
	rev      INTEGER NOT NULL DEFAULT 0,  -- 0 the first word, then the updates
	key      TEXT NOT NULL DEFAULT '',    -- what repeats are recognised by
	news     TEXT NOT NULL DEFAULT '',    -- what it tells: another is an update
	held     INTEGER NOT NULL DEFAULT 0,  -- waits to be told together with others
	batch    TEXT NOT NULL DEFAULT '',    -- the message it was last sent in with others
	crc      INTEGER NOT NULL DEFAULT 0   -- CRC-32C of the rest of the row
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries(receiver, state, seq);
CREATE INDEX IF NOT EXISTS deliveries_seq ON deliveries(seq);
CREATE INDEX IF NOT EXISTS deliveries_queue ON deliveries(receiver, lane, seq, next_ns, held) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_incident ON deliveries(incident);
CREATE TABLE IF NOT EXISTS state (
	key   TEXT PRIMARY KEY,
	value BLOB NOT NULL,
	crc   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What a receiver was told last under a key.
CREATE TABLE IF NOT EXISTS told (
	receiver TEXT NOT NULL,
	key      TEXT NOT NULL,
	at_ns    INTEGER NOT NULL,
	wait_ns  INTEGER NOT NULL,            -- how long the next repeat pauses
	thread   TEXT NOT NULL,               -- the receiver's own reference of its first message
	PRIMARY KEY (receiver, key)
) STRICT, WITHOUT ROWID;
-- The account of each receiver: all deliveries ever made, and the settled ones
-- that are kept no more.
CREATE TABLE IF NOT EXISTS tally (
	receiver  TEXT PRIMARY KEY,
	generated INTEGER NOT NULL,
	delivered INTEGER NOT NULL DEFAULT 0,
	parked    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS silences (
	id       TEXT PRIMARY KEY,
	until_ns INTEGER NOT NULL,
	body     BLOB NOT NULL,               -- the silence as JSON
	crc      INTEGER NOT NULL             -- CRC-32C of body
) STRICT, WITHOUT ROWID;
`

// migrations bring a file up from the version that is their key.
var migrations = map[int]func(context.Context, *tx) error{
	1: fromVersion1,
}

// layDown makes the tables in a fresh file and brings an older one up to date,
// all of it or nothing.
func (s *Store) layDown(ctx context.Context, fresh bool) error {
	version := schemaVersion
	if !fresh {
		if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
	}
	from := version
	return s.transact(ctx, func(tx *tx) error {
		for ; version < schemaVersion; version++ {
			if up := migrations[version]; up != nil {
				if err := up(ctx, tx); err != nil {
					return fmt.Errorf("bring the store up from version %d: %w", version, err)
				}
			}
		}
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		if !fresh && from == schemaVersion {
			return nil // a full disk can be opened as well
		}
		for _, q := range []string{
			fmt.Sprintf("PRAGMA application_id = %d", applicationID),
			fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
		} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// fromVersion1 gives the deliveries what they lacked: a checksum, a key, updates.
func fromVersion1(ctx context.Context, tx *tx) error {
	for _, q := range []string{
		"ALTER TABLE deliveries ADD COLUMN rev INTEGER NOT NULL DEFAULT 0",
		"ALTER TABLE deliveries ADD COLUMN key TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN news TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
		"ALTER TABLE deliveries ADD COLUMN batch TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE deliveries ADD COLUMN crc INTEGER NOT NULL DEFAULT 0",
		"DROP INDEX deliveries_lane",
		schema,
		"INSERT INTO tally(receiver, generated) SELECT receiver, count(*) FROM deliveries GROUP BY receiver",
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return eachRow(ctx, tx, "", func(r *row, _ int64) error {
		if err := r.complete(ctx, tx); err != nil {
			return err
		}
		return r.put(ctx, tx)
	})
}
