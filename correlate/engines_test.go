package correlate

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// TestEachEnginesName gives each incident the name of the engine that its container is of,
// whichever of several said last who it is.
func TestEachEnginesName(t *testing.T) {
	c, err := New(Options{Host: incident.Host{Name: "node"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	var told []Emission
	say := func(from string, o observe.Observation) {
		o.From, o.At, o.Seen = from, at, at
		told = append(told, c.Observe(o)...)
		at = at.Add(10 * time.Millisecond)
	}
	engines := map[string]string{"docker": "docker 26.1.5", "containerd": "containerd 1.6.20"}
	for _, from := range []string{"docker", "containerd"} {
		say(from, observe.Observation{Source: &observe.SourceState{Name: from, Kind: observe.KindEngine, Up: true}})
		say(from, observe.Observation{Host: &incident.Host{Engine: engines[from]}})
	}
	for _, from := range []string{"docker", "containerd"} {
		say(from, observe.Observation{Event: &observe.Event{ID: from, Kind: observe.Started}})
		say(from, observe.Observation{Exit: &observe.Exit{ID: from, Exit: incident.Exit{At: at, ExitCode: 3}}})
	}
	at = at.Add(time.Minute)
	told = append(append(told, c.Due(at)...), c.Finish()...)
	seen := map[string]string{}
	for _, e := range told {
		seen[e.Incident.Container.ID] = e.Incident.Host.Engine
	}
	for id, want := range engines {
		if seen[id] != want {
			t.Errorf("%s: the engine is %q, want %q", id, seen[id], want)
		}
	}
}

// TestReadForWarningsAlone: that processes cannot be counted, or disks be looked at, hides
// nothing of an end.
func TestReadForWarningsAlone(t *testing.T) {
	c := newCorrelator(t, nil)
	down := func(at float64, kind observe.Kind, up bool) {
		c.Observe(observe.Observation{At: seconds(at), Source: &observe.SourceState{Name: string(kind), Kind: kind, Up: up, Reason: "denied"}})
	}
	for _, kind := range []observe.Kind{observe.KindProc, observe.KindDisk} {
		down(1, kind, true)
		down(2, kind, false)
	}
	if blind := c.blind("", seconds(3)); len(blind) > 0 {
		t.Errorf("blind without %v", blind)
	}
	for _, kind := range []observe.Kind{observe.KindProc, observe.KindDisk} {
		down(4, kind, true)
	}
	if gaps := c.gapsAround(seconds(3)); len(gaps) > 0 {
		t.Errorf("gaps %v", gaps)
	}
}
