package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/explain"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/web"
)

// The keys under which the store keeps what a restart must know.
const (
	keyEpoch  = "epoch"    // when this host was first watched
	keyCursor = "cursor/"  // + source: how far it has been read
	keyRoster = "roster/"  // + container id
	keyWarn   = "warnings" // those that last
)

// memory is what an earlier run left in the store.
type memory struct {
	epoch   time.Time
	cursors map[string]string
	roster  map[string][]byte
	warned  []byte
}

// remember reads it. At the very first run the epoch is now, and is kept: what
// happened before it is history and is told nobody.
func remember(ctx context.Context, st *store.Store, now time.Time) (*memory, error) {
	state, err := st.State(ctx)
	if err != nil {
		return nil, err
	}
	m := &memory{cursors: map[string]string{}, roster: map[string][]byte{}, warned: state[keyWarn]}
	for key, value := range state {
		if source, ok := strings.CutPrefix(key, keyCursor); ok {
			m.cursors[source] = string(value)
		} else if id, ok := strings.CutPrefix(key, keyRoster); ok {
			m.roster[id] = value
		}
	}
	if m.epoch, err = time.Parse(time.RFC3339Nano, string(state[keyEpoch])); err == nil {
		return m, nil
	}
	m.epoch = now
	b := store.Batch{State: map[string][]byte{keyEpoch: []byte(now.UTC().Format(time.RFC3339Nano))}}
	_, err = st.Save(ctx, b)
	return m, err
}

// keeper writes what the watcher decided, with what is owed to whom, in one
// transaction. It implements watcher.Keeper.
type keeper struct {
	store *store.Store
	// told are the receivers; a reload changes them.
	told atomic.Pointer[recipients]
	// silences are those that have not ended.
	silences *silencer
	outbox   *notify.Outbox
	// health is told how each attempt to keep ended, seen every new incident.
	health func(error)
	seen   func(*incident.Incident)
	// warned is called with a warning that begins, once it is kept; nil for none.
	warned func(*incident.Incident, time.Time)
}

// openOrRemember opens the store, or one in memory where the file system takes no
// writes: what dies meanwhile is told all the same, and kept as soon as it does.
// replaced is called then, and when a damaged one is replaced.
func openOrRemember(ctx context.Context, cfg *config.Config, log *zap.Logger, reg prometheus.Registerer, replaced func(context.Context, string)) (st *store.Store, why, err error) {
	opt := store.Options{Path: cfg.Store.Path, MaxAge: time.Duration(cfg.Store.Retention), Logger: log, Registerer: reg, Replaced: replaced}
	st, why = store.Open(ctx, opt)
	if on := store.FilesystemOf(filepath.Dir(cfg.Store.Path)); on != nil {
		log.Warn("the store is on "+on.Name+": "+on.Risk, zap.String("store", cfg.Store.Path), zap.String("next_step", on.Fix))
	}
	if !store.NoRoom(why) {
		return st, nil, why
	}
	log.Error("the store takes no writes: incidents are kept in memory until it does", zap.Error(why))
	opt.Memory = true
	st, err = store.Open(ctx, opt)
	return st, why, err
}

// openRecorder opens the recorder with its history.
func openRecorder(ctx context.Context, cfg *config.Config, st *store.Store, log *zap.Logger, reg prometheus.Registerer) (*recorder.Recorder, *store.History, error) {
	hist, err := store.OpenHistory(ctx, store.HistoryOptions{Store: cfg.Store.Path, Keep: time.Duration(cfg.History.Retention), MaxBytes: int64(cfg.History.MaxSize),
		Wait: st.InMemory, Logger: log, Registerer: reg})
	if err != nil {
		return nil, nil, err
	}
	rec := recorder.New(recorder.Options{Keeper: hist, Logger: log, Registerer: reg})
	if err := rec.Restore(ctx, hist); err != nil {
		log.Warn("the recent past is not taken up", zap.Error(err))
	}
	return rec, hist, nil
}

