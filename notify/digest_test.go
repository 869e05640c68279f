package notify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// warned is a delivery of a warning about a container of its own; rev 1 says that it is over.
func warned(n, rev int, at time.Time) incident.Delivery {
	name := fmt.Sprint("web", n)
	inc := &incident.Incident{ID: fmt.Sprint("w", n), Kind: incident.KindWarning, Time: at, Severity: incident.Warning, Cause: incident.UnknownCause,
		Confidence: incident.Certain, Summary: name + " is at 95 %", Count: 1, Container: &incident.Container{ID: name + "-id", Name: name},
		Host: &incident.Host{Name: "node-7"}, Warning: &incident.WarningFacts{What: "headroom", Since: at}}
	if rev > 0 {
		inc.ResolvedAt = at.Add(time.Minute)
	}
	return incident.Delivery{ID: incident.UpdateID("", inc.ID, rev, "hook"), Receiver: "hook", Incident: inc, Rev: rev, Lane: inc.Lane(), Key: inc.Key(), KeptAt: time.Now()}
}

// follower is a script whose receiver must be told each update.
type follower struct{ script }

func (f *follower) Traits() Traits { return Traits{Digest: f.NotifyDigest, KeepsOpen: true} }

func (f *follower) Notify(ctx context.Context, a incident.Alert) error {
	word := "begins"
	if a.Incident.Over() {
		word = "is over"
	}
	i := *a.Incident
	i.ID += " " + word
	a.Incident = &i
	return f.script.Notify(ctx, a)
}

// TestUpdatesAreNoDigest: who keeps an alert open until it is told of its end is
// told each end by itself, in a storm and after an outage; others get a digest.
func TestUpdatesAreNoDigest(t *testing.T) {
	const n = 40
	for name, tt := range map[string]struct {
		follows bool
		outage  time.Duration
		want    int // messages
	}{
		"a storm of ends":              {true, 0, n},
		"ends that came in an outage":  {true, 20 * time.Minute, n},
		"a storm of ends to a mailbox": {false, 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			q, up := &memQueue{}, time.Now().Add(tt.outage)
			reply := func(int, incident.Alert) error {
				if time.Now().Before(up) {
					return fmt.Errorf("connection refused")
				}
				return nil
			}
			var s *script
			var to Notifier
			if f := (&follower{script{reply: reply}}); tt.follows {
				s, to = &f.script, f
			} else {
				s = &script{reply: reply}
				to = s
			}
			for i := range n {
				q.list = append(q.list, &memDelivery{Delivery: warned(i, 1, time.Now().Add(-time.Hour)), state: incident.Pending})
			}
			_, end := run(t, q, GroupOptions{Window: time.Minute, StormPerMinute: 30, Budget: 20}, Receiver{Name: "hook", Notifier: to})
			defer end()
			time.Sleep(time.Hour)
			synctest.Wait()
			told := 0
			for i, m := range s.got() {
				if !s.times[i].Before(up) {
					told++
					if tt.follows && !strings.Contains(m, "is over") {
						t.Errorf("%s: told %s", name, m)
					}
				}
			}
			if st := q.states(); told != tt.want || strings.Count(st, "delivered") != n {
				t.Errorf("%s: %d messages, want %d; %d of %d delivered", name, told, tt.want, strings.Count(st, "delivered"), n)
			}
		})
	}
}

// TestUpdatesKeepToTheirLane: one that is told by itself does not overtake what
// waits in its container's lane for a digest, and takes no room from it.
func TestUpdatesKeepToTheirLane(t *testing.T) {
	now := time.Now()
	one := func(n, rev int, lane string) message {
		d := warned(n, rev, now)
		d.Lane = lane
		return message{deliveries: []incident.Delivery{d}, single: rev > 0}
	}
	all := []message{one(1, 0, "a"), one(9, 1, "b"), one(2, 0, "b"), one(3, 0, "c"), one(8, 1, "c"), one(7, 1, "a")}
	words := func(list []message) string {
		var s []string
		for _, m := range list {
			var ids []string
			for _, d := range m.deliveries {
				ids = append(ids, d.Incident.ID)
			}
			s = append(s, strings.Join(ids, "+"))
		}
		return strings.Join(s, " ")
	}
	for name, tt := range map[string]struct {
		told  int // alone already
		hurry bool
		want  string
	}{
		"room for all":    {0, false, "w1 w9 w2 w3 w8 w7"},
		"some wait":       {1, false, "w1 w9 w2 w7"},
		"a digest of two": {2, true, "w1 w9 w7 w2+w3 w8"},
	} {
		p := pace{perMinute: 3}
		for i := range tt.told {
			p.sent(one(20+i, 0, fmt.Sprint("told", i)), now)
		}
		p.sent(message{single: true}, now) // counts for nothing
		if got := words(p.sort(all, now, tt.hurry)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestMoreOnOneOfSeveral: that one of a group is over does not say it of the group.
func TestMoreOnOneOfSeveral(t *testing.T) {
	now := time.Now()
	as := func(d incident.Delivery, id string) incident.Delivery {
		inc := *d.Incident
		d.Incident, inc.ID = &inc, id
		return d
	}
	g := GroupOptions{Window: time.Hour}
	told, _ := g.messages([]incident.Delivery{as(warned(1, 0, now), "w1"), as(warned(1, 0, now), "w2"), as(warned(1, 1, now), "w1")}, now)
	if len(told) != 2 || told[0].alert("").Incident.ID != "w2" || !told[1].update() {
		t.Fatalf("%d messages, the first of %s", len(told), told[0].alert("").Incident.ID)
	}
	lasts, ended := as(warned(1, 0, now), "w1"), as(warned(1, 1, now), "w2")
	ended.Rev = 0
	if a := (message{deliveries: []incident.Delivery{lasts, ended}}).alert(""); a.Incident.ID != "w1" || a.Incident.Over() {
		t.Errorf("one that lasts and one that is over are told as %s", a.Incident.ID)
	}
}
