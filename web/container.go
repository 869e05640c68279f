package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/chart"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
)

// maxPoints is how many points a curve has at most.
const maxPoints = 600

// curve is a container's memory over a span, as the chart draws it. Times are seconds
// since 1970, sizes bytes; what is not known is null.
type curve struct {
	Name   string   `json:"name"`
	T      []int64  `json:"t"`
	Used   []*int64 `json:"used"`
	Held   []*int64 `json:"held"`
	Anon   []*int64 `json:"anon"`
	File   []*int64 `json:"file"`
	Kernel []*int64 `json:"kernel"`
	// Shmem is part of File.
	Shmem []*int64 `json:"shmem"`
	Limit []*int64 `json:"limit"`
	// Parent is the limit of the cgroup above it that leaves the least room now; it is not
	// kept, and drawn as it stands.
	Parent []*int64 `json:"parent,omitempty"`
	// Starts are when another run began, Kills when something in it was OOM-killed and no
	// incident near that moment says so.
	Starts []int64 `json:"starts"`
	Kills  []int64 `json:"kills"`
	// Incidents are what is kept of it in that time.
	Incidents []mark `json:"incidents"`
}

// mark is an incident on a curve.
type mark struct {
	T    int64         `json:"t"`
	ID   string        `json:"id"`
	Kind incident.Kind `json:"kind"`
	// Mark is the word beside it, Severity its colour.
	Mark     string            `json:"mark"`
	Severity incident.Severity `json:"severity"`
	Summary  string            `json:"summary"`
}

// markOf is an incident as a chart marks it: the container's own end and that of a child
// are different things.
func markOf(l *listed) mark {
	m := mark{T: l.Time.Unix(), ID: l.ID, Kind: l.Kind, Severity: l.Severity, Summary: redact.Sanitize(l.Summary)}
	switch {
	case l.Kind == incident.KindWarning:
		m.Mark = "warning"
	case l.Kind == incident.KindKill:
		m.Mark = "child killed"
	case strings.HasPrefix(string(l.Cause), "oom."):
		m.Mark = "OOM-killed"
	case strings.HasPrefix(string(l.Cause), "kill."):
		m.Mark = "killed"
	case strings.HasSuffix(l.Summary, incident.DeployNote):
		m.Mark = "deploy"
	case l.Cause == incident.StopRequest:
		m.Mark = "stopped"
	default:
		m.Mark = "died"
	}
	return m
}

// sameKill is how far the reading that counts a kill may lie from the incident of it.
const sameKill = 15 * time.Second

// mark adds the incidents to a curve. A kill that one of them tells is not drawn twice.
func (c *curve) mark(groups []*group) {
	for _, g := range groups {
		for i := range g.Items {
			if m := markOf(&g.Items[i]); len(c.T) > 0 && m.T >= c.T[0] {
				c.Incidents = append(c.Incidents, m)
			}
		}
	}
	c.Kills = slices.DeleteFunc(c.Kills, func(at int64) bool {
		return slices.ContainsFunc(c.Incidents, func(m mark) bool {
			return m.Mark != "warning" && max(at-m.T, m.T-at) <= int64(sameKill/time.Second)
		})
	})
}

// curveOf thins a series out to maxPoints, keeping the highest reading of each stretch,
// and all starts and kills.
func curveOf(name string, s *recorder.Series) *curve {
	c := &curve{Name: redact.Sanitize(name), T: []int64{}, Starts: []int64{}, Kills: []int64{}, Incidents: []mark{}}
	size := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	step := max((len(s.Readings)+maxPoints-1)/maxPoints, 1)
	kills := int64(-1)
	for from := 0; from < len(s.Readings); from += step {
		part := s.Readings[from:min(from+step, len(s.Readings))]
		top := &part[0]
		for i := range part {
			r := &part[i]
			if r.Used > top.Used {
				top = r
			}
			if r.Start && from+i > 0 {
				c.Starts = append(c.Starts, r.At.Unix())
				kills = -1
			}
			if kills >= 0 && r.OOMKill > kills {
				c.Kills = append(c.Kills, r.At.Unix())
			}
			kills = r.OOMKill
		}
		at := top.At.Unix()
		if n := len(c.T); n > 0 && at <= c.T[n-1] {
			continue
		}
		held := heldOf(top)
		c.T = append(c.T, at)
		c.Used, c.Held, c.Limit = append(c.Used, size(top.Used)), append(c.Held, size(held)), append(c.Limit, size(top.Limit))
		c.Anon, c.File, c.Kernel = append(c.Anon, size(top.Anon)), append(c.File, size(top.File)), append(c.Kernel, size(top.Kernel))
		c.Shmem = append(c.Shmem, size(top.Shmem))
	}
	return c
}

