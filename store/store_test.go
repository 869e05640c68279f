package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/race"
)

var ctx = context.Background()

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "oomwatch.db") }

func inc(id, container string, at time.Time) *incident.Incident {
	return &incident.Incident{Schema: incident.Schema, ID: id, Kind: incident.KindDeath, Time: at, Severity: incident.Critical,
		Summary: "web died", Cause: incident.OOMContainer, Confidence: incident.Certain, Count: 1,
		Container: &incident.Container{ID: container, Name: "n-" + container}}
}

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func save(t testing.TB, s *Store, e ...Entry) Saved {
	t.Helper()
	saved, err := s.Save(ctx, Batch{Entries: e})
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func TestKeepsWhatItWasGiven(t *testing.T) {
	p := path(t)
	s := open(t, p)
	want := inc("aaaa1111", "c1", t0)
	if saved := save(t, s, Entry{Incident: want, Receivers: []string{"hook", "slack"}}); saved.Owed != 2 || len(saved.New) != 1 {
		t.Errorf("saved %+v", saved)
	}
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"cursor/kmsg": []byte("b:7"), "gone": []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(ctx, Batch{State: map[string][]byte{"gone": nil}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, p)
	got, err := s.Incident(ctx, "aaaa1111")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	state, err := s.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]byte{"cursor/kmsg": []byte("b:7")}, state); d != "" {
		t.Error(d)
	}
}

func TestReplayTellsNobodyTwice(t *testing.T) {
	s := open(t, path(t))
	e := Entry{Incident: inc("aaaa1111", "c1", t0), Receivers: []string{"hook"}}
	save(t, s, e)
	due, err := s.Due(ctx, "hook", t0.Add(time.Hour), 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("due %v %v", due, err)
	}
	if err := s.Settle(ctx, incident.Outcome{State: incident.Delivered, At: t0}, due[0]); err != nil {
		t.Fatal(err)
	}
	again := inc("aaaa1111", "c1", t0)
	again.Summary = "told otherwise"
	if saved := save(t, s, Entry{Incident: again, Receivers: []string{"hook"}}); saved.Owed != 0 || len(saved.New) != 0 {
		t.Errorf("a replay saved %+v", saved)
	}
	if due, _ := s.Due(ctx, "hook", t0.Add(time.Hour), 10); len(due) != 0 {
		t.Errorf("a replay is due: %v", due)
	}
	if got, _ := s.Incident(ctx, "aaaa1111"); got.Summary != "web died" {
		t.Errorf("a replay changed the incident: %q", got.Summary)
	}
	save(t, s, Entry{Incident: again, Update: true})
	if got, _ := s.Incident(ctx, "aaaa1111"); got.Summary != "told otherwise" {
		t.Errorf("an update did not change it: %q", got.Summary)
	}
}

func TestDueKeepsTheOrderOfAContainer(t *testing.T) {
	s := open(t, path(t))
	r := []string{"hook"}
	save(t, s, Entry{Incident: inc("a1aa", "a", t0), Receivers: r}, Entry{Incident: inc("b1bb", "b", t0), Receivers: r}, Entry{Incident: inc("a2aa", "a", t0), Receivers: r})
	now := time.Now()
	ids := func() string {
		due, err := s.Due(ctx, "hook", now, 10)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range due {
			out = append(out, d.Incident.ID)
		}
		return strings.Join(out, " ")
	}
	if got := ids(); got != "a1aa b1bb a2aa" {
		t.Errorf("due %s", got)
	}
	due, _ := s.Due(ctx, "hook", now, 1)
	if err := s.Settle(ctx, incident.Outcome{State: incident.Pending, At: now, Next: now.Add(time.Minute), Error: "503"}, due[0]); err != nil {
		t.Fatal(err)
	}
	if got := ids(); got != "b1bb" {
		t.Errorf("while a's first waits: due %s", got)
	}
	next, err := s.NextDue(ctx, "hook")
	if err != nil || next.After(now) {
		t.Errorf("next due %v %v", next, err)
	}
	now = now.Add(2 * time.Minute)
	if got := ids(); got != "a1aa b1bb a2aa" {
		t.Errorf("after the wait: due %s", got)
	}
	due, _ = s.Due(ctx, "hook", now, 1)
	if due[0].Attempts != 1 || due[0].FirstAttempt.IsZero() || due[0].Error != "503" {
		t.Errorf("delivery %+v", due[0])
	}
}

