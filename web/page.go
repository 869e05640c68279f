package web

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/chart"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// pageLimit is how many incidents the index shows.
const pageLimit = 100

//go:embed assets
var embedded embed.FS

func assets() fs.FS {
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}

// pages renders the templates; html/template escapes whatever they are given.
func pages() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"clean": redact.Sanitize,
		"when": func(t time.Time) string {
			if t.IsZero() {
				return "time not known"
			}
			return t.UTC().Format("2006-01-02 15:04:05 UTC")
		},
		"bytes": func(n *int64) string {
			if n == nil {
				return ""
			}
			return incident.FormatBytes(*n)
		},
	}).ParseFS(assets(), "*.html"))
}

func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	list, err := s.opt.Backend.Incidents(r.Context(), Query{Limit: pageLimit})
	if err != nil {
		s.opt.Log.Warn("cannot show the page", zap.Error(err))
		http.Error(w, "the store cannot be read; see the daemon's log", http.StatusInternalServerError)
		return
	}
	slices.Reverse(list)
	host, _ := os.Hostname() // a page without the name is still a page
	s.render(w, "index.html", map[string]any{
		"Host": host, "Status": s.opt.Backend.Status(r.Context()), "Incidents": list, "Limit": pageLimit,
	})
}

func (s *Server) one(w http.ResponseWriter, r *http.Request) {
	inc := s.find(w, r)
	if inc == nil {
		return
	}
	_, drawn := chart.SVG(inc)
	s.render(w, "incident.html", map[string]any{"Incident": inc, "Drawn": drawn})
}

// memory is the picture of an incident's memory.
func (s *Server) memory(w http.ResponseWriter, r *http.Request) {
	inc := s.find(w, r)
	if inc == nil {
		return
	}
	svg, ok := chart.SVG(inc)
	if !ok {
		http.Error(w, "no readings from before this incident are kept", http.StatusNotFound)
		return
	}
	// Its style is inside it, and it is all that it may use.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Write(svg) //nolint:errcheck // the client is gone, and nobody is left to tell
}

// find is the incident that is asked for; nil once the answer is that there is none.
func (s *Server) find(w http.ResponseWriter, r *http.Request) *incident.Incident {
	id := r.PathValue("id")
	list, err := s.opt.Backend.Explain(r.Context(), id, false)
	if err != nil {
		s.opt.Log.Warn("cannot show an incident", zap.Error(err))
		http.Error(w, "the store cannot be read; see the daemon's log", http.StatusInternalServerError)
		return nil
	}
	i := slices.IndexFunc(list, func(inc *incident.Incident) bool { return inc.ID == id })
	if i < 0 {
		http.Error(w, "no incident with this id is kept", http.StatusNotFound)
		return nil
	}
	return list[i]
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
	w.Write(b.Bytes()) //nolint:errcheck // the client is gone, and nobody is left to tell
}
