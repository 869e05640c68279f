package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

const (
	// pageLimit is how many incidents one page of the index groups, scanLimit how many
	// are looked through for those that a search wants. maxWords bounds a search.
	pageLimit, scanLimit, maxWords = 100, 10_000, 8
	// maxSummary is how much of a summary a list shows, in bytes.
	maxSummary = 300
	// groupItems is how many incidents of a group are listed.
	groupItems = 20
)

// listed is what a list shows of an incident: reading a whole one takes ten times as long.
type listed struct {
	ID         string                 `json:"id"`
	Kind       incident.Kind          `json:"kind"`
	Time       time.Time              `json:"time"`
	Severity   incident.Severity      `json:"severity"`
	Summary    string                 `json:"summary"`
	Cause      incident.Cause         `json:"cause"`
	Confidence incident.Confidence    `json:"confidence"`
	Historic   bool                   `json:"historic"`
	ResolvedAt time.Time              `json:"resolved_at"`
	Silenced   string                 `json:"silenced"`
	Unit       string                 `json:"unit"`
	Container  *incident.Container    `json:"container"`
	Host       *incident.Host         `json:"host"`
	Warning    *incident.WarningFacts `json:"warning"`
	Count      int                    `json:"count"`
}

// key is as Incident.Key.
func (l *listed) key() string {
	inc := incident.Incident{Kind: l.Kind, Cause: l.Cause, Unit: l.Unit, Warning: l.Warning, Container: l.Container}
	return inc.Key()
}

// Who is the container's name, else its id or the unit.
func (l *listed) Who() string {
	switch c := l.Container; {
	case c != nil && c.Name != "":
		return c.Name
	case c != nil:
		return incident.ShortID(c.ID)
	}
	return l.Unit
}

// HostName is the host that it happened on; "" where that is not known.
func (l *listed) HostName() string {
	if l.Host == nil {
		return ""
	}
	return l.Host.Name
}

// Link is its page. Two hosts may have incidents of one id.
func (l *listed) Link() string {
	s := "/incident/" + url.PathEscape(l.ID)
	if h := l.HostName(); h != "" {
		s += "?host=" + url.QueryEscape(h)
	}
	return s
}

// group is what one container had of one kind and cause, newest first.
type group struct {
	listed
	Total int
	First time.Time
	Items []listed
}

// search is what the index is asked for.
type search struct {
	Query
	Text, Severity, Service, Span string
}

// spans are what "since" offers.
var spans = []string{"1h", "24h", "7d", "30d"}

var spanOf = map[string]time.Duration{"15m": 15 * time.Minute, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}

// searchOf reads the form; what is unknown in it is an error.
func searchOf(v url.Values) (search, error) {
	s := search{Query: Query{Cause: incident.Cause(v.Get("cause")), Kind: incident.Kind(v.Get("kind")), Before: v.Get("before"), NewestFirst: true},
		Text: strings.TrimSpace(v.Get("q")), Severity: v.Get("severity"), Service: strings.TrimSpace(v.Get("service")), Span: v.Get("since")}
	if s.Before != "" && checkPlace(s.Before) != nil {
		return s, errors.New("there is no such page")
	}
	if s.Span != "" {
		d, ok := spanOf[s.Span]
		if !ok {
			return s, fmt.Errorf("since %q: want one of %s", s.Span, strings.Join(spans, ", "))
		}
		s.Since = time.Now().Add(-d)
	}
	return s, nil
}

// wants says whether an incident is searched for.
func (s *search) wants(l *listed) bool {
	if s.Severity != "" && string(l.Severity) != s.Severity {
		return false
	}
	if s.Service != "" {
		c := l.Container
		service := c != nil && c.Compose != nil && (c.Compose.Service == s.Service || c.Compose.Project+"/"+c.Compose.Service == s.Service)
		if !service && l.Who() != s.Service {
			return false
		}
	}
	if s.Text == "" {
		return true
	}
	hay := l.Summary + " " + string(l.Cause) + " " + l.Who() + " " + l.ID
	if c := l.Container; c != nil {
		hay += " " + c.ID + " " + c.Image + " " + c.Title()
		if c.Compose != nil {
			hay += " " + c.Compose.Project + "/" + c.Compose.Service
		}
	}
	return strings.Contains(strings.ToLower(hay), strings.ToLower(s.Text))
}

// quick is a look at an incident's JSON that passes over most of what is not wanted:
// reading one takes ten times as long.
func (s *search) quick() func([]byte) bool {
	words := s.words()
	severity := []byte(`"severity":"` + s.Severity + `"`)
	var small []byte
	return func(body []byte) bool {
		if s.Severity != "" && !bytes.Contains(body, severity) {
			return false
		}
		if len(words) > 0 {
			small = lower(append(small[:0], body...))
		}
		return !slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(small, []byte(w)) })
	}
}

