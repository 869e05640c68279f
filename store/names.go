package store

import (
	"context"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// putNames notes by which names an incident may be asked for.
func putNames(ctx context.Context, tx *tx, inc *incident.Incident, kind string, at, seq int64) error {
	for _, n := range inc.Names() {
		if _, err := tx.ExecContext(ctx, "INSERT INTO names(name, short) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET short = 1 WHERE excluded.short > short", n.Text, n.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO called(name, time_ns, seq, kind) SELECT id, ?, ?, ? FROM names WHERE name = ? ON CONFLICT DO UPDATE SET kind = excluded.kind",
			at, seq, kind, n.Text); err != nil {
			return err
		}
	}
	return nil
}

// maxCalled bounds how many things a name may stand for in one question: an id's
// first four characters stand for one, as a rule.
const maxCalled = 16

// calledIDs are the numbers of the names that a person's word stands for.
func calledIDs(ctx context.Context, q querier, word string) ([]int64, error) {
	word = strings.TrimPrefix(word, "/")
	rows, err := q.QueryContext(ctx, "SELECT id FROM names WHERE name = ?1 UNION SELECT id FROM names WHERE ?2 AND name >= ?1 AND name < ?1 || char(0x10ffff) AND short = 1 LIMIT ?3",
		word, len(word) >= incident.ShortestID, maxCalled)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
