package render

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestSelfReportsHaveHeadlines: each trouble of the watcher's own that is named says
// in the headline what it is about.
func TestSelfReportsHaveHeadlines(t *testing.T) {
	src, err := os.ReadFile("../incident/self.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Self\w+ += "(\w+)"`).FindAllStringSubmatch(string(src), -1)
	if len(names) < 7 {
		t.Fatalf("%d troubles are named in incident/self.go", len(names))
	}
	plain := Headline(&incident.Incident{Kind: incident.KindWarning, Warning: &incident.WarningFacts{What: "none", Self: true}})
	for _, m := range names {
		got := Headline(&incident.Incident{Kind: incident.KindWarning, Warning: &incident.WarningFacts{What: m[1], Self: true}})
		if got == plain || !strings.HasPrefix(got, "oomwatch on ") {
			t.Errorf("%s: %q", m[1], got)
		}
	}
}
