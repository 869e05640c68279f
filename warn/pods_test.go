package warn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

// TestCrashLoopBackOff has a pod's container restarted as Kubernetes does it: each time it
// is another container.
func TestCrashLoopBackOff(t *testing.T) {
	w, err := New(Options{Rules: Default(), Run: func(string) (Run, bool) { return Run{}, false },
		Facts: func(string, time.Time) *verdict.Facts { return nil }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []Alert
	at := time.Unix(1_800_000_000, 0)
	die := func(i int, name string) {
		id := fmt.Sprintf("%s-%064d", name, i)
		inc := &incident.Incident{ID: "i" + id, Kind: incident.KindDeath, Time: at, Cause: incident.ExitError, Severity: incident.Critical, Summary: name + " ended",
			Container: &incident.Container{ID: id, Name: name, Pod: &incident.Pod{UID: "u", Namespace: "shop", Name: "web-0"}}}
		told = append(told, w.Died(inc)...)
		told = append(told, w.Due(at)...)
	}
	// Two containers of one pod die in turn; one of them often enough.
	for i := range 8 {
		die(i, "main")
		if i < 2 {
			die(i, "side")
		}
		at = at.Add(30 * time.Second)
	}
	loops := map[string]bool{}
	for _, a := range told {
		if a.Incident.Warning.What == RestartLoop {
			loops[a.Incident.ID] = true
			if !strings.Contains(a.Incident.Summary, "kubelet waits") || strings.Contains(a.Incident.Summary, "Docker") {
				t.Error(a.Incident.Summary)
			}
		}
	}
	if len(loops) != 1 {
		t.Fatalf("%d loops, want one", len(loops))
	}
	for range 40 {
		at = at.Add(time.Minute)
		told = append(told, w.Due(at)...)
	}
	if last := told[len(told)-1]; last.Incident.Warning.What != RestartLoop || last.Incident.ResolvedAt.IsZero() {
		t.Errorf("it is not over after 40 calm minutes: %s", last.Incident.Summary)
	}
}
