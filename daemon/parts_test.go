package daemon

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/web"
)

func openTestStore(t *testing.T, path string) *store.Store {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// testKeeper keeps in a store, for an outbox that nobody runs.
func testKeeper(st *store.Store, s *silencer) *keeper {
	return &keeper{store: st, silences: s, seen: func(*incident.Incident) {},
		outbox: notify.NewOutbox(notify.OutboxOptions{Queue: st, Logger: zap.NewNop()})}
}

// TestKeeperAndMemory holds what a run keeps against what the next remembers.
func TestKeeperAndMemory(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "o.db")
	st := openTestStore(t, path)
	first := time.Date(2026, 11, 21, 1, 2, 3, 4, time.UTC)
	past, err := restore(ctx, st, first)
	if err != nil || !past.epoch.Equal(first) || len(past.cursors)+len(past.roster) != 0 {
		t.Fatalf("first run: %+v, %v", past, err)
	}
	told := &recipients{list: []config.Receiver{{Name: "all"}, {Name: "oom", Causes: []config.Cause{"oom.host"}}}}
	silences, err := newSilencer(ctx, st, first)
	if err != nil {
		t.Fatal(err)
	}
	k := testKeeper(st, silences)
	k.recipients.Store(told)
	one := func(id string, c incident.Cause, s incident.Severity) *incident.Incident {
		return &incident.Incident{ID: id, Cause: c, Severity: s, Time: first, Kind: incident.KindDeath, Container: &incident.Container{ID: strings.Repeat("a", 64), Name: "web"}}
	}
	historic := one("historic", incident.OOMHost, incident.Critical)
	historic.Historic = true
	kept := watcher.Kept{
		Emissions: []correlate.Emission{{Incident: one("host", incident.OOMHost, incident.Critical)}, {Incident: one("own", incident.OOMContainer, incident.Critical)},
			{Incident: one("asked", incident.StopRequest, incident.Info)}, {Incident: historic}, {Incident: one("quiet", incident.OOMHost, incident.Critical), Silent: true}},
		Roster: map[string][]byte{"c1": []byte(`{"a":1}`), "c2": []byte(`{}`)}, Cursors: map[string]string{"kmsg": "boot:5"},
	}
	for range 2 { // told again after a restart, it is owed once
		if err := k.Keep(ctx, kept); err != nil {
			t.Fatal(err)
		}
	}
	counts, err := st.Deliveries(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if counts["all"][incident.Pending] != 2 || counts["oom"][incident.Pending] != 1 {
		t.Errorf("owed: %v", counts)
	}
	if err := k.Keep(ctx, watcher.Kept{Roster: map[string][]byte{"c2": nil}}); err != nil {
		t.Fatal(err)
	}
	past, err = restore(ctx, st, first.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := &restored{epoch: first, cursors: map[string]string{"kmsg": "boot:5"}, roster: map[string][]byte{"c1": []byte(`{"a":1}`)}}
	if diff := cmp.Diff(want, past, cmp.AllowUnexported(restored{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	list, err := ReadStore(ctx, path, web.Query{Container: "web", Limit: 2})
	if err != nil || len(list) != 2 {
		t.Errorf("beside the daemon: %v, %v", incidentIDs(list), err)
	}
	if list, err := ReadStore(ctx, path, web.Query{Container: "host"}); err != nil || len(list) != 0 {
		t.Errorf("an incident's id is no container: %v, %v", incidentIDs(list), err)
	}
	if list, err := ReadStore(ctx, path, web.Query{Cause: incident.OOMHost}); err != nil || len(list) != 3 {
		t.Errorf("by cause: %v, %v", incidentIDs(list), err)
	}
}

func TestReadyAndBlind(t *testing.T) {
	up := func(n string) observe.SourceState { return observe.SourceState{Name: n, Up: true} }
	down := func(n string) observe.SourceState { return observe.SourceState{Name: n, Reason: n + " is denied"} }
	seers := deaths{absent{down("docker")}, absent{down("kmsg")}}
	for _, tt := range []struct {
		name         string
		states       []observe.SourceState
		ready, blind bool
	}{
		{"nobody has reported", nil, false, false},
		{"groups alone see no death", []observe.SourceState{up("cgroup")}, false, false},
		{"one is down, the other to come", []observe.SourceState{down("docker"), up("cgroup")}, false, false},
		{"kernel alone", []observe.SourceState{down("docker"), up("kmsg")}, true, false},
		{"engine alone", []observe.SourceState{up("docker"), down("kmsg")}, true, false},
		{"none", []observe.SourceState{down("docker"), down("kmsg"), up("cgroup")}, false, true},
	} {
		ok, why := seers.ready(tt.states)
		if ok != tt.ready || ok == (why != "") {
			t.Errorf("%s: ready %v, %q", tt.name, ok, why)
		}
		if err := seers.blind(tt.states); (err != nil) != tt.blind {
			t.Errorf("%s: blind: %v", tt.name, err)
		} else if err != nil && (!strings.Contains(err.Error(), "docker is denied") || !strings.Contains(err.Error(), "kmsg is denied")) {
			t.Errorf("%s: the reasons are not named: %v", tt.name, err)
		}
	}
}

func TestSuperviseEndsWhenNobodyCanSee(t *testing.T) {
	states := []observe.SourceState{{Name: "docker", Reason: "no socket"}, {Name: "kmsg", Reason: "denied"}}
	err := supervise(context.Background(), &supervisor{}, deaths{absent{states[0]}, absent{states[1]}}, func() []observe.SourceState { return states })
	if err == nil || !strings.Contains(err.Error(), "oomwatch doctor") {
		t.Errorf("%v", err)
	}
}

func TestStateClock(t *testing.T) {
	c := newStateClock()
	t0 := time.Unix(100, 0)
	c.note(observe.SourceState{Name: "docker", Up: true}, t0)
	c.note(observe.SourceState{Name: "docker", Up: true, Reason: "weak"}, t0.Add(time.Second))
	if got := c.of("docker"); !got.Equal(t0) {
		t.Errorf("up since %v", got)
	}
	c.note(observe.SourceState{Name: "docker"}, t0.Add(2*time.Second))
	if got := c.of("docker"); !got.Equal(t0.Add(2 * time.Second)) {
		t.Errorf("down since %v", got)
	}
}

func TestNeedRestart(t *testing.T) {
	a, b := config.Default(), config.Default()
	if keys := needRestart(a, b); keys != nil {
		t.Errorf("nothing changed: %q", keys)
	}
	b.Listen, b.AllowedHosts, b.Log.Level, b.Alerts.Info = "", []string{"x"}, "debug", true
	if diff := cmp.Diff([]string{"listen", "allowed_hosts"}, needRestart(a, b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// incidentIDs are the incidents' ids, to compare.
func incidentIDs(list []*incident.Incident) string {
	var out []string
	for _, i := range list {
		out = append(out, i.ID)
	}
	return strings.Join(out, " ")
}
