package daemon

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/store"
)

// TestSelfReportsOutliveARestart: what lasts is not told anew, what is over is told
// as over under the id that it was told under, and not before that can be known.
func TestSelfReportsOutliveARestart(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "o.db")
	st := openTestStore(t, path)
	docker := observe.SourceState{Name: "docker", Up: true}
	states, down := []observe.SourceState{docker}, map[string]string{}
	now, why := time.Now(), ""
	begin := func() *selfReports {
		silences, err := newSilencer(ctx, st, now)
		if err != nil {
			t.Fatal(err)
		}
		k := testKeeper(st, silences)
		k.recipients.Store(&recipients{list: []config.Receiver{{Name: "a"}, {Name: "b"}}, log: zap.NewNop()})
		past, err := restore(ctx, st, now)
		if err != nil {
			t.Fatal(err)
		}
		s := newSelfReports(incident.Host{Name: "node-7", BootID: "b"}, zap.NewNop())
		s.unwritable = func() string { return why }
		s.keep, s.states, s.down = k.Keep, func() []observe.SourceState { return states }, func() map[string]string { return down }
		s.resume(ctx, past.cursors[selfCursor], st)
		return s
	}
	look := func(s *selfReports, after time.Duration) {
		now = now.Add(after)
		s.look(now)
		s.flush(ctx)
	}
	// kept is what is on record: what, subject and whether it is over.
	kept := func(name string, want ...string) map[string]string {
		t.Helper()
		list, err := st.List(ctx, store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		ids := map[string]string{}
		for _, inc := range list {
			got = append(got, fmt.Sprintf("%s %s %v", inc.Warning.What, inc.Warning.Subject, !inc.ResolvedAt.IsZero()))
			ids[inc.Warning.What] = inc.ID
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: on record are %q, want %q", name, got, want)
		}
		return ids
	}

	s := begin()
	look(s, 0)
	states = []observe.SourceState{{Name: "docker", Reason: "no socket"}}
	down["a"] = "refused"
	look(s, time.Second)
	look(s, time.Hour)
	why = "disk full"
	look(s, time.Second)
	first := kept("an hour of all troubles", "receiver_down a false", "source_blind docker false", "store  false")

	// The next run has heard of no source and tried no receiver. The store can be
	// written: that trouble is over.
	states, down, why = nil, map[string]string{}, ""
	s = begin()
	look(s, time.Minute)
	look(s, time.Minute)
	kept("a restart", "receiver_down a false", "source_blind docker false", "store  true")

	// Both last.
	states, down = []observe.SourceState{{Name: "docker", Reason: "no socket"}}, map[string]string{"a": "refused"}
	s = begin()
	look(s, time.Hour)
	look(s, time.Hour)
	kept("what lasts", "receiver_down a false", "source_blind docker false", "store  true")

	// The engine is seen again; the receiver has had what it was owed.
	states, down = []observe.SourceState{docker}, map[string]string{}
	s = begin()
	look(s, time.Second)
	kept("docker is back", "receiver_down a false", "source_blind docker true", "store  true")
	due, err := st.Due(ctx, "a", time.Now(), 100)
	if err != nil || len(due) == 0 {
		t.Fatalf("a is owed %d, %v", len(due), err)
	}
	if _, err := st.GiveUp(ctx, []string{"b"}, time.Now(), "gone"); err != nil {
		t.Fatal(err)
	}
	look(s, time.Second)
	last := kept("all is well", "receiver_down a true", "source_blind docker true", "store  true")
	for what, id := range first {
		if last[what] != id {
			t.Errorf("%s began as %s and ended as %s", what, id, last[what])
		}
	}
	s = begin()
	look(s, time.Hour)
	kept("and nothing after", "receiver_down a true", "source_blind docker true", "store  true")
}
