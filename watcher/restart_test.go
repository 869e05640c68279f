package watcher

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// TestAnEndThatWasNotToldYet: the program is killed after it has kept that a
// container ended and before it has told so. The next run tells it, whether the
// engine repeats the event or not, and once.
func TestAnEndThatWasNotToldYet(t *testing.T) {
	t0 := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)
	up := observe.Observation{At: t0, Seen: t0, Source: &observe.SourceState{Name: "docker", Up: true}}
	die := observe.Observation{At: t0.Add(time.Second), Seen: t0.Add(time.Second),
		Exit: &observe.Exit{ID: "aaaa", Name: "web", Exit: incident.Exit{At: t0.Add(time.Second), ExitCode: 3}, DetailPending: true}}
	for _, repeated := range []bool{false, true} {
		c, err := NewCorrelator(Options{Epoch: t0}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Observe(up)
		c.Observe(observe.Observation{At: t0, Seen: t0, Action: &observe.Action{ID: "aaaa", Name: "web", Action: "start"}})
		if told := c.Observe(die); len(told) != 0 {
			t.Fatalf("told before its detail could come: %v", told)
		}
		kept, err := c.State()
		if err != nil || len(kept) == 0 {
			t.Fatalf("kept %v, %v", kept, err)
		}
		if c, err = NewCorrelator(Options{Epoch: t0}, kept); err != nil {
			t.Fatal(err)
		}
		if !c.Open() {
			t.Error("the sources' positions would be kept as if all were told")
		}
		later := t0.Add(time.Minute)
		up.Seen = later
		told := c.Observe(up)
		if repeated {
			die.Seen = later
			told = append(told, c.Observe(die)...)
		}
		for range 5 {
			if next := c.Next(); !next.IsZero() {
				told = append(told, c.Due(next)...)
			}
		}
		if len(told) != 1 || told[0].Incident.Cause != incident.ExitError || told[0].Update {
			t.Errorf("repeated %v: told %+v", repeated, told)
		}
		if c.Open() {
			t.Errorf("repeated %v: something is still open", repeated)
		}
	}
}

// TestAKnownStartIsNotDoubted: a kill that nobody's run covers makes one up; where it
// falls on a run whose start is known, that stays known.
func TestAKnownStartIsNotDoubted(t *testing.T) {
	start := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)
	e := &entry{}
	known := e.began(start, true, 0)
	if r := e.madeUp(start.Add(300 * time.Millisecond)); r != known || r.Guessed || !r.Start.Equal(start) {
		t.Errorf("guessed %v, started %s", r.Guessed, r.Start)
	}
	if r := e.madeUp(start.Add(time.Hour)); r == known || !r.Guessed {
		t.Errorf("the known run, or one not guessed: %+v", r)
	}
}