// words are what every incident that is wanted has in it, in small letters.
func (s *search) words() []string {
	words := plainWords(s.Text + " " + s.Service)
	return words[:min(len(words), maxWords)]
}

// plainWords are the parts of a text that stand in JSON as they are, however that was
// written, in small letters.
func plainWords(s string) []string {
	return strings.FieldsFunc(string(lower([]byte(s))), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// lower makes A to Z in a text small: bytes.ToLower takes ten times as long where there is
// a letter of another alphabet.
func lower(text []byte) []byte {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
	return text
}

// older is the address of the page after a place.
func (s *search) older(place string) string {
	v := url.Values{}
	for k, x := range map[string]string{"q": s.Text, "cause": string(s.Cause), "kind": string(s.Kind), "severity": s.Severity, "service": s.Service, "since": s.Span, "before": place} {
		if x != "" {
			v.Set(k, x)
		}
	}
	return "/?" + v.Encode()
}

// errEnough ends a search whose page is full.
var errEnough = errors.New("enough")

// find reads a page of groups. older is the place where the next page begins; "" for none.
func (s *Server) find(ctx context.Context, q *search) (groups []*group, older string, err error) {
	at := map[string]*group{}
	seen, found := 0, 0
	quick := q.quick()
	if q.Words, q.Query.Severity = q.words(), q.Severity; len(q.Words) > 0 || q.Severity != "" {
		q.Depth = scanLimit
	}
	err = s.opt.Backend.Incidents(ctx, q.Query, func(f Found) error {
		if found >= pageLimit || seen >= scanLimit {
			return errEnough
		}
		seen++
		if older = f.Place; f.Body == nil {
			return errEnough // so far it was looked for
		}
		if !quick(f.Body) {
			return nil
		}
		var l listed
		if err := json.Unmarshal(f.Body, &l); err != nil {
			return fmt.Errorf("read an incident: %w", err)
		}
		if !q.wants(&l) {
			return nil
		}
		found++
		l.Summary = redact.Cut(l.Summary, maxSummary)
		g := at[l.key()]
		if g == nil {
			g = &group{listed: l}
			at[l.key()] = g
			groups = append(groups, g)
		}
		g.Total += max(l.Count, 1)
		g.First = l.Time
		if len(g.Items) < groupItems {
			g.Items = append(g.Items, l)
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return groups, older, nil
	case err != nil:
		return nil, "", err
	}
	return groups, "", nil
}

// warnings are those that last, newest first.
func (s *Server) warnings(ctx context.Context) ([]listed, error) {
	const most = 20
	var out []listed
	err := s.opt.Backend.Incidents(ctx, Query{Open: true, NewestFirst: true, Since: time.Now().Add(-7 * 24 * time.Hour), Limit: 500}, func(f Found) error {
		var l listed
		if err := json.Unmarshal(f.Body, &l); err != nil {
			return fmt.Errorf("read an incident: %w", err)
		}
		if l.Warning.SelfEvent() {
			return nil
		}
		l.Summary = redact.Cut(l.Summary, maxSummary)
		if out = append(out, l); len(out) == most {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return out, nil
}

// index shows how things stand: the status in a line, what is warned of, and the
// incidents, grouped and searched.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	q, err := searchOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	groups, older, err := s.find(r.Context(), &q)
	if err != nil {
		s.broken(w, "cannot show the page", err)
		return
	}
	if older != "" {
		older = q.older(older)
	}
	warnings, err := s.warnings(r.Context())
	if err != nil {
		s.broken(w, "cannot show the warnings", err)
		return
	}
	st := s.opt.Backend.Status(r.Context())
	causes := make([]incident.Cause, len(incident.Causes))
	for i, c := range incident.Causes {
		causes[i] = c.Code
	}
	slices.Sort(causes)
	s.show(w, "index.html", "Incidents", "/", map[string]any{
		"Health": healthOf(&st), "Status": &st, "Warnings": warnings, "Groups": groups, "Older": older, "Search": &q,
		"Causes": causes, "Scanned": scanLimit, "Kinds": []incident.Kind{incident.KindDeath, incident.KindKill, incident.KindWarning, incident.KindHost},
		"Severities": []incident.Severity{incident.Critical, incident.Warning, incident.Info}, "Spans": spans,
		"Searching": q.Text != "" || q.Severity != "" || q.Service != "" || q.Cause != "" || q.Kind != "" || q.Span != "",
	})
}
