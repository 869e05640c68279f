package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(d))
	t.Cleanup(cancel)
	return ctx
}

// settled is how long a second telling of the same thing would take at most.
var settled = lab.Slow(3 * time.Second)

// TestEveryCause causes each death of the lab for real and reads the alert.
func TestEveryCause(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	traced := startDaemon(t, e.Host, hook).sees(t, "trace")
	on := platform(t, e)
	ctx := timeout(t, 5*time.Minute)
	ids, right := map[string]string{}, map[string]bool{}
	for _, d := range lab.Deaths() {
		d.Cause = d.Told(traced)
		right[d.Name] = t.Run(d.Name, func(t *testing.T) {
			id, err := d.Do(ctx, e, "t-"+d.Name, "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service="+d.Name)
			if err != nil {
				t.Fatal(err)
			}
			ids[d.Name] = id
			if d.Cause == "" {
				return
			}
			got := hook.waitFor(t, id, 1, 6*time.Second)[0]
			b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
			if string(got.Cause) != d.Cause {
				t.Fatalf("cause %s, want %s\n%s", got.Cause, d.Cause, b)
			}
			kind := incident.KindDeath
			if d.ExitCode < 0 {
				kind = incident.KindKill
			} else if got.Container.ExitCode == nil || *got.Container.ExitCode != d.ExitCode {
				t.Errorf("want exit code %d\n%s", d.ExitCode, b)
			}
			if got.Kind != kind {
				t.Errorf("kind %s, want %s", got.Kind, kind)
			}
			if got.Container.Name != "t-"+d.Name || got.Container.Image == "" {
				t.Errorf("container is named %q of image %q", got.Container.Name, got.Container.Image)
			}
			if got.Container.Compose == nil || got.Container.Compose.Service != d.Name || got.Container.Compose.Project != "shop" {
				t.Errorf("compose is %+v", got.Container.Compose)
			}
			if len(got.Evidence) == 0 {
				t.Errorf("no evidence:\n%s", b)
			}
			if got.SeenLive == nil || !*got.SeenLive || got.Historic {
				t.Errorf("not told as seen live:\n%s", b)
			}
			if strings.HasPrefix(d.Cause, "oom.") && d.Cause != "oom.runtime" {
				checkOOM(t, d, &got)
			}
		})
	}
	time.Sleep(settled)
	for _, d := range lab.Deaths() {
		if ids[d.Name] == "" {
			continue // not run this time
		}
		want := 1
		if d.Cause == "" {
			want = 0
		}
		got := hook.of(ids[d.Name])
		word := ""
		if len(got) > 0 && !right[d.Name] {
			word = fmt.Sprintf("told as %s %s", got[0].Cause, got[0].Confidence)
		}
		if len(got) != want {
			right[d.Name], word = false, fmt.Sprintf("told %d times", len(got))
			t.Errorf("%s: told %d times, want %d", d.Name, len(got), want)
			for _, i := range got {
				t.Logf("  %s %s %s: %s", i.ID, i.Kind, i.Cause, i.Summary)
			}
		}
		tell(t, on, d.Told(traced), d.Name, right[d.Name], word)
	}
}

// checkOOM holds an OOM alert against what must be in one.
func checkOOM(t *testing.T, d lab.Death, got *incident.Incident) {
	t.Helper()
	b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
	if got.Confidence != incident.Certain {
		t.Errorf("confidence %s\n%s", got.Confidence, b)
	}
	switch {
	case got.Victim == nil || got.Victim.PID == 0 || got.Victim.AnonRSS == nil:
		t.Errorf("victim is incomplete\n%s", b)
	case got.OOM == nil || got.OOM.Limit == nil || got.OOM.Usage == nil || !got.OOM.Complete || got.OOM.Constraint != "memcg":
		t.Errorf("oom is incomplete\n%s", b)
	case got.Memory == nil || got.Memory.Anon == nil || got.Memory.Shmem == nil:
		t.Errorf("memory is incomplete\n%s", b)
	case len(got.Processes) == 0 || got.Hog == nil:
		t.Errorf("no process table\n%s", b)
	case len(got.Advice) == 0:
		t.Errorf("no advice\n%s", b)
	}
	if d.Name == "oom" && (got.Container.MemoryLimit == nil || *got.Container.MemoryLimit != 32<<20) {
		t.Errorf("the container's limit is missing\n%s", b)
	}
	if d.Name == "oom-shmem" && !strings.Contains(strings.Join(got.Advice, " "), "shared memory") {
		t.Errorf("the advice for shared memory is %q", got.Advice)
	}
	if d.Name == "oom-hostile-name" && got.Victim != nil && got.Victim.Comm != "x) total-vm:1kB" {
		t.Errorf("the victim's name is %q", got.Victim.Comm)
	}
}

