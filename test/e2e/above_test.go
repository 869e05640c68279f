package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestLimitAbove has a container without a limit grow in a cgroup that has one: top shows
// that limit and the room that it leaves, and the container is warned of it before the
// kernel kills.
func TestLimitAbove(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, quick())
	row(t, platform(t, e), "oom.ancestor", "warned-at-the-limit-above")
	ctx := timeout(t, 4*time.Minute)
	const limit = 96 << 20
	parent, remove, err := e.Parent(ctx, "oomwatch-lab-above", limit)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	id, err := e.Run(ctx, "--name", "tenant", "--cgroup-parent", parent, lab.Image, "prog", "eat", "-comm", "tenant", "-rate", "2500000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = e.Docker(ctx, "rm", "-f", id) }() // the parent cannot go before it
	warning := warned(t, hook, id, 90*time.Second)
	if warning.Cause != incident.OOMAncestor || warning.Severity != incident.Warning || !strings.Contains(warning.Summary, parent) {
		t.Errorf("warned of %s, %s: %s", warning.Cause, warning.Severity, warning.Summary)
	}
	out, errs, code := oomwatch(t, "top", "--once", "--socket", d.socket, "-o", "json")
	wrong := []string{errs}
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"name":"tenant"`) {
			wrong = lab.Want{"limit_bytes": lab.AtLeast(limit / 2), "limit_of": lab.Has("oomwatch-lab-above"), "headroom_bytes": lab.There, "warnings": lab.There}.Wrong([]byte(line))
		}
	}
	if code != 0 || len(wrong) > 0 {
		t.Errorf("top, exit status %d: %v\n%s", code, wrong, out)
	}
	all := hook.waitFor(t, id, 2, time.Minute)
	i := slices.IndexFunc(all, func(i incident.Incident) bool { return i.Kind == incident.KindDeath })
	if i < 0 || all[i].Cause != incident.OOMAncestor || !slices.Contains(all[i].Related, warning.ID) || !warning.Time.Before(all[i].Time) {
		t.Errorf("told %v", summaries(all))
	}
}
