package correlate

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

var update = flag.Bool("update", false, "write what the cases give as what they want")

// TestCases plays every file of testdata/cases to a Correlator. A file is a
// timeline, one observation a line, then "--" and the incidents that must come
// of it, in order. README.md beside the files says how to write one.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			play, want, _ := strings.Cut(string(raw), "\n--\n")
			got := playCase(t, play)
			if *update {
				if err := os.WriteFile(name, []byte(play+"\n--\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("told:\n%swant:\n%s", got, want)
			}
		})
	}
}

// engine is the source that the cases' engine observations come from.
const engine = "docker"

// eventKinds are the words of the cases for an engine's events.
var eventKinds = map[string]observe.EventKind{"create": observe.Created, "start": observe.Started, "stop": observe.Stopped,
	"oom": observe.OOM, "destroy": observe.Removed, "rename": observe.Changed}

func kindOf(source string) observe.Kind {
	switch source {
	case "kmsg":
		return observe.KindKernel
	case "trace":
		return observe.KindTrace
	}
	return observe.KindEngine
}

// zero is the moment that the timelines of the cases count from.
var zero = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)

// id makes a container id of a name.
func id(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// playCase runs one timeline and prints what was told, a line each.
func playCase(t *testing.T, play string) string {
	t.Helper()
	c, err := New(Options{Host: incident.Host{BootID: "boot"}, Epoch: zero.Add(-time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	known := map[string]bool{}
	show := func(told []Emission) {
		for _, x := range told {
			if i := x.Incident; known[i.ID] != x.Update {
				t.Errorf("told twice, or an update of nothing: %s", i.Summary)
			}
			known[x.Incident.ID] = true
			out.WriteString(describe(x))
		}
	}
	names := map[string]string{}
	var saved []observe.Observation
	sc := bufio.NewScanner(strings.NewReader(play))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "offline" {
			c.opt = Options{Offline: true}
			continue
		}
		at, words, kv := parseLine(t, n, line)
		// Deadlines that pass before this line come first, as they would live.
		for next := c.Next(); !next.IsZero() && next.Before(at); next = c.Next() {
			show(c.Due(next))
		}
		if words[0] == "restart-watcher" {
			state, err := c.State()
			if err != nil {
				t.Fatal(err)
			}
			boot := "boot"
			if kv["boot"] != "" {
				boot = kv["boot"]
			}
			c, err = New(Options{Host: incident.Host{BootID: boot}, Epoch: zero.Add(-time.Hour)}, state)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		o := observation(t, n, at, words, kv, names)
		if c.opt.Offline {
			saved = append(saved, o)
			continue
		}
		show(c.Observe(o))
	}
	show(Replay(c, saved))
	for i := 0; i < 100 && !c.Next().IsZero(); i++ {
		show(c.Due(c.Next()))
	}
	if c.Open() {
		t.Errorf("something is still open at the end")
	}
	show(c.Finish())
	return out.String()
}

func describe(x Emission) string {
	i := x.Incident
	var b strings.Builder
	when := fmt.Sprintf("%.3f", i.Time.Sub(zero).Seconds())
	if i.Time.IsZero() {
		when = "undated"
	}
	fmt.Fprintf(&b, "%s %s %s %s", when, i.Kind, i.Cause, i.Confidence)
	if i.Container != nil {
		fmt.Fprintf(&b, " container=%s", i.Container.Name)
		if i.Container.ExitCode != nil {
			fmt.Fprintf(&b, " exit=%d", *i.Container.ExitCode)
		}
	}
	if i.Victim != nil {
		fmt.Fprintf(&b, " victim=%d", i.Victim.PID)
	}
	if i.SeenLive != nil && !*i.SeenLive {
		b.WriteString(" not-seen-live")
	}
	if i.Historic {
		b.WriteString(" historic")
	}
	if x.Update {
		b.WriteString(" update")
	}
	if x.Silent {
		b.WriteString(" quiet")
	}
	if len(i.Related) > 0 {
		fmt.Fprintf(&b, " related=%d", len(i.Related))
	}
	if len(i.Gaps) > 0 {
		fmt.Fprintf(&b, " gaps=%d", len(i.Gaps))
	}
	if i.Count > 1 {
		fmt.Fprintf(&b, " count=%d", i.Count)
	}
	fmt.Fprintf(&b, " severity=%s\n    %s\n", i.Severity, i.Summary)
	return b.String()
}

// parseLine splits "12.5 die web code=137" into time, words and key=value pairs.
func parseLine(t *testing.T, n int, line string) (time.Time, []string, map[string]string) {
	t.Helper()
	f := strings.Fields(line)
	sec, err := strconv.ParseFloat(f[0], 64)
	if err != nil || len(f) < 2 {
		t.Fatalf("line %d: want SECONDS WHAT ..., got %q", n, line)
	}
	kv := map[string]string{}
	var words []string
	for _, w := range f[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			kv[k] = v
		} else {
			words = append(words, w)
		}
	}
	return zero.Add(time.Duration(sec * float64(time.Second))), words, kv
}

// observation makes the Observation that a line of a case describes.
func observation(t *testing.T, n int, at time.Time, words []string, kv map[string]string, names map[string]string) observe.Observation {
	t.Helper()
	num := func(key string) int {
		v, err := strconv.Atoi(kv[key])
		if err != nil && kv[key] != "" {
			t.Fatalf("line %d: %s=%q is no number", n, key, kv[key])
		}
		return v
	}
	sec := func(key string) time.Time {
		v, err := strconv.ParseFloat(kv[key], 64)
		if err != nil {
			t.Fatalf("line %d: %s=%q is no number of seconds", n, key, kv[key])
		}
		return zero.Add(time.Duration(v * float64(time.Second)))
	}
	name := ""
	if len(words) > 1 {
		name = words[1]
	}
	o := observe.Observation{From: engine, At: at, Seen: at}
	if kv["happened"] != "" {
		o.At = sec("happened")
	}
	spec := func() observe.Container {
		c := observe.Container{PID: num("pid"), State: kv["state"]}
		c.ID, c.Name = id(name), name
		if kv["limit"] != "" {
			c.MemoryLimit = new(int64(num("limit")) << 20)
		}
		if kv["started"] != "" {
			c.StartedAt = sec("started")
		}
		c.StopSignal = kv["stopsignal"]
		if kv["pod"] != "" {
			c.Runtime, c.Pod = "containerd", &incident.Pod{UID: "uid-of-" + kv["pod"], Namespace: "shop", Name: kv["pod"]}
		}
		if kv["service"] != "" {
			c.Compose = &incident.Compose{Project: "shop", Service: kv["service"]}
		}
		if kv["health"] != "" {
			c.Health = &incident.Health{Status: kv["health"], FailingStreak: num("streak"), Output: strings.ReplaceAll(kv["output"], "_", " ")}
			if kv["since"] != "" {
				c.Health.Since, c.Health.Earlier = sec("since"), kv["earlier"] == "true"
			}
		}
		if kv["code"] != "" {
			c.Exit = &incident.Exit{ExitCode: num("code"), OOMKilled: kv["oomkilled"] == "true", Error: strings.ReplaceAll(kv["error"], "_", " "), Inspected: true}
			if kv["finished"] != "" {
				c.Exit.FinishedAt = sec("finished")
				c.Exit.At = c.Exit.FinishedAt
			}
			if kv["created"] != "" { // a start that failed
				c.Exit.At = sec("created")
			}
		}
		return c
	}
	kill := func() kmsg.Kill {
		return kmsg.Kill{Seq: uint64(num("seq")), Uptime: o.At.Sub(zero) + time.Hour, HasUptime: true, Time: o.At, PID: num("pid"), Comm: kv["comm"],
			UID: 0, AnonRSS: kmsg.Bytes(int64(num("anon")) << 20), Line: "Killed process"}
	}
	switch words[0] {
	case "inspect":
		c := spec()
		o.Container = &c
	case "reconcile":
		o.List = &observe.List{}
		if name != "" {
			o.List.Containers = []observe.Container{spec()}
		}
	case "create", "start", "stop", "oom", "destroy", "rename":
		o.Event = &observe.Event{ID: id(name), Name: name, Kind: eventKinds[words[0]]}
	case "sent":
		o.Sent = &observe.Sent{PID: num("pid"), Comm: kv["child"], Cgroup: kv["in"], SenderCgroup: kv["cgroup"], SenderConfined: kv["confined"] == "yes", Sent: incident.Sent{At: o.At, Number: num("n"),
			FromKernel: kv["from"] == "kernel", Sender: incident.Process{PID: num("sender"), Comm: kv["comm"]},
			User: kv["user"], Command: strings.ReplaceAll(kv["command"], "_", " ")}}
		if kv["uid"] != "" {
			o.Sent.Sender.UID = new(num("uid"))
		}
	case "health":
		o.Event = &observe.Event{ID: id(name), Name: name, Kind: observe.EventKind(words[2])}
	case "signal":
		o.Signal = &observe.Signal{ID: id(name), Signal: incident.Signal{At: o.At, Number: num("n")}}
	case "die":
		o.Exit = &observe.Exit{ID: id(name), Name: name, DetailPending: kv["detail"] == "pending",
			Exit: incident.Exit{At: o.At, ExitCode: num("code"), Error: strings.ReplaceAll(kv["error"], "_", " "), Raw: "die"}}
	case "detail":
		c := spec()
		o.Detail = &observe.Detail{ID: id(name), DiedAt: sec("died"), LogTail: []string{"last words"}}
		if kv["code"] != "" {
			o.Detail.Inspect = &c
		}
	case "kill": // the kernel's
		ep := &kmsg.Episode{Seq: uint64(num("seq")), Time: o.At, Constraint: kmsg.Constraint(kv["constraint"]), Group: kv["group"] == "true"}
		if name != "" {
			ep.TaskMemcg = "/docker/" + id(name)
			ep.OOMMemcg = ep.TaskMemcg
		}
		if kv["path"] != "" {
			ep.TaskMemcg, ep.OOMMemcg = kv["path"], kv["path"]
		}
		if kv["oom_memcg"] != "" {
			ep.OOMMemcg = kv["oom_memcg"]
		}
		if kv["limit"] != "" {
			ep.Limit = kmsg.Bytes(int64(num("limit")) << 20)
		}
		if kv["total"] != "" {
			ep.HostTotal = kmsg.Bytes(int64(num("total")) << 20)
		}
		for _, row := range strings.Split(kv["tasks"], ",") {
			var p, mib int
			var comm string
			if f := strings.Split(row, ":"); len(f) == 3 {
				p, _ = strconv.Atoi(f[0]) // zero shows in the result
				comm = f[1]
				mib, _ = strconv.Atoi(f[2])
				ep.Tasks = append(ep.Tasks, kmsg.Task{PID: p, Comm: comm, RSS: kmsg.Bytes(int64(mib) << 20)})
			}
		}
		ep.Kills = []kmsg.Kill{kill()}
		for i, p := range strings.Split(kv["members"], ",") {
			if p == "" {
				continue
			}
			k := kill()
			k.Seq += uint64(i) + 1
			k.PID, _ = strconv.Atoi(p)
			ep.Kills = append(ep.Kills, k)
		}
		if kv["dated"] == "no" {
			ep.Uptime, ep.HasUptime = ep.Kills[0].Uptime, true
			o.At, ep.Time = time.Time{}, time.Time{}
			for i := range ep.Kills {
				ep.Kills[i].Time = time.Time{}
			}
		}
		ep.Late = time.Duration(num("late")) * time.Second
		o.Episode = ep
	case "marked":
		m := &observe.Marked{PID: num("pid"), Comm: kv["comm"], Uptime: o.At.Sub(zero) + time.Hour, Killed: kv["killed"] != "no", Init: kv["init"] == "yes"}
		if name != "" {
			m.Cgroup = "/docker/" + id(name)
		}
		if kv["path"] != "" {
			m.Cgroup = kv["path"]
		}
		if kv["parent"] != "" {
			m.ParentCgroup = "/docker/" + id(kv["parent"])
		}
		if kv["anon"] != "" {
			m.AnonRSS = new(int64(num("anon")) << 20)
		}
		o.Marked = m
	case "fault":
		o.Fault = &kmsg.Fault{Kind: kmsg.FaultKind(kv["kind"]), PID: num("pid"), Comm: kv["comm"], Time: o.At, Object: kv["object"], Line: "segfault at 0"}
	case "sample":
		s := observe.Sample{ID: id(name), Sample: cgroup.Sample{At: o.At, Current: int64(num("mib")) << 20, OOMKills: -1, Swap: -1, Limit: cgroup.Unlimited}}
		if kv["kills"] != "" {
			s.OOMKills = int64(num("kills"))
		}
		for _, p := range strings.Split(kv["pids"], ",") {
			if v, err := strconv.Atoi(p); err == nil {
				s.PIDs = append(s.PIDs, v)
			}
		}
		if len(s.PIDs) > 0 {
			s.PID = s.PIDs[0] // the main process stands first
		}
		o.Samples = []observe.Sample{s}
	case "up", "down":
		o.Source = &observe.SourceState{Name: name, Kind: kindOf(name), Up: words[0] == "up", Reason: kv["reason"]}
		if kv["every"] != "" {
			o.Source.Every = time.Duration(num("every")) * time.Second
		}
	case "voice":
		v := incident.Voice{At: o.At, Who: words[1], Kind: incident.VoiceKind(words[2]), PID: num("pid"), Trusted: kv["trusted"] == "yes", Text: "as it was said"}
		if kv["of"] != "" {
			v.ContainerID = id(kv["of"])
		}
		o.Voice = &v
	case "reach":
		o.Horizon = &incident.Horizon{Source: name, Read: true, From: sec("from")}
	case "set-back":
		by, err := time.ParseDuration(kv["by"])
		if err != nil {
			t.Fatalf("line %d: by=%q is no duration", n, kv["by"])
		}
		o.From, o.SetBack = "", &observe.SetBack{By: by, After: o.At.Add(-time.Second)}
	case "lost":
		o.Lost = &incident.Gap{Source: name, From: sec("from"), To: o.At, Lost: int64(num("n"))}
	default:
		t.Fatalf("line %d: unknown word %q", n, words[0])
	}
	return o
}

// TestNoLog: an alert without log lines says why there are none.
func TestNoLog(t *testing.T) {
	const why = "the container was removed at once (--rm), and its log with it"
	c, err := New(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	died := zero.Add(time.Second)
	c.Observe(observe.Observation{At: zero, Event: &observe.Event{ID: id("web"), Name: "web", Kind: observe.Started}})
	c.Observe(observe.Observation{At: died, Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: died, ExitCode: 3}, DetailPending: true}})
	told := c.Observe(observe.Observation{At: died, Detail: &observe.Detail{ID: id("web"), DiedAt: died, Problem: why}})
	if len(told) != 1 || !slices.ContainsFunc(told[0].Incident.Evidence, func(e incident.Evidence) bool { return e.Source == "log" && e.Text == why }) {
		t.Errorf("told %+v", told)
	}
}

// TestManyKillsAtOnce: what waits to be told is all told, however much it is.
func TestManyKillsAtOnce(t *testing.T) {
	const kills = 5 * maxKills
	c, err := New(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(observe.Observation{At: zero, Event: &observe.Event{ID: id("web"), Name: "web", Kind: observe.Started}})
	ids := map[string]bool{}
	keep := func(told []Emission) {
		for _, x := range told {
			ids[x.Incident.ID] = true
			if l := x.Incident.Container.MemoryLimit; l == nil || *l != 32<<20 {
				t.Errorf("its limit is %v, which the kernel told", l)
			}
		}
	}
	for n := range kills {
		at := zero.Add(time.Second + time.Duration(n)*time.Millisecond)
		k := kmsg.Kill{Seq: uint64(n), Uptime: at.Sub(zero), HasUptime: true, Time: at, PID: 1000 + n, Comm: "worker"}
		keep(c.Observe(observe.Observation{At: at, Episode: &kmsg.Episode{Seq: k.Seq, Time: at, Constraint: kmsg.ConstraintMemcg, Limit: kmsg.Bytes(32 << 20),
			OOMMemcg: "/docker/" + id("web"), TaskMemcg: "/docker/" + id("web"), Kills: []kmsg.Kill{k}}}))
	}
	keep(c.Finish())
	if len(ids) != kills {
		t.Errorf("told %d kills of %d", len(ids), kills)
	}
	c.Due(zero.Add(time.Hour))
	c.touch(c.containers[id("web")])
	c.Due(zero.Add(time.Hour + time.Second))
	if x := c.containers[id("web")]; len(x.kills) != maxKills {
		t.Errorf("%d kills are remembered", len(x.kills))
	}
}

// TestNameAndLastReading: the cgroup is gone when the end is told, so that the last
// reading and its age stand for it; the name is the one it had by then.
func TestNameAndLastReading(t *testing.T) {
	c, err := New(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	named := func(name string) *observe.Container {
		return &observe.Container{Container: incident.Container{ID: id("web"), Name: name, StartedAt: zero}, PID: 100, State: "running"}
	}
	die := func(ms int) *incident.Incident {
		told := c.Observe(observe.Observation{At: at(ms), Exit: &observe.Exit{ID: id("web"), Exit: incident.Exit{At: at(ms), ExitCode: 3}}})
		if len(told) != 1 {
			t.Fatalf("told %+v", told)
		}
		return told[0].Incident
	}
	c.Observe(observe.Observation{At: zero, Container: named("web")})
	c.Observe(observe.Observation{At: at(5000), Samples: []observe.Sample{{ID: id("web"), Sample: cgroup.Sample{At: at(5000), Current: 31 << 20, Limit: 32 << 20, OOMKills: 0, Swap: -1}}}})
	c.Observe(observe.Observation{At: at(5500), Event: &observe.Event{ID: id("web"), Name: "shop", Kind: observe.Changed}})
	first := die(6400)
	want := incident.Evidence{Source: "recorder", Time: at(5000), Text: "memory 31 MiB of 32 MiB", Means: "last reading, 1.4 s before"}
	if !slices.Contains(first.Evidence, want) {
		t.Errorf("%+v is missing in %+v", want, first.Evidence)
	}
	c.Observe(observe.Observation{At: at(8000), Event: &observe.Event{ID: id("web"), Name: "shop", Kind: observe.Started}})
	c.Observe(observe.Observation{At: at(8500), Event: &observe.Event{ID: id("web"), Name: "store", Kind: observe.Changed}})
	if second := die(9000); first.Container.Name != "shop" || second.Container.Name != "store" || first.ID == second.ID {
		t.Errorf("named %q, then %q", first.Container.Name, second.Container.Name)
	}
}
