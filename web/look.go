package web

import (
	"context"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/warn"
)

// look is what runs, as of at most liveEvery ago: to judge every container's trend is
// dear, and many pages may be open.
type look struct {
	mu   sync.Mutex
	at   time.Time
	rows []warn.Row
}

// shared are the containers that run, the most in danger first. The rows are shared: no
// reader may change them.
func (s *Server) shared(ctx context.Context) []warn.Row {
	s.looked.mu.Lock()
	defer s.looked.mu.Unlock()
	if now := time.Now(); s.looked.at.IsZero() || now.Sub(s.looked.at) > liveEvery-liveEvery/10 {
		s.looked.rows, s.looked.at = s.opt.Backend.Top(ctx), now
	}
	return s.looked.rows
}
