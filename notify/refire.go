package notify

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Restorer is a Notifier that must know again after a restart what it has told and
// what goes on. told gives the incidents that its receiver has had: all warnings
// that last, and of what has happened what it was told since a time.
type Restorer interface {
	Restore(told func(since time.Time) ([]incident.Delivery, error)) error
}

// Restore implements Restorer: to Alertmanager a warning that is not sent again
// is over, although it lasts.
func (m *Alertmanager) Restore(told func(time.Time) ([]incident.Delivery, error)) error {
	now := m.p.now()
	list, err := told(now.Add(-m.resolveAfter))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range list {
		inc := d.Incident
		if over(inc) {
			continue
		}
		alert := m.alertOf(Alert{Incident: inc}, d.FirstAttempt)
		if key, err := json.Marshal(alert.Labels); err == nil && alert.fires(now) {
			m.keep(string(key), alert, now)
			m.restored = true
		}
	}
	return nil
}

// Inherit implements Heir.
func (m *Alertmanager) Inherit(from Notifier) {
	old, ok := from.(*Alertmanager)
	if !ok {
		return
	}
	old.mu.Lock()
	was := maps.Clone(old.firing)
	old.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, a := range was {
		if m.firing[key] == nil {
			m.firing[key] = a
		}
	}
}

var _ interface {
	Notifier
	Runner
	Heir
	Restorer
	Follower
} = (*Alertmanager)(nil)
