package doctor

import (
	"strings"
	"testing"
)

// TestPodAdvice gives a pod steps in its manifest's words, not in Docker's or systemd's.
func TestPodAdvice(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	t.Setenv("PATH", t.TempDir()) // no journalctl
	found := append(checkKernelLog(true), checkCgroups(true)...)
	found = append(found, checkTracefs(), checkJournal(t.Context(), true))
	for _, f := range found {
		for _, word := range []string{"--device", "--cap-add", "--cgroupns", "--pid=", "Docker:", "systemctl", "AmbientCapabilities"} {
			if strings.Contains(f.Fix, word) {
				t.Errorf("%s: %q is none of a manifest's words: %s", f.Capability, word, f.Fix)
			}
		}
	}
	journal := found[len(found)-1]
	if !strings.Contains(journal.Fix, "hostPath") || !strings.Contains(journal.Invisible, "which probe failed") {
		t.Errorf("%+v", journal)
	}
	if f := checkJournal(t.Context(), false); strings.Contains(f.Fix, "hostPath") {
		t.Errorf("outside of a pod: %+v", f)
	}
}
