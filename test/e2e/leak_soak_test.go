//go:build soak

package e2e

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// TestSoakLeak leaks 1 MiB/s towards 256 MiB under the default thresholds: it is
// warned of at least 30 s before its kill, at a time within 20 %.
func TestSoakLeak(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, "")
	id := e.MustRun(t, "--name", "leak", "-m", "256m", lab.Image, "prog", "eat", "-rate", "1048576")
	leaking(t, d, hook, id, 30*time.Second, 6*time.Minute)
}
