package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/web"
)

// ErrNoStore is returned where there is no store to read.
var ErrNoStore = errors.New("there is no store")

// LeftOutError says that a damaged store did not give all that it keeps.
type LeftOutError struct {
	Path string
	N    int64 // rows, and parts of the file
}

func (e *LeftOutError) Error() string {
	return fmt.Sprintf("%s is damaged: what cannot be read of it is left out (rows or parts: %d); oomwatch run moves it aside and carries over what it can", e.Path, e.N)
}

// ReadStore reads incidents from a store's file, beside a daemon or without one. With
// a LeftOutError it returns what could be read.
func ReadStore(ctx context.Context, path string, q web.Query) ([]*incident.Incident, error) {
	st, err := store.Open(ctx, store.Options{Path: path, ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s", ErrNoStore, path)
	}
	if err != nil {
		return nil, err
	}
	defer st.Close()
	list, err := listIncidents(ctx, st, q)
	if n := st.LeftOut(); err == nil && n > 0 {
		err = &LeftOutError{path, n}
	}
	return list, err
}

// listIncidents reads what matches q.
func listIncidents(ctx context.Context, st *store.Store, q web.Query) ([]*incident.Incident, error) {
	sq, err := storeQuery(q)
	if err != nil {
		return nil, err
	}
	return st.List(ctx, sq)
}

// storeQuery is a question of the web's as the store's.
func storeQuery(q web.Query) (store.Query, error) {
	sq := store.Query{Since: q.Since, Container: q.Container, Cause: string(q.Cause), Kind: string(q.Kind), Open: q.Open, Limit: q.Limit, NewestFirst: q.NewestFirst,
		Words: q.Words, Severity: q.Severity, Depth: q.Depth}
	if q.Before == "" {
		return sq, nil
	}
	var err error
	sq.Before, err = store.ParsePlace(q.Before)
	return sq, err
}

// DeliveryStatus is an account as it is shown.
func DeliveryStatus(a store.Account) web.DeliveryStatus {
	return web.DeliveryStatus{Receiver: a.Receiver, Generated: a.Generated, Delivered: a.Delivered, Parked: a.Parked, Pending: a.Pending,
		Lost: a.Lost, Held: a.Held, Pruned: a.Pruned, OldestAt: a.Oldest, NextAt: a.Next, Error: a.Error}
}
