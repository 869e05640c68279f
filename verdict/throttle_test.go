package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
)

// A stop that was not handled because the CPU quota left no time for it.
func TestThrottledStop(t *testing.T) {
	end := time.Date(2026, 5, 1, 8, 0, 10, 0, time.UTC)
	sample := func(before time.Duration, periods, throttled int64) cgroup.Sample {
		return cgroup.Sample{At: end.Add(-before), CPU: &cgroup.CPU{Periods: periods, Throttled: throttled}}
	}
	tests := []struct {
		name    string
		samples []cgroup.Sample
		want    string
	}{
		{"all of the grace", []cgroup.Sample{sample(20*time.Second, 0, 0), sample(5500*time.Millisecond, 100, 10), sample(300*time.Millisecond, 150, 58)}, "throttled 96 % of its grace at 0.02 CPU"},
		{"before it alone", []cgroup.Sample{sample(60*time.Second, 0, 0), sample(5*time.Second, 500, 490), sample(300*time.Millisecond, 547, 492)}, ""},
		{"not read in time", []cgroup.Sample{sample(900*time.Millisecond, 500, 490), sample(300*time.Millisecond, 506, 496)}, ""},
		{"no quota", []cgroup.Sample{{At: end.Add(-6 * time.Second)}, {At: end.Add(-time.Second)}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &Facts{Kind: incident.KindDeath, Time: end, CPUQuota: 0.02, Container: &incident.Container{Name: "slow", Runtime: "docker"},
				Exit: &incident.Exit{At: end, FinishedAt: end, ExitCode: 137}, Samples: tt.samples, StopDone: end.Add(10 * time.Millisecond),
				Signals: []incident.Signal{{At: end.Add(-5 * time.Second), Number: 15}, {At: end.Add(-10 * time.Millisecond), Number: 9}}}
			inc := Explain(f)
			if inc.Cause != incident.KillStopTimeout {
				t.Fatalf("cause %s", inc.Cause)
			}
			if got := strings.Contains(inc.Summary, "throttled"); got != (tt.want != "") || !strings.Contains(inc.Summary, tt.want) {
				t.Errorf("summary %q, want %q in it", inc.Summary, tt.want)
			}
			if got := strings.Contains(inc.Advice[0], "more CPU"); got != (tt.want != "") {
				t.Errorf("advice %q", inc.Advice[0])
			}
		})
	}
}

// A probe that failed because the CPU quota left no time to answer it.
func TestThrottledProbe(t *testing.T) {
	end := time.Date(2026, 5, 1, 8, 0, 40, 0, time.UTC)
	for _, tt := range []struct {
		throttled int64
		want      bool
	}{{290, true}, {100, false}} {
		f := &Facts{Kind: incident.KindDeath, Time: end, CPUQuota: 0.02, Container: &incident.Container{Name: "slow", Runtime: "containerd", Pod: &incident.Pod{UID: "u1", Namespace: "shop", Name: "web-0"}},
			Exit: &incident.Exit{At: end, FinishedAt: end, ExitCode: 137},
			Voices: []incident.Voice{{Who: "kubelet", Kind: incident.VoiceProbe, At: end.Add(-31 * time.Second), Grace: 30 * time.Second, Trusted: true, PodUID: "u1", PodNamespace: "shop", PodName: "web-0", Container: "slow",
				Text: "Container slow failed liveness probe, will be restarted"}},
			Samples: []cgroup.Sample{{At: end.Add(-30 * time.Second), CPU: &cgroup.CPU{}}, {At: end.Add(-time.Second), CPU: &cgroup.CPU{Periods: 300, Throttled: tt.throttled}}}}
		inc := Explain(f)
		if inc.Cause != incident.KillProbe || strings.Contains(inc.Summary, "it was throttled 97 % of the last 30 s at 0.02 CPU") != tt.want || strings.HasPrefix(inc.Advice[0], "Give it more CPU") != tt.want {
			t.Errorf("%s: %s %q", inc.Cause, inc.Summary, inc.Advice)
		}
	}
}
