//go:build soak

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestSoak causes many random real deaths, several at once, and prints what each
// was told as. Every cause must be right, or said not to be known; none may be
// called OOM that was not, and none be told twice, and none told surer than its way
// allows. OOMWATCH_SOAK is how many, OOMWATCH_SOAK_SEED has it choose the same again.
func TestSoak(t *testing.T) {
	n := 1000
	if s := os.Getenv("OOMWATCH_SOAK"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("OOMWATCH_SOAK=%q is no number", s)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("OOMWATCH_SOAK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("OOMWATCH_SOAK_SEED=%q is no number", s)
		}
	}
	t.Logf("OOMWATCH_SOAK_SEED=%d", seed)
	choose := rand.New(rand.NewPCG(seed, 0))
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	ctx := timeout(t, 55*time.Minute)
	deaths := lab.Deaths()
	type one struct {
		death lab.Death
		id    string
	}
	var mu sync.Mutex
	var done []one
	var wg sync.WaitGroup
	type chosen struct {
		n     int
		death lab.Death
	}
	next := make(chan chosen)
	began := time.Now()
	for range 4 {
		wg.Go(func() {
			for c := range next {
				d := c.death
				id, err := d.Do(ctx, e, fmt.Sprintf("soak-%d-%s", c.n, d.Name))
				if err != nil {
					t.Errorf("%s: %v", d.Name, err)
					continue
				}
				mu.Lock()
				done = append(done, one{d, id})
				mu.Unlock()
			}
		})
	}
	for i := range n {
		if i%50 == 49 {
			// What has died is of no more use, and slows the engine down.
			mu.Lock()
			old := slices.Clone(done[max(0, len(done)-80):max(0, len(done)-30)])
			mu.Unlock()
			for _, o := range old {
				_, _ = e.Docker(ctx, "rm", "-f", o.id) // it may have been removed before
			}
		}
		next <- chosen{i, deaths[choose.IntN(len(deaths))]}
	}
	close(next)
	wg.Wait()
	t.Logf("%d deaths in %s", len(done), time.Since(began).Round(time.Second))
	time.Sleep(6 * time.Second)
	matrix := map[string]map[string]int{}
	for _, o := range done {
		told := "nothing"
		var deathsTold []incident.Incident
		for _, x := range hook.of(o.id) {
			// Removing a container that lives on is a request like any other.
			if x.Cause == incident.KillRequest && o.death.ExitCode < 0 {
				continue
			}
			deathsTold = append(deathsTold, x)
		}
		if len(deathsTold) > 0 {
			told = string(deathsTold[0].Cause)
		}
		row := o.death.Name
		if matrix[row] == nil {
			matrix[row] = map[string]int{}
		}
		matrix[row][told]++
		want := o.death.Told(true).Cause()
		if o.death.Want == nil {
			want = "nothing"
		}
		switch {
		case len(deathsTold) > 1:
			t.Errorf("%s was told %d times", o.death.Name, len(deathsTold))
			for _, x := range deathsTold {
				t.Logf("  %s %s %s %s", x.ID, x.Kind, x.Cause, x.Summary)
			}
		case strings.HasPrefix(told, "oom.") && !strings.HasPrefix(want, "oom."):
			t.Errorf("%s was called OOM: %s", o.death.Name, deathsTold[0].Summary)
		case told == string(incident.UnknownCause) || told == string(incident.KillUnknown):
			if why := reason(&deathsTold[0]); why != "" {
				t.Logf("%s: %s: %s", o.death.Name, told, why)
			} else {
				t.Errorf("%s is not known, and no reason is given: %s", o.death.Name, deathsTold[0].Summary)
			}
		case told != want:
			t.Errorf("%s was told as %s, want %s", o.death.Name, told, want)
			if len(deathsTold) > 0 {
				t.Logf("  %s", deathsTold[0].Summary)
			}
		case len(deathsTold) == 1 && deathsTold[0].Confidence == incident.Certain && o.death.Told(true)["confidence"] != any("certain"):
			t.Errorf("%s was told as certain, want %v: %s", o.death.Name, o.death.Told(true)["confidence"], deathsTold[0].Summary)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(matrix)) {
		var cells []string
		for _, c := range slices.Sorted(maps.Keys(matrix[row])) {
			cells = append(cells, fmt.Sprintf("%s %d", c, matrix[row][c]))
		}
		t.Logf("%-18s %s", row, strings.Join(cells, ", "))
	}
}

// reason is why a cause could not be told.
func reason(inc *incident.Incident) string {
	for _, x := range inc.Evidence {
		if x.Source == "judgement" {
			return x.Text
		}
	}
	return ""
}
