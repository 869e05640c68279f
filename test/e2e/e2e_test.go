package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(d))
	t.Cleanup(cancel)
	return ctx
}

// settled is how long a second telling of the same thing would take at most.
var settled = lab.Slow(3 * time.Second)

// TestEveryCause causes each death of the lab for real and holds the alert against
// what must be in it.
func TestEveryCause(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	everyCause(t, e, hook, d, lab.Deaths())
	withEngine(t, e, hook, d)
}

// TestPressureIsTold fills a limit with page cache first: the kernel takes that back for
// seconds before it kills. A level that is reached only with the kill may come too late.
func TestPressureIsTold(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	id := e.MustRun(t, "--name", "cached", "-m", "48m", lab.Image, "sh", "-c", "prog eat -size 20000000 -file /cached && exec prog eat -comm leaky -rate 8000000")
	want := lab.Want{"cause": "oom.container", "pressure.scope": "cgroup"}
	if strings.Contains(platform(t, e), "-v1-") {
		want = lab.Want{"cause": "oom.container", "pressure.levels.low": lab.AtLeast(1)}
	}
	if wrong := holds(t, hook, d, id, want); len(wrong) > 0 {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), hook.json(id))
	}
}

// TestEveryCauseUntraced is the same for the deaths of which less is known where
// nobody sees who sends a signal.
func TestEveryCauseUntraced(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := newDaemon(t, e.Host, hook, noWarnings)
	d.hideTracefs(t)
	d.start(t)
	if d.sees(t, "trace") {
		t.Fatal("the trace source sees what was hidden")
	}
	everyCause(t, e, hook, d, slices.DeleteFunc(lab.Deaths(), func(x lab.Death) bool { return x.Blind == nil }))
	withEngine(t, e, hook, d)
}

// withEngine is everyCause for the deaths that take the engine along, one by one.
func withEngine(t *testing.T, e *lab.Engine, hook *receiver, w *daemon) {
	if !e.Private() {
		return // it is not ours to kill
	}
	for _, d := range lab.WithEngine() {
		everyCause(t, e, hook, w, []lab.Death{d})
	}
}

func everyCause(t *testing.T, e *lab.Engine, hook *receiver, w *daemon, deaths []lab.Death) {
	on, traced := platform(t, e), w.sees(t, "trace")
	ctx := timeout(t, 8*time.Minute)
	type one struct {
		lab.Death
		id    string
		wrong string
	}
	var mu sync.Mutex
	var done []one
	cause := func(d lab.Death) func(t *testing.T) {
		return func(t *testing.T) {
			if lab.Slow(1) > 1 {
				t.Parallel() // each waits for the engine most of the time
			}
			x := one{Death: d, wrong: "not told"}
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				done = append(done, x)
			}()
			var err error
			x.id, err = d.Do(ctx, e, "t-"+d.Name, "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service="+d.Name)
			if err != nil {
				x.wrong = "not caused"
				t.Fatal(err)
			}
			if d.Told(traced).Cause() == "-" {
				x.wrong = ""
				return
			}
			name := "t-" + d.Name
			wrong := holds(t, hook, w, x.id, lab.Want{
				"container.name": name, "container.compose.project": "shop", "container.compose.service": d.Name,
			}.With(d.Told(traced)))
			wrong = append(wrong, explained(t, w, name, hook.of(x.id)[0].ID)...)
			if x.wrong = strings.Join(wrong, "; "); x.wrong != "" {
				t.Errorf("%s\n%s", strings.Join(wrong, "\n"), hook.json(x.id))
			}
		}
	}
	t.Run("cause", func(t *testing.T) {
		for _, d := range deaths {
			t.Run(d.Name, cause(d.On(on)))
		}
	})
	time.Sleep(settled)
	slices.SortFunc(done, func(a, b one) int { return strings.Compare(a.Name, b.Name) })
	for _, x := range done {
		want := 1
		if x.Told(traced).Cause() == "-" {
			want = 0
		}
		if got := hook.of(x.id); len(got) != want {
			x.wrong = strings.Trim(fmt.Sprintf("told %d times; %s", len(got), x.wrong), "; ")
			t.Errorf("%s: told %d times, want %d", x.Name, len(got), want)
			for _, i := range got {
				t.Logf("  %s %s %s: %s", i.ID, i.Kind, i.Cause, i.Summary)
			}
		}
		name := x.Name
		if !traced {
			name += "-untraced"
		}
		tell(t, on, x.Told(traced).Cause(), name, x.wrong == "", x.wrong)
	}
}

