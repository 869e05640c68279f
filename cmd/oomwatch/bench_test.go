package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
)

// BenchmarkIncidentToPost measures from an incident that the watcher hands over,
// through the store on disk, to its POST at a webhook, at 100 incidents a second.
func BenchmarkIncidentToPost(b *testing.B) {
	var mu sync.Mutex
	arrived := map[string]time.Time{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var inc struct{ ID string }
		if json.NewDecoder(r.Body).Decode(&inc) == nil {
			mu.Lock()
			arrived[inc.ID] = now
			mu.Unlock()
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	st, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "o.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	to, err := notify.NewWebhook(notify.WebhookOptions{HTTPOptions: notify.HTTPOptions{URL: hook.URL, Version: "bench"}})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	silences, err := newSilencer(b.Context(), st, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	out := notify.NewOutbox(notify.OutboxOptions{Queue: st, Receivers: []notify.Receiver{{Name: "hook", Notifier: to}}, Logger: zap.NewNop(),
		Group: notify.GroupOptions{Window: time.Minute, Pause: time.Minute, LongestPause: time.Hour}})
	k := &keeper{store: st, silences: silences, outbox: out, health: func(error) {}, seen: func(*incident.Incident) {}}
	k.told.Store(&recipients{list: []ReceiverConfig{{Name: "hook"}}, log: zap.NewNop(), unknown: map[string]bool{}})
	ctx, cancel := context.WithCancel(b.Context())
	done := start(ctx, out.Run)
	sample := sampleIncident(time.Now(), incident.Host{Name: "bench"})
	const n = 1000
	left := map[string]time.Time{}
	for b.Loop() {
		tick := time.NewTicker(10 * time.Millisecond)
		for i := range n {
			<-tick.C
			inc := *sample
			c := *sample.Container
			c.ID, c.Name = fmt.Sprintf("%064d", i), fmt.Sprint("box-", i)
			inc.ID, inc.Container, inc.Time = fmt.Sprintf("bench%d-%d", len(left), i), &c, time.Now()
			left[inc.ID] = inc.Time
			if err := k.Keep(b.Context(), watcher.Kept{Told: []watcher.Told{{Incident: &inc}}, Cursors: map[string]string{"kmsg": fmt.Sprint("boot:", i)}}); err != nil {
				b.Fatal(err)
			}
		}
		tick.Stop()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			got := len(arrived)
			mu.Unlock()
			if got == len(left) {
				break
			}
			if time.Now().After(deadline) {
				b.Fatalf("%d of %d arrived", got, len(left))
			}
		}
	}
	cancel()
	<-done
	var ms []float64
	for id, at := range arrived {
		ms = append(ms, float64(at.Sub(left[id]).Microseconds())/1000)
	}
	slices.Sort(ms)
	b.ReportMetric(ms[len(ms)/2], "ms-median")
	b.ReportMetric(ms[len(ms)*99/100], "ms-p99")
	b.ReportMetric(ms[len(ms)-1], "ms-max")
	b.ReportMetric(0, "ns/op")
}
