package triage

import (
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestUnsplitKernelMemory: where kernel memory fills the limit and the kernel did not
// tell how much of it is only cached, no limit is suggested.
func TestUnsplitKernelMemory(t *testing.T) {
	for _, unsplit := range []float64{0, 150 * mib} {
		run := Run{Limit: 192 * mib}
		for i := range 2000 {
			run.Readings = append(run.Readings, Reading{At: 1.7e9 + float64(i*60), Used: 190 * mib, Held: 188 * mib, Anon: 38 * mib, Kernel: 150 * mib, Unsplit: unsplit})
		}
		s := JudgeHistory(&History{Service: "s", Runs: []Run{run}})
		said := strings.Contains(strings.Join(s.Reasons, "; "), "150 MiB of it is kernel memory, and may be reclaimable")
		if s.Class != LimitTooSmall || said != (unsplit > 0) || (s.Suggested == nil) != (unsplit > 0) {
			t.Errorf("unsplit %v: %s %v, suggested %v", unsplit, s.Class, s.Reasons, s.Suggested)
		}
		if unsplit > 0 && s.Confidence != incident.Possible {
			t.Errorf("%s, want possible", s.Confidence)
		}
	}
}