// explained says what is wrong with the answer to "oomwatch explain NAME": it must be the
// newest of that name.
func explained(t *testing.T, w *daemon, name, id string) []string {
	t.Helper()
	out, errs, code := oomwatch(t, "explain", "--socket", w.socket, "-o", "json", name)
	if code != 0 {
		return []string{fmt.Sprintf("explain %s: exit status %d: %s", name, code, errs)}
	}
	if got := parseLines(t, out); len(got) != 1 || got[0].ID != id {
		return []string{fmt.Sprintf("explain %s answers %s, want incident %s", name, out, id)}
	}
	return nil
}

// TestRemoved loses the container within milliseconds of its death, twenty
// times, ten at once: name, image and limit must be known all the same.
func TestRemoved(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	on := platform(t, e)
	row(t, on, "oom.container", "removed-at-once")
	// No command reaches one that is gone.
	again := lab.All(lab.Has("docker run -m 48m"), lab.Lacks("docker update"))
	if strings.Contains(on, "-podman-") {
		again = lab.All(lab.Has("--memory 48m"), lab.Lacks("podman update"))
	}
	ctx := timeout(t, 3*time.Minute)
	for round := range 2 {
		var wg sync.WaitGroup
		ids := make([]string, 10)
		for i := range ids {
			wg.Go(func() {
				id, err := e.Run(ctx, "--rm", "--name", fmt.Sprintf("rm-%d-%d", round, i), "-m", "32m", lab.Image, "tail", "/dev/zero")
				if err != nil {
					t.Error(err)
				}
				ids[i] = id
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		for i, id := range ids {
			got := hook.waitFor(t, id, 1, 10*time.Second)[0]
			if got.Cause != incident.OOMContainer || got.Kind != incident.KindDeath {
				t.Errorf("%d: %s %s: %s", i, got.Kind, got.Cause, got.Summary)
			}
			if wrong := (lab.Want{"advice": again}).Wrong(hook.json(id)); len(wrong) > 0 {
				t.Errorf("%d: %v", i, wrong)
			}
			if c := got.Container; c.Name != fmt.Sprintf("rm-%d-%d", round, i) || c.Image == "" || c.MemoryLimit == nil || *c.MemoryLimit != 32<<20 {
				t.Errorf("%d: container is %+v", i, c)
			}
		}
		time.Sleep(settled)
		for i, id := range ids {
			if got := hook.of(id); len(got) != 1 {
				t.Errorf("%d: told %d times", i, len(got))
			}
		}
	}
}

// TestRestartPolicy dies four times in a row under one id: four incidents, each told
// once. An end that the engine tells late is added to what is kept, and sent to nobody.
func TestRestartPolicy(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "restarted-3-times")
	id := e.MustRun(t, "--name", "again", "--restart", "on-failure:3", "-m", "32m", lab.Image, "tail", "/dev/zero")
	hook.waitFor(t, id, 4, 30*time.Second)
	var kept []incident.Incident
	for deadline := time.Now().Add(lab.Slow(30 * time.Second)); ; time.Sleep(100 * time.Millisecond) {
		b, err := d.get("/v1/incidents")
		if err != nil {
			t.Fatal(err)
		}
		// What the log ring had of others is kept as history.
		kept = slices.DeleteFunc(parseLines(t, string(b)), func(i incident.Incident) bool { return i.Container == nil || i.Container.ID != id })
		ended := 0
		for _, i := range kept {
			if i.Container.ExitCode != nil && *i.Container.ExitCode == 137 {
				ended++
			}
		}
		if ended == 4 && len(kept) == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d incidents kept have their end, want 4: %+v", ended, len(kept), kept)
		}
	}
	time.Sleep(settled)
	got := hook.of(id)
	times := map[string]int{}
	for _, i := range got {
		times[i.ID]++
		if i.Kind != incident.KindDeath || i.Cause != incident.OOMContainer || i.Confidence != incident.Certain || times[i.ID] > 1 {
			t.Errorf("%s %s %s %s, the %d. time: %s", i.ID, i.Kind, i.Cause, i.Confidence, times[i.ID], i.Summary)
		}
	}
	if len(times) != 4 || len(got) != 4 {
		t.Errorf("%d incidents told, in %d messages, want 4", len(times), len(got))
	}
	for _, i := range kept {
		if i.Container.RestartPolicy != "on-failure:3" || times[i.ID] != 1 {
			t.Errorf("%s, told %d times: restart policy %q", i.ID, times[i.ID], i.Container.RestartPolicy)
		}
	}
}

// TestSameName re-creates a container under its name: two ids, two incidents.
func TestSameName(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	ctx := timeout(t, time.Minute)
	var ids [2]string
	for i := range ids {
		id, err := e.Run(ctx, "--name", "twin", "-m", "32m", lab.Image, "tail", "/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Wait(ctx, id); err != nil {
			t.Fatal(err)
		}
		e.MustDocker(t, "rm", "-f", id)
		ids[i] = id
	}
	for _, id := range ids {
		if got := hook.waitFor(t, id, 1, 6*time.Second)[0]; got.Cause != incident.OOMContainer || got.Container.Name != "twin" {
			t.Errorf("%s %s", got.Cause, got.Summary)
		}
	}
	time.Sleep(settled)
	for _, id := range ids {
		if n := len(hook.of(id)); n != 1 {
			t.Errorf("told %d times", n)
		}
	}
}

// TestTwentyAtOnce lets twenty containers die in the same moment.
func TestTwentyAtOnce(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "twenty-at-once")
	ctx := timeout(t, 3*time.Minute)
	ids := make([]string, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := e.Run(ctx, "--name", fmt.Sprintf("crowd-%d", i), "-m", "32m", lab.Image, "sh", "-c", "while [ ! -e /dev/shm/go ]; do sleep 0.05; done; exec tail /dev/zero")
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, id := range ids {
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/dev/shm/go", pid), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		got := hook.waitFor(t, id, 1, 20*time.Second)[0]
		if got.Cause != incident.OOMContainer || got.Kind != incident.KindDeath {
			t.Errorf("%d: %s %s %s", i, got.Kind, got.Cause, got.Summary)
		}
	}
	time.Sleep(settled)
	for i, id := range ids {
		if n := len(hook.of(id)); n != 1 {
			t.Errorf("%d: told %d times", i, n)
		}
	}
}

// TestEngineAway kills the engine under live containers; what dies meanwhile is
// never an event, and the engine's own flag denies it: the kernel knows.
func TestEngineAway(t *testing.T) {
	e := lab.Start(t, lab.Options{LiveRestore: true})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "engine-away")
	ctx := timeout(t, 3*time.Minute)
	wait := []string{"sh", "-c", "while [ ! -e /dev/shm/go ]; do sleep 0.05; done; exec \"$0\" \"$@\""}
	run := func(name, flag string, args ...string) (id string, pid int) {
		flags := []string{"--name", name, "-m", "32m", flag}
		id = e.MustRun(t, append(append(flags, lab.Image), append(wait, args...)...)...)
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return id, pid
	}
	oomID, oomPID := run("away-oom", "--rm=false", "tail", "/dev/zero")
	badID, badPID := run("away-exit", "--rm=false", "prog", "exit", "3")
	lostID, lostPID := run("away-lost", "--rm", "prog", "exit", "3")
	livesID, _ := run("away-lives", "--rm=false", "sleep", "1000")
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{oomPID, badPID, lostPID} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/dev/shm/go", pid), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := hook.waitFor(t, oomID, 1, 10*time.Second)[0]; got.Cause != incident.OOMContainer || got.Container.Name != "away-oom" {
		t.Errorf("while the engine was down: %s %s", got.Cause, got.Summary)
	}
	if err := e.Up(ctx); err != nil {
		t.Fatal(err)
	}
	got := hook.waitFor(t, badID, 1, 30*time.Second)[0]
	if got.SeenLive == nil || *got.SeenLive {
		t.Errorf("an end found afterwards is told as seen live: %s", got.Summary)
	}
	if strings.HasPrefix(string(got.Cause), "oom.") {
		t.Errorf("exit 3 is told as %s", got.Cause)
	}
	// Nobody watched, and it mostly left nothing to ask. A busy engine still lists it for a
	// moment after its own start, with its exit code.
	want := lab.Want{"cause": "unknown", "confidence": "possible", "severity": "warning", "container.exit_code": lab.Absent}
	if got := hook.waitFor(t, lostID, 1, 30*time.Second)[0]; got.Container.ExitCode != nil {
		want = lab.Want{"cause": "exit.error", "confidence": "likely", "severity": "critical", "container.exit_code": 3}
	}
	maps.Copy(want, lab.Want{"seen_live": false, "container.name": "away-lost", "container.finished_at": lab.Any, "container.running": lab.Any, "killer": lab.Absent, "oom": lab.Absent})
	expect(t, platform(t, e), hook, d, lostID, lab.Death{Name: "engine-away-removed", Want: want})
	// The stream works again.
	later := e.MustRun(t, "--name", "away-later", "-m", "32m", lab.Image, "tail", "/dev/zero")
	hook.waitFor(t, later, 1, 20*time.Second)
	time.Sleep(settled)
	for name, id := range map[string]string{"oom": oomID, "exit": badID, "lost": lostID, "later": later} {
		if n := len(hook.of(id)); n != 1 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
	if n := len(hook.of(livesID)); n != 0 {
		t.Errorf("a container that lives on was told %d times", n)
	}
}

