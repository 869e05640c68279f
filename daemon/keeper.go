package daemon

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
)

// keeper writes what the watcher decided, with what is owed to whom, in one
// transaction. It implements watcher.Keeper.
type keeper struct {
	store *store.Store
	// recipients are those of the present configuration; a reload changes them.
	recipients atomic.Pointer[recipients]
	// silences are those that have not ended.
	silences *silencer
	outbox   *notify.Outbox
	// seen is called with every new incident.
	seen func(*incident.Incident)
	// counted is called with everything that is kept; nil for nobody.
	counted func(correlate.Emission)
	// warned is called with a warning that begins, once it is kept; nil for none.
	warned func(*incident.Incident, time.Time)
	// died is called with the service of a death or a kill, once it is kept.
	died func(service string)
}

// Keep implements watcher.Keeper. While the disk takes no writes the store keeps it
// in memory.
func (k *keeper) Keep(ctx context.Context, kept watcher.Kept) error {
	to := k.recipients.Load()
	b := store.Batch{State: make(map[string][]byte, len(kept.Roster)+len(kept.Cursors))}
	for _, t := range kept.Emissions {
		b.Entries = append(b.Entries, k.entry(to, t))
	}
	for id, value := range kept.Roster {
		b.State[keyRoster+id] = value
	}
	for source, value := range kept.Cursors {
		b.State[keyCursor+source] = []byte(value)
	}
	if kept.Warnings != nil {
		b.State[keyWarn] = kept.Warnings
	}
	saved, err := k.store.Save(ctx, b)
	if err != nil {
		return err
	}
	crashpoint.At("after-commit")
	for _, t := range kept.Emissions {
		if k.counted != nil {
			k.counted(t)
		}
		if inc := t.Incident; k.died != nil && !t.Update && !inc.Historic && inc.Container != nil && (inc.Kind == incident.KindDeath || inc.Kind == incident.KindKill) {
			k.died(incident.ServiceOf(inc.Container))
		}
		if w := t.Incident.Warning; k.warned != nil && t.Incident.Kind == incident.KindWarning && !t.Update && !t.Silent && (w == nil || !w.Self) {
			k.warned(t.Incident, time.Now())
		}
	}
	if saved.Owed > 0 {
		k.outbox.Kick()
	}
	return nil
}

// entry says who is owed an incident.
func (k *keeper) entry(to *recipients, t correlate.Emission) store.Entry {
	e := store.Entry{Incident: t.Incident, Update: t.Update, Silent: t.Silent || t.Incident.Historic}
	if !t.Update {
		k.seen(t.Incident)
	}
	if e.Silent {
		return e
	}
	if t.Incident.Silenced = k.silences.why(t.Incident, time.Now()); t.Incident.Silenced != "" {
		e.Silent = true
		return e
	}
	e.Receivers = to.owed(t.Incident)
	return e
}
