package watcher

import (
	"context"
	"errors"
	"testing"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// refusing is a keeper that refuses at first.
type refusing struct {
	times int
	got   Kept
}

func (r *refusing) Keep(_ context.Context, k Kept) error {
	if r.times--; r.times >= 0 {
		return errors.New("disk and memory are full")
	}
	r.got = k
	return nil
}

// TestRefusedIsOwed: what the keeper refused is offered again, with what came since.
func TestRefusedIsOwed(t *testing.T) {
	corr, err := correlate.New(correlate.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keeper := &refusing{times: 2}
	w, err := NewWatcher(WatcherOptions{Correlator: corr, Keeper: keeper})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"a", "b", "c"} {
		corr.Observe(observe.Observation{From: observe.DefaultEngine, Event: &observe.Event{ID: id, Kind: observe.Created}})
		if err := w.keep([]correlate.Emission{{Incident: &incident.Incident{ID: id}}}); (err != nil) != (i < 2) {
			t.Fatalf("%s: %v", id, err)
		}
	}
	if n := len(keeper.got.Emissions); n != 3 || keeper.got.Emissions[0].Incident.ID != "a" {
		t.Errorf("%d emissions are kept", n)
	}
	for _, id := range []string{"a", "b", "c"} {
		if keeper.got.Roster[id] == nil {
			t.Errorf("the row of %s is lost", id)
		}
	}
	if err := w.keep(nil); err != nil || len(w.owed.Emissions) > 0 {
		t.Errorf("still owed: %d, %v", len(w.owed.Emissions), err)
	}
}
