package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// arrivals notes when each incident got to a receiver, alone or in a digest.
type arrivals struct {
	script
	at map[string]time.Time
	n  int // requests
	// fails says whether a request fails.
	fails func() bool
}

func (a *arrivals) take(ids ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	if a.fails != nil && a.fails() {
		return errors.New("answered 500")
	}
	for _, id := range ids {
		if _, ok := a.at[id]; !ok {
			a.at[id] = time.Now()
		}
	}
	return nil
}

func (a *arrivals) Notify(_ context.Context, x incident.Alert) error {
	ids := append([]string{x.Incident.ID}, x.Incident.Related...)
	return a.take(ids...)
}

func (a *arrivals) Traits() Traits {
	return Traits{Digest: func(_ context.Context, _ string, d *incident.Digest) error {
		var ids []string
		for _, e := range d.Incidents {
			ids = append(ids, e.ID)
		}
		return a.take(ids...)
	}}
}

// TestNowAndThenIsNoOutage: a receiver that fails at random gets everything within the
// time that the requests need, and with half of them failing is not called down.
func TestNowAndThenIsNoOutage(t *testing.T) {
	for _, tt := range []struct {
		share float64       // of requests that fail
		every time.Duration // the receiver's own rate
		most  time.Duration // for 99 of 100 alerts: how long the last few take is luck
	}{
		{0, 0, time.Second}, {0.3, 0, 20 * time.Second}, {0.5, 0, 90 * time.Second}, {0.6, 0, 3 * time.Minute}, {0.5, 200 * time.Millisecond, 90 * time.Second},
	} {
		t.Run(fmt.Sprintf("%.0f %% at %s", 100*tt.share, tt.every), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(7, uint64(100*tt.share)))
				q, to := &memQueue{}, &arrivals{at: map[string]time.Time{}, fails: func() bool { return rng.Float64() < tt.share }}
				o, end := run(t, q, GroupOptions{Window: time.Minute, Pause: time.Minute, LongestPause: time.Hour}, Receiver{Name: "hook", Notifier: to, Every: tt.every, Burst: 5})
				defer end()
				const n, gap = 675, 5 * time.Minute / 675
				began, kept := time.Now(), map[string]time.Time{}
				for i := range n {
					id := fmt.Sprint("i", i)
					kept[id] = time.Now()
					q.add("hook", id, fmt.Sprint("c", i), incident.OOMContainer)
					o.Kick()
					time.Sleep(gap)
					if down := o.Down(); len(down) > 0 && tt.share <= 0.5 {
						t.Fatalf("after %s it is called down: %v", time.Since(began), down)
					}
				}
				time.Sleep(30 * time.Minute)
				synctest.Wait()
				var last time.Duration
				var took []time.Duration
				for id, at := range to.at {
					took, last = append(took, at.Sub(kept[id])), max(last, at.Sub(began))
				}
				slices.Sort(took)
				most := took[len(took)*99/100]
				t.Logf("%d of %d delivered with %d requests, the last after %s, 99 %% within %s, the slowest took %s", len(to.at), n, to.n,
					last.Round(time.Second), most.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
				if len(to.at) != n || last > 10*time.Minute || most > tt.most {
					t.Errorf("%d of %d delivered, the last after %s, 99 %% within %s", len(to.at), n, last, most)
				}
			})
		})
	}
}

// TestNoTenantDelaysAnother: while others die once a second, the first deaths of quiet
// services get through at once.
func TestNoTenantDelaysAnother(t *testing.T) {
	for name, noise := range map[string]func(i int) *incident.Container{
		"one container that loops": func(int) *incident.Container {
			return &incident.Container{ID: "loop", Name: "loop", Image: "noisy"}
		},
		"twenty containers of one project": func(i int) *incident.Container {
			return &incident.Container{ID: fmt.Sprint("n", i%20), Name: fmt.Sprint("n", i%20), Compose: &incident.Compose{Project: "noisy", Service: fmt.Sprint("s", i%20)}}
		},
		"jobs with a name each": func(i int) *incident.Container {
			return &incident.Container{ID: fmt.Sprint("job", i), Name: fmt.Sprint("job", i), Image: "noisy/job"}
		},
	} {
		for _, group := range []GroupOptions{
			{Window: 10 * time.Minute, Pause: time.Minute, LongestPause: time.Hour, StormPerMinute: 30, Budget: 20},
			{StormPerMinute: 30, Budget: 20},
		} {
			t.Run(fmt.Sprintf("%s, window %s", name, group.Window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q, to := &memQueue{}, &arrivals{at: map[string]time.Time{}}
					o, end := run(t, q, group, Receiver{Name: "hook", Notifier: to})
					defer end()
					add := func(id string, c *incident.Container) {
						inc := &incident.Incident{ID: id, Kind: incident.KindDeath, Cause: incident.OOMContainer, Severity: incident.Critical,
							Time: time.Now(), Summary: id, Count: 1, Container: c}
						q.put("hook", inc.Lane(), inc)
						o.Kick()
					}
					const n = 600
					kept := map[string]time.Time{}
					for i := range n {
						add(fmt.Sprint("x", i), noise(i))
						if i%100 == 50 {
							time.Sleep(300 * time.Millisecond)
							id := fmt.Sprint("quiet", i/100)
							kept[id] = time.Now()
							add(id, &incident.Container{ID: id, Name: id, Image: "shop/" + id})
							time.Sleep(700 * time.Millisecond)
							continue
						}
						time.Sleep(time.Second)
					}
					time.Sleep(3 * time.Hour)
					synctest.Wait()
					var slowest time.Duration
					for id, at := range kept {
						slowest = max(slowest, to.at[id].Sub(at))
					}
					t.Logf("%d quiet deaths, the slowest after %s; %d messages for %d deaths", len(kept), slowest, to.n, n+len(kept))
					if slowest > time.Second {
						t.Errorf("a quiet service's first death took %s", slowest)
					}
					if to.n > 320 {
						t.Errorf("%d messages", to.n)
					}
					if got := strings.Count(q.states(), "delivered"); got != n+len(kept) || len(to.at) != n+len(kept) {
						t.Errorf("%d settled as delivered and %d arrived of %d", got, len(to.at), n+len(kept))
					}
				})
			})
		}
	}
}
