package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestWorkers runs a master, as gunicorn's or php-fpm's, whose workers are OOM-killed
// one after another: each is told, and counted, and none of them is the reason for
// what ends the master later.
func TestWorkers(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	traced := startDaemon(t, e.Host, hook).sees(t, "trace")
	row(t, platform(t, e), "oom.container", "three-workers")
	ctx := timeout(t, 2*time.Minute)
	id := e.MustRun(t, "--name", "gunicorn", "-m", "32m", lab.Image, "prog", "child", "-comm", "master", "-n", "3", "--", "eat", "-comm", "worker")
	hook.waitFor(t, id, 3, 30*time.Second)
	time.Sleep(max(settled, 6*time.Second)) // the last of them is no reason any more
	got := hook.of(id)
	if len(got) != 3 {
		t.Fatalf("told %d times, want 3", len(got))
	}
	slices.SortFunc(got, func(a, b incident.Incident) int { return a.Time.Compare(b.Time) })
	for n, i := range got {
		if i.Kind != incident.KindKill || i.Cause != incident.OOMContainer || i.Victim == nil || i.Victim.Comm != "worker" || i.Container.Running == nil || !*i.Container.Running {
			t.Errorf("%s %s: %s", i.Kind, i.Cause, i.Summary)
		}
		if ordinal := []string{"is still running", "2nd time today", "3rd time today"}[n]; !strings.Contains(i.Summary, ordinal) {
			t.Errorf("%q says nothing of %q", i.Summary, ordinal)
		}
	}
	master, err := e.MainPID(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(master, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want := incident.KillUnknown
	if traced {
		want = incident.KillProcess
	}
	if end := hook.waitFor(t, id, 4, 30*time.Second)[3]; end.Kind != incident.KindDeath || end.Cause != want || len(end.Related) > 0 {
		t.Errorf("%s %s, related %v: %s", end.Kind, end.Cause, end.Related, end.Summary)
	}
}

// TestSupervised has a first process that passes its child's death on as its own:
// one alert says what was killed, and links the kill, which is kept beside it.
func TestSupervised(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	on := platform(t, e)
	ways := map[string][]string{"shell": {lab.Image, "sh", "-c", "prog eat -comm app; exit $?"}}
	init := "docker-init"
	if strings.Contains(on, "-podman-") {
		init = "catatonit"
	}
	if _, err := exec.LookPath(init); err == nil {
		ways["init"] = []string{"--init", lab.Image, "prog", "eat", "-comm", "app"}
	}
	for name, args := range ways {
		t.Run(name, func(t *testing.T) {
			row(t, on, "oom.container", "child-of-"+name)
			id := e.MustRun(t, append([]string{"--name", "by-" + name, "-m", "32m"}, args...)...)
			got := hook.waitFor(t, id, 1, 30*time.Second)[0]
			if got.Kind != incident.KindDeath || got.Cause != incident.OOMContainer || got.Confidence != incident.Likely || got.Victim == nil || got.Victim.Comm != "app" {
				t.Errorf("%s %s %s: %s", got.Kind, got.Cause, got.Confidence, got.Summary)
			}
			if c := got.Container.ExitCode; c == nil || *c != 137 {
				t.Errorf("its exit code is %v", c)
			}
			if len(got.Related) != 1 || d.kept(t, got.Related[0]) == nil {
				t.Errorf("related is %v, and must be the kill", got.Related)
			}
			once(t, hook, id)
		})
	}
}
