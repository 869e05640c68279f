package store

import (
	"context"
	"fmt"
)

// schemaVersion is kept as user_version; a file of a later version is refused,
// one of an earlier version is brought up to date by migrations.
const schemaVersion = 3

// incidentsTable and deliveriesTable hold the name of the host in their keys: a
// store may keep what happened on many.
const (
	incidentsTable = `
CREATE TABLE IF NOT EXISTS incidents (
	seq       INTEGER PRIMARY KEY,        -- order of keeping
	id        TEXT NOT NULL,
	host      TEXT NOT NULL,              -- name of the host it happened on; '' where that is not known
	time_ns   INTEGER NOT NULL,           -- when it happened; when it was kept, where that is not known
	kind      TEXT NOT NULL,
	cause     TEXT NOT NULL,
	open      INTEGER NOT NULL,           -- 1 for a warning that lasts
	crc       INTEGER NOT NULL,           -- CRC-32C of body
	body      BLOB NOT NULL,              -- the incident as JSON
	UNIQUE (id, host)
) STRICT;
`
	deliveriesTable = `
CREATE TABLE IF NOT EXISTS deliveries (
	id       TEXT NOT NULL,
	seq      INTEGER NOT NULL,
	incident TEXT NOT NULL,
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
	host     TEXT NOT NULL DEFAULT '',
	crc      INTEGER NOT NULL DEFAULT 0,  -- CRC-32C of the rest of the row
	PRIMARY KEY (id, host),
	FOREIGN KEY (incident, host) REFERENCES incidents(id, host)
) STRICT;
`
	toldTable = `
-- What a receiver was told last under a key.
CREATE TABLE IF NOT EXISTS told (
	receiver TEXT NOT NULL,
	host     TEXT NOT NULL,
	key      TEXT NOT NULL,
	at_ns    INTEGER NOT NULL,
	wait_ns  INTEGER NOT NULL,            -- how long the next repeat pauses
	thread   TEXT NOT NULL,               -- the receiver's own reference of its first message
	PRIMARY KEY (receiver, host, key)
) STRICT, WITHOUT ROWID;
`
	// sideTables are those that have been as they are since version 2.
	sideTables = `
CREATE TABLE IF NOT EXISTS state (
	key   TEXT PRIMARY KEY,
	value BLOB NOT NULL,
	crc   INTEGER NOT NULL
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
	// namesTables tell what an incident may be asked for by: see Incident.Names.
	namesTables = `
CREATE TABLE IF NOT EXISTS names (
	id    INTEGER PRIMARY KEY,
	name  TEXT NOT NULL UNIQUE,
	short INTEGER NOT NULL                -- 1 for an id, which its beginning stands for
) STRICT;
CREATE TABLE IF NOT EXISTS called (
	name    INTEGER NOT NULL,
	time_ns INTEGER NOT NULL,
	seq     INTEGER NOT NULL,             -- the incident's
	kind    TEXT NOT NULL,
	PRIMARY KEY (name, time_ns, seq)
) STRICT, WITHOUT ROWID;
`
	// indexes: one for each question that is asked.
	indexes = `
CREATE INDEX IF NOT EXISTS incidents_time ON incidents(time_ns, seq);
CREATE INDEX IF NOT EXISTS incidents_kind ON incidents(kind, time_ns, seq);
CREATE INDEX IF NOT EXISTS incidents_cause ON incidents(cause, time_ns, seq);
CREATE INDEX IF NOT EXISTS incidents_open ON incidents(seq) WHERE open = 1;
CREATE INDEX IF NOT EXISTS called_seq ON called(seq);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries(receiver, state, seq);
CREATE INDEX IF NOT EXISTS deliveries_seq ON deliveries(seq);
CREATE INDEX IF NOT EXISTS deliveries_queue ON deliveries(receiver, host, lane, seq, next_ns, held) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_incident ON deliveries(incident, host);
CREATE INDEX IF NOT EXISTS deliveries_first ON deliveries(receiver, first_ns) WHERE state = 'delivered';
CREATE INDEX IF NOT EXISTS deliveries_failed ON deliveries(receiver, seq) WHERE state <> 'delivered' AND error <> '';
`
	schema = incidentsTable + deliveriesTable + toldTable + sideTables + namesTables + indexes
)

// keyVersion is where the state repeats user_version, so that damage to the header
// is told from a store of another version.
const keyVersion = "schema version"

// layDown makes the tables in a fresh file and brings an older one up to date,
// all of it or nothing.
func (s *Store) layDown(ctx context.Context, db *parsed, fresh bool) error {
	version := schemaVersion
	if !fresh {
		if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version == schemaVersion {
			return nil // a full disk can be opened as well
		}
	}
	return transactOn(ctx, db, func(tx *tx) error {
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
		value := fmt.Appendf(nil, "%d", schemaVersion)
		if _, err := tx.ExecContext(ctx, putState, keyVersion, value, checksum(value)); err != nil {
			return err
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

const putState = "INSERT INTO state(key, value, crc) VALUES(?,?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value, crc=excluded.crc"