func TestACrashInTheMiddleIsRemembered(t *testing.T) {
	s := open(t, path(t))
	save(t, s, Entry{Incident: inc("aaaa", "c", t0), Receivers: []string{"hook"}})
	due, _ := s.Due(ctx, "hook", time.Now(), 1)
	if due[0].Unknown {
		t.Error("a first attempt is taken for a repeat")
	}
	if err := s.Begin(ctx, "", due[0]); err != nil {
		t.Fatal(err)
	}
	if due, _ = s.Due(ctx, "hook", time.Now(), 1); !due[0].Unknown {
		t.Error("an attempt of unknown outcome is forgotten")
	}
}

func TestEveryDeliveryIsInOneState(t *testing.T) {
	s := open(t, path(t))
	const n = 30
	for i := range n {
		save(t, s, Entry{Incident: inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0), Receivers: []string{"hook"}})
	}
	due, _ := s.Due(ctx, "hook", time.Now(), n)
	for i, d := range due {
		st := []incident.DeliveryState{incident.Pending, incident.Delivered, incident.Parked}[i%3]
		if err := s.Settle(ctx, incident.Outcome{State: st, At: t0, Next: t0.AddDate(1, 0, 0)}, d); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Deliveries(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[incident.DeliveryState]int64{"hook": {incident.Pending: 10, incident.Delivered: 10, incident.Parked: 10}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestList(t *testing.T) {
	s := open(t, path(t))
	for i := range 5 {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprintf("cont%d", i%2), t0.Add(time.Duration(i)*time.Hour))
		if i == 3 {
			x.Cause, x.Kind = incident.ExitError, incident.KindKill
		}
		if i == 1 || i == 4 {
			x.Kind = incident.KindWarning
		}
		if i == 1 {
			x.ResolvedAt = t0.Add(2 * time.Hour)
		}
		save(t, s, Entry{Incident: x})
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{}, "0 1 2 3 4"},
		{Query{NewestFirst: true, Limit: 2}, "4 3"},
		{Query{Limit: 2}, "3 4"},
		{Query{Container: "n-cont1"}, "1 3"},
		{Query{Container: "cont1"}, "1 3"},
		{Query{Container: "con"}, ""}, // too short for the beginning of an id
		{Query{Cause: "exit.error"}, "3"},
		{Query{Kind: "kill"}, "3"},
		{Query{Open: true}, "4"},
		{Query{Since: t0.Add(2 * time.Hour), Until: t0.Add(3 * time.Hour)}, "2 3"},
		{Query{Container: `x' OR '1'='1`}, ""},
	} {
		list, err := s.List(ctx, c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range list {
			got = append(got, strings.TrimLeft(x.ID[2:], "0")+map[bool]string{true: "0"}[x.ID == "id0000"])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, want %s", c.q, got, c.want)
		}
	}
	if _, err := s.Incident(ctx, "id00"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("an id that several begin with: %v", err)
	}
	if _, err := s.Incident(ctx, "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an id that is not kept: %v", err)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	p := path(t)
	open(t, p)
	_, err := Open(ctx, Options{Path: p})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != fmt.Sprint(os.Getpid()) {
		t.Fatalf("second instance: %v", err)
	}
	ro, err := Open(ctx, Options{Path: p, ReadOnly: true})
	if err != nil {
		t.Fatalf("read beside a live one: %v", err)
	}
	ro.Close()
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	p := path(t)
	s := open(t, p)
	if _, err := s.db.Exec("PRAGMA application_id = 42"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(ctx, Options{Path: p}); err == nil || !strings.Contains(err.Error(), "not a store of oomwatch") {
		t.Errorf("a foreign database: %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(ctx, Options{Path: filepath.Join(file, "below", "x.db")})
	if err == nil || !strings.Contains(err.Error(), "--store") {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}

// TestPrune keeps what is owed and removes what is settled and old.
func TestPrune(t *testing.T) {
	s := open(t, path(t))
	save(t, s, Entry{Incident: inc("old-owed", "a", t0), Receivers: []string{"hook"}}, Entry{Incident: inc("old-done", "b", t0)}, Entry{Incident: inc("new", "c", time.Now())})
	if _, err := s.prune(ctx, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, _ := s.List(ctx, Query{})
	var ids []string
	for _, x := range list {
		ids = append(ids, x.ID)
	}
	if d := cmp.Diff([]string{"old-owed", "new"}, ids); d != "" {
		t.Error(d)
	}
}

// TestDamage flips, cuts and overwrites parts of a store: it opens, or is moved
// aside with a word, and never gives a row that is not as it was kept.
func TestDamage(t *testing.T) {
	p := path(t)
	s := open(t, p)
	kept := map[string]*incident.Incident{}
	for i := range 60 {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0)
		x.Evidence = []incident.Evidence{{Source: "kmsg", Text: strings.Repeat("x", 300)}}
		kept[x.ID] = x
		save(t, s, Entry{Incident: x, Receivers: []string{"hook"}})
	}
	s.Close()
	good, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	moved := 0
	for round := range race.Or(240, 24) {
		b := append([]byte(nil), good...)
		switch round % 4 {
		case 0: // a bit
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		case 1: // a page of rubbish
			at := rnd.IntN(len(b)/4096) * 4096
			for i := range 4096 {
				b[at+i] = byte(rnd.Uint32())
			}
		case 2: // cut
			b = b[:rnd.IntN(len(b))]
		case 3: // a stretch of zeros
			at := rnd.IntN(len(b) - 512)
			clear(b[at : at+512])
		}
		q := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(q, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(ctx, Options{Path: q, Registerer: prometheus.NewRegistry()})
		if err != nil {
			if !strings.Contains(err.Error(), "not a store of oomwatch") && !strings.Contains(err.Error(), "later oomwatch") {
				t.Errorf("round %d: %v", round, err)
			}
			continue
		}
		if strings.Contains(s.Recovered(), "moved to") {
			moved++
			if aside, _ := filepath.Glob(q + ".corrupt-*"); len(aside) == 0 {
				t.Errorf("round %d: %s, but the file is gone", round, s.Recovered())
			}
		}
		list, err := s.List(ctx, Query{})
		if err == nil {
			for _, x := range list {
				if d := cmp.Diff(kept[x.ID], x); d != "" {
					t.Errorf("round %d: a damaged row came through: %s", round, d)
				}
			}
		}
		if _, err := s.Due(ctx, "hook", time.Now(), 100); err != nil && !damaged(err) && !strings.Contains(err.Error(), "malformed") {
			t.Errorf("round %d: due: %v", round, err)
		}
		if _, err := s.Save(ctx, Batch{Entries: []Entry{{Incident: inc("after", "c", t0)}}}); err != nil {
			t.Errorf("round %d: it keeps nothing any more: %v", round, err)
		}
		s.Close()
	}
	if moved == 0 {
		t.Error("no damage was noticed in any round")
	}
}

// TestKill9 kills a writer at random moments: each row it had acknowledged is there.
func TestKill9(t *testing.T) {
	if p := os.Getenv("OOMWATCH_TEST_WRITER"); p != "" {
		writer(t, p)
		return
	}
	p := path(t)
	acked := map[string]bool{}
	for round := range race.Or(50, 8) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKill9$")
		cmd.Env = append(os.Environ(), "OOMWATCH_TEST_WRITER="+p, fmt.Sprintf("OOMWATCH_TEST_ROUND=%d", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		var die *time.Timer
		for sc.Scan() {
			id, ok := strings.CutPrefix(sc.Text(), "acked ")
			if !ok {
				continue
			}
			if die == nil {
				die = time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			}
			acked[id] = true
		}
		_ = cmd.Wait() // it was killed
		if die == nil {
			t.Fatalf("round %d: the writer wrote nothing", round)
		}
	}
	s := open(t, p)
	if s.Recovered() != "" {
		t.Fatal(s.Recovered())
	}
	list, err := s.List(ctx, Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		delete(acked, x.ID)
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged rows are lost", len(acked))
	}
	t.Logf("%d rows kept", len(list))
}

func writer(t *testing.T, p string) {
	s := open(t, p)
	for i := 0; ; i++ {
		id := fmt.Sprintf("r%s-%d", os.Getenv("OOMWATCH_TEST_ROUND"), i)
		save(t, s, Entry{Incident: inc(id, "c", time.Now()), Receivers: []string{"hook"}})
		fmt.Println("acked", id)
	}
}

func BenchmarkSave(b *testing.B) {
	s := open(b, path(b))
	i := 0
	for b.Loop() {
		i++
		save(b, s, Entry{Incident: inc(fmt.Sprintf("id%d", i), "c", t0), Receivers: []string{"hook"}})
	}
}
