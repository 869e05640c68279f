package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/warn"
)

const (
	// rowsLimit is how many containers one page shows.
	rowsLimit = 150
	// liveEvery lies between two updates, maxStreams bounds those who watch at once.
	liveEvery  = 2 * time.Second
	maxStreams = 64
	// sparksAtOnce bounds how many pictures of the recent past one update brings.
	sparksAtOnce = 20
	// streamFor is how long one stream lasts: then the browser connects again.
	streamFor = 10 * time.Minute
)

// liveRow is a container as the table shows it.
type liveRow struct {
	ID, Name, Held string
	// Limit is its own, or that of the parent LimitOf where that leaves less room.
	Limit, LimitOf                                                    string
	Share                                                             float64 // of the limit, 0 to 1; 0 where there is none
	Room, Forecast, Stalled, Trend, PIDs, Restarts, Zombies, Warnings string
	Spark                                                             string // what it held lately
}

// changes are the cells that differ from those of another row, by their names in the page.
func (r *liveRow) changes(from *liveRow) map[string]any {
	out := map[string]any{}
	for name, of := range map[string]func(*liveRow) string{
		"held": func(r *liveRow) string { return r.Held }, "limit": func(r *liveRow) string { return r.Limit },
		"room": func(r *liveRow) string { return r.Room }, "forecast": func(r *liveRow) string { return r.Forecast },
		"stalled": func(r *liveRow) string { return r.Stalled }, "trend": func(r *liveRow) string { return r.Trend },
		"pids": func(r *liveRow) string { return r.PIDs }, "restarts": func(r *liveRow) string { return r.Restarts },
		"zombies": func(r *liveRow) string { return r.Zombies }, "warnings": func(r *liveRow) string { return r.Warnings },
	} {
		if now := of(r); now != of(from) {
			out[name] = now
		}
	}
	if r.Share != from.Share {
		out["share"] = r.Share
	}
	return out
}

func liveOf(r *warn.Row) liveRow {
	size := func(n *int64) string {
		if n == nil {
			return "–"
		}
		return incident.FormatBytes(*n)
	}
	out := liveRow{ID: incident.ShortID(r.ID), Name: redact.Sanitize(r.Name), Held: size(r.Held), Limit: size(r.Limit), Room: size(r.Headroom),
		LimitOf: redact.Sanitize(r.LimitOf), Forecast: "–", Stalled: "–", PIDs: "–", Restarts: number(r.Restarts), Zombies: number(r.Zombies), Trend: r.Trend, Warnings: strings.Join(r.Warnings, ", "), Spark: warn.Spark(r.Recent)}
	if r.Held == nil {
		out.Held = incident.FormatBytes(r.Memory)
	}
	switch {
	case r.Limit == nil:
		out.Limit = "none"
	case r.LimitOf != "":
		out.Limit += " (parent)"
	}
	if r.Held != nil && r.Limit != nil && *r.Limit > 0 {
		out.Share = min(float64(int(100*float64(*r.Held)/float64(*r.Limit)))/100, 1)
	}
	if r.TimeToLimit != nil {
		out.Forecast = "in " + incident.FormatDuration(time.Duration(*r.TimeToLimit*float64(time.Second)).Round(time.Second))
	}
	if r.StalledFull != nil && *r.StalledFull >= 0.1 {
		out.Stalled = fmt.Sprintf("%.1f %%", *r.StalledFull)
	}
	if r.PIDs != nil {
		out.PIDs = strconv.FormatInt(*r.PIDs, 10)
		if r.PIDsLimit != nil {
			out.PIDs += " of " + strconv.FormatInt(*r.PIDsLimit, 10)
		}
	}
	return out
}

func number(n *int64) string {
	if n == nil {
		return "–"
	}
	return strconv.FormatInt(*n, 10)
}

// table is what the list of containers is asked for.
type table struct {
	Text, Sort string
	Page       int
}

func tableOf(v url.Values) (table, error) {
	t := table{Text: strings.TrimSpace(v.Get("q")), Sort: cmp.Or(v.Get("sort"), "danger"), Page: 1}
	if !slices.Contains(warn.OrderNames(), t.Sort) {
		return t, fmt.Errorf("sort %q: want one of %s", t.Sort, strings.Join(warn.OrderNames(), ", "))
	}
	if p := v.Get("page"); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 10_000 {
			return t, fmt.Errorf("page %q: want a number from 1", p)
		}
		t.Page = n
	}
	return t, nil
}

// Link is the address of the table in another order or on another page.
func (t table) Link(sort string, page int) string {
	v := url.Values{"sort": {sort}}
	if t.Text != "" {
		v.Set("q", t.Text)
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "/containers?" + v.Encode()
}

// rows are those of a table's page, and how many there are on all pages.
func (s *Server) rows(r *http.Request, t table) (out []liveRow, total int) {
	var all []*warn.Row
	for _, x := range s.shared(r.Context()) {
		if x.Matches(t.Text) {
			all = append(all, &x)
		}
	}
	warn.Sort(all, t.Sort)
	total = len(all)
	from := min((t.Page-1)*rowsLimit, total)
	for _, x := range all[from:min(from+rowsLimit, total)] {
		out = append(out, liveOf(x))
	}
	return out, total
}

// containers shows what runs, live.
func (s *Server) containers(w http.ResponseWriter, r *http.Request) {
	t, err := tableOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rows, total := s.rows(r, t)
	s.show(w, "containers.html", "Containers", "/containers", map[string]any{"Rows": rows, "Total": total, "Table": t, "Orders": warn.OrderNames(),
		"Live": "/containers/live?" + r.URL.RawQuery, "More": t.Page*rowsLimit < total, "Next": t.Page + 1, "Previous": t.Page - 1})
}

// live streams what changes in a table, as server-sent events
// (html.spec.whatwg.org/multipage/server-sent-events.html): "rows" with the cells that
// changed, and "set" where others are on the page now.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	t, err := tableOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are being updated already; reload by hand", http.StatusServiceUnavailable)
		return
	}
	control := http.NewResponseController(w)
	// The request's deadline would end the stream. A writer without deadlines is a test's.
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	out := paced{w, control}
	tick, end := time.NewTicker(liveEvery), time.NewTimer(streamFor)
	defer tick.Stop()
	defer end.Stop()
	last := map[string]liveRow{}
	for first := true; ; first = false {
		if rows, _ := s.rows(r, t); sendChanged(out, rows, last, first) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.ending:
			return
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// sendChanged sends the cells that differ from those that were sent last.
func sendChanged(w paced, rows []liveRow, last map[string]liveRow, first bool) error {
	changed := []map[string]any{}
	drawn := 0
	set := len(rows) != len(last)
	for i, row := range rows {
		was, there := last[row.ID]
		set = set || !there
		cells := row.changes(&was)
		if row.Spark != was.Spark && there {
			// All may change at the same minute: some at a time.
			if drawn++; drawn <= sparksAtOnce {
				cells["recent"] = row.Spark
			} else {
				rows[i].Spark = was.Spark
			}
		}
		if len(cells) > 0 {
			cells["id"] = row.ID
			changed = append(changed, cells)
		}
	}
	clear(last)
	for _, row := range rows {
		last[row.ID] = row
	}
	event := "rows"
	switch {
	case first:
		changed = changed[:0] // the page has them
	case set:
		event, changed = "set", changed[:0] // the page is asked for anew
	}
	body, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, body)
	return err
}
