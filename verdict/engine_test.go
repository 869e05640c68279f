package verdict

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestTheEngineIsNamed: evidence and killer name the engine that it was.
func TestTheEngineIsNamed(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for runtime, want := range map[string]string{"podman": "podman", "docker": "docker", "": "docker"} {
		inc := Explain(&Facts{
			ID: "x", Kind: incident.KindDeath, Time: at, Container: &incident.Container{ID: "c", Name: "web", Runtime: runtime},
			Exit:    &incident.Exit{At: at, ExitCode: 137, Raw: "die"},
			Signals: []incident.Signal{{At: at.Add(-time.Second), Number: 9}},
		})
		if inc.Killer == nil || inc.Killer.Name != want {
			t.Errorf("%q: killer %+v, want %s", runtime, inc.Killer, want)
		}
		for _, e := range inc.Evidence {
			if e.Source == "docker" && want != "docker" {
				t.Errorf("%q: evidence of docker: %+v", runtime, e)
			}
		}
	}
}
