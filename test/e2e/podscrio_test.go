//go:build crio

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// TestPodMonitor has a container's conmon killed, which would have kept its exit code, and
// the container die after it. CRI-O notices that when it is asked to stop it, and knows
// neither code nor time: the kernel's kill is told at once, another death then, once.
func TestPodMonitor(t *testing.T) {
	r, hook, _ := watchedPods(t)
	if r.Name != "cri-o" {
		t.Fatalf("the runtime is %s, whose shim would take its container along: %s names none", r.Name, pods.CRIOEnv)
	}
	m := &podMaker{t: t, r: r}
	ctx := timeout(t, lab.Slow(2*time.Minute))
	eats := m.run(32*mebi, "sh", "-c", "sleep 3; exec tail /dev/zero")
	killed := m.run(0, "prog", "stubborn")
	pid, err := r.PID(ctx, killed)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{eats, killed} {
		conmon, err := r.Monitor(ctx, id)
		if err == nil {
			err = syscall.Kill(conmon, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	hook.waitFor(t, eats, 1, 30*time.Second)
	for id, cause := range map[string]incident.Cause{eats: incident.OOMContainer, killed: incident.KillProcess} {
		if err := r.StopContainer(ctx, id, 1); err != nil {
			t.Fatal(err)
		}
		hook.waitFor(t, id, 1, 30*time.Second)
		time.Sleep(settled)
		got := hook.of(id)
		last := got[len(got)-1]
		right := last.ID == got[0].ID && last.Kind == incident.KindDeath && last.Cause == cause && last.Container.ExitCode == nil
		if !right {
			t.Errorf("%s", hook.json(id))
		}
		tell(t, r.Platform(), string(cause), "pod-monitor", right, last.Summary)
	}
}