// TestWatcherAway ends the daemon, politely and by kill -9, while containers
// die: each death is told exactly once.
func TestWatcherAway(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			e := lab.Start(t, lab.Options{})
			hook := newReceiver(t)
			d := startDaemon(t, e.Host, hook)
			row(t, platform(t, e), "oom.container", "watcher-away-"+name)
			ctx := timeout(t, 2*time.Minute)
			die := func(name string, flags ...string) string {
				args := append([]string{"--name", name, "-m", "32m"}, flags...)
				id, err := e.Run(ctx, append(args, lab.Image, "tail", "/dev/zero")...)
				if err != nil {
					t.Fatal(err)
				}
				return id
			}
			before := die("before")
			hook.waitFor(t, before, 1, 10*time.Second)
			// The outcome is noted after the receiver has answered: a kill in
			// between may repeat that one delivery, and is not what is tested.
			time.Sleep(300 * time.Millisecond)
			d.stop(sig)
			during := die("during")
			gone := die("during-rm", "--rm")
			exit3 := e.MustRun(t, "--name", "during-exit", lab.Image, "prog", "exit", "3")
			// What its last log lines tell is read afterwards, too.
			heap := e.MustRun(t, "--name", "during-heap", "-m", "512m", lab.Image, "sh", "-c", "ulimit -v 900000; exec prog eat")
			if _, err := e.Wait(ctx, during); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{exit3, heap} {
				if _, err := e.Wait(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
			d.start(t)
			for id, want := range map[string]incident.Cause{during: incident.OOMContainer, gone: incident.OOMContainer, exit3: incident.ExitError, heap: incident.OOMRuntime} {
				if got := hook.waitFor(t, id, 1, 15*time.Second)[0]; got.Cause != want || *got.SeenLive {
					t.Errorf("%s, seen live: %v, want %s, not seen live: %s", got.Cause, *got.SeenLive, want, got.Summary)
				}
			}
			after := die("after")
			hook.waitFor(t, after, 1, 10*time.Second)
			time.Sleep(settled)
			for name, id := range map[string]string{"before": before, "during": during, "during-rm": gone, "exit": exit3, "heap": heap, "after": after} {
				if got := hook.of(id); len(got) != 1 {
					t.Errorf("%s: told %d times", name, len(got))
					for _, i := range got {
						t.Logf("  %s %s %s %s", i.ID, i.Kind, i.Cause, i.Summary)
					}
				}
			}
		})
	}
}

