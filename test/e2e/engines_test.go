package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestTwoEngines follows two engines of one host: each one's kills, restarts and lists
// are its own, and neither ends the other's containers.
func TestTwoEngines(t *testing.T) {
	a, b := lab.Start(t, lab.Options{}), lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := newDaemon(t, a.Host, hook, noWarnings, "--docker", b.Host)
	d.start(t)
	ctx := timeout(t, lab.Slow(4*time.Minute))
	run := func(e *lab.Engine, args ...string) string {
		t.Helper()
		id, err := e.Run(ctx, args...)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	// One on each runs on through all that follows.
	lives := []string{run(a, "--name", "lives", lab.Image, "sleep", "1000"), run(b, "--name", "lives", lab.Image, "sleep", "1000")}
	oom := func(e *lab.Engine) {
		t.Helper()
		id := run(e, "--name", "eats", "-m", "32m", lab.Image, "tail", "/dev/zero")
		if inc := hook.waitFor(t, id, 1, lab.Slow(40*time.Second))[0]; inc.Cause != incident.OOMContainer || inc.Kind != incident.KindDeath {
			t.Errorf("%s on %s: %s %s", inc.Container.Name, e.Host, inc.Kind, inc.Cause)
		}
		e.MustDocker(t, "rm", "-f", "eats")
	}
	oom(a)
	oom(b)
	// The second engine goes and comes back, with a list of its own.
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	oom(a)
	if err := b.Up(ctx); err != nil {
		t.Fatal(err)
	}
	oom(b)
	oom(a)
	time.Sleep(settled)
	if got := hook.of(lives[0]); len(got) != 0 {
		out, _ := json.Marshal(got)
		t.Errorf("the first engine's container lives on, and %s was sent", out)
	}
	for _, inc := range hook.of(lives[1]) {
		if inc.SeenLive == nil || *inc.SeenLive || inc.Cause == incident.OOMContainer {
			t.Errorf("the second engine's container: %s %s", inc.Kind, inc.Cause)
		}
	}
}
