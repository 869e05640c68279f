package correlate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

func newCorrelator(t *testing.T, rows map[string][]byte) *Correlator {
	t.Helper()
	c, err := New(Options{Host: incident.Host{BootID: "boot"}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seconds(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }

// TestKeptReportIsBounded: of a report with many victims and tasks each victim keeps a
// bounded part, and itself with it.
func TestKeptReportIsBounded(t *testing.T) {
	c := newCorrelator(t, nil)
	ep := &kmsg.Episode{Seq: 7, Time: seconds(1), Constraint: kmsg.ConstraintNone}
	for pid := range 200 {
		ep.Kills = append(ep.Kills, kmsg.Kill{Seq: uint64(pid), Time: seconds(1), PID: 1000 + pid, Comm: "x"})
		ep.Tasks = append(ep.Tasks, kmsg.Task{PID: 1000 + pid})
	}
	c.Observe(observe.Observation{At: ep.Time, Episode: ep})
	rows, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for key, b := range rows {
		if !strings.HasPrefix(key, killPrefix) {
			continue
		}
		var k kill
		if err := json.Unmarshal(b, &k); err != nil {
			t.Fatal(err)
		}
		kills++
		if len(k.Record.Kills) > maxKeptKills || len(k.Record.Tasks) > maxKeptTasks || k.Record.Kills[k.index()].PID != k.Kill.PID {
			t.Errorf("pid %d keeps %d kills and %d tasks, itself as %+v", k.Kill.PID, len(k.Record.Kills), len(k.Record.Tasks), k.Record.Kills[k.index()])
		}
	}
	if kills != 200 {
		t.Errorf("%d kills are kept", kills)
	}
}

// TestEmptyKillIsRefused: a row of a kill that nobody told of is an error, not a panic.
func TestEmptyKillIsRefused(t *testing.T) {
	_, err := New(Options{}, map[string][]byte{killPrefix + "7-1": []byte(`{"kill":{"pid":7}}`)})
	if err == nil || !strings.Contains(err.Error(), "kill/7-1") {
		t.Errorf("error %v", err)
	}
}

// TestOldCgroupPathIsForgotten: a kill in the cgroup that a container was in before is not
// taken for one of its own.
func TestOldCgroupPathIsForgotten(t *testing.T) {
	c := newCorrelator(t, nil)
	for _, path := range []string{"/machine/one", "/machine/two"} {
		c.Observe(observe.Observation{From: engine, At: zero, Container: &observe.Container{Container: incident.Container{ID: id("web"), StartedAt: zero}, PID: 100}})
		c.Observe(observe.Observation{From: observe.Cgroups, At: zero, Container: &observe.Container{Container: incident.Container{ID: id("web")}, CgroupPath: path}})
	}
	if x, _ := c.ofPath("/machine/one"); x != nil {
		t.Error("the old path still names the container")
	}
	if x, _ := c.ofPath("/machine/two/worker"); x == nil {
		t.Error("the new path names nobody")
	}
}

// TestLooseKillsAreBounded: of kills in no container the newest are remembered.
func TestLooseKillsAreBounded(t *testing.T) {
	c := newCorrelator(t, nil)
	const kills = maxLoose + 100
	for n := range kills {
		at := seconds(float64(n) / 1000)
		c.Observe(observe.Observation{At: at, Episode: &kmsg.Episode{Seq: uint64(n + 1), Time: at, Constraint: kmsg.ConstraintMemcg,
			TaskMemcg: "/system.slice/cron.service", OOMMemcg: "/system.slice/cron.service", Kills: []kmsg.Kill{{Seq: uint64(n + 1), Time: at, PID: 100 + n}}}})
	}
	c.Due(seconds(30))
	if _, err := c.State(); err != nil {
		t.Fatal(err)
	}
	if pids := slices.Sorted(maps.Keys(c.kills.byPID)); len(pids) != maxLoose || pids[0] != 100+kills-maxLoose {
		t.Errorf("%d kills are remembered, the oldest of pid %d", len(pids), pids[0])
	}
	c.Due(seconds(30).Add(keepKills))
	if _, err := c.State(); err != nil {
		t.Fatal(err)
	}
	if n := len(c.kills.byPID) + len(c.kills.open); n != 0 {
		t.Errorf("%d kills are remembered for longer than %s", n, keepKills)
	}
}

// TestCounterWordsAreBounded: what was emitted of a counter that rises for ever does not
// grow for ever.
func TestCounterWordsAreBounded(t *testing.T) {
	c := newCorrelator(t, nil)
	c.Observe(observe.Observation{From: engine, At: zero, Container: &observe.Container{Container: incident.Container{ID: id("web"), StartedAt: zero}, PID: 100}})
	emitted := 0
	for n := range 4 * maxFacts {
		at := seconds(float64(60 * (n + 1)))
		c.Observe(observe.Observation{At: at, Samples: []observe.Sample{{ID: id("web"), PID: 100, Sample: cgroup.Sample{At: at, OOMKills: int64(n), Current: 1}}}})
		emitted += len(c.Due(at.Add(30 * time.Second)))
	}
	if emitted != 4*maxFacts-1 {
		t.Errorf("%d kills were emitted", emitted)
	}
	if n := len(c.containers[id("web")].Emitted); n > maxFacts {
		t.Errorf("%d words are remembered", n)
	}
}

// TestOneIdentity: a death has one id, whether the engine shows when the run began before
// the death is emitted, after it, or never.
func TestOneIdentity(t *testing.T) {
	const never = 1e9
	ids := map[string]bool{}
	for _, shown := range []float64{1.02, 1.7, 30, never} {
		c := newCorrelator(t, nil)
		var out []Emission
		list := func() {
			out = append(out, c.Observe(observe.Observation{From: engine, At: seconds(shown), List: &observe.List{Containers: []observe.Container{{
				Container: incident.Container{ID: id("web"), StartedAt: seconds(1), ExitCode: nil}, State: "exited",
				Exit: &incident.Exit{At: seconds(1.5), FinishedAt: seconds(1.5), ExitCode: 3, Inspected: true}}}}})...)
		}
		out = append(out, c.Observe(observe.Observation{From: engine, At: seconds(1.01), Event: &observe.Event{ID: id("web"), Kind: observe.Started, Owed: true}})...)
		if shown == 1.02 {
			out = append(out, c.Observe(observe.Observation{From: engine, At: seconds(shown), Container: &observe.Container{
				Container: incident.Container{ID: id("web"), StartedAt: seconds(1)}, PID: 100, AnswersStart: seconds(1.01)}})...)
		}
		out = append(out, c.Observe(observe.Observation{From: engine, At: seconds(1.5), Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: seconds(1.5), ExitCode: 3}}})...)
		if shown == 1.7 {
			list()
		}
		out = append(out, c.Due(seconds(20))...)
		if shown == 30 {
			list()
		}
		for _, e := range append(out, c.Due(seconds(60))...) {
			ids[e.Incident.ID] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("one death has the ids %v", slices.Sorted(maps.Keys(ids)))
	}
}

// TestGoneIsNotNamed: advice names a container only while it is there.
func TestGoneIsNotNamed(t *testing.T) {
	for _, removed := range []bool{false, true} {
		c := newCorrelator(t, nil)
		c.Observe(observe.Observation{From: engine, At: seconds(1), Container: &observe.Container{
			Container: incident.Container{ID: id("web"), Name: "web", Runtime: "docker", StartedAt: seconds(1)}, PID: 100}})
		c.Observe(observe.Observation{From: engine, At: seconds(1.5), Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: seconds(1.5), ExitCode: 3}, DetailPending: true}})
		if removed {
			c.Observe(observe.Observation{From: engine, At: seconds(1.6), Event: &observe.Event{ID: id("web"), Kind: observe.Removed}})
		}
		out := c.Due(seconds(20))
		if len(out) != 1 {
			t.Fatalf("%d incidents", len(out))
		}
		if named := strings.Contains(strings.Join(out[0].Incident.Advice, "\n"), "docker logs --tail 50 web"); named == removed {
			t.Errorf("removed: %v, advice: %q", removed, out[0].Incident.Advice)
		}
	}
}

