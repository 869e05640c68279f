package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestExplainIsOfOneContainer: a kill that follows within seconds of a death is answered by
// that death where both are of one container, and by itself where the name was another's.
func TestExplainIsOfOneContainer(t *testing.T) {
	now := time.Now()
	for _, x := range []struct{ dead, want string }{{strings.Repeat("a", 64), "death"}, {strings.Repeat("b", 64), "kill"}} {
		s := open(t, filepath.Join(t.TempDir(), "o.db"))
		of := func(id string) *incident.Container { return &incident.Container{ID: id, Name: "web"} }
		save(t, s, Entry{Incident: &incident.Incident{ID: "death", Kind: incident.KindDeath, Time: now, Container: of(x.dead)}},
			Entry{Incident: &incident.Incident{ID: "kill", Kind: incident.KindKill, Time: now.Add(time.Second), Container: of(strings.Repeat("a", 64))}})
		for _, what := range []string{"web", ""} {
			got := ""
			err := s.Explain(ctx, what, false, func(_ Place, body []byte) error {
				got = string(body)
				return nil
			})
			if err != nil || !strings.Contains(got, `"id":"`+x.want+`"`) {
				t.Errorf("explain %q answers %s, error %v, want the %s", what, got, err, x.want)
			}
		}
	}
}
