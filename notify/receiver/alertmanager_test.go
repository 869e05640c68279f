package receiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// amPosts keeps what an Alertmanager was posted, and when.
type amPosts struct {
	mu     sync.Mutex
	at     []time.Time
	alerts [][]amAlert
	fail   bool
}

func (p *amPosts) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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

// failing has it refuse what comes, or not.
func (p *amPosts) failing(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = on
}

// seen is what it was posted up to now.
func (p *amPosts) seen() ([]time.Time, [][]amAlert) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at), slices.Clone(p.alerts)
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
		posts.failing(true)
		time.Sleep(2 * time.Minute)
		posts.failing(false)
		time.Sleep(time.Hour)
		var after []time.Duration
		times, alerts := posts.seen()
		for i, at := range times {
			after = append(after, at.Sub(began))
			if got := alerts[i]; len(got) != 1 || !got[0].EndsAt.Equal(began.Add(10*time.Minute)) || !got[0].StartsAt.Equal(a.Incident.Time) || got[0].Labels["alertname"] != "ContainerDied" {
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
		time.Sleep(50*time.Hour + time.Second)
		times, alerts := posts.seen()
		if last := alerts[len(alerts)-1][0]; !last.EndsAt.After(time.Now()) || last.Labels["warning"] != "headroom" || len(times) != 3001 {
			t.Errorf("%d posts, the last %+v", len(times), last)
		}
		inc := *a.Incident
		inc.ResolvedAt = time.Now()
		a.Incident, a.Update = &inc, true
		if err := m.Notify(ctx, a); err != nil {
			t.Fatal(err)
		}
		times, alerts = posts.seen()
		n := len(times)
		if last := alerts[n-1][0]; last.EndsAt.After(time.Now()) {
			t.Errorf("over, and it ends at %v", last.EndsAt)
		}
		time.Sleep(time.Hour)
		if times, _ = posts.seen(); len(times) != n {
			t.Errorf("it was sent %d times more", len(times)-n)
		}
		// What has happened to the watcher itself is told as a warning, and has no end.
		lost := inc
		lost.ResolvedAt, lost.Warning = time.Time{}, &incident.WarningFacts{What: "records_lost", Self: true, Subject: "kmsg"}
		if err := m.Notify(ctx, incident.Alert{Incident: &lost}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
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
		b, err := json.Marshal(m.alertOf(incident.Alert{Incident: &inc}, now).Labels)
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
		a := alertOf(fmt.Sprint("i", i))
		a.Incident.Unit = strings.Repeat("u", i%50) + string(rune('a'+i%26)) + time.Duration(i).String()
		if err := m.Notify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.firing) != amFiring {
		t.Errorf("%d are kept", len(m.firing))
	}
}

// amStates are what a post says: each alert's cause, and whether it fires.
func amStates(now time.Time, list []amAlert) string {
	var s []string
	for _, a := range list {
		word := "fires"
		if !a.EndsAt.After(now) {
			word = "ends"
		}
		s = append(s, a.Labels["cause"]+" "+word)
	}
	return strings.Join(s, ", ")
}

// TestAlertmanagerCorrects: a verdict that was corrected leaves no alert behind, and
// one that was taken back none at all.
func TestAlertmanagerCorrects(t *testing.T) {
	m, posts := newAM(t)
	now := time.Now()
	m.p.now = func() time.Time { return now }
	for i, tt := range []struct {
		id     string
		cause  incident.Cause
		post   string // "" for none
		firing int
	}{
		{"a", incident.KillUnknown, "kill.unknown fires", 1},
		{"a", incident.OOMContainer, "kill.unknown ends, oom.container fires", 1},
		{"b", incident.OOMContainer, "oom.container fires", 1}, // the same alert
		{"b", incident.ExitError, "exit.error fires", 2},       // a still is what it was
		{"a", incident.ExitOK, "oom.container ends", 1},
		{"b", incident.ExitOK, "exit.error ends", 0},
		{"b", incident.ExitOK, "", 0},
	} {
		_, sent := posts.seen()
		n := len(sent)
		a := alertOf(tt.id)
		a.Incident.Cause, a.Update = tt.cause, i > 0
		if err := m.Notify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got := ""
		_, sent = posts.seen()
		for _, list := range sent[n:] {
			got += amStates(now, list)
		}
		if got != tt.post || len(m.firing) != tt.firing {
			t.Errorf("step %d: posted %q and %d fire, want %q and %d", i, got, len(m.firing), tt.post, tt.firing)
		}
		now = now.Add(time.Second)
	}
}

// TestAlertmanagerGoesOn: after a restart and after a reload what goes on is sent
// again, and its end reaches the alert that it had.
func TestAlertmanagerGoesOn(t *testing.T) {
	now := time.Now()
	of := func(id string, ago time.Duration, change func(*incident.Incident)) incident.Delivery {
		inc := alertOf(id).Incident
		inc.Time, inc.Unit = now.Add(-ago), id
		change(inc)
		return incident.Delivery{Incident: inc, FirstAttempt: inc.Time}
	}
	lasts := func(i *incident.Incident) {
		i.Kind, i.Cause, i.Warning = incident.KindWarning, incident.UnknownCause, &incident.WarningFacts{What: "headroom"}
	}
	list := []incident.Delivery{
		of("lasts", 50*time.Hour, lasts),
		of("new", time.Minute, func(*incident.Incident) {}),
		of("old", time.Hour, func(*incident.Incident) {}),
		of("none", time.Minute, func(i *incident.Incident) { i.Cause = incident.ExitOK }),
		of("blind", 50*time.Hour, func(i *incident.Incident) { lasts(i); i.Warning.Self, i.Warning.What = true, "source_blind" }),
		of("self", 50*time.Hour, func(i *incident.Incident) { lasts(i); i.Warning.Self, i.Warning.What = true, "store_replaced" }),
	}
	m, posts := newAM(t)
	if err := m.Restore(func(since time.Time) ([]incident.Delivery, error) {
		if d := now.Sub(since); d < 9*time.Minute || d > 11*time.Minute {
			t.Errorf("asked for what was told since %s", d)
		}
		return list, nil
	}); err != nil {
		t.Fatal(err)
	}
	next, after := newAM(t)
	next.Inherit(m)
	for name, x := range map[string]struct {
		m     *Alertmanager
		posts *amPosts
	}{"restart": {m, posts}, "reload": {next, after}} {
		x.m.sendAgain(t.Context())
		var units []string
		for _, a := range x.posts.alerts[0] {
			units = append(units, a.Labels["unit"])
			if !a.EndsAt.After(now) || a.Labels["unit"] == "new" && !a.EndsAt.Equal(now.Add(9*time.Minute)) {
				t.Errorf("%s: %s ends at %v", name, a.Labels["unit"], a.EndsAt)
			}
		}
		if slices.Sort(units); strings.Join(units, " ") != "blind lasts new" {
			t.Errorf("%s: sent again: %v", name, units)
		}
		end := *list[0].Incident
		end.ResolvedAt = now
		if err := x.m.Notify(t.Context(), incident.Alert{Incident: &end, Update: true}); err != nil || len(x.m.firing) != 2 {
			t.Errorf("%s: after its end %d fire (%v)", name, len(x.m.firing), err)
		}
	}
}
