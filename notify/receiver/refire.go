package receiver

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
)

// Restore knows again what goes on: to Alertmanager a warning that is not sent again
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
		if inc.Over() {
			continue
		}
		alert := m.alertOf(incident.Alert{Incident: inc}, d.FirstAttempt)
		if key, err := json.Marshal(alert.Labels); err == nil && alert.fires(now) {
			m.keep(string(key), alert, now)
			m.restored = true
		}
	}
	return nil
}

// Inherit takes over what fires from the Alertmanager before it.
func (m *Alertmanager) Inherit(from notify.Notifier) {
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
