package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/web"
)

// TestOrphans: what was owed to a receiver that the configuration has no longer
// waits, is given up in its time, told to the others, and the account holds.
func TestOrphans(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "o.db")
	st := openTestStore(t, path)
	now := time.Now()
	silences, err := newSilencer(ctx, st, now)
	if err != nil {
		t.Fatal(err)
	}
	k := testKeeper(st, silences)
	k.recipients.Store(&recipients{list: []config.Receiver{{Name: "stays"}, {Name: "removed"}}})
	keep := func(id string) {
		t.Helper()
		inc := &incident.Incident{ID: id, Cause: incident.OOMHost, Severity: incident.Critical, Time: now, Kind: incident.KindDeath}
		if err := k.Keep(ctx, watcher.Kept{Emissions: []correlate.Emission{{Incident: inc}}}); err != nil {
			t.Fatal(err)
		}
	}
	keep("first")
	keep("second")
	ds, err := st.Due(ctx, "removed", now, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Settle(ctx, incident.Outcome{State: incident.Delivered, At: now}, ds...); err != nil {
		t.Fatal(err)
	}
	k.recipients.Store(&recipients{list: []config.Receiver{{Name: "stays"}}})
	keep("third")

	check := func(when string, want map[string]web.DeliveryStatus) {
		t.Helper()
		accounts, err := st.Accounts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]web.DeliveryStatus{}
		for _, a := range accounts {
			if a.Lost != 0 || a.Generated != a.Delivered+a.Parked+a.Pending {
				t.Errorf("%s: the account does not balance: %+v", when, a)
			}
			d := DeliveryStatus(a)
			d.OldestAt, d.NextAt, d.Error = time.Time{}, time.Time{}, ""
			got[a.Receiver] = d
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", when, diff)
		}
	}
	stays := web.DeliveryStatus{Receiver: "stays", Generated: 3, Pending: 3}
	check("removed", map[string]web.DeliveryStatus{"stays": stays, "removed": {Receiver: "removed", Generated: 2, Delivered: 1, Pending: 1}})
	var said []string
	gaveUp := func(x notify.Trouble) { said = append(said, fmt.Sprintf("%s %d", x.Receiver, x.Parked)) }
	k.giveUpRemoved(ctx, now.Add(notify.GiveUp-time.Minute), gaveUp, zap.NewNop())
	if len(said) != 0 {
		t.Errorf("given up before its time: %q", said)
	}
	for range 2 { // once
		k.giveUpRemoved(ctx, now.Add(notify.GiveUp+time.Minute), gaveUp, zap.NewNop())
	}
	if len(said) != 1 || said[0] != "removed 1" {
		t.Errorf("told %q", said)
	}
	check("given up", map[string]web.DeliveryStatus{"stays": stays, "removed": {Receiver: "removed", Generated: 2, Delivered: 1, Parked: 1}})
	// What was given up and is kept no more is counted as pruned: it needs nobody's hand.
	if ds, err = st.Due(ctx, "stays", now, 10); err != nil || len(ds) != 3 {
		t.Fatalf("%d due, %v", len(ds), err)
	}
	if err := st.Settle(ctx, incident.Outcome{State: incident.Delivered, At: now}, ds...); err != nil {
		t.Fatal(err)
	}
	st.Close()
	st, err = store.Open(ctx, store.Options{Path: path, MaxAge: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	accounts, err := st.Accounts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Receiver == "removed" && (a.Parked != 1 || a.Pruned != 1) || a.Receiver == "stays" && a.Delivered != 3 {
			t.Errorf("%+v", a)
		}
	}
}
