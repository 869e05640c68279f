package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// quick makes warnings come and go within a test's time; the thresholds stay. On a
// slow machine readings come as far apart as a warning is calm on a quick one.
func quick() string {
	return fmt.Sprintf("warnings: {startup: 5s, resolve_after: %s, restart_window: %s}\n", lab.Slow(5*time.Second), lab.Slow(20*time.Second))
}

// leaking runs a program that leaks at a rate towards its limit, and holds what
// was told before it died against what then happened.
func leaking(t *testing.T, d *daemon, hook *receiver, id string, atLeast, wait time.Duration) {
	t.Helper()
	all := hook.waitFor(t, id, 3, wait)
	var warning, over, death *incident.Incident
	for i := range all {
		switch inc := &all[i]; {
		case inc.Kind == incident.KindDeath:
			death = inc
		case inc.ResolvedAt.IsZero():
			warning = inc
		default:
			over = inc
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("told:\n" + evidence(all))
		}
	})
	if len(all) != 3 || warning == nil || over == nil || death == nil {
		t.Fatalf("told %d times: %v", len(all), summaries(all))
	}
	before := death.Time.Sub(warning.Time)
	if warning.Warning.TimeToLimit == nil {
		t.Fatalf("nothing foretold: %s", warning.Summary)
	}
	said := *warning.Warning.TimeToLimit
	t.Logf("warned %.1f s before the kill, which was foretold in %.1f s ± %.1f: %s", before.Seconds(), said, *warning.Warning.TimeToLimitError, warning.Summary)
	if before < atLeast {
		t.Errorf("warned %s before the kill, want %s", before, atLeast)
	}
	if math.Abs(said-before.Seconds()) > 0.2*before.Seconds() {
		t.Errorf("foretold in %.1f s, killed after %.1f s", said, before.Seconds())
	}
	if warning.Cause != incident.OOMContainer || death.Cause != incident.OOMContainer || !slices.Contains(death.Related, warning.ID) {
		t.Errorf("warned of %s; the death is %s, related to %v", warning.Cause, death.Cause, death.Related)
	}
	if over.ID != warning.ID || !slices.Contains(over.Related, death.ID) {
		t.Errorf("over as %s, related to %v", over.ID, over.Related)
	}
	svg, _, code := oomwatch(t, "explain", "--socket", d.socket, "--svg", "-", death.ID)
	if code != 0 || !strings.HasPrefix(svg, "<svg ") {
		t.Errorf("no picture of it: status %d, %.80q", code, svg)
	}
	if h := death.History; h == nil || h.TrendWord() != "growth" && h.TrendWord() != "leak" || (h.Trend == "leak") != (h.Class == "leak") || h.Reason == "" {
		t.Errorf("the death's history is %+v", h)
	}
}

// evidence is what each of them rests on, for who must find out why it was told so.
func evidence(all []incident.Incident) string {
	var b strings.Builder
	for _, inc := range all {
		fmt.Fprintf(&b, "%s %s at %s, over %s, related to %v: %s (%s)\n", inc.Kind, inc.ID, inc.Time.Format(time.StampMilli), inc.ResolvedAt.Format(time.StampMilli), inc.Related, inc.Summary, inc.Confidence)
		for _, e := range inc.Evidence {
			fmt.Fprintf(&b, "\t%s %s: %s (%s)\n", e.Time.Format(time.StampMilli), e.Source, e.Text, e.Means)
		}
	}
	return b.String()
}

func summaries(all []incident.Incident) (out []string) {
	for _, inc := range all {
		out = append(out, string(inc.Kind)+": "+inc.Summary)
	}
	return out
}

// sign is what a container is warned of.
type sign struct {
	name, id, what string
	cause          incident.Cause
}

// shows waits for each sign; further ones of the same cause join what was told.
func shows(t *testing.T, d *daemon, hook *receiver, signs []sign) {
	t.Helper()
	for _, c := range signs {
		t.Run(c.name, func(t *testing.T) {
			inc := warned(t, hook, c.id, time.Minute)
			t.Logf("%s after %s: %s", inc.Warning.What, inc.Time.Sub(inc.Container.StartedAt).Round(time.Millisecond), inc.Summary)
			if inc.Cause != c.cause || inc.Severity != incident.Warning {
				t.Errorf("%s %s", inc.Cause, inc.Severity)
			}
			deadline := time.Now().Add(lab.Slow(30 * time.Second))
			for !slices.Contains(inc.Warning.Signs, c.what) {
				if time.Now().After(deadline) {
					t.Fatalf("signs %v, want %s", inc.Warning.Signs, c.what)
				}
				time.Sleep(200 * time.Millisecond)
				out, _, _ := oomwatch(t, "explain", "--socket", d.socket, "-o", "json", inc.ID)
				inc = parseLines(t, out)[0]
			}
		})
	}
}

// calm holds that some were warned of once, and of others nothing was told.
func calm(t *testing.T, hook *receiver, once, never map[string]string) {
	t.Helper()
	t.Run("quiet", func(t *testing.T) {
		for name, id := range never {
			if all := hook.of(id); len(all) > 0 {
				t.Errorf("%s: %v", name, summaries(all))
			}
		}
		for name, id := range once {
			all := hook.of(id)
			if n := count(all, func(i *incident.Incident) bool {
				return i.Kind == incident.KindWarning && i.ResolvedAt.IsZero()
			}); n != 1 {
				t.Errorf("%s was warned of %d times: %v", name, n, summaries(all))
			}
		}
	})
}

