package triage

import (
	"strings"
	"testing"
	"time"
)

// TestHostNamesEachVictim: kills of one moment are counted by their own names, and what
// somebody asked for is not called a lack of memory.
func TestHostNamesEachVictim(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	reasons := func(sysrq bool) string {
		var c Collector
		for i, name := range []string{"api", "cron", "api"} {
			c.Add(Death{Scope: HostMemory, PID: 100 + i, Comm: name, Time: at.Add(time.Duration(i) * 100 * time.Millisecond), SysRq: sysrq})
		}
		out := c.Services()
		if len(out) != 1 {
			t.Fatalf("%d services", len(out))
		}
		return strings.Join(out[0].Reasons, "\n")
	}
	if got := reasons(false); !strings.Contains(got, "the host ran out of memory once; the kernel killed api (2), cron (1)") {
		t.Errorf("said %q", got)
	}
	if got := reasons(true); strings.Contains(got, "ran out") || !strings.Contains(got, "triggered the OOM killer by hand (SysRq f) 3 times; it killed api (2), cron (1)") {
		t.Errorf("said %q", got)
	}
}
