package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// That the kernel killed nothing is said of a log that covers the end, and of no other.
func TestRuntimeIsNoWordOfTheKernel(t *testing.T) {
	at := time.Date(2026, 5, 2, 11, 40, 7, 0, time.UTC)
	for _, c := range []struct {
		horizon incident.Horizon
		says    bool
	}{
		{incident.Horizon{Source: "kmsg", Read: true, From: at.Add(-time.Hour)}, true},
		{incident.Horizon{Source: "kmsg", Read: true, From: at.Add(time.Hour)}, false},
		{incident.Horizon{Source: "kmsg", Reason: "no kernel log was given"}, false},
	} {
		inc := Explain(&Facts{Kind: incident.KindDeath, Time: at, Horizons: []incident.Horizon{c.horizon},
			Container: &incident.Container{ID: strings.Repeat("d", 64), Name: "batch", Runtime: "docker", StartedAt: at.Add(-time.Minute)},
			Exit:      &incident.Exit{At: at, FinishedAt: at, ExitCode: 1, Inspected: true},
			LogTail:   []string{"java.lang.OutOfMemoryError: Java heap space"}, RawTail: []string{"java.lang.OutOfMemoryError: Java heap space"}})
		if inc.Cause != incident.OOMRuntime || strings.Contains(inc.Summary, "the kernel killed nothing") != c.says {
			t.Errorf("%+v: %s: %s", c.horizon, inc.Cause, inc.Summary)
		}
	}
}
