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
	rowsLimit = 200
	// liveEvery lies between two updates, maxStreams bounds those who watch at once.
	liveEvery  = 2 * time.Second
	maxStreams = 64
	// streamFor is how long one stream lasts: then the browser connects again.
	streamFor = 10 * time.Minute
)

// liveRow is a container as the table shows it.
type liveRow struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Held     string  `json:"held"`
	Limit    string  `json:"limit"`
	Share    float64 `json:"share"` // of the limit, 0 to 1; 0 where there is none
	Room     string  `json:"room"`
	Forecast string  `json:"forecast"`
	Stalled  string  `json:"stalled"`
	PIDs     string  `json:"pids"`
	Trend    string  `json:"trend"`
	Warnings string  `json:"warnings"`
}

func liveOf(r *warn.Row) liveRow {
	size := func(n *int64) string {
		if n == nil {
			return "–"
		}
		return incident.FormatBytes(*n)
	}
	out := liveRow{ID: incident.ShortID(r.ID), Name: redact.Sanitize(r.Name), Held: size(r.Held), Limit: size(r.Limit), Room: size(r.Headroom),
		Forecast: "–", Stalled: "–", PIDs: "–", Trend: r.Trend, Warnings: strings.Join(r.Warnings, ", ")}
	if r.Held == nil {
		out.Held = incident.FormatBytes(r.Memory)
	}
	if r.Limit == nil {
		out.Limit = "none"
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

// table is what the list of containers is asked for.
type table struct {
	Text, Sort string
	Page       int
}

// sorts are the orders that a table can have; danger is the default.
var sorts = map[string]func(a, b *warn.Row) int{
	"danger": func(a, b *warn.Row) int { return cmp.Compare(b.Danger, a.Danger) },
	"name":   func(a, b *warn.Row) int { return strings.Compare(a.Name, b.Name) },
	"held":   func(a, b *warn.Row) int { return cmp.Compare(known(b.Held, 0), known(a.Held, 0)) },
	"limit":  func(a, b *warn.Row) int { return cmp.Compare(known(b.Limit, 0), known(a.Limit, 0)) },
	"room":   func(a, b *warn.Row) int { return cmp.Compare(known(a.Headroom, 1<<62), known(b.Headroom, 1<<62)) },
}

func known(n *int64, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	return *n
}

func tableOf(v url.Values) (table, error) {
	t := table{Text: strings.TrimSpace(v.Get("q")), Sort: cmp.Or(v.Get("sort"), "danger"), Page: 1}
	if sorts[t.Sort] == nil {
		return t, fmt.Errorf("sort %q: want danger, name, held, limit or room", t.Sort)
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
	all := s.opt.Backend.Top(r.Context())
	all = slices.DeleteFunc(slices.Clone(all), func(x warn.Row) bool {
		return t.Text != "" && !strings.Contains(strings.ToLower(x.Name+" "+x.ID), strings.ToLower(t.Text))
	})
	slices.SortStableFunc(all, func(a, b warn.Row) int { return sorts[t.Sort](&a, &b) })
	total = len(all)
	from := min((t.Page-1)*rowsLimit, total)
	for i := range all[from:min(from+rowsLimit, total)] {
		out = append(out, liveOf(&all[from+i]))
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
	s.show(w, "containers.html", "Containers", "/containers", map[string]any{"Rows": rows, "Total": total, "Table": t,
		"Live": "/containers/live?" + r.URL.RawQuery, "More": t.Page*rowsLimit < total, "Next": t.Page + 1, "Previous": t.Page - 1})
}

// live streams what changes in a table, as server-sent events
// (html.spec.whatwg.org/multipage/server-sent-events.html): "rows" with the rows that
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
		http.Error(w, "too many watch already", http.StatusServiceUnavailable)
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

// sendChanged sends the rows that differ from those that were sent last.
func sendChanged(w paced, rows []liveRow, last map[string]liveRow, first bool) error {
	changed := []liveRow{}
	set := len(rows) != len(last)
	for _, row := range rows {
		was, there := last[row.ID]
		set = set || !there
		if was != row {
			changed = append(changed, row)
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
