package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestFrozen stops the daemon in its tracks while 500 processes are killed in five
// containers, which is more than the kernel's log ring holds: when it runs again each
// container is told as many as its own counter has, and what was lost is said.
func TestFrozen(t *testing.T) {
	const containers, rounds = 5, 100
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, 5*time.Minute)
	var ids []string
	var done []string
	for i := range containers {
		id := e.MustRun(t, "--name", fmt.Sprintf("frozen-%d", i), "-m", "16m", lab.Image, "sh", "-c",
			fmt.Sprintf("while [ ! -e /dev/shm/go ]; do sleep 0.1; done; for i in $(seq %d); do tail /dev/zero; done; touch /dev/shm/done; sleep 1000", rounds))
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		ids, done = append(ids, id), append(done, fmt.Sprintf("/proc/%d/root/dev/shm/done", pid))
	}
	time.Sleep(settled) // each has been read
	if err := d.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw := func() { _ = d.Process.Signal(syscall.SIGCONT) } // it may have ended
	defer thaw()
	for _, path := range done {
		if err := os.WriteFile(strings.TrimSuffix(path, "done")+"go", nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range done {
		for {
			if _, err := os.Stat(path); err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal("the storm does not end")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	thaw()
	told := func(id string) (n int) {
		for _, x := range hook.of(id) {
			n += x.Count
		}
		return n
	}
	for deadline := time.Now().Add(lab.Slow(30 * time.Second)); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if !slices.ContainsFunc(ids, func(id string) bool { return told(id) < oomKills(t, id) }) {
			break
		}
	}
	time.Sleep(settled)
	gaps, how := false, map[string]int{}
	for i, id := range ids {
		seen := map[string]bool{}
		for _, x := range hook.of(id) {
			if x.Kind != incident.KindKill || x.Cause != incident.OOMContainer || seen[x.ID] {
				t.Errorf("%d: %s %s %s: %s", i, x.ID, x.Kind, x.Cause, x.Summary)
			}
			seen[x.ID] = true
			gaps = gaps || slices.ContainsFunc(x.Gaps, func(g incident.Gap) bool { return g.Source == "kmsg" && g.Lost > 0 })
			how[why(&x)] += x.Count
		}
		if n, want := told(id), oomKills(t, id); n != want {
			t.Errorf("%d: told %d kills, its counter has %d", i, n, want)
		}
	}
	metrics, err := d.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	lost := slices.DeleteFunc(strings.Split(string(metrics), "\n"), func(line string) bool { return !strings.HasPrefix(line, "oomwatch_source_lost_total{") })
	t.Logf("attributed: %v; lost: %s", how, strings.Join(lost, ", "))
	if !gaps {
		t.Error("nobody says that the log lost records")
	}
}
