package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// amPosts keeps what an Alertmanager was posted, and when.
type amPosts struct {
	at     []time.Time
	alerts [][]amAlert
	fail   bool
}

func (p *amPosts) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if p.fail {
		return nil, errors.New("connection refused")
	}
	var list []amAlert
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	p.at, p.alerts = append(p.at, time.Now()), append(p.alerts, list)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func newAM(t *testing.T) (*Alertmanager, *amPosts) {
	t.Helper()
	m, err := NewAlertmanager(AlertmanagerOptions{HTTPOptions: HTTPOptions{URL: "http://localhost:9093/am/"}, ResolveAfter: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	posts := &amPosts{}
	m.p.client.Transport = posts
	return m, posts
}

// TestAlertmanagerResends: an event is sent again every minute until its time,
// through outages, and with the same labels and end.
func TestAlertmanagerResends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, posts := newAM(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		began := time.Now()
		a := alertOf("i-1")
		a.Incident.Time = began.Add(-time.Hour) // it waited while Alertmanager was away
		if err := m.Notify(ctx, a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + time.Second)
		posts.fail = true
		time.Sleep(2 * time.Minute)
		posts.fail = false
		time.Sleep(time.Hour)
		var after []time.Duration
		for i, at := range posts.at {
			after = append(after, at.Sub(began))
			if got := posts.alerts[i]; len(got) != 1 || !got[0].EndsAt.Equal(began.Add(10*time.Minute)) || !got[0].StartsAt.Equal(a.Incident.Time) || got[0].Labels["alertname"] != "ContainerDied" {
				t.Errorf("after %v: %+v", after[i], got)
			}
		}
		if len(after) != 8 || after[1] != time.Minute || after[3] != 5*time.Minute || after[7] != 9*time.Minute {
			t.Errorf("posted after %v", after)
		}
		cancel()
		<-done
	})
}

// TestAlertmanagerWarning lasts until it is told to be over.
func TestAlertmanagerWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, posts := newAM(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		a := alertOf("w")
		a.Incident.Kind, a.Incident.Time, a.Incident.Warning = incident.KindWarning, time.Now(), &incident.WarningFacts{What: "headroom"}
		if err := m.Notify(ctx, a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if last := posts.alerts[len(posts.alerts)-1][0]; !last.EndsAt.After(time.Now()) || last.Labels["warning"] != "headroom" || len(posts.at) < 179 {
			t.Errorf("%d posts, the last %+v", len(posts.at), last)
		}
		inc := *a.Incident
		inc.ResolvedAt = time.Now()
		a.Incident, a.Update = &inc, true
		if err := m.Notify(ctx, a); err != nil {
			t.Fatal(err)
		}
		n := len(posts.at)
		if last := posts.alerts[n-1][0]; last.EndsAt.After(time.Now()) {
			t.Errorf("over, and it ends at %v", last.EndsAt)
		}
		time.Sleep(time.Hour)
		if len(posts.at) != n {
			t.Errorf("it was sent %d times more", len(posts.at)-n)
		}
		// One whose end is never told is let go.
		if err := m.Notify(ctx, Alert{Incident: func() *incident.Incident { i := inc; i.ResolvedAt = time.Time{}; return &i }()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(26 * time.Hour)
		if len(m.firing) != 0 {
			t.Errorf("%d are still firing", len(m.firing))
		}
		cancel()
		<-done
	})
}

// TestAlertmanagerIdentity: the same container and cause is the same alert,
// another one is another.
func TestAlertmanagerIdentity(t *testing.T) {
	m, _ := newAM(t)
	now := time.Now()
	labels := func(change func(*incident.Incident)) string {
		inc := *cases()["oom_container"]
		change(&inc)
		b, err := json.Marshal(m.alertOf(Alert{Incident: &inc}, now).Labels)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := labels(func(*incident.Incident) {})
	if again := labels(func(i *incident.Incident) { i.ID, i.Count, i.Summary = "other", 5, "other words" }); again != first {
		t.Errorf("%s\n%s", first, again)
	}
	for name, change := range map[string]func(*incident.Incident){
		"container": func(i *incident.Incident) { c := *i.Container; c.Name = "db"; i.Container = &c },
		"cause":     func(i *incident.Incident) { i.Cause = incident.OOMHost },
		"host":      func(i *incident.Incident) { i.Host = &incident.Host{Name: "node-8"} },
		"kind":      func(i *incident.Incident) { i.Kind = incident.KindKill },
	} {
		if labels(change) == first {
			t.Errorf("another %s is the same alert", name)
		}
	}
	if m.p.url != "http://localhost:9093/am/api/v2/alerts" {
		t.Errorf("posted to %s", m.p.url)
	}
}

// TestAlertmanagerIsBounded: a storm without end is sent, and not all sent again.
func TestAlertmanagerIsBounded(t *testing.T) {
	m, _ := newAM(t)
	for i := range amFiring + 100 {
		a := alertOf("i")
		a.Incident.Unit = strings.Repeat("u", i%50) + string(rune('a'+i%26)) + time.Duration(i).String()
		if err := m.Notify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.firing) != amFiring {
		t.Errorf("%d are kept", len(m.firing))
	}
}
