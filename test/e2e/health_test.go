package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// sick are the flags of a container whose health check fails from the start.
var sick = []string{"--health-cmd", "cat /no-such-file", "--health-interval", "300ms", "--health-retries", "2"}

// TestUnhealthy ends containers that had been unhealthy: who asked for the end
// did so because of that, and the verdict says for how long it was.
func TestUnhealthy(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	ctx := timeout(t, 3*time.Minute)
	on := platform(t, e)
	health := func(id string) string {
		return strings.TrimSpace(e.MustDocker(t, "inspect", "-f", "{{.State.Health.Status}}", id))
	}
	run := func(name string, args ...string) string {
		id := e.MustRun(t, append(append([]string{"--name", name}, sick...), append([]string{lab.Image}, args...)...)...)
		for health(id) != "unhealthy" {
			if ctx.Err() != nil {
				t.Fatalf("%s does not become unhealthy", name)
			}
			time.Sleep(50 * time.Millisecond)
		}
		return id
	}
	// This one is unhealthy before anybody watches: inspect is all there is.
	before := run("sick-before", "prog", "stubborn")
	d := startDaemon(t, e.Host, hook)
	killed, restarted, outside := run("sick-killed", "prog", "stubborn"), run("sick-restarted", "prog", "stubborn"), run("sick-outside", "sleep", "1000")
	time.Sleep(2 * time.Second)
	e.MustDocker(t, "kill", before)
	e.MustDocker(t, "kill", killed)
	e.MustDocker(t, "restart", "-t", "1", restarted)
	e.MustRun(t, "--name", "sick-agent", "--pid", "host", lab.Image, "sh", "-c", "kill -9 "+strings.TrimSpace(e.MustDocker(t, "inspect", "-f", "{{.State.Pid}}", outside))+"; sleep 5")
	for _, c := range []struct {
		name, id string
		cause    incident.Cause
		atLeast  bool
	}{
		{"before", before, incident.KillRequest, true},
		{"killed", killed, incident.KillRequest, false},
		{"restarted", restarted, incident.KillStopTimeout, false},
		{"outside", outside, incident.KillProcess, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			row(t, on, string(c.cause), "unhealthy-"+subtest(t))
			got := hook.waitFor(t, c.id, 1, 10*time.Second)[0]
			if c.cause == incident.KillProcess && !d.sees(t, "trace") {
				c.cause = incident.KillUnknown
			}
			if got.Cause != c.cause || !strings.Contains(got.Summary, "; it had been unhealthy for ") {
				t.Errorf("%s: %s", got.Cause, got.Summary)
			}
			h := got.Container.Health
			if h == nil || h.Status != incident.Unhealthy || h.Since.IsZero() || got.Time.Sub(h.Since) < time.Second || got.Time.Sub(h.Since) > time.Minute {
				t.Fatalf("health %+v", h)
			}
			said := ""
			for _, ev := range got.Evidence {
				if strings.HasPrefix(ev.Text, "health_status: unhealthy") {
					said = ev.Text
				}
			}
			if said == "" {
				t.Errorf("no evidence of it: %+v", got.Evidence)
			}
			// A restart has begun the checks anew by the time it can be asked.
			if c.name != "restarted" && (h.FailingStreak < 2 || !strings.Contains(said, "no-such-file")) {
				t.Errorf("health %+v, told as %q", h, said)
			}
		})
	}
}
