package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

// due reads what a receiver is owed at a time.
func due(t testing.TB, s *Store, receiver string, at time.Time) []incident.Delivery {
	t.Helper()
	ds, err := s.Due(ctx, receiver, at, 100)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func settle(t testing.TB, s *Store, o incident.Outcome, ds ...incident.Delivery) {
	t.Helper()
	if err := s.Settle(ctx, o, ds...); err != nil {
		t.Fatal(err)
	}
}

// balanced holds every account to its sum, with nothing lost.
func balanced(t testing.TB, s *Store) map[string]Account {
	t.Helper()
	list, err := s.Accounts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Account{}
	for _, a := range list {
		if a.Lost != 0 || a.Generated != a.Delivered+a.Parked+a.Pending {
			t.Errorf("the account does not balance: %+v", a)
		}
		out[a.Receiver] = a
	}
	return out
}

// TestVersion1 opens a file that the first version wrote, with 3 incidents to 2
// receivers: of hook's, one is delivered, one parked, one begun.
func TestVersion1(t *testing.T) {
	b, err := os.ReadFile("testdata/v1.db")
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "o.db")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ro, err := Open(ctx, Options{Path: p, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := ro.List(ctx, Query{}); err != nil || len(list) != 3 {
		t.Errorf("read as it is: %d, %v", len(list), err)
	}
	ro.Close()
	for range 2 { // brought up to date, and opened again
		s := open(t, p)
		if s.Recovered() != "" {
			t.Error(s.Recovered())
		}
		acc := balanced(t, s)
		if a := acc["hook"]; a.Generated != 3 || a.Delivered != 1 || a.Parked != 1 || a.Pending != 1 || a.Error != "400" {
			t.Errorf("hook: %+v", a)
		}
		if a := acc["slack"]; a.Pending != 3 {
			t.Errorf("slack: %+v", a)
		}
		ds := due(t, s, "hook", time.Now())
		if len(ds) != 1 || !ds[0].Unknown || ds[0].Incident.ID != "id0002" || ds[0].Key != ds[0].Incident.Key() {
			t.Errorf("due: %+v", ds)
		}
		var version int
		if err := s.db.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != schemaVersion {
			t.Errorf("version %d, %v", version, err)
		}
		s.Close()
	}
}

func TestUpdatesAreOwed(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	told := incident.Outcome{State: incident.Delivered, At: now}
	warn := inc("warn", "c", t0)
	warn.Kind, warn.Confidence = incident.KindWarning, incident.Likely
	save(t, s, Entry{Incident: warn, Receivers: []string{"early", "late"}})
	settle(t, s, told, due(t, s, "early", now)...)

	again := *warn
	again.Summary = "new numbers"
	if saved := save(t, s, Entry{Incident: &again, Update: true, Receivers: []string{"early", "late"}}); saved.Owed != 0 {
		t.Errorf("new numbers are owed: %+v", saved)
	}
	over := again
	over.ResolvedAt = t0.Add(time.Minute)
	if saved := save(t, s, Entry{Incident: &over, Update: true, Silent: true}); saved.Owed != 0 {
		t.Errorf("silenced: %+v", saved)
	}
	for round := range 2 { // a replay adds nothing
		saved := save(t, s, Entry{Incident: &over, Update: true})
		if saved.Owed != 1-round {
			t.Errorf("round %d: %+v", round, saved)
		}
	}
	ds := due(t, s, "early", now)
	if len(ds) != 1 || ds[0].Rev != 1 || ds[0].ID != incident.UpdateID("", "warn", 1, "early") || ds[0].Incident.ResolvedAt.IsZero() {
		t.Errorf("early: %+v", ds)
	}
	// Who has not been told the first hears the news with it.
	if ds := due(t, s, "late", now); len(ds) != 1 || ds[0].Rev != 0 || ds[0].Incident.ResolvedAt.IsZero() {
		t.Errorf("late: %+v", ds)
	}
	// An attempt at the first may have arrived: the update comes after it.
	other := inc("other", "d", t0)
	save(t, s, Entry{Incident: other, Receivers: []string{"hook"}})
	first := due(t, s, "hook", now)
	if err := s.Begin(ctx, "", first...); err != nil {
		t.Fatal(err)
	}
	sure := *other
	sure.Cause = incident.OOMHost
	if saved := save(t, s, Entry{Incident: &sure, Update: true}); saved.Owed != 1 {
		t.Errorf("while the first is under way: %+v", saved)
	}
	settle(t, s, incident.Outcome{State: incident.Pending, At: now, Next: now.Add(time.Hour)}, first...)
	if ds := due(t, s, "hook", now); len(ds) != 0 {
		t.Errorf("the update overtakes: %+v", ds)
	}
	if ds := due(t, s, "hook", now.Add(2*time.Hour)); len(ds) != 2 || ds[0].Rev != 0 || ds[1].Rev != 1 {
		t.Errorf("in the end: %+v", ds)
	}
	balanced(t, s)
}

func TestThreadIsHandedBack(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	save(t, s, Entry{Incident: inc("a1", "c", t0), Receivers: []string{"slack", "hook"}})
	first := due(t, s, "slack", now)
	if first[0].Last != (incident.Last{}) {
		t.Errorf("nothing was told: %+v", first[0].Last)
	}
	first[0].Last = incident.Last{At: now, Wait: time.Minute, Thread: "C1/17.5"}
	settle(t, s, incident.Outcome{State: incident.Delivered, At: now}, first...)
	anew := inc("a2", "c2", t0) // created anew under its name
	anew.Container.Name = "n-c"
	other := inc("b1", "c", t0)
	other.Cause = incident.ExitError
	save(t, s, Entry{Incident: anew, Receivers: []string{"slack", "hook"}}, Entry{Incident: other, Receivers: []string{"slack"}})
	ds := due(t, s, "slack", now)
	if want := (incident.Last{At: time.Unix(0, now.UnixNano()), Wait: time.Minute, Thread: "C1/17.5"}); ds[0].Last != want {
		t.Errorf("the same again: %+v, want %+v", ds[0].Last, want)
	}
	if ds[1].Last != (incident.Last{}) {
		t.Errorf("another cause: %+v", ds[1].Last)
	}
	for _, d := range due(t, s, "hook", now) {
		if d.Last != (incident.Last{}) {
			t.Errorf("another receiver: %+v", d.Last)
		}
	}
}

// TestHeldHoldsUpNothing: what waits to be told with others stands in nobody's way.
func TestHeldHoldsUpNothing(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	at := now.Add(time.Minute)
	save(t, s, Entry{Incident: inc("a1", "c", t0), Receivers: []string{"hook"}})
	settle(t, s, incident.Outcome{State: incident.Pending, At: now, NotTried: true, Held: true, Next: at}, due(t, s, "hook", now)...)
	if next, err := s.NextDue(ctx, "hook"); err != nil || !next.Equal(time.Unix(0, at.UnixNano())) {
		t.Errorf("next %v, %v", next, err)
	}
	save(t, s, Entry{Incident: inc("a2", "c", t0), Receivers: []string{"hook"}})
	ds := due(t, s, "hook", now)
	if len(ds) != 1 || ds[0].Incident.ID != "a2" {
		t.Fatalf("due %+v", ds)
	}
	// A failure of the later one does not make the held one overdue for ever.
	settle(t, s, incident.Outcome{State: incident.Pending, At: now, Next: now.Add(time.Hour)}, ds...)
	if ds := due(t, s, "hook", at); len(ds) != 1 || ds[0].Incident.ID != "a1" {
		t.Errorf("held, at its time: %+v", ds)
	}
	if a := balanced(t, s)["hook"]; a.Pending != 2 || a.Held != 1 {
		t.Errorf("%+v", a)
	}
}

// TestABatchStaysTogether while it may have arrived, and no longer.
func TestABatchStaysTogether(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	save(t, s, Entry{Incident: inc("a1", "c", t0), Receivers: []string{"hook"}}, Entry{Incident: inc("a2", "c", t0), Receivers: []string{"hook"}})
	if err := s.Begin(ctx, "both", due(t, s, "hook", now)...); err != nil {
		t.Fatal(err)
	}
	ds := due(t, s, "hook", now) // a crash came here
	if len(ds) != 2 || ds[0].Batch != "both" || ds[1].Batch != "both" || !ds[0].Unknown {
		t.Fatalf("%+v", ds)
	}
	settle(t, s, incident.Outcome{State: incident.Pending, At: now, Next: now}, ds...)
	if ds = due(t, s, "hook", now); ds[0].Batch != "both" {
		t.Errorf("the attempt before may have arrived: %+v", ds[0])
	}
	ds[0].Unknown = false
	settle(t, s, incident.Outcome{State: incident.Pending, At: now, Next: now}, ds[0])
	if ds = due(t, s, "hook", now); ds[0].Batch != "" || ds[1].Batch != "both" {
		t.Errorf("%+v", ds)
	}
}

func TestAccountsBalance(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	for i := range 30 {
		save(t, s, Entry{Incident: inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0.Add(time.Duration(i)*time.Hour)), Receivers: []string{"hook"}})
	}
	for i, d := range due(t, s, "hook", now) {
		settle(t, s, incident.Outcome{State: []incident.DeliveryState{incident.Pending, incident.Delivered, incident.Parked}[i%3], At: now, Next: now.Add(time.Hour), Error: "no"}, d)
	}
	if _, err := s.prune(ctx, t0.Add(15*time.Hour)); err != nil {
		t.Fatal(err)
	}
	a := balanced(t, s)["hook"]
	if a.Generated != 30 || a.Delivered != 10 || a.Parked != 10 || a.Pending != 10 {
		t.Errorf("after pruning: %+v", a)
	}
	if n, err := s.Retry(ctx, "hook"); err != nil || n != 15 { // 10 pending, 5 parked ones that are still kept
		t.Errorf("retry: %d, %v", n, err)
	}
	ds := due(t, s, "hook", now)
	if len(ds) != 15 {
		t.Errorf("%d are due", len(ds))
	}
	for _, d := range ds { // the 72 hours of each begin anew
		if d.FirstAttempt.Before(now) {
			t.Errorf("%s is tried since %v", d.Incident.ID, d.FirstAttempt)
		}
	}
	if a = balanced(t, s)["hook"]; a.Pending != 15 || a.Parked != 5 {
		t.Errorf("after retry: %+v", a)
	}
	if n, err := s.Retry(ctx, "nobody"); err != nil || n != 0 {
		t.Errorf("retry nobody: %d, %v", n, err)
	}
}

// TestDamagedDeliveries changes rows behind the checksum's back: what the id still
// proves is told, maybe twice; what it does not is removed and counted.
func TestDamagedDeliveries(t *testing.T) {
	p := path(t)
	s := open(t, p)
	now := time.Now()
	for i := range 4 {
		save(t, s, Entry{Incident: inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0), Receivers: []string{"hook"}})
	}
	for i, q := range []string{"next_ns = 9000000000000000000", "receiver = 'hoo' || char(8)", "state = 'qending'"} {
		if _, err := s.db.ExecContext(ctx, "UPDATE deliveries SET "+q+" WHERE incident = ?", fmt.Sprintf("id%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, p)
	var got []string
	for _, d := range due(t, s, "hook", now) {
		got = append(got, fmt.Sprint(d.Incident.ID, " ", d.Unknown))
	}
	if d := cmp.Diff([]string{"id0000 true", "id0003 false"}, got); d != "" {
		t.Error(d)
	}
	if s.Recovered() != "2 damaged deliveries were removed" {
		t.Errorf("recovered %q", s.Recovered())
	}
	list, err := s.Accounts(context.Background())
	if err != nil || len(list) != 1 || list[0].Generated != 4 || list[0].Lost != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}
