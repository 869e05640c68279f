package web

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
)

// audit answers with the report as one object.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	report, err := s.opt.Backend.Audit(r.Context())
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}

// Audited is a Backend that hands on its last audit, nil for none: to make one takes too
// long for a page that is opened in a hurry.
type Audited interface{ LastAudit() *audit.Report }

// findingsOf are those of a container by the last audit; false where there was none.
func (s *Server) findingsOf(name string) (out []audit.Finding, ok bool) {
	b, _ := s.opt.Backend.(Audited)
	if b == nil {
		return nil, false
	}
	report := b.LastAudit()
	if report == nil {
		return nil, false
	}
	for _, f := range report.Findings {
		if f.Container != nil && f.Container.Name == name {
			out = append(out, f)
		}
	}
	return out, true
}

// auditPage shows the findings by severity and container.
func (s *Server) auditPage(w http.ResponseWriter, r *http.Request) {
	report, err := s.opt.Backend.Audit(r.Context())
	if err != nil {
		s.opt.Log.Warn("cannot audit", zap.Error(err))
		http.Error(w, "the engine cannot be asked; see oomwatch doctor", http.StatusServiceUnavailable)
		return
	}
	type group struct {
		Severity incident.Severity
		Findings []audit.Finding
	}
	var groups []group
	for _, f := range report.Findings {
		if n := len(groups); n == 0 || groups[n-1].Severity != f.Severity {
			groups = append(groups, group{Severity: f.Severity})
		}
		g := &groups[len(groups)-1]
		g.Findings = append(g.Findings, f)
	}
	s.show(w, "audit.html", "Audit", "/audit", map[string]any{"Report": report, "Groups": groups})
}
