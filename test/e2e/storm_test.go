package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestStorm kills a child in each of many containers again and again. The kernel
// names the cgroup of only ten kills in five seconds; each container must still
// be told exactly as many as its own counter has, and none a victim by guess.
func TestStorm(t *testing.T) {
	const containers, rounds = 50, 4
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	traced := startDaemon(t, e.Host, hook).sees(t, "trace")
	ctx := timeout(t, 5*time.Minute)
	ids := make([]string, containers)
	var wg sync.WaitGroup
	sem := make(chan struct{}, 4)
	for i := range ids {
		sem <- struct{}{}
		wg.Go(func() {
			defer func() { <-sem }()
			id, err := e.Run(ctx, "--name", fmt.Sprintf("storm-%d", i), "-m", "16m", lab.Image, "sh", "-c",
				fmt.Sprintf("while [ ! -e /dev/shm/go ]; do sleep 0.1; done; for i in $(seq %d); do tail /dev/zero; done; touch /dev/shm/done; sleep 1000", rounds))
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
	pids := make([]int, containers)
	for i, id := range ids {
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		pids[i] = pid
	}
	began := time.Now()
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/dev/shm/go", pid), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		for {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/shm/done", pid)); err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal("the storm does not end")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Logf("%d kills in %s", containers*rounds, time.Since(began))
	// A kill of which a source may yet know more is told after ten seconds at the latest.
	for until := time.Now().Add(12 * time.Second); hook.kills() < containers*rounds && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // for what would be too much
	how := map[string]int{}
	for i, id := range ids {
		told := 0
		for _, x := range latest(hook.of(id)) {
			if x.Kind != incident.KindKill {
				t.Errorf("%d: told a %s: %s", i, x.Kind, x.Summary)
			}
			told += x.Count
			switch {
			case x.OOM != nil && x.OOM.TaskMemcg != "":
				how["by path"] += x.Count
			case x.Victim != nil:
				how[why(&x)] += x.Count
			default:
				how["one of"] += x.Count
			}
		}
		if want := oomKills(t, id); told != want {
			t.Errorf("%d: told %d kills, its counter has %d", i, told, want)
			for _, x := range hook.of(id) {
				t.Logf("%s %s: %s %+v", x.Time.Format(time.StampMicro), x.ID, x.Summary, x.Evidence)
			}
		}
	}
	t.Logf("attributed: %v", how)
	// The trace event finds a victim while it dies: a few are faster.
	if one := how["one of"]; traced && one > containers*rounds/10 {
		t.Errorf("%d of %d kills are told as one of several", one, containers*rounds)
	}
}

// kills is how many kills were told, each incident counted as it was told last.
func (r *receiver) kills() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range latest(r.got) {
		n += x.Count
	}
	return n
}

// latest leaves out what a later word on the same incident replaces.
func latest(all []incident.Incident) (out []incident.Incident) {
	at := map[string]int{}
	for _, x := range all {
		if i, ok := at[x.ID]; ok {
			out[i] = x
			continue
		}
		at[x.ID] = len(out)
		out = append(out, x)
	}
	return out
}

// why is what a verdict says of how its kill was attributed.
func why(x *incident.Incident) string {
	for _, ev := range x.Evidence {
		if ev.Source != "verdict" {
			continue
		}
		for _, by := range []string{"found in this cgroup", "the parent of pid", "had been seen", "counter moved", "engine reported"} {
			if strings.Contains(ev.Text, by) {
				return by
			}
		}
	}
	return "first process"
}

// oomKills reads a container's own counter.
func oomKills(t *testing.T, id string) int {
	t.Helper()
	for _, name := range []string{"/sys/fs/cgroup/memory/docker/" + id + "/memory.oom_control", "/sys/fs/cgroup/docker/" + id + "/memory.events",
		"/sys/fs/cgroup/system.slice/docker-" + id + ".scope/memory.events"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			var n int
			if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
				return n
			}
		}
		t.Fatalf("%s has no oom_kill", filepath.Base(name))
	}
	t.Fatalf("the cgroup of %.12s is not found", id)
	return 0
}
