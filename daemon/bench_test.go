package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/notify/receiver"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/watcher"
)

// BenchmarkIncidentToPost measures from the moment that an incident is there,
// through the store on disk, to its POST at a webhook, at 100 incidents a second.
// Beside it, in turns, the least that could be done: a line appended to a file and
// on disk, and the same POST.
func BenchmarkIncidentToPost(b *testing.B) {
	hook := newArrivals()
	defer hook.Close()
	dir := b.TempDir()
	st, err := store.Open(b.Context(), store.Options{Path: filepath.Join(dir, "o.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	to, err := receiver.NewWebhook(receiver.WebhookOptions{HTTPOptions: receiver.HTTPOptions{URL: hook.URL, Version: "bench"}})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Traits().Close()
	silences, err := newSilencer(b.Context(), st, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	out := notify.NewOutbox(notify.OutboxOptions{Queue: st, Receivers: []notify.Receiver{{Name: "hook", Notifier: to}}, Logger: zap.NewNop(),
		Group: notify.GroupOptions{Window: time.Minute, Pause: time.Minute, LongestPause: time.Hour}})
	k := &keeper{store: st, silences: silences, outbox: out, seen: func(*incident.Incident) {}}
	k.recipients.Store(&recipients{list: []config.Receiver{{Name: "hook"}}, log: zap.NewNop(), unknown: map[string]bool{}})
	running := newParts(zap.NewNop())
	running.add("store", st.Run, nil)
	running.add("outbox", out.Run, nil)
	running.start(b.Context())
	line, err := os.Create(filepath.Join(dir, "peer"))
	if err != nil {
		b.Fatal(err)
	}
	defer line.Close()

	sample := verdict.Sample(time.Now(), incident.Host{Name: "bench"})
	n := 0
	next := func(who string) *incident.Incident {
		n++
		inc, c := *sample, *sample.Container
		c.ID, c.Name = fmt.Sprintf("%064d", n), fmt.Sprint("box-", n)
		inc.ID, inc.Container = fmt.Sprint(who, "-", n), &c
		return &inc
	}
	ours := func(inc *incident.Incident) error {
		return k.Keep(b.Context(), watcher.Kept{Emissions: []correlate.Emission{{Incident: inc}}, Cursors: map[string]string{"kmsg": fmt.Sprint("boot:", n)}})
	}
	peer := func(inc *incident.Incident) error {
		body, err := json.Marshal(inc)
		if err != nil {
			return err
		}
		if _, err := line.Write(append(body, '\n')); err != nil {
			return err
		}
		if err := line.Sync(); err != nil {
			return err
		}
		resp, err := http.Post(hook.URL, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	var mine, its []float64
	for b.Loop() {
		for range 10 {
			its = append(its, hook.pace(b, "peer", 100, next, peer)...)
			mine = append(mine, hook.pace(b, "ours", 100, next, ours)...)
		}
	}
	if err := running.end(endWithin); err != nil {
		b.Error(err)
	}
	for who, ms := range map[string][]float64{"": mine, "peer-": its} {
		slices.Sort(ms)
		b.ReportMetric(ms[len(ms)/2], who+"ms-median")
		b.ReportMetric(ms[len(ms)*99/100], who+"ms-p99")
		b.ReportMetric(ms[len(ms)-1], who+"ms-max")
	}
	b.ReportMetric(0, "ns/op")
}

// arrivals is a webhook that notes when it was told of which incident.
type arrivals struct {
	*httptest.Server
	mu sync.Mutex
	at map[string]time.Time
}

func newArrivals() *arrivals {
	a := &arrivals{at: map[string]time.Time{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var inc struct{ ID string }
		if json.NewDecoder(r.Body).Decode(&inc) == nil {
			a.mu.Lock()
			a.at[inc.ID] = now
			a.mu.Unlock()
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	return a
}

// sleepUntil sleeps as the kernel can: time.Sleep wakes up to a millisecond late,
// which would be measured as ours.
func sleepUntil(at time.Time) error {
	for {
		wait := time.Until(at)
		if wait <= 0 {
			return nil
		}
		ts := unix.NsecToTimespec(wait.Nanoseconds())
		if err := unix.Nanosleep(&ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sleep: %w", err)
		}
	}
}

// pace makes an incident every 10 ms and hands it on, and returns how many
// milliseconds after its time each arrived: one that is made late, because the one
// before it was slow, is as late as that.
func (a *arrivals) pace(b *testing.B, who string, n int, next func(string) *incident.Incident, tell func(*incident.Incident) error) (ms []float64) {
	due := map[string]time.Time{}
	begun := time.Now()
	for i := range n {
		at := begun.Add(time.Duration(i+1) * 10 * time.Millisecond)
		if err := sleepUntil(at); err != nil {
			b.Fatal(err)
		}
		inc := next(who)
		inc.Time, due[inc.ID] = at, at
		if err := tell(inc); err != nil {
			b.Fatal(err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		a.mu.Lock()
		for id, at := range due {
			if came, ok := a.at[id]; ok {
				ms = append(ms, float64(came.Sub(at).Microseconds())/1000)
				delete(due, id)
			}
		}
		a.mu.Unlock()
		if len(due) == 0 {
			return ms
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d did not arrive", len(due), n)
		}
	}
}
