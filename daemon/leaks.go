package daemon

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
)

const (
	// leaksFor is how old an answer on leaks may be: it takes a while to make, and leaks
	// are slow.
	leaksFor = 15 * time.Minute
	// leaksGone is how long a service may have no readings to be shown, leakServices how
	// many services are.
	leaksGone    = 24 * time.Hour
	leakServices = 1000
)

// leakList judges which services leak, for the page.
type leakList struct {
	mu   sync.Mutex
	at   time.Time
	last []triage.Service
}

func (l *leakList) list(ctx context.Context, h *store.History) ([]triage.Service, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h == nil || time.Since(l.at) < leaksFor {
		return l.last, nil
	}
	services, err := h.Services(ctx)
	if err != nil {
		return nil, err
	}
	var out []triage.Service
	for _, s := range services[:min(len(services), leakServices)] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.Name == recorder.Host || time.Since(s.Last) > leaksGone {
			continue
		}
		past, err := kept.History(ctx, h, s, s.From(kept.Span))
		if err != nil {
			return nil, err
		}
		if len(past.Runs) > 0 {
			out = append(out, triage.JudgeHistory(past))
		}
	}
	slices.SortStableFunc(out, func(a, b triage.Service) int {
		return cmp.Or(leakOrder(a.Class)-leakOrder(b.Class), cmp.Compare(a.Service, b.Service))
	})
	l.last, l.at = out, time.Now()
	return out, nil
}

// leakOrder puts leaks first and what cannot be judged last.
func leakOrder(c triage.Class) int {
	switch c {
	case triage.Leak:
		return 0
	case triage.NotEnoughData:
		return 2
	}
	return 1
}
