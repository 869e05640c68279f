package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
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

// No verdict quotes the kernel's log, or the engine's events, as silent where they were
// not read: whatever else was seen of the end.
func TestNothingUnreadIsQuoted(t *testing.T) {
	at := time.Date(2026, 5, 2, 11, 40, 7, 0, time.UTC)
	unread := []incident.Horizon{{Source: "kmsg", Reason: "permission denied"}, {Source: "docker", Reason: "no events were given"}}
	sent := func(comm string) []incident.Sent {
		return []incident.Sent{{At: at, Number: 9, Sender: incident.Process{PID: 7, Comm: comm}, Located: true}}
	}
	for name, f := range map[string]Facts{
		"the counter of a death":  {OOMKillDelta: 1, Exit: &incident.Exit{At: at, ExitCode: 137}},
		"the counter of a kill":   {Kind: incident.KindKill, OOMKillDelta: 2},
		"the engine's word":       {EngineOOMs: []time.Time{at}, Exit: &incident.Exit{At: at, ExitCode: 137}},
		"the engine's word alone": {Kind: incident.KindKill, EngineOOMs: []time.Time{at}},
		"containerd's word":       {Voices: []incident.Voice{{At: at, Who: "containerd", Kind: incident.VoiceTaskOOM}}, Exit: &incident.Exit{At: at, ExitCode: 137}},
		"a mark":                  {Kind: incident.KindKill, Kills: []KernelKill{{Episode: &kmsg.Episode{Time: at}, Kill: kmsg.Kill{PID: 9, Comm: "x", Time: at}, FromTrace: true, Marked: "/docker/x"}}},
		"a runtime's signal":      {Sent: sent("runc"), Exit: &incident.Exit{At: at, ExitCode: 137}},
		"SIGTERM":                 {Exit: &incident.Exit{At: at, ExitCode: 143}},
		"SIGKILL":                 {Exit: &incident.Exit{At: at, ExitCode: 137}},
		"a flag":                  {Exit: &incident.Exit{At: at, FinishedAt: at, ExitCode: 137, OOMKilled: true, Inspected: true}},
		"an end that none saw":    {EndAfter: at.Add(-time.Hour)},
	} {
		f.ID, f.Time, f.Horizons = "x", at, unread
		if f.Kind == "" {
			f.Kind = incident.KindDeath
		}
		f.Container = &incident.Container{ID: strings.Repeat("d", 64), Name: "batch", Runtime: "docker", StartedAt: at.Add(-time.Minute)}
		inc := Explain(&f)
		text := inc.Summary + "\n" + strings.Join(inc.Advice, "\n")
		for _, e := range inc.Evidence {
			text += "\n" + e.Text + "\n" + e.Means
		}
		for _, claim := range []string{"no kernel kill", "nothing points to OOM", "kernel log covers", "killed nothing", "no kernel record", "has no record", "no request to the engine", "that would prove it is gone"} {
			if strings.Contains(text, claim) {
				t.Errorf("%s: says %q of what was not read:\n%s", name, claim, text)
			}
		}
	}
}
