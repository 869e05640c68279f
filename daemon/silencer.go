package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/store"
)

// Bounds on a silence: what nobody remembers must not hide deaths for ever.
const (
	LongestSilence = 30 * 24 * time.Hour
	maxSilences    = 1000
	maxReason      = 500
)

// silencer holds the silences that have not ended, and those under which something
// may have happened that is still to come, as the store keeps them.
type silencer struct {
	store *store.Store

	mu   sync.Mutex
	list []incident.Silence
}

// newSilencer reads the silences of an earlier run.
func newSilencer(ctx context.Context, st *store.Store, now time.Time) (*silencer, error) {
	s := &silencer{store: st}
	return s, s.reload(ctx, now)
}

// reload reads them from the store, again where it is another. What happened while
// nobody watched comes after its silence has ended: such a one is read, too.
func (s *silencer) reload(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.store.Silences(ctx, now.Add(-lateIncident))
	if err == nil {
		s.list = list
	}
	return err
}

// why says by whom and why an incident is silenced; "" where it is not.
func (s *silencer) why(inc *incident.Incident, now time.Time) string {
	if inc.Warning != nil && inc.Warning.Self {
		return "" // the watcher's own troubles are nobody's deployment
	}
	if silencedByLabel(inc) {
		return "by the container's label " + labelSilence + "=true"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].Covers(inc, now) {
			return s.list[i].String()
		}
	}
	return ""
}

// add keeps a silence that begins now, and returns it with its id.
func (s *silencer) add(ctx context.Context, x incident.Silence, now time.Time) (incident.Silence, error) {
	if err := x.Match.Check(); err != nil {
		return x, err
	}
	x.Reason = redact.Sanitize(strings.Join(strings.Fields(x.Reason), " "))
	switch {
	case x.Match.Empty():
		return x, errors.New("a silence needs a matcher: --container '*' silences every container, --host '*' everything")
	case x.Reason == "":
		return x, errors.New("a silence needs a reason: it is shown with what it silences")
	case len(x.Reason) > maxReason:
		return x, fmt.Errorf("the reason is longer than %d bytes", maxReason)
	case !x.Until.After(now):
		return x, fmt.Errorf("it would end at %s, which is past", x.Until.UTC().Format(time.RFC3339))
	case x.Until.Sub(now) > LongestSilence:
		return x, fmt.Errorf("it would last longer than %s", config.Duration(LongestSilence))
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return x, fmt.Errorf("make an id: %w", err)
	}
	x.ID, x.From = hex.EncodeToString(id), now.UTC()
	x.Until = x.Until.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
	if len(s.list) >= maxSilences {
		return x, fmt.Errorf("there are %d silences already; expire some: oomwatch silence list", len(s.list))
	}
	if err := s.store.PutSilence(ctx, x); err != nil {
		return x, err
	}
	s.list = append(s.list, x)
	return x, nil
}

// errNoSilence is returned for an id that no silence has.
var errNoSilence = errors.New("no such silence")

// expire ends a silence now, by its id or the beginning of it.
func (s *silencer) expire(ctx context.Context, id string, now time.Time) (incident.Silence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
	at := -1
	for i := range s.list {
		if id != "" && strings.HasPrefix(s.list[i].ID, id) && s.list[i].Until.After(now) {
			if at >= 0 {
				return incident.Silence{}, fmt.Errorf("several ids begin with %q; give more of it", id)
			}
			at = i
		}
	}
	if at < 0 {
		return incident.Silence{}, fmt.Errorf("%w: %q; see: oomwatch silence list", errNoSilence, id)
	}
	x := s.list[at]
	x.Until = now.UTC()
	if err := s.store.PutSilence(ctx, x); err != nil {
		return x, err
	}
	s.list[at] = x
	return x, nil
}

// active are the silences that have not ended.
func (s *silencer) active(now time.Time) []incident.Silence {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []incident.Silence
	for _, x := range s.list {
		if x.Until.After(now) {
			out = append(out, x)
		}
	}
	return out
}

// lateIncident is how long after a silence an incident of its time may come.
const lateIncident = 10 * time.Minute

// drop forgets what ended long ago; s.mu is held.
func (s *silencer) drop(now time.Time) {
	kept := s.list[:0]
	for _, x := range s.list {
		if x.Until.Add(lateIncident).After(now) {
			kept = append(kept, x)
		}
	}
	s.list = kept
}