// TestRemoved loses the container within milliseconds of its death, twenty
// times, ten at once: name, image and limit must be known all the same.
func TestRemoved(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "removed-at-once")
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

// TestRestartPolicy dies four times in a row under one id: four incidents.
func TestRestartPolicy(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "restarted-3-times")
	id := e.MustRun(t, "--name", "again", "--restart", "on-failure:3", "-m", "32m", lab.Image, "tail", "/dev/zero")
	hook.waitFor(t, id, 4, 30*time.Second)
	time.Sleep(settled)
	got := hook.of(id)
	if len(got) != 4 {
		t.Fatalf("told %d times, want 4", len(got))
	}
	seen := map[string]bool{}
	for _, i := range got {
		if i.Cause != incident.OOMContainer || i.Confidence != incident.Certain || seen[i.ID] {
			t.Errorf("%s %s %s: %s", i.ID, i.Cause, i.Confidence, i.Summary)
		}
		seen[i.ID] = true
		if i.Container.RestartPolicy != "on-failure:3" {
			t.Errorf("restart policy %q", i.Container.RestartPolicy)
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
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.container", "engine-away")
	ctx := timeout(t, 3*time.Minute)
	wait := []string{"sh", "-c", "while [ ! -e /dev/shm/go ]; do sleep 0.05; done; exec \"$0\" \"$@\""}
	run := func(name string, args ...string) (id string, pid int) {
		flags := []string{"--name", name, "-m", "32m"}
		id = e.MustRun(t, append(append(flags, lab.Image), append(wait, args...)...)...)
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return id, pid
	}
	oomID, oomPID := run("away-oom", "tail", "/dev/zero")
	badID, badPID := run("away-exit", "prog", "exit", "3")
	livesID, _ := run("away-lives", "sleep", "1000")
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{oomPID, badPID} {
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
	// The stream works again.
	later := e.MustRun(t, "--name", "away-later", "-m", "32m", lab.Image, "tail", "/dev/zero")
	hook.waitFor(t, later, 1, 20*time.Second)
	time.Sleep(settled)
	for name, id := range map[string]string{"oom": oomID, "exit": badID, "later": later} {
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
			if _, err := e.Wait(ctx, during); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Wait(ctx, exit3); err != nil {
				t.Fatal(err)
			}
			d.start(t)
			for id, want := range map[string]incident.Cause{during: incident.OOMContainer, gone: incident.OOMContainer, exit3: incident.ExitError} {
				if got := hook.waitFor(t, id, 1, 15*time.Second)[0]; got.Cause != want {
					t.Errorf("%s, want %s: %s", got.Cause, want, got.Summary)
				}
			}
			after := die("after")
			hook.waitFor(t, after, 1, 10*time.Second)
			time.Sleep(settled)
			for name, id := range map[string]string{"before": before, "during": during, "during-rm": gone, "exit": exit3, "after": after} {
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
	dir := t.TempDir()
	save := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	inspect := save("inspect.json", e.MustDocker(t, "inspect", "why"))
	events := save("events.json", e.MustDocker(t, "events", "--since", "10m", "--until", fmt.Sprint(time.Now().Unix()), "--format", "{{json .}}"))
	kernel := save("kernel.log", kernelLog(t))
	got := ask("offline", "--log", kernel, "--inspect", inspect, "--events", events, "why")
	if got.Container.Name != "why" || got.Kind != incident.KindDeath {
		t.Errorf("offline: %s of %q", got.Kind, got.Container.Name)
	}
	if _, _, code := oomwatch(t, "explain", "--socket", none, "--docker", e.Host, "never-existed"); code != 3 {
		t.Errorf("explain of what never died: exit status %d, want 3", code)
	}
}

// kernelLog reads the ring as dmesg would print it raw.
func kernelLog(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		lab.Skip(t, "read the kernel log: %v", err)
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
