package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.bounded(s.index))
	mux.HandleFunc("GET /incident/{id}", s.bounded(s.one))
	mux.HandleFunc("GET /incident/{id}/memory.svg", s.bounded(s.memory))
	mux.HandleFunc("GET /incident/{id}/text", s.bounded(s.text))
	mux.HandleFunc("GET /containers", s.bounded(s.containers))
	mux.HandleFunc("GET /containers/live", s.live)
	mux.HandleFunc("GET /container/{name...}", s.bounded(s.container))
	mux.HandleFunc("GET /memory.svg", s.bounded(s.containerPicture))
	mux.HandleFunc("GET /leaks", s.bounded(s.leaksPage))
	mux.HandleFunc("GET /receivers", s.bounded(s.receivers))
	mux.HandleFunc("GET /v1/memory", s.bounded(s.curveData))
	static(mux)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.bounded(s.readyz))
	mux.HandleFunc("GET /v1/status", s.bounded(s.status))
	mux.HandleFunc("GET /v1/incidents", s.bounded(s.incidents))
	mux.HandleFunc("GET /v1/explain", s.bounded(s.explain))
	mux.HandleFunc("GET /v1/top", s.bounded(s.top))
	mux.HandleFunc("GET /v1/audit", s.bounded(s.audit))
	mux.HandleFunc("GET /v1/leaks", s.bounded(s.leaks))
	mux.HandleFunc("GET /audit", s.bounded(s.auditPage))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opt.Metrics, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(s.opt.Log), MaxRequestsInFlight: 4, Timeout: readTimeout, EnableOpenMetrics: true,
	}))
	return mux
}

// healthz says whether the process moves; whether it sees anything is readyz's. It
// waits for nobody.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if !s.opt.Backend.Alive() {
		http.Error(w, "the main loop does not move", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	// A supervisor waits for no slow store.
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	st := s.opt.Backend.Status(ctx)
	code := http.StatusOK
	if !st.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, st)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.opt.Backend.Status(r.Context()))
}

func (s *Server) incidents(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	s.stream(w, r, func(each func(Found) error) error { return s.opt.Backend.Incidents(r.Context(), q, each) })
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	for k := range v {
		if k != "q" && k != "all" {
			writeError(w, http.StatusBadRequest, fmt.Errorf("unknown parameter %q: q and all are known", k))
			return
		}
	}
	s.stream(w, r, func(each func(Found) error) error {
		return s.opt.Backend.Explain(r.Context(), v.Get("q"), v.Get("all") == "true", each)
	})
}

// top answers with one container per line, the most in danger first.
func (s *Server) top(w http.ResponseWriter, r *http.Request) {
	rows := s.opt.Backend.Top(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for i := range rows {
		if enc.Encode(&rows[i]) != nil {
			return // the client is gone
		}
	}
}

// parseQuery reads a Query from parameters; an unknown one is refused.
func parseQuery(v url.Values) (Query, error) {
	var q Query
	for k := range v {
		val := v.Get(k)
		var err error
		switch k {
		case "since":
			q.Since, err = time.Parse(time.RFC3339Nano, val)
		case "container":
			q.Container = val
		case "cause":
			q.Cause = incident.Cause(val)
		case "kind":
			q.Kind = incident.Kind(val)
		case "open":
			q.Open, err = strconv.ParseBool(val)
		case "before":
			q.Before, err = val, checkPlace(val)
		case "order":
			if q.NewestFirst = val == "newest"; !q.NewestFirst && val != "oldest" {
				err = fmt.Errorf("order %q: want newest or oldest", val)
			}
		case "limit":
			q.Limit, err = strconv.Atoi(val)
			if err == nil && q.Limit < 0 {
				err = fmt.Errorf("limit %d is below 0", q.Limit)
			}
		default:
			err = fmt.Errorf("unknown parameter %q: since, container, cause, kind, open, limit, before and order are known", k)
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// checkPlace refuses what no answer gave.
func checkPlace(s string) error {
	at, seq, ok := strings.Cut(s, ".")
	_, err := strconv.ParseInt(at, 10, 64)
	_, err2 := strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil || err2 != nil {
		return fmt.Errorf("before %q: want a place, as the link to older ones gives it", s)
	}
	return nil
}

// values is the reverse of parseQuery.
func (q Query) values() url.Values {
	v := url.Values{}
	set := func(k, s string) {
		if s != "" {
			v.Set(k, s)
		}
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	set("container", q.Container)
	set("cause", string(q.Cause))
	set("kind", string(q.Kind))
	if q.Open {
		v.Set("open", "true")
	}
	set("before", q.Before)
	if q.NewestFirst {
		v.Set("order", "newest")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone, and nobody is left to tell
}

func writeError(w http.ResponseWriter, code int, err error) {
	writeJSON(w, code, map[string]string{"error": err.Error()})
}
