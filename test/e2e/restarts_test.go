package e2e

import (
	"flag"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

var restarts = flag.Int("restarts", 1, "how often TestRestarts plays each of its rows")

// TestRestarts ends the daemon around deaths and starts it again: each death is told under
// one id, as what it was, and none is made up. The engine's event of a start and the start
// time that it shows differ by milliseconds; a run must be one all the same.
func TestRestarts(t *testing.T) {
	for _, row := range []struct {
		name   string
		deaths int
		play   func(r *restart, t *testing.T)
	}{
		{"away while containers die and are restarted", 12, (*restart).awayDuringDeaths},
		{"stopped just after containers end at once", 12, (*restart).stoppedAfterDeaths},
		{"killed under a frozen engine", 12, (*restart).killedUnderFrozen},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e := lab.Start(t, lab.Options{})
			if !e.Private() {
				real.Missing(t, "the engine is not ours to freeze")
			}
			for round := range *restarts {
				sig := syscall.SIGTERM
				if round%2 == 1 {
					sig = syscall.SIGKILL
				}
				r := &restart{e: e, hook: newReceiver(t), round: round, sig: sig}
				r.d = startDaemon(t, e.Host, r.hook)
				row.play(r, t)
				r.holds(t, row.deaths)
				r.d.stop(syscall.SIGTERM)
				for _, id := range r.ids {
					e.MustDocker(t, "rm", "-f", id)
				}
			}
		})
	}
}

// restart is one round of a row.
type restart struct {
	e     *lab.Engine
	hook  *receiver
	d     *daemon
	round int
	sig   syscall.Signal // that ends the daemon
	ids   []string
}

func (r *restart) run(t *testing.T, n int, args ...string) {
	t.Helper()
	for range n {
		name := fmt.Sprintf("round-%d-%d", r.round, len(r.ids))
		r.ids = append(r.ids, r.e.MustRun(t, append([]string{"--name", name}, args...)...))
	}
}

func (r *restart) awayDuringDeaths(t *testing.T) {
	began := time.Now()
	r.run(t, 6, "--restart", "on-failure:1", lab.Image, "sh", "-c", "sleep 8; exit 4")
	time.Sleep(time.Until(began.Add(7 * time.Second)))
	r.d.stop(r.sig)
	time.Sleep(time.Until(began.Add(12 * time.Second)))
	r.d.start(t)
}

func (r *restart) stoppedAfterDeaths(t *testing.T) {
	r.run(t, 12, lab.Image, "sh", "-c", "exit 4")
	time.Sleep(300 * time.Millisecond)
	r.d.stop(r.sig)
	r.d.start(t)
}

func (r *restart) killedUnderFrozen(t *testing.T) {
	r.run(t, 12, lab.Image, "sh", "-c", "sleep 4; exit 4")
	if err := r.e.Freeze(); err != nil {
		t.Fatal(err)
	}
	thawed := false
	defer func() {
		if !thawed {
			_ = r.e.Thaw() // the test has failed already
		}
	}()
	time.Sleep(5 * time.Second)
	r.d.stop(syscall.SIGKILL)
	var err error
	if r.d.Daemon, err = harness.Start(exec.Command(r.d.args[0], r.d.args[1:]...), r.d.socket); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if err := r.e.Thaw(); err != nil {
		t.Fatal(err)
	}
	thawed = true
	r.d.ready(t)
}

// holds waits until as many deaths were told as there were, and for what would be too much.
func (r *restart) holds(t *testing.T, deaths int) {
	t.Helper()
	told := func() (all []incident.Incident) {
		for _, id := range r.ids {
			all = append(all, latest(r.hook.of(id))...)
		}
		return all
	}
	for until := time.Now().Add(lab.Slow(30 * time.Second)); len(told()) < deaths && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(12 * time.Second) // an end that nobody saw waits for ten seconds
	all := told()
	for _, x := range all {
		if x.Cause != incident.ExitError || x.Container.ExitCode == nil || *x.Container.ExitCode != 4 {
			t.Errorf("round %d: %s %s: %s", r.round, x.ID, x.Cause, x.Summary)
		}
	}
	if len(all) != deaths {
		t.Errorf("round %d: %d deaths are told, want %d", r.round, len(all), deaths)
	}
	for _, x := range all {
		if t.Failed() {
			t.Logf("%s %s %s started %s: %s", x.ID, x.Container.Name, x.Time.Format(time.StampMicro), x.Container.StartedAt.Format(time.StampMicro), x.Summary)
		}
	}
}
