package daemon

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/store"
)

// The keys under which the store keeps what a restart must know.
const (
	keyEpoch  = "epoch"    // when this host was first watched
	keyCursor = "cursor/"  // + source: how far it has been read
	keyRoster = "roster/"  // + container id
	keyWarn   = "warnings" // those that last
)

// restored is what an earlier run left in the store.
type restored struct {
	epoch   time.Time
	cursors map[string]string
	roster  map[string][]byte
	warned  []byte
}

// since is from when on an engine or a runtime is asked what happened: where an earlier run
// had read to, else all that it may still remember.
func (r *restored) since(engine string, log *zap.Logger) time.Time {
	all := r.epoch.Add(-lookBack)
	c := r.cursors[engine]
	if c == "" {
		return all
	}
	at, err := time.Parse(time.RFC3339Nano, c)
	if err != nil {
		log.Warn("cannot read up to when the engine's events were read: it is asked for all that it still holds", zap.String("engine", engine), zap.Error(err))
		return all
	}
	return at
}

// restore reads it. At the very first run the epoch is now, and is kept: what
// happened before it is history, and nobody is alerted.
func restore(ctx context.Context, st *store.Store, now time.Time) (*restored, error) {
	state, err := st.State(ctx)
	if err != nil {
		return nil, err
	}
	m := &restored{cursors: map[string]string{}, roster: map[string][]byte{}, warned: state[keyWarn]}
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
