package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/warn"
)

// TestProcessWarnings leaves zombies in a container without a pids limit, and opens nearly
// as many files as another may.
func TestProcessWarnings(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemonWith(t, e.Host, hook, "")
	ctx := timeout(t, lab.Slow(time.Minute))
	files := e.MustRun(t, "--name", "opens", "--ulimit", "nofile=80:80", lab.Image, "prog", "files", "70")
	dead := e.MustRun(t, "--name", "morgue", lab.Image, "prog", "zombies", "400")
	if err := e.WaitLog(ctx, dead, "ready"); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	pid, err := e.MainPID(ctx, dead)
	if err != nil {
		t.Fatal(err)
	}
	inc := hook.sign(ctx, t, dead, warn.Zombies)
	want := fmt.Sprintf("morgue has 400 zombies: its main process prog (pid %d) does not wait for its children", pid)
	if inc.Summary != want || inc.Cause != incident.LimitPids || len(inc.Advice) == 0 || !strings.Contains(inc.Advice[0], "--init") {
		t.Errorf("%s %v, want %s", inc.Summary, inc.Advice, want)
	}
	if after := inc.Time.Sub(left); after > lab.Slow(15*time.Second) {
		t.Errorf("named after %s", after)
	}
	open := hook.sign(ctx, t, files, warn.OpenFiles)
	if !strings.Contains(open.Summary, "opens: its process prog (pid ") || !strings.Contains(open.Summary, "of the 80 files open that its limit allows") {
		t.Errorf("%s", open.Summary)
	}
}

// TestThrottledCheck gives a container so little CPU that its health check cannot end in
// time: the warning says so.
func TestThrottledCheck(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemonWith(t, e.Host, hook, "")
	ctx := timeout(t, lab.Slow(90*time.Second))
	id := e.MustRun(t, "--name", "slow", "--health-cmd", "i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done", "--health-interval", "2s", "--health-timeout", "2s",
		"--health-retries", "3", lab.Image, "sh", "-c", "while :; do :; done")
	// Only once it runs: a runtime may need minutes to start one with so little CPU.
	e.MustDocker(t, "update", "--cpus", "0.01", id)
	inc := hook.sign(ctx, t, id, warn.Unhealthy)
	if !strings.Contains(inc.Summary, "slow is unhealthy: its health check fails; it was throttled ") || !strings.Contains(inc.Summary, "by its CPU quota") || len(inc.Advice) == 0 || !strings.Contains(inc.Advice[0], "more CPU") {
		t.Errorf("%s %v", inc.Summary, inc.Advice)
	}
}
