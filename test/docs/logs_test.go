package docs

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

// TestSampleLogs explains the sample kernel logs.
func TestSampleLogs(t *testing.T) {
	type told struct {
		PID        int
		Cause      incident.Cause
		Confidence incident.Confidence
		Unverified bool
		Container  string
	}
	want := map[string][]told{
		"container-limit.log": {{397, incident.OOMContainer, incident.Certain, false, "dd81146c094c"}},
		"host.log":            {{409, incident.OOMHost, incident.Certain, false, "69af539c7923"}},
		"pod-limit.log":       {{1117, incident.OOMAncestor, incident.Certain, false, "5b1f0c9d7e3a"}},
		"leak.log": {
			{18334, incident.OOMContainer, incident.Certain, false, "dfd04114c553"},
			{18653, incident.OOMContainer, incident.Certain, false, "dfd04114c553"},
			{19253, incident.OOMContainer, incident.Certain, false, "dfd04114c553"},
		},
		"forged.log": {
			{1, incident.OOMContainer, incident.Likely, true, ""},
			{1312, incident.OOMContainer, incident.Certain, false, ""},
		},
	}
	files, err := filepath.Glob(filepath.Join(root, "examples/logs/*"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("sample logs: %q %v, want %d", files, err, len(want))
	}
	for _, f := range files {
		out, _ := oomwatch(t, "explain", "--log", f, "-o", "json")
		var got []told
		for line := range strings.Lines(out) {
			var i incident.Incident
			if err := json.Unmarshal([]byte(line), &i); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			x := told{PID: i.Victim.PID, Cause: i.Cause, Confidence: i.Confidence, Unverified: i.Unverified}
			if i.Container != nil {
				x.Container = i.Container.ID[:12]
			}
			got = append(got, x)
		}
		if diff := cmp.Diff(want[filepath.Base(f)], got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", f, diff)
		}
	}
}