// TestEngineStop ends the engine as a service manager does, and its containers
// with it: one that stops when it is asked to, and one that has to be killed.
func TestEngineStop(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	if !e.Private() {
		real.Missing(t, "the engine is not ours to stop")
	}
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	on := platform(t, e)
	polite := e.MustRun(t, "--name", "polite", lab.Image, "prog", "polite", "-exit", "7")
	stubborn := e.MustRun(t, "--name", "stubborn", "--stop-timeout", "1", lab.Image, "prog", "stubborn")
	for _, id := range []string{polite, stubborn} {
		if err := e.WaitLog(timeout(t, time.Minute), id, "ready"); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Restart(timeout(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	// A request to stop is told before the engine is seen to go, and told anew then.
	for _, x := range []struct {
		id, name string
		code     int
	}{{polite, "polite", 7}, {stubborn, "stubborn", 137}} {
		row := lab.Death{Name: "engine-stop-" + x.name, ExitCode: x.code, Want: lab.Want{"cause": "engine.stop", "confidence": "likely",
			"severity": "warning", "killer.kind": "engine", "oom": lab.Absent, "victim": lab.Absent, "advice": lab.Has("live-restore")}}
		told := hook.waitFor(t, x.id, 1, 30*time.Second)[0]
		wrong := []string{"not kept"}
		for deadline := time.Now().Add(lab.Slow(20 * time.Second)); len(wrong) > 0 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			wrong = row.Told(true).Wrong(d.kept(t, told.ID))
		}
		tell(t, on, "engine.stop", row.Name, len(wrong) == 0, strings.Join(wrong, "; "))
		if len(wrong) > 0 {
			t.Errorf("%s: %s\n%s", row.Name, strings.Join(wrong, "\n"), d.kept(t, told.ID))
		}
		for _, i := range hook.of(x.id) {
			if i.ID != told.ID {
				t.Errorf("%s is told as two: %s", row.Name, i.Summary)
			}
		}
	}
}

// TestKilledAtRandom kills the daemon with SIGKILL again and again while
// containers die; the receiver may see one delivery twice only under one id.
func TestKilledAtRandom(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, 5*time.Minute)
	const rounds = 6
	var ids []string
	for i := range rounds {
		id, err := e.Run(ctx, "--name", fmt.Sprintf("chaos-%d", i), "-m", "32m", lab.Image, "sh", "-c", "sleep 0.2; exec tail /dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		// The death comes at about 200 ms: before it, in it, after it.
		time.Sleep(time.Duration(100+60*i) * time.Millisecond)
		d.stop(syscall.SIGKILL)
		d.start(t)
	}
	for _, id := range ids {
		hook.waitFor(t, id, 1, 20*time.Second)
	}
	time.Sleep(settled)
	for i, id := range ids {
		seen := map[string]int{}
		for _, x := range hook.of(id) {
			seen[x.ID]++
			if x.Cause != incident.OOMContainer {
				t.Errorf("%d: %s %s", i, x.Cause, x.Summary)
			}
		}
		if len(seen) != 1 {
			t.Errorf("%d: %d incidents, want 1: %v", i, len(seen), seen)
		}
		for _, n := range seen {
			if n > 2 {
				t.Errorf("%d: delivered %d times", i, n)
			}
		}
	}
}

// TestReceiverDown keeps what is owed while the receiver answers 503.
func TestReceiverDown(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	hook.answer(503)
	d := startDaemon(t, e.Host, hook)
	id := e.MustRun(t, "--name", "owed", "-m", "32m", lab.Image, "tail", "/dev/zero")
	if _, err := e.Wait(timeout(t, time.Minute), id); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	d.stop(syscall.SIGKILL)
	hook.answer(0)
	d.start(t)
	hook.waitFor(t, id, 1, 30*time.Second)
	time.Sleep(settled)
	if n := len(hook.of(id)); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestExplain asks why a container died: of the daemon, without it, and of
// files alone.
func TestExplain(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, 2*time.Minute)
	id := e.MustRun(t, "--name", "why", "-m", "32m", lab.Image, "sh", "-c", "echo started; exec tail /dev/zero")
	if _, err := e.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	told := hook.waitFor(t, id, 1, 10*time.Second)[0]
	if len(told.LogTail) == 0 || !strings.Contains(told.LogTail[len(told.LogTail)-1], "started") {
		t.Errorf("the log tail is %q", told.LogTail)
	}

	ask := func(what string, args ...string) incident.Incident {
		t.Helper()
		out, errs, code := oomwatch(t, append([]string{"explain", "-o", "json"}, args...)...)
		if code != 0 {
			t.Fatalf("%s: exit status %d: %s", what, code, errs)
		}
		all := parseLines(t, out)
		if len(all) == 0 {
			t.Fatalf("%s: nothing", what)
		}
		got := all[len(all)-1]
		if got.Cause != incident.OOMContainer || got.Container == nil || got.Container.ID != id {
			t.Errorf("%s: %s %s", what, got.Cause, got.Summary)
		}
		return got
	}
	if got := ask("by name of the daemon", "--socket", d.socket, "why"); got.ID != told.ID {
		t.Errorf("id %s, told as %s", got.ID, told.ID)
	}
	ask("by incident id of the daemon", "--socket", d.socket, told.ID)
	ask("newest of the daemon", "--socket", d.socket)
	text, _, code := oomwatch(t, "explain", "--socket", d.socket, "why")
	if code != 0 || !strings.Contains(text, "why") || !strings.Contains(text, "32 MiB") {
		t.Errorf("as text (status %d):\n%s", code, text)
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	d.stop(syscall.SIGTERM)
	none := filepath.Join(t.TempDir(), "none.sock")
	if got := ask("without the daemon", "--socket", none, "--docker", e.Host, "why"); got.ID != told.ID {
		t.Errorf("without the daemon: id %s, told as %s", got.ID, told.ID)
	}

	// Offline: from saved files, nothing else.
	save := saver(t)
	inspect := save("inspect.json", e.MustDocker(t, "inspect", "why"))
	// Until the end of this second: the engine takes no fractions here.
	until := fmt.Sprint(time.Now().Unix() + 1)
	events := save("events.json", e.MustDocker(t, "events", "--since", "10m", "--until", until, "--format", "{{json .}}"))
	empty := save("empty.json", "")
	// The ring as it is read has no time of day: the end tells when it was.
	kernel := save("kernel.log", kernelLog(t))
	for what, saved := range map[string][]string{
		"offline":                               {"--log", kernel, "--inspect", inspect, "--events", events},
		"offline, events of another time":       {"--log", kernel, "--inspect", inspect, "--events", empty},
		"offline, without events":               {"--log", kernel, "--inspect", inspect},
		"offline, without inspect":              {"--log", kernel, "--events", events},
		"offline, without the log: a flag only": {"--inspect", inspect, "--events", events},
	} {
		args := append(append([]string{"explain", "-o", "json"}, saved...), "why")
		out, errs, code := oomwatch(t, args...)
		if code != 0 {
			t.Errorf("%s: exit status %d: %s", what, code, errs)
			continue
		}
		var deaths []incident.Incident
		for _, inc := range parseLines(t, out) {
			if inc.Kind == incident.KindDeath {
				deaths = append(deaths, inc)
			}
			if inc.Container.Running != nil && *inc.Container.Running {
				t.Errorf("%s: it lives on: %s", what, inc.Summary)
			}
		}
		if len(deaths) != 1 || deaths[0].Cause != incident.OOMContainer || deaths[0].Container.Name != "why" || (deaths[0].Victim == nil) != (saved[0] != "--log") {
			t.Errorf("%s: told\n%s", what, out)
		}
	}
	if _, _, code := oomwatch(t, "explain", "--socket", none, "--docker", e.Host, "never-existed"); code != 3 {
		t.Errorf("explain of what never died: exit status %d, want 3", code)
	}
}

// saver writes what people save into files of a folder of its own, and returns their paths.
func saver(t *testing.T) func(name, text string) string {
	dir := t.TempDir()
	return func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// kernelLog reads the ring as dmesg would print it raw.
func kernelLog(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		real.Missing(t, "read the kernel log: %v", err)
	}
	defer syscall.Close(fd)
	var b strings.Builder
	buf := make([]byte, 8192)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EPIPE {
			continue
		}
		if err != nil {
			return b.String()
		}
		b.Write(buf[:n])
	}
}
