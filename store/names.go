package store

import (
	"context"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// shortID is how many characters of an id a person types at least.
const shortID = 4

// name is something that an incident may be asked for by.
type name struct {
	text  string
	short bool // an id: the beginning of it will do
}

// namesOf are the names that a person may call what an incident is about: the
// container's, its ids, those of its service and pod, the unit's.
func namesOf(inc *incident.Incident) []name {
	var out []name
	add := func(text string, short bool) {
		if text == "" {
			return
		}
		for i := range out {
			if out[i].text == text {
				out[i].short = out[i].short || short
				return
			}
		}
		out = append(out, name{text, short})
	}
	add(inc.Unit, false)
	add(strings.TrimSuffix(inc.Unit, ".service"), false)
	c := inc.Container
	if c == nil {
		return out
	}
	add(c.Name, false)
	add(c.ID, true)
	add(c.OuterID, true)
	if c.Compose != nil {
		add(c.Compose.Service, false)
	}
	if c.Pod != nil {
		for _, n := range c.Pod.Names(c.Name) {
			add(n, false)
		}
		add(c.Pod.UID, false)
	}
	return out
}

// putNames notes by which names an incident may be asked for.
func putNames(ctx context.Context, tx *tx, inc *incident.Incident, kind string, at, seq int64) error {
	for _, n := range namesOf(inc) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO names(name, short) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET short = 1 WHERE excluded.short > short", n.text, n.short); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO called(name, time_ns, seq, kind) SELECT id, ?, ?, ? FROM names WHERE name = ? ON CONFLICT DO UPDATE SET kind = excluded.kind",
			at, seq, kind, n.text); err != nil {
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
		word, len(word) >= shortID, maxCalled)
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
