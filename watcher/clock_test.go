package watcher

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// TestClockWatch: only a set-back of seconds is one; how far it went is exact.
func TestClockWatch(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var c clockWatch
	var mono time.Duration
	for _, x := range []struct {
		name         string
		passes, step time.Duration
		want         time.Duration
	}{
		{name: "the first look", step: -time.Hour},
		{name: "time passes", passes: 2 * time.Second},
		{name: "an hour back", passes: time.Second, step: -time.Hour, want: time.Hour},
		{name: "not twice", passes: time.Second},
		{name: "a leap second", passes: time.Second, step: -time.Second},
		{name: "an hour on, or asleep", passes: time.Second, step: time.Hour},
		{name: "two hours back", passes: 10 * time.Millisecond, step: -2 * time.Hour, want: 2 * time.Hour},
		{name: "slewed for a day", passes: 24 * time.Hour, step: -500 * time.Millisecond},
		{name: "five seconds back", passes: time.Second, step: -5 * time.Second, want: 5 * time.Second},
	} {
		before := at
		mono += x.passes
		at = at.Add(x.passes + x.step)
		got := c.look(at, mono)
		switch {
		case got == nil && x.want == 0:
		case got == nil || got.By != x.want:
			t.Errorf("%s: %+v, want %v", x.name, got, x.want)
		case !got.After.Equal(before.Add(-x.want)):
			t.Errorf("%s: after %v, want %v", x.name, got.After, before.Add(-x.want))
		}
	}
}

// TestSetBackAway: a set-back between two runs of oomwatch is noticed by the time since
// the boot, and after a reboot where the machine was up before it was off.
func TestSetBackAway(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	last := observe.Clock{Boot: "a", Shown: at, Up: 5 * time.Hour}
	for _, x := range []struct {
		name  string
		last  observe.Clock
		boot  string
		up    time.Duration
		shown time.Time
		want  time.Duration
	}{
		{name: "an older store", boot: "a", up: time.Hour, shown: at},
		{name: "ten minutes away", last: last, boot: "a", up: last.Up + 10*time.Minute, shown: at.Add(10 * time.Minute)},
		{name: "an hour back", last: last, boot: "a", up: last.Up + 10*time.Minute, shown: at.Add(-50 * time.Minute), want: time.Hour},
		{name: "back, and long away", last: last, boot: "a", up: last.Up + 10*time.Hour, shown: at.Add(9 * time.Hour), want: time.Hour},
		{name: "an hour on", last: last, boot: "a", up: last.Up + 10*time.Minute, shown: at.Add(70 * time.Minute)},
		{name: "slewed", last: last, boot: "a", up: last.Up + 24*time.Hour, shown: at.Add(24*time.Hour - time.Second)},
		{name: "a reboot", last: last, boot: "b", up: time.Minute, shown: at.Add(3 * time.Minute)},
		{name: "a reboot to an hour before", last: last, boot: "b", up: time.Minute, shown: at.Add(-59 * time.Minute), want: time.Hour},
		{name: "no id of the boot", last: last, up: time.Minute, shown: at.Add(-time.Hour)},
	} {
		got := setBackAway(x.last, observe.Clock{Boot: x.boot, Shown: x.shown, Up: x.up})
		switch {
		case got == nil && x.want == 0:
		case got == nil || got.By != x.want || !got.After.Equal(at.Add(-x.want)):
			t.Errorf("%s: %+v, want %v after %v", x.name, got, x.want, at.Add(-x.want))
		}
	}
}

// TestClockSetBackWhileAway: what one run of oomwatch kept stays in order for the next one,
// though the clock then shows an hour less: of two containers that died before, the one that
// was started again and died meanwhile is emitted once more, at its moment by the clock that
// is in force.
func TestClockSetBackWhileAway(t *testing.T) {
	now := time.Now().Round(0).UTC()
	before := now.Add(time.Hour - time.Minute) // a minute ago, by the clock as it was then
	c := func(id string, started time.Time, exit *incident.Exit) observe.Container {
		x := observe.Container{Container: incident.Container{ID: id, Name: id, StartedAt: started}, State: "running", PID: 7}
		if exit != nil {
			exit.Inspected, exit.At, x.State, x.PID, x.Exit = true, exit.FinishedAt, "exited", 0, exit
		}
		return x
	}
	again := before.Add(-45 * time.Second) // that web was started after its first death
	gone := c("gone", before.Add(-20*time.Minute), &incident.Exit{ExitCode: 1, FinishedAt: before.Add(-time.Second)})
	list := func(at time.Time, all ...observe.Container) observe.Observation {
		return observe.Observation{From: observe.DefaultEngine, At: at, Seen: at, List: &observe.List{Containers: all}}
	}
	up := func(at time.Time) observe.Observation {
		return observe.Observation{From: observe.DefaultEngine, At: at, Seen: at, Source: &observe.SourceState{Name: observe.DefaultEngine, Kind: observe.KindEngine, Up: true}}
	}

	rows, emitted := clockRun(t, nil, observe.Clock{Boot: "a", Shown: before, Up: time.Hour},
		up(before.Add(-time.Minute)), list(before.Add(-time.Minute), c("web", before.Add(-30*time.Minute), nil), c("gone", gone.StartedAt, nil)),
		observe.Observation{From: observe.DefaultEngine, At: before.Add(-50 * time.Second), Seen: before.Add(-50 * time.Second), Exit: &observe.Exit{ID: "web", Exit: incident.Exit{At: before.Add(-50 * time.Second), ExitCode: 3}}},
		list(before.Add(-40*time.Second), c("web", again, nil), c("gone", gone.StartedAt, nil)),
		observe.Observation{From: observe.DefaultEngine, At: before, Seen: before, Exit: &observe.Exit{ID: "gone", Exit: incident.Exit{At: gone.Exit.FinishedAt, ExitCode: 1}}})
	if len(emitted) != 2 || emitted[0].Incident.Container.ID != "web" || emitted[1].Incident.Container.ID != "gone" {
		t.Fatalf("before: %d incidents are emitted: %+v", len(emitted), emitted)
	}
	died := now.Add(-30 * time.Second)
	_, emitted = clockRun(t, rows, observe.Clock{Boot: "a", Shown: now, Up: time.Hour + time.Minute},
		up(now), list(now, c("web", again, &incident.Exit{ExitCode: 3, FinishedAt: died}), gone))
	if len(emitted) != 1 || emitted[0].Update || emitted[0].Incident.Container.ID != "web" || !emitted[0].Incident.Time.Equal(died) {
		for _, e := range emitted {
			t.Errorf("emits %s of %v, update %v", e.Incident.Summary, e.Incident.Time, e.Update)
		}
		t.Errorf("wanted the death of web at %v alone", died)
	}
}

// clockRun lets a Watcher that goes on from rows take observations while the clocks stand at
// one moment, and returns what it kept.
func clockRun(t *testing.T, rows map[string][]byte, clock observe.Clock, seen ...observe.Observation) (map[string][]byte, []correlate.Emission) {
	t.Helper()
	corr, err := correlate.New(correlate.Options{Host: incident.Host{BootID: clock.Boot}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	keeper := &refusing{}
	w, err := NewWatcher(WatcherOptions{Boot: clock.Boot, Correlator: corr, Keeper: keeper, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	w.clocks = func() (observe.Clock, bool) { return clock, true }
	var emitted []correlate.Emission
	for _, o := range seen {
		emitted = append(emitted, w.take(o)...)
	}
	if err := w.keep(append(emitted, corr.Finish()...)); err != nil {
		t.Fatal(err)
	}
	return keeper.got.Roster, keeper.got.Emissions
}
