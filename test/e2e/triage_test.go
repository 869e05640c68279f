package e2e

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/triage"
)

// TestTriageLeak lets a service leak into its limit three times, restarted by
// the engine each time, and triages it: from the kernel's log alone, and from
// the daemon's store.
func TestTriageLeak(t *testing.T) {
	// Bytes per second, 50 s from restart to death: what a restart takes on a busy
	// machine is little of that.
	const rate = 1_000_000
	// The kernel's ring may hold what an earlier run of this test left in it.
	comm := "leak-" + strconv.Itoa(os.Getpid())
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	id := e.MustRun(t, "--name", "triaged", "--restart", "always", "-m", "48m", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=triaged",
		lab.Image, "prog", "eat", "-comm", comm, "-rate", strconv.Itoa(rate))
	hook.waitFor(t, id, 3, 4*time.Minute)
	e.MustDocker(t, "stop", "-t", "0", "triaged")

	log := filepath.Join(t.TempDir(), "dmesg.log")
	text, err := exec.Command("dmesg").Output()
	if err != nil {
		t.Fatalf("dmesg: %v", err)
	}
	if err := os.WriteFile(log, text, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, args ...string) triage.Service {
		out, errb, code := oomwatch(t, append([]string{"triage", "-o", "json"}, args...)...)
		var s triage.Service
		if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
			t.Fatalf("exit status %d, %v\n%s%s", code, err, out, errb)
		}
		t.Log(out)
		// How sure depends on how many other services were killed on this machine.
		if s.Class != triage.Leak || s.Confidence == "" {
			t.Errorf("class %q %q, want a leak", s.Class, s.Confidence)
		}
		if s.Rate == nil || math.Abs(*s.Rate/rate-1) > 0.2 {
			t.Errorf("rate %v, want %d within a fifth", s.Rate, rate)
		}
		if s.Limit == nil || *s.Limit != 48<<20 {
			t.Errorf("limit %v, want 48 MiB", s.Limit)
		}
		return s
	}
	t.Run("log", func(t *testing.T) {
		if s := check(t, "--log", log, "--container", id[:12]); s.Kills == nil || s.Kills.Times != 3 || s.Program != comm {
			t.Errorf("kills %+v of %q, want 3 of %s", s.Kills, s.Program, comm)
		}
	})
	t.Run("daemon", func(t *testing.T) { check(t, "--socket", d.socket, "--service", "shop/triaged") })
	d.stop(syscall.SIGTERM)
	kept := filepath.Join(d.dir, "store.db")
	t.Run("recorder", func(t *testing.T) {
		s := check(t, "--store", kept, "--container", "triaged")
		if s.Service != "shop/triaged" || len(s.Windows) == 0 || s.Windows[0].Shape != "growth" || s.Windows[0].Runs < 3 {
			t.Errorf("service %q, windows %+v; want shop/triaged to grow in 3 runs", s.Service, s.Windows)
		}
	})
	t.Run("store", func(t *testing.T) {
		// Of the kills alone, as where nothing was recorded.
		if err := os.Remove(store.HistoryPath(kept)); err != nil {
			t.Fatal(err)
		}
		if s := check(t, "--store", kept, "--container", "triaged"); s.Windows != nil {
			t.Errorf("windows %+v without readings", s.Windows)
		}
	})
}
