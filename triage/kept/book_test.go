package kept

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
)

// shelf is a Past of one service.
type shelf struct{ readings []recorder.Reading }

func (s *shelf) Services(context.Context) ([]recorder.Service, error) {
	n := len(s.readings)
	return []recorder.Service{{Name: "web", First: s.readings[0].At, Last: s.readings[n-1].At}}, nil
}

func (s *shelf) Service(ctx context.Context, name string) (recorder.Service, bool, error) {
	list, err := s.Services(ctx)
	return list[0], name == "web", err
}

func (s *shelf) Each(_ context.Context, _ string, _ time.Duration, from, to time.Time, f func(*recorder.Reading)) error {
	for i := range s.readings {
		if r := s.readings[i]; !r.At.Before(from) && !r.At.After(to) {
			f(&r)
		}
	}
	return nil
}

// TestReasonsNameWho: since a deploy a service leaks; the reasons name the process, its
// runtime, the kind of memory and the image. What runs now says nothing of an earlier time.
func TestReasonsNameWho(t *testing.T) {
	const mib = 1 << 20
	from := time.Unix(1_767_225_600, 0).UTC()
	deploy := from.Add(6 * 24 * time.Hour)
	var s shelf
	for at := from; at.Before(from.Add(10 * 24 * time.Hour)); at = at.Add(5 * time.Minute) {
		held := 200.0
		if !at.Before(deploy) {
			held += 120 * at.Sub(deploy).Hours() / 24
		}
		r := recorder.Unknown()
		r.At, r.Limit, r.OOMKill, r.Start = at, 1024*mib, 0, at.Equal(from) || at.Equal(deploy)
		r.Used = int64(held * mib)
		r.Anon, r.File, r.Shmem = 150*mib, int64((held-150)*mib), int64((held-150)*mib)
		s.readings = append(s.readings, r)
	}
	stopped := &incident.Incident{Kind: incident.KindDeath, Cause: incident.StopRequest, Time: deploy.Add(-time.Minute), Container: &incident.Container{Name: "web", Image: "shop:1.4.1"}}
	b := Book{Past: &s, Incidents: func(context.Context, string, time.Time) ([]*incident.Incident, error) {
		return []*incident.Incident{stopped}, nil
	}, Present: func(string) Present {
		return Present{Container: "c", Image: "shop:1.4.2", Process: "its largest process is java (pid 7) with 512 MiB", Runtime: "JVM"}
	}}
	got, ok, err := b.Name(t.Context(), "web", Options{})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	said := strings.Join(got.Reasons, "; ")
	for _, want := range []string{"image shop:1.4.2", "java (pid 7)", "its runtime is JVM", "shared memory or tmpfs"} {
		if got.Class != triage.Leak || !strings.Contains(said, want) {
			t.Errorf("%s: %q does not say %q", got.Class, said, want)
		}
	}
	if got.Image != "shop:1.4.2" || got.Runtime != "JVM" {
		t.Errorf("image %q, runtime %q", got.Image, got.Runtime)
	}
	got, ok, err = b.Name(t.Context(), "web", Options{Until: deploy.Add(-time.Hour)})
	if err != nil || !ok || got.Class != triage.Steady || got.Process != "" || got.Image != "" {
		t.Errorf("before the deploy: %v %v %s, process %q, image %q", ok, err, got.Class, got.Process, got.Image)
	}
	if _, ok, err := b.Name(t.Context(), "no such", Options{}); ok || err != nil {
		t.Errorf("a service that is not kept: %v %v", ok, err)
	}
	// Without anybody who knows what runs, it is the process that was killed last.
	b.Present = nil
	killed := &incident.Incident{Kind: incident.KindDeath, Cause: incident.OOMContainer, Time: from.Add(9 * 24 * time.Hour), OOM: &incident.OOM{},
		Victim: &incident.Process{Comm: "node", PID: 9, AnonRSS: new(int64(300 * mib))}, Container: &incident.Container{Name: "web", Image: "shop:1.4.2"}}
	b.Incidents = func(context.Context, string, time.Time) ([]*incident.Incident, error) {
		return []*incident.Incident{stopped, killed}, nil
	}
	got, _, err = b.Name(t.Context(), "web", Options{})
	if said := strings.Join(got.Reasons, "; "); err != nil || !strings.Contains(said, "node") || got.Runtime != "Node.js" || got.Kills == nil || got.Kills.Count != 1 {
		t.Errorf("%q, runtime %q, kills %+v: %v", said, got.Runtime, got.Kills, err)
	}
}
