package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/race"
)

// TestDamageWhileOpen overwrites parts of a store under the program that has it
// open: it goes on with what can be read, keeps what is new, and never gives a row
// that is not as it was kept. No restart.
func TestDamageWhileOpen(t *testing.T) {
	good := path(t)
	s := open(t, good)
	kept := map[string]*incident.Incident{}
	var all []Entry
	for i := range 600 { // more than is held in memory
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0)
		x.Evidence = []incident.Evidence{{Source: "kmsg", Text: strings.Repeat("x", 3000)}}
		kept[x.ID] = x
		all = append(all, Entry{Incident: x, Receivers: []string{"hook"}})
	}
	save(t, s, all...)
	s.Close()
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	healed := 0
	for round := range race.Or(24, 6) {
		p := filepath.Join(t.TempDir(), "o.db")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, p)
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rnd.IntN(60) {
			rubbish := make([]byte, 4096)
			for i := range rubbish {
				rubbish[i] = byte(rnd.Uint32())
			}
			if _, err := f.WriteAt(rubbish, int64(1+rnd.IntN(len(b)/4096-1))*4096); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		now := time.Now()
		var safe []string // kept after the damage was found
		for i := range 30 {
			x := inc(fmt.Sprintf("new%02d", i), fmt.Sprint(i), now)
			kept[x.ID] = x
			save(t, s, Entry{Incident: x, Receivers: []string{"hook"}})
			if s.generation.Load() > 0 {
				safe = append(safe, x.ID)
			}
			ds, err := s.Due(ctx, "hook", now, 20)
			if err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			for _, d := range ds {
				if diff := cmp.Diff(kept[d.Incident.ID], d.Incident); diff != "" {
					t.Errorf("round %d: a damaged row came through: %s", round, diff)
				}
			}
			settle(t, s, incident.Outcome{State: incident.Delivered, At: now}, ds...)
		}
		if n := s.generation.Load(); n > 0 {
			healed++
			if n > 1 || len(s.said) != 1 {
				t.Errorf("round %d: replaced %d times, said %d times", round, n, len(s.said))
			}
			aside, err := filepath.Glob(p + ".corrupt-*")
			if err != nil || len(aside) == 0 {
				t.Errorf("round %d: the damaged file is gone", round)
			}
		}
		s.Close()
		s = open(t, p)
		for _, id := range safe {
			if _, err := s.Incident(ctx, id); err != nil {
				t.Errorf("round %d: %v; %s", round, err, s.Recovered())
			}
		}
		s.Close()
	}
	if healed == 0 {
		t.Error("no damage was met in any round")
	}
	t.Logf("healed in %d rounds", healed)
}

// TestRunTellsOfAReplacedStore: what was done to the store reaches its owner.
func TestRunTellsOfAReplacedStore(t *testing.T) {
	told := make(chan string, 1)
	s, err := Open(ctx, Options{Path: path(t), Replaced: func(_ context.Context, said string) { told <- said }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	for range 2 { // it is done once, whoever finds the damage
		if _, err := s.heal(ctx, 0, errDamaged); err != nil {
			t.Error(err)
		}
	}
	save(t, s, Entry{Incident: inc("after", "c", t0)})
	select {
	case said := <-told:
		if !strings.Contains(said, "found damaged") {
			t.Errorf("said %q", said)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing was said")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