// TestForgotten: a container that is gone is forgotten in time; one that a list lacked as
// it began, and that has ended since, is not.
func TestForgotten(t *testing.T) {
	c := newCorrelator(t, nil)
	see := func(o observe.Observation) { o.From = engine; c.Observe(o) }
	see(observe.Observation{At: seconds(1), Event: &observe.Event{ID: id("web"), Kind: observe.Created}})
	see(observe.Observation{At: seconds(1), Event: &observe.Event{ID: id("db"), Kind: observe.Created}})
	see(observe.Observation{At: seconds(2), List: &observe.List{}})
	see(observe.Observation{At: seconds(2.01), Event: &observe.Event{ID: id("web"), Kind: observe.Started}})
	see(observe.Observation{At: seconds(3), Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: seconds(3), ExitCode: 3}}})
	c.Due(seconds(30))
	c.Due(seconds(30).Add(2 * keepRemoved))
	rows, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	if rows[id("web")] == nil || c.containers[id("web")] == nil {
		t.Error("a container that is there is forgotten")
	}
	if b, kept := rows[id("db")]; !kept || b != nil || c.containers[id("db")] != nil {
		t.Error("a container that is gone is remembered")
	}
}

// TestDroppedVoiceTakesNothingBack: what was said of a death stands when the other
// program's word is among those that are dropped for newer ones.
func TestDroppedVoiceTakesNothingBack(t *testing.T) {
	c := newCorrelator(t, nil)
	var out []Emission
	see := func(at float64, o observe.Observation) {
		o.From, o.At = engine, seconds(at)
		out = append(out, c.Observe(o)...)
	}
	voice := func(at float64, pid int) {
		see(at, observe.Observation{Voice: &incident.Voice{At: seconds(at), Who: "earlyoom", Kind: incident.VoiceKilled, PID: pid, Trusted: true}})
	}
	see(1, observe.Observation{Container: &observe.Container{Container: incident.Container{ID: id("web"), StartedAt: seconds(1)}, PID: 100}})
	voice(4.9, 100)
	see(5, observe.Observation{Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: seconds(5), ExitCode: 137}}})
	out = append(out, c.Due(seconds(20))...)
	for n := range maxVoices {
		voice(30+float64(n), 5000+n)
	}
	see(400, observe.Observation{Event: &observe.Event{ID: id("web"), Kind: observe.Started}})
	out = append(out, c.Due(seconds(450))...)
	if len(out) != 1 || out[0].Incident.Cause != incident.KillUserspaceOOM {
		for _, e := range out {
			t.Errorf("told: %s, update: %v", e.Incident.Summary, e.Update)
		}
	}
}