// Keep implements watcher.Keeper. What cannot be kept is told all the same, from
// memory; the watcher offers it again, and then it is kept with what became of it.
func (k *keeper) Keep(ctx context.Context, kept watcher.Kept) error {
	told := k.told.Load()
	b := store.Batch{State: make(map[string][]byte, len(kept.Roster)+len(kept.Cursors))}
	for _, t := range kept.Told {
		b.Entries = append(b.Entries, k.entry(told, t))
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
	k.health(err)
	if err != nil {
		for i := range b.Entries {
			k.spare(ctx, &b.Entries[i], err)
		}
		return err
	}
	crashpoint.At("after-commit")
	for i, t := range kept.Told {
		if e := &b.Entries[i]; e.Past != nil {
			k.outbox.Kept(e.Incident.ID, e.Past)
		}
		if w := t.Incident.Warning; k.warned != nil && t.Incident.Kind == incident.KindWarning && !t.Update && !t.Quiet && (w == nil || !w.Self) {
			k.warned(t.Incident, time.Now())
		}
	}
	if saved.Owed > 0 {
		k.outbox.Kick()
	}
	return nil
}

// spare owes an incident from memory.
func (k *keeper) spare(ctx context.Context, e *store.Entry, why error) {
	if e.Silent || len(e.Receivers) == 0 && !e.Update {
		return
	}
	inc := *e.Incident
	inc.NotStored = redact.Sanitize(redact.Line(why.Error()))
	k.outbox.Spare(notify.Unkept{Incident: &inc, Receivers: e.Receivers, Update: e.Update, Had: func() map[string]incident.Word {
		// Not ctx: the program may be about to end, and then it is told once more.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askStore)
		defer cancel()
		had, err := k.store.Words(ctx, inc.ID)
		if err != nil {
			return map[string]incident.Word{} // rather told twice than not
		}
		return had
	}})
}

// askStore bounds what is asked of a store that is in trouble.
const askStore = 2 * time.Second

// entry says who is owed an incident.
func (k *keeper) entry(told *recipients, t watcher.Told) store.Entry {
	e := store.Entry{Incident: t.Incident, Update: t.Update, Silent: t.Quiet || t.Incident.Historic}
	if !t.Update {
		k.seen(t.Incident)
	}
	t.Incident.NotStored = ""
	if k.store.InMemory() {
		t.Incident.NotStored = "the store cannot be written, and is in memory"
	}
	if e.Silent {
		return e
	}
	if t.Incident.Silenced = k.silences.why(t.Incident, time.Now()); t.Incident.Silenced != "" {
		e.Silent = true
		return e
	}
	e.Receivers, e.Past = told.owed(t.Incident), k.outbox.Past(t.Incident.ID)
	return e
}

// errNoStore is returned where there is no store to read.
var errNoStore = errors.New("there is no store")

// readStore reads incidents from a store's file, beside a daemon or without one.
func readStore(ctx context.Context, path string, q web.Query) ([]*incident.Incident, error) {
	st, err := store.Open(ctx, store.Options{Path: path, ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s", errNoStore, path)
	}
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return listIncidents(ctx, st, q)
}

// listIncidents reads what matches q. The store selects by what it has columns
// for; what else a person may call a container is looked for here.
func listIncidents(ctx context.Context, st *store.Store, q web.Query) ([]*incident.Incident, error) {
	sq := store.Query{Since: q.Since, Cause: string(q.Cause), Kind: string(q.Kind), Limit: q.Limit}
	if q.Container == "" {
		return st.List(ctx, sq)
	}
	sq.Limit = 0
	list, err := st.List(ctx, sq)
	if err != nil {
		return nil, err
	}
	var found []*incident.Incident
	for _, inc := range list {
		if inc.Container != nil && inc.ID != q.Container && explain.About(inc, q.Container) {
			found = append(found, inc)
		}
	}
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[len(found)-q.Limit:]
	}
	return found, nil
}
