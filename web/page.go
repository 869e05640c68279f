package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
	"github.com/oomwatch/oomwatch/units"
)

//go:embed assets
var embedded embed.FS

func assets() fs.FS {
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}

// static serves the files that are no templates.
func static(mux *http.ServeMux) {
	files := http.FileServerFS(assets())
	for _, name := range []string{"style.css", "app.js", "chart.js", "icon.svg", "uplot/uplot.js", "uplot/uplot.css"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=300") // the same for everybody, and no secret
			files.ServeHTTP(w, r)
		})
	}
}

// pages renders the templates; html/template escapes whatever they are given.
func pages() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"clean": redact.Sanitize,
		"when":  render.Clock,
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago": func(t time.Time) string {
			if d := time.Since(t); d >= 0 {
				return strings.Replace(incident.FormatDuration(d.Truncate(time.Second)), ".0 s", " s", 1) + " ago"
			}
			return ""
		},
		"bytes": func(n *int64) string {
			if n == nil {
				return ""
			}
			return incident.FormatBytes(*n)
		},
		"rate": func(perSecond *float64) string {
			if perSecond == nil {
				return "–"
			}
			return units.Rate(*perSecond)
		},
		"words":   func(code any) string { return strings.ReplaceAll(fmt.Sprint(code), "_", " ") },
		"path":    url.PathEscape,
		"count":   units.Count,
		"records": func(n int64) string { return units.Count(int(n), "record") },
	}).ParseFS(assets(), "*.html"))
}

// page is what every page has, with its own part in Data.
type page struct {
	Title, Nav, Host string
	Data             any
}

// show renders a page. nav is its place in the navigation.
func (s *Server) show(w http.ResponseWriter, name, title, nav string, data any) {
	s.render(w, name, page{title, nav, host.Name(), data})
}

// broken answers that the store cannot be read.
func (s *Server) broken(w http.ResponseWriter, what string, err error) {
	s.opt.Log.Warn(what, zap.Error(err))
	http.Error(w, "the store cannot be read; see the daemon's log", http.StatusInternalServerError)
}

// render writes the page only when all of it could be made.
func (s *Server) render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		s.opt.Log.Error("cannot render a page", zap.String("page", name), zap.Error(err))
		http.Error(w, "the page cannot be made; see the daemon's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes()) //nolint:errcheck // the client is gone, and nobody is left to hear of it
}

// health is the status in one line: whether all is well and, if not, what is wrong and
// the next step.
type health struct {
	Good       bool
	Text, Next string
}

func healthOf(st *Status) health {
	for _, src := range st.Sources {
		if !src.Up {
			return health{Text: fmt.Sprintf("Source %s is blind: %s", src.Name, src.Reason), Next: src.Fix}
		}
	}
	if !st.Ready {
		return health{Text: "Not ready: " + st.Reason, Next: "oomwatch doctor names the step that fixes it"}
	}
	var lost uint64
	for _, src := range st.Sources {
		lost += src.Lost
	}
	for _, d := range st.Deliveries {
		switch {
		case !d.Configured:
		case d.Down != "":
			return health{Text: fmt.Sprintf("Receiver %s takes no alerts: %s", d.Receiver, d.Down), Next: "fix that, then run: oomwatch notify retry " + d.Receiver}
		case d.Parked > d.Pruned:
			return health{Text: fmt.Sprintf("Receiver %s refused %s", d.Receiver, units.Count(int(d.Parked-d.Pruned), "alert")), Next: "oomwatch notify status says why"}
		}
	}
	names := make([]string, len(st.Sources))
	for i, src := range st.Sources {
		names[i] = src.Name
	}
	text := "All is well: oomwatch reads " + strings.Join(names, ", ")
	if lost > 0 {
		// It has happened, and nothing mends it: what it weakened says so.
		return health{Good: true, Text: text + "; " + units.Count(int(lost), "record") + " lost since it started; the verdicts of that time say so"}
	}
	return health{Good: true, Text: text + ", and no record was lost"}
}
