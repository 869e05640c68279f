package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestSeeds proves what people were warned of first, by real runs, as far as no test of its
// own does: a shared parent's limit is TestSharedLimit's, a flag of a child's death
// TestEveryCause's, a full disk and a log without bound TestUnusedFillsEngineDisk's and
// TestStorageWarnings', zombies TestProcessWarnings', health checks TestUnhealthy's, and
// the API without TLS, and what else is only set up badly, the audit's.
func TestSeeds(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	outside := incident.KillProcess
	if !d.sees(t, "trace") {
		outside = incident.KillUnknown
	}

	// Five containers end with 137, each for a reason of its own.
	handles := "trap 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 0' TERM; while :; do sleep 0.1; done"
	oom := e.MustRun(t, "--name", "seed-oom", "-m", "32m", "--memory-reservation", "16m", lab.Image, "tail", "/dev/zero")
	// Its pid must be known before it ends: of one that ends at once nobody can say who did it.
	own := e.MustRun(t, "--name", "seed-own", lab.Image, "sh", "-c", "sleep 2; exit 137")
	killed := e.MustRun(t, "--name", "seed-killed", lab.Image, "sleep", "1000")
	shell := e.MustRun(t, "--name", "seed-shell", lab.Image, "sh", "-c", "sleep 1000; true")
	slow := e.MustRun(t, "--name", "seed-slow", lab.Image, "sh", "-c", handles)
	other := e.MustRun(t, "--name", "seed-other", lab.Image, "sleep", "1000")
	pid := strings.TrimSpace(e.MustDocker(t, "inspect", "-f", "{{.State.Pid}}", other))
	// Only once it runs: a runtime may need minutes to start one with so little CPU.
	e.MustDocker(t, "update", "--cpus", "0.01", slow)
	time.Sleep(3 * time.Second)
	e.MustDocker(t, "kill", killed)
	e.MustRun(t, "--name", "seed-agent", "--pid", "host", lab.Image, "kill", "-9", pid)
	e.MustDocker(t, "stop", "-t", "1", shell)
	e.MustDocker(t, "stop", "-t", "3", slow)
	for _, c := range []struct {
		id    string
		cause incident.Cause
		says  []string // in the summary, the evidence or the advice
	}{
		{oom, incident.OOMContainer, []string{"32 MiB limit"}},
		{own, incident.ExitError, []string{"exit"}},
		{killed, incident.KillRequest, []string{"on request to the engine"}},
		{other, outside, nil},
		{shell, incident.KillStopTimeout, []string{"exec"}},
		{slow, incident.KillStopTimeout, []string{"throttled", "CPU"}},
	} {
		got := hook.waitFor(t, c.id, 1, 20*time.Second)[0]
		text := got.Summary + " " + strings.Join(got.Advice, " ")
		for _, ev := range got.Evidence {
			text += " " + ev.Text + " " + ev.Means
		}
		t.Logf("%s: %s %q", got.Cause, got.Summary, got.Advice)
		if got.Cause != c.cause || got.Container.ExitCode == nil || *got.Container.ExitCode != 137 {
			t.Errorf("want %s and 137", c.cause)
		}
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %s", want, text)
			}
		}
	}
	seedRestarts(t, e, hook)

	// Whoever may inspect reads the environment: the audit names the variable, not its value.
	e.MustRun(t, "--name", "seed-secret", "-e", "DB_PASSWORD=hunter2-and-more", lab.Image, "sleep", "1000")
	out, errs, code := oomwatch(t, "audit", "--socket", d.socket, "seed-secret")
	if code != 1 || !strings.Contains(out, "sec.env_secrets") || !strings.Contains(out, "DB_PASSWORD") || strings.Contains(out+errs, "hunter2") {
		t.Errorf("exit status %d: %s%s", code, out, errs)
	}
}

// seedRestarts has a container fail for good under on-failure:5: six deaths, with pauses that
// double from 100 ms.
func seedRestarts(t *testing.T, e *lab.Engine, hook *receiver) {
	t.Helper()
	id := e.MustRun(t, "--name", "seed-restarts", "--restart", "on-failure:5", lab.Image, "sh", "-c", "exit 7")
	got := hook.waitFor(t, id, 6, 40*time.Second)
	slices.SortFunc(got, func(a, b incident.Incident) int { return a.Time.Compare(b.Time) })
	pause := 100 * time.Millisecond
	for i := 1; i < 6; i++ {
		if gap := got[i].Time.Sub(got[i-1].Time); gap < pause {
			t.Errorf("death %d comes %s after the one before, want %s or more", i+1, gap, pause)
		}
		pause *= 2
	}
	for _, inc := range got {
		if inc.Cause != incident.ExitError || inc.Container.RestartPolicy != "on-failure:5" || *inc.Container.ExitCode != 7 {
			t.Errorf("%s %+v", inc.Cause, inc.Container)
		}
	}
	t.Logf("%s", got[5].Summary)
}