// TestRunWarnings causes for real what the engine tells of.
func TestRunWarnings(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, quick())
	loop := e.MustRun(t, "--name", "loop", "--restart", "on-failure", lab.Image, "prog", "exit", "3")
	sickly := e.MustRun(t, append(append([]string{"--name", "sickly"}, sick...), lab.Image, "sleep", "1000")...)
	silent := e.MustRun(t, append(append([]string{"--name", "silent", "--label", "oomwatch.warn=false"}, sick...), lab.Image, "sleep", "1000")...)
	shows(t, d, hook, []sign{
		{"unhealthy", sickly, "unhealthy", incident.UnknownCause},
		{"restart loop", loop, "restart_loop", incident.ExitError},
	})
	calm(t, hook, map[string]string{"loop": loop, "sickly": sickly}, map[string]string{"silent": silent})
}

// TestWarnings causes for real each sign of too little memory or too few processes,
// all at the same time, beside what looks like one and is none.
func TestWarnings(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, quick())
	run := func(name string, args ...string) string {
		return e.MustRun(t, append([]string{"--name", name}, args...)...)
	}
	leak := run("leak", "-m", "256m", lab.Image, "prog", "eat", "-rate", "4194304")
	step := run("step", "-m", "256m", lab.Image, "prog", "eat", "-size", "209715200", "-then", "10m")
	// Written before anything else is held: pages that wait for the disk cannot be reclaimed.
	const file = "dd if=/dev/zero of=/file bs=1M count=64 conv=fsync 2>/dev/null; "
	// Nor can pages that are being read, which takes long on a busy disk: it is dd that the
	// kernel kills then, and not the one whose memory makes the want.
	const reads = "while :; do (echo 1000 >/proc/self/oom_score_adj; exec dd if=/file of=/dev/null bs=1M 2>/dev/null); sleep 0.2; done"
	// What is read once fills the limit with page cache. What is read again would have
	// to be kept: to wait for it is a want of memory, on a slow disk.
	cache := run("cache", "-m", "48m", lab.Image, "sh", "-c",
		"dd if=/dev/zero of=/file bs=1 count=1 seek=1073741823 2>/dev/null; for i in $(seq 0 127); do dd if=/file of=/dev/null bs=1M count=8 skip=$((i*8)) 2>/dev/null; sleep 1; done")
	squeezed := run("squeezed", "-m", "48m", lab.Image, "sh", "-c", file+"prog eat -size 41943040 -then 10m & "+reads)
	pids := run("pids", "--pids-limit", "20", lab.Image, "sh", "-c", "for i in $(seq 18); do sleep 1000 & done; wait")
	shows(t, d, hook, []sign{
		{"pids", pids, "pids", incident.LimitPids},
		{"pressure", squeezed, "pressure", incident.OOMContainer},
	})
	t.Run("its want is not the host's", func(t *testing.T) {
		for _, inc := range hook.all() {
			if inc.Cause == incident.OOMHost {
				t.Errorf("%s: %s", inc.Kind, inc.Summary)
			}
		}
	})
	t.Run("leak", func(t *testing.T) { leaking(t, d, hook, leak, 20*time.Second, 90*time.Second) })
	// It is over when it is over, and said once.
	e.MustDocker(t, "rm", "-f", pids, squeezed)
	t.Run("over", func(t *testing.T) {
		over := func(i *incident.Incident) bool { return !i.ResolvedAt.IsZero() }
		for _, id := range []string{pids, squeezed} {
			all := hook.waitFor(t, id, 3, 30*time.Second) // it, its death, its end; or more, of kills in it
			for deadline := time.Now().Add(lab.Slow(30 * time.Second)); count(all, over) == 0 && time.Now().Before(deadline); all = hook.of(id) {
				time.Sleep(50 * time.Millisecond)
			}
			if n := count(all, over); n != 1 {
				t.Errorf("over %d times: %v", n, summaries(all))
			}
		}
	})
	calm(t, hook, map[string]string{"leak": leak}, map[string]string{"step": step, "cache": cache})
	if !strings.Contains(e.MustDocker(t, "ps", "--format", "{{.Names}}"), "step") {
		t.Error("step has ended: it was to stay")
	}
}

func count(all []incident.Incident, is func(*incident.Incident) bool) (n int) {
	for i := range all {
		if is(&all[i]) {
			n++
		}
	}
	return n
}

// warned waits for the first warning of a container.
func warned(t *testing.T, hook *receiver, id string, wait time.Duration) incident.Incident {
	t.Helper()
	deadline := time.Now().Add(lab.Slow(wait))
	for {
		for _, inc := range hook.of(id) {
			if inc.Kind == incident.KindWarning {
				return inc
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no warning of %.12s within %s; told: %v", id, wait, summaries(hook.of(id)))
		}
		time.Sleep(50 * time.Millisecond)
	}
}
