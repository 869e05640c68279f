package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
)

// selfCursor is where the store keeps which troubles have been told and are not over:
// how far the watcher has told of itself, as a cursor is how far a source was read.
const selfCursor = "self"

// resume takes up what an earlier run told and did not see the end of. What lasts is
// the same trouble still, and is not told anew; what is over is told as over.
func (s *selfReports) resume(ctx context.Context, kept string, st *store.Store) {
	var told []*incident.Incident
	if kept != "" {
		if err := json.Unmarshal([]byte(kept), &told); err != nil {
			s.log.Warn("what was told of the watcher itself is not known", zap.Error(fmt.Errorf("read the state of the self-reports: %w", err)))
		}
	}
	s.mu.Lock()
	full := false
	for _, inc := range told {
		w := inc.Warning
		if w == nil {
			continue
		}
		s.open[w.What+" "+w.Subject] = &trouble{what: w.What, subject: w.Subject, since: w.Since, told: inc, before: true}
		full = full || w.What == incident.SelfStore
		if w.What == incident.SelfBlind {
			s.seenUp[w.Subject] = true // else one that still cannot be read would pass for mended
		}
	}
	s.mu.Unlock()
	if full { // nothing may be written for a while, and only a write can tell
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

// untried are the receivers that an earlier run told to be down and that this one has
// not tried yet: those that are still owed what they were then. The store is asked
// without holding s.mu, as the store may have something to tell meanwhile.
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
	told := []*incident.Incident{}
	for _, key := range slices.Sorted(maps.Keys(s.open)) {
		if t := s.open[key]; t.told != nil {
			told = append(told, t.told)
		}
	}
	b, err := json.Marshal(told)
	return string(b), err
}

// happened is an event that was told, and what of it has been gathered since.
type happened struct {
	what, subject string
	told          time.Time
	more          int
	summary, fix  string // of the last that was gathered
	n             int    // of which it speaks itself
}

// event tells what has happened once; the same again soon is only counted, and told
// together when it is no longer soon.
func (s *selfReports) event(what, subject string, n int, now time.Time, summary, fix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := what + " " + subject
	h := s.events[key]
	if h == nil {
		h = &happened{what: what, subject: subject}
		s.events[key] = h
	}
	h.more, h.summary, h.fix, h.n = h.more+n, summary, fix, n
	if h.told.IsZero() || now.Sub(h.told) >= sameAgain {
		s.tellEvent(h, now)
	}
}

// rest tells what was gathered, once that has been going on for long enough; s.mu is held.
func (s *selfReports) rest(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(s.events)) {
		if h := s.events[key]; h.more > 0 && now.Sub(h.told) >= sameAgain {
			s.tellEvent(h, now)
		}
	}
}

func (s *selfReports) tellEvent(h *happened, now time.Time) {
	summary := h.summary
	if more := h.more - h.n; more > 0 {
		summary += fmt.Sprintf(" (and %d more since %s)", more, h.told.UTC().Format("15:04:05 UTC"))
	}
	h.told, h.more = now, 0
	s.tell(watcher.Told{Incident: s.incident(h.what, h.subject, now, summary, h.fix)})
}
