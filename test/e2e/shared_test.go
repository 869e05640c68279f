package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestSharedLimit reaches the limit of a cgroup that two containers share: the
// alert names the limit, who else was in it and how much that one held.
func TestSharedLimit(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), "oom.ancestor", "shared-limit")
	ctx := timeout(t, time.Minute)
	parent, remove, err := e.Parent(t.Context(), "oomwatch-lab-shared", 48<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	// The first fills a tmpfs with 30 MiB and sits there; its own process is
	// small. The second asks for more than is left, and is the one killed.
	big, err := e.Run(ctx, "--name", "shared-big", "--cgroup-parent", parent, "--shm-size", "64m", lab.Image,
		"sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=30; echo ready; sleep 1000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = e.Docker(ctx, "rm", "-f", big) }() // the parent cannot go before it
	if err := e.WaitLog(ctx, big, "ready"); err != nil {
		t.Fatal(err)
	}
	id, err := e.Run(ctx, "--name", "shared-victim", "--cgroup-parent", parent, lab.Image, "tail", "/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = e.Docker(ctx, "rm", "-f", id) }() // likewise
	got := hook.waitFor(t, id, 1, 10*time.Second)[0]
	b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
	if got.Cause != incident.OOMAncestor || got.OOM == nil || got.OOM.OOMMemcg != parent {
		t.Fatalf("%s\n%s", got.Cause, b)
	}
	for _, m := range got.OOM.Members {
		if m.Container == "shared-big" && m.Usage != nil && *m.Usage > 28<<20 {
			return
		}
	}
	t.Errorf("who held the memory is not named\n%s", b)
}
