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
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/crashpoint"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/recorder"
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
	// seen is told every new incident.
	seen func(*incident.Incident)
	// warned is called with a warning that begins, once it is kept; nil for none.
	warned func(*incident.Incident, time.Time)
}

// openDaemonStore opens the store, which is in memory while its disk takes no writes.
// replaced is called when it goes there and back, and when a damaged one is replaced.
func openDaemonStore(ctx context.Context, cfg *config.Config, log *zap.Logger, reg prometheus.Registerer, replaced func(context.Context, string)) (*store.Store, error) {
	st, err := store.Open(ctx, store.Options{Path: cfg.Store.Path, MaxAge: time.Duration(cfg.Store.Retention), MaxBytes: int64(cfg.Store.MaxSize), Logger: log, Registerer: reg, Replaced: replaced})
	if on := store.FilesystemOf(filepath.Dir(cfg.Store.Path)); on != nil {
		log.Warn("the store is on "+on.Name+": "+on.Risk, zap.String("store", cfg.Store.Path), zap.String("next_step", on.Fix))
	}
	return st, err
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

// Keep implements watcher.Keeper. While the disk takes no writes the store keeps it
// in memory.
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
	if err != nil {
		return err
	}
	crashpoint.At("after-commit")
	for _, t := range kept.Told {
		if w := t.Incident.Warning; k.warned != nil && t.Incident.Kind == incident.KindWarning && !t.Update && !t.Quiet && (w == nil || !w.Self) {
			k.warned(t.Incident, time.Now())
		}
	}
	if saved.Owed > 0 {
		k.outbox.Kick()
	}
	return nil
}

// entry says who is owed an incident.
func (k *keeper) entry(told *recipients, t watcher.Told) store.Entry {
	e := store.Entry{Incident: t.Incident, Update: t.Update, Silent: t.Quiet || t.Incident.Historic}
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
	e.Receivers = told.owed(t.Incident)
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

// listIncidents reads what matches q.
func listIncidents(ctx context.Context, st *store.Store, q web.Query) ([]*incident.Incident, error) {
	return st.List(ctx, store.Query{Since: q.Since, Container: q.Container, Cause: string(q.Cause), Kind: string(q.Kind), Limit: q.Limit})
}