// curveSpans are what the page of a container offers.
var curveSpans = []string{"15m", "1h", "24h", "30d"}

// history gathers a curve of a container.
func (s *Server) history(r *http.Request, name, span string) (*curve, error) {
	d, ok := spanOf[span]
	if !ok {
		return nil, fmt.Errorf("span %q: want one of %s", span, strings.Join(curveSpans, ", "))
	}
	now := time.Now()
	series, err := s.opt.Backend.Memory(r.Context(), name, now.Add(-d), now)
	if err != nil {
		return nil, err
	}
	return curveOf(name, &series), nil
}

// curveData answers with a curve as JSON.
func (s *Server) curveData(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("what")
	c, err := s.history(r, name, r.URL.Query().Get("span"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	groups, err := s.of(r.Context(), name, 100)
	if err != nil {
		writeError(w, http.StatusInternalServerError, fmt.Errorf("read the store: %w", err))
		return
	}
	c.mark(groups)
	if row := s.running(r.Context(), name); row != nil && row.LimitOf != "" {
		for range c.T {
			c.Parent = append(c.Parent, row.Limit)
		}
	}
	writeJSON(w, http.StatusOK, c)
}

// of are the incidents of a container or service, grouped.
func (s *Server) of(ctx context.Context, name string, most int) ([]*group, error) {
	groups, _, err := s.find(ctx, &search{Query: Query{NewestFirst: true, Container: name, Limit: most}})
	return groups, err
}

// running is a container that runs, by its name or the beginning of its id; nil for none.
func (s *Server) running(ctx context.Context, name string) *warn.Row {
	for _, x := range s.shared(ctx) {
		if x.Name == name || len(name) >= 8 && strings.HasPrefix(x.ID, name) {
			return &x
		}
	}
	return nil
}

// container shows one container, or a service of which none runs any more.
func (s *Server) container(w http.ResponseWriter, r *http.Request) {
	name, span := r.PathValue("name"), cmp.Or(r.URL.Query().Get("span"), "1h")
	c, err := s.history(r, name, span)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	groups, err := s.of(r.Context(), name, pageLimit)
	if err != nil {
		s.broken(w, "cannot show a container", err)
		return
	}
	row := s.running(r.Context(), name)
	if row == nil && len(groups) == 0 && len(c.T) == 0 {
		http.Error(w, "nothing is known of a container or service of this name", http.StatusNotFound)
		return
	}
	var live *liveRow
	if row != nil {
		l := liveOf(row)
		live = &l
	}
	findings, audited := s.findingsOf(name)
	s.show(w, "container.html", redact.Sanitize(name), "/containers", map[string]any{"Name": name, "Span": span, "Spans": curveSpans,
		"Live": live, "Groups": groups, "Recorded": len(c.T) > 1, "Leak": s.leakOf(r.Context(), name), "Findings": findings, "Audited": audited, "Starts": len(c.Starts)})
}

// leakOf is the verdict on a service's memory; nil where there is none.
func (s *Server) leakOf(ctx context.Context, name string) *triage.Service {
	list, err := s.opt.Backend.Leaks(ctx)
	if err != nil {
		return nil
	}
	for i := range list {
		if list[i].Service == name {
			return &list[i]
		}
	}
	return nil
}

// containerPicture draws the curve for browsers without script.
func (s *Server) containerPicture(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("what")
	c, err := s.history(r, name, r.URL.Query().Get("span"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	svg, ok := chart.SVG(c.incident())
	if !ok {
		http.Error(w, "no reading is kept from that time", http.StatusNotFound)
		return
	}
	writeSVG(w, svg)
}

// incident is the curve as the picture takes it: one that ends now.
func (c *curve) incident() *incident.Incident {
	inc := &incident.Incident{Summary: "Memory of " + c.Name, Container: &incident.Container{Name: c.Name}, History: &incident.History{Trend: "unknown"}}
	if len(c.T) == 0 {
		return inc
	}
	end := c.T[len(c.T)-1]
	inc.Time = time.Unix(end, 0).UTC()
	for i, t := range c.T {
		if c.Used[i] != nil {
			inc.History.Points = append(inc.History.Points, incident.Point{T: float64(t - end), Bytes: *c.Used[i]})
		}
		if c.Anon[i] != nil {
			inc.History.Breakdown = append(inc.History.Breakdown, incident.Parts{T: float64(t - end), Anon: c.Anon[i], File: c.File[i], Kernel: c.Kernel[i], Shmem: c.Shmem[i]})
		}
		inc.History.Limit = c.Limit[i]
	}
	for _, t := range c.Kills {
		inc.History.Kills = append(inc.History.Kills, float64(t-end))
	}
	return inc
}

// leaks answers with what the last look for leaks found, one object a line.
func (s *Server) leaks(w http.ResponseWriter, r *http.Request) {
	list, err := s.opt.Backend.Leaks(r.Context())
	if err != nil {
		writeError(w, http.StatusInternalServerError, fmt.Errorf("judge leaks: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for i := range list {
		if out.Encode(&list[i]) != nil {
			return // nobody listens any more
		}
	}
}

// leaksPage shows who leaks, by what the last look found.
func (s *Server) leaksPage(w http.ResponseWriter, r *http.Request) {
	list, err := s.opt.Backend.Leaks(r.Context())
	if err != nil {
		s.broken(w, "cannot judge leaks", err)
		return
	}
	rows := make([]leakRow, min(len(list), rowsLimit))
	now := time.Now()
	for i := range rows {
		rows[i].judged = list[i]
		if i >= leakSparks {
			continue
		}
		past, err := s.opt.Backend.Memory(r.Context(), list[i].Service, now.Add(-24*time.Hour), now)
		if err != nil {
			continue // the verdict does without a picture
		}
		held := make([]int64, len(past.Readings))
		for j := range past.Readings {
			held[j] = heldOf(&past.Readings[j])
		}
		rows[i].Spark = warn.Spark(held)
	}
	s.show(w, "leaks.html", "Leaks", "/leaks", map[string]any{"Services": rows, "Total": len(list)})
}

// leakSparks is how many of the services on /leaks have a picture: each is a look into
// what is kept.
const leakSparks = 20

// judged is a service with its verdict; its own name is one of its fields.
type judged = triage.Service

// leakRow is a service on /leaks.
type leakRow struct {
	judged
	Spark string // what it held in the last 24 hours
}

// heldOf is how much of a reading the kernel cannot take back.
func heldOf(r *recorder.Reading) int64 {
	if r.File < 0 {
		return r.Used
	}
	return max(r.Used-r.File+max(r.Shmem, 0)-max(r.Reclaimable, 0), 0)
}

// receivers shows what each receiver has had and is owed, and what is silenced.
func (s *Server) receivers(w http.ResponseWriter, r *http.Request) {
	st := s.opt.Backend.Status(r.Context())
	var silences []incident.Silence
	if s.opt.Control != nil {
		var err error
		if silences, err = s.opt.Control.Silences(r.Context()); err != nil {
			s.broken(w, "cannot show the silences", err)
			return
		}
	}
	s.show(w, "receivers.html", "Receivers", "/receivers", map[string]any{"Status": &st, "Health": healthOf(&st), "Silences": silences,
		"May": s.may(r), "Done": doneWords[r.URL.Query().Get("done")], "For": r.URL.Query().Get("container"), "Cause": r.URL.Query().Get("cause")})
}
