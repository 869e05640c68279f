package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
)

// selfCursor is where the store keeps which troubles were reported and are not over, as a
// cursor keeps how far a source was read.
const selfCursor = "self"

// resume takes up what an earlier run reported and did not see the end of. A trouble that
// lasts is not reported again; one that is over is reported as over.
func (s *selfReports) resume(ctx context.Context, kept string, st *store.Store) {
	var reported []*incident.Incident
	if kept != "" {
		if err := json.Unmarshal([]byte(kept), &reported); err != nil {
			s.log.Warn("cannot read the alerts about oomwatch itself that were open before the restart", zap.Error(fmt.Errorf("read the state of the self-reports: %w", err)))
		}
	}
	s.mu.Lock()
	full := false
	for _, inc := range reported {
		w := inc.Warning
		if w == nil {
			continue
		}
		s.open[w.What+" "+w.Subject] = &trouble{what: w.What, subject: w.Subject, since: w.Since, reported: inc, before: true}
		full = full || w.What == incident.SelfStore
		if w.What == incident.SelfBlind {
			s.seenUp[w.Subject] = true // else one that still cannot be read would pass for mended
		}
	}
	s.mu.Unlock()
	if full { // nothing may be written for a while, and only a write shows it
		if err := st.Probe(ctx); err != nil {
			s.log.Error("the store takes no writes", zap.Error(err))
		}
	}
	began := time.Now()
	s.owed = func(receiver string) bool {
		accounts, err := st.Accounts(ctx)
		return err != nil || slices.ContainsFunc(accounts, func(a store.Account) bool {
			return a.Receiver == receiver && !a.Oldest.IsZero() && a.Oldest.Before(began)
		})
	}
}

// untried are the receivers that an earlier run reported as down and that this one has
// not tried yet: those that are still owed what they were then. The store is asked
// without holding s.mu, as the store may report something meanwhile.
func (s *selfReports) untried(down map[string]string) map[string]bool {
	s.mu.Lock()
	var asked []*trouble
	for _, t := range s.open {
		if t.before && t.what == incident.SelfDown {
			asked = append(asked, t)
		}
	}
	s.mu.Unlock()
	out := map[string]bool{}
	for _, t := range asked {
		if _, tried := down[t.subject]; !tried && s.owed(t.subject) {
			out[t.subject] = true
		} else {
			t.before = false
		}
	}
	return out
}

// cursor is what resume reads; s.mu is held.
func (s *selfReports) cursor() (string, error) {
	reported := []*incident.Incident{}
	for _, key := range slices.Sorted(maps.Keys(s.open)) {
		if t := s.open[key]; t.reported != nil {
			reported = append(reported, t.reported)
		}
	}
	b, err := json.Marshal(reported)
	return string(b), err
}

// occurrence is an event that was reported, and how often it came since.
type occurrence struct {
	what, subject string
	reported      time.Time
	more          int
	summary, fix  string // of the last that was gathered
	n             int    // of which it speaks itself
}

// event reports what has happened once; the same again soon is only counted, and reported
// together when it is no longer soon.
func (s *selfReports) event(what, subject string, n int, now time.Time, summary, fix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := what + " " + subject
	h := s.events[key]
	if h == nil {
		h = &occurrence{what: what, subject: subject}
		s.events[key] = h
	}
	h.more, h.summary, h.fix, h.n = h.more+n, summary, fix, n
	if h.reported.IsZero() || now.Sub(h.reported) >= sameAgain {
		s.reportEvent(h, now)
	}
}

// reportGathered reports what was counted, once that has been going on for long enough; s.mu is held.
func (s *selfReports) reportGathered(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(s.events)) {
		if h := s.events[key]; h.more > 0 && now.Sub(h.reported) >= sameAgain {
			s.reportEvent(h, now)
		}
	}
}

func (s *selfReports) reportEvent(h *occurrence, now time.Time) {
	summary := h.summary
	if more := h.more - h.n; more > 0 {
		summary += fmt.Sprintf(" (and %d more since %s)", more, h.reported.UTC().Format("15:04:05 UTC"))
	}
	h.reported, h.more = now, 0
	s.report(correlate.Emission{Incident: s.incident(h.what, h.subject, now, summary, h.fix)})
}
