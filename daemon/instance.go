package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/oomwatch/oomwatch/store"
)

// keyInstance is where the store keeps the name of the daemon that writes it.
const keyInstance = "instance"

// instanceOf names the daemon of a store, the same over restarts: two on one host,
// each with a store of its own, report the same deaths, and a reader has to know whose
// alert it is.
func instanceOf(ctx context.Context, st *store.Store) (string, error) {
	state, err := st.State(ctx)
	if err != nil {
		return "", err
	}
	if id := string(state[keyInstance]); id != "" {
		return id, nil
	}
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make an id of this daemon: %w", err)
	}
	id := hex.EncodeToString(b)
	_, err = st.Save(ctx, store.Batch{State: map[string][]byte{keyInstance: []byte(id)}})
	return id, err
}
