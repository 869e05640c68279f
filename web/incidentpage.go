package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/oomwatch/oomwatch/chart"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/render"
)

// one shows all that is known of an incident, in the order of explain.
func (s *Server) one(w http.ResponseWriter, r *http.Request) {
	inc := s.incident(w, r)
	if inc == nil {
		return
	}
	_, drawn := chart.SVG(inc)
	who := ""
	if c := inc.Container; c != nil {
		who = cmp.Or(c.Name, c.ID)
	}
	over := ""
	if !inc.ResolvedAt.IsZero() {
		over = render.OutlineOf(incident.Alert{Incident: inc}, true).Title
	}
	s.show(w, "incident.html", render.Headline(inc), "", map[string]any{"Incident": inc, "Drawn": drawn, "Facts": render.Facts(inc), "Sure": render.ConfidenceWords(inc), "Who": who, "Over": over, "May": s.may(r)})
}

// text is the incident as explain prints it, to be copied.
func (s *Server) text(w http.ResponseWriter, r *http.Request) {
	inc := s.incident(w, r)
	if inc == nil {
		return
	}
	var b bytes.Buffer
	if err := render.WriteText(&b, inc, render.TextOptions{}); err != nil {
		http.Error(w, "the text cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(b.Bytes()) //nolint:errcheck // the client is gone, and nobody is left to hear of it
}

// memory is the picture of an incident's memory.
func (s *Server) memory(w http.ResponseWriter, r *http.Request) {
	inc := s.incident(w, r)
	if inc == nil {
		return
	}
	if r.URL.Query().Has("plain") {
		inc.Summary = "" // the page has it above the picture
	}
	svg, ok := chart.SVG(inc)
	if !ok {
		http.Error(w, "no readings from before this incident are kept", http.StatusNotFound)
		return
	}
	writeSVG(w, svg)
}

func writeSVG(w http.ResponseWriter, svg []byte) {
	// Its style is inside it, and it is all that it may use.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Write(svg) //nolint:errcheck // the client is gone, and nobody is left to hear of it
}

// incident is the one that is asked for; nil once the answer is that there is none.
func (s *Server) incident(w http.ResponseWriter, r *http.Request) *incident.Incident {
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
		s.broken(w, "cannot show an incident", err)
		return nil
	}
	if found == nil {
		http.Error(w, "no incident with this id is kept", http.StatusNotFound)
		return nil
	}
	return found
}
