package store

import (
	"context"
	"encoding/json"
	"slices"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

// eachReadable is Each in a damaged file that is only read: what the indexes cannot
// lead to is read row by row, from the front up to the first damage and from the back.
// What it leaves out is counted. All that it finds is in memory.
func (s *Store) eachReadable(ctx context.Context, q Query, f func(Place, []byte) error) error {
	rows := map[Place]found{}
	for _, order := range []string{"ASC", "DESC"} {
		x := found{}
		err := each(ctx, &s.readers, "SELECT time_ns, seq, id, crc, body FROM incidents NOT INDEXED ORDER BY rowid "+order,
			[]any{&x.TimeNS, &x.Seq, &x.id, &x.crc, &x.body}, func() error {
				rows[x.Place] = x
				x.body = nil // the next one's is another
				return nil
			})
		if err == nil {
			break // the damage is elsewhere
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if order == "ASC" {
			s.leftOut.Add(1)
		}
		s.log.Warn("the store cannot be read to its end", zap.String("order", order), zap.Error(err))
	}
	var list []found
	for _, x := range rows {
		if !s.good(x.body, x.crc, "incident", x.id) {
			continue
		}
		var inc incident.Incident
		if err := json.Unmarshal(x.body, &inc); err != nil {
			s.bad()
			continue
		}
		if q.selects(x.Place, &inc) {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b found) int { return b.compare(a.Place) })
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	if !q.NewestFirst {
		slices.Reverse(list)
	}
	for _, x := range list {
		if err := f(x.Place, x.body); err != nil {
			return err
		}
	}
	return nil
}

// selects reports whether a query selects an incident, as conditions has the file do it.
func (q *Query) selects(p Place, inc *incident.Incident) bool {
	return (q.Since.IsZero() || p.TimeNS >= q.Since.UnixNano()) && (q.Until.IsZero() || p.TimeNS <= q.Until.UnixNano()) &&
		(q.After == Place{} || p.compare(q.After) > 0) && (q.Before == Place{} || p.compare(q.Before) < 0) &&
		(q.Cause == "" || q.Cause == string(inc.Cause)) &&
		(q.Kind == "" || q.Kind == string(inc.Kind)) && (!q.Open || inc.Open()) && (q.Container == "" || inc.Called(q.Container))
}
