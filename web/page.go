package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"strings"
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
	before := r.URL.Query().Get("before")
	if before != "" && checkPlace(before) != nil {
		http.Error(w, "there is no such page", http.StatusBadRequest)
		return
	}
	var list []*incident.Incident
	older := ""
	err := s.opt.Backend.Incidents(r.Context(), Query{Limit: pageLimit, Before: before, NewestFirst: true}, func(f Found) error {
		inc := new(incident.Incident)
		if err := json.Unmarshal(f.Body, inc); err != nil {
			return fmt.Errorf("read an incident: %w", err)
		}
		inc.Summary = clip(inc.Summary)
		// The page shows no more of it, and a hundred whole ones are megabytes.
		list = append(list, &incident.Incident{ID: inc.ID, Host: inc.Host, Kind: inc.Kind, Time: inc.Time, Severity: inc.Severity, Cause: inc.Cause,
			Confidence: inc.Confidence, Summary: inc.Summary, Historic: inc.Historic})
		older = f.Place
		return nil
	})
	if err != nil {
		s.opt.Log.Warn("cannot show the page", zap.Error(err))
		http.Error(w, "the store cannot be read; see the daemon's log", http.StatusInternalServerError)
		return
	}
	if len(list) < pageLimit {
		older = ""
	}
	host, _ := os.Hostname() // a page without the name is still a page
	s.render(w, "index.html", map[string]any{
		"Host": host, "Status": s.opt.Backend.Status(r.Context()), "Incidents": list, "Limit": pageLimit, "Older": older, "Before": before,
	})
}

// clip cuts a summary for a list.
func clip(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
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
	id, host := r.PathValue("id"), r.URL.Query().Get("host")
	var found *incident.Incident
	err := s.opt.Backend.Explain(r.Context(), id, false, func(f Found) error {
		inc := new(incident.Incident)
		if err := json.Unmarshal(f.Body, inc); err != nil {
			return fmt.Errorf("read an incident: %w", err)
		}
		if inc.ID == id && (host == "" || inc.HostName() == host) {
			found = inc
		}
		return nil
	})
	if err != nil {
		s.opt.Log.Warn("cannot show an incident", zap.Error(err))
		http.Error(w, "the store cannot be read; see the daemon's log", http.StatusInternalServerError)
		return nil
	}
	if found == nil {
		http.Error(w, "no incident with this id is kept", http.StatusNotFound)
		return nil
	}
	return found
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
