package daemon

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher"
)

func TestSelfReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of all that the loop reads as well
		set := func(f func()) { mu.Lock(); defer mu.Unlock(); f() }
		var got, said []string
		full, why := false, ""
		docker := observe.SourceState{Name: "docker", Up: true}
		trace := observe.SourceState{Name: "trace", Reason: "no tracefs"} // never could be read
		down := map[string]string{}
		s := newSelfReports(incident.Host{Name: "node-7", BootID: "b"}, zap.NewNop())
		ids := map[string]bool{}
		s.keep = func(_ context.Context, k watcher.Kept) error {
			mu.Lock()
			defer mu.Unlock()
			if full {
				return errors.New("full")
			}
			for _, x := range k.Emissions {
				w := x.Incident.Warning
				over := ""
				if x.Update {
					over = " over"
					if x.Incident.ResolvedAt.IsZero() || !ids[x.Incident.ID] {
						t.Errorf("an update of nothing: %+v", x.Incident)
					}
				} else if ids[x.Incident.ID] {
					t.Errorf("the id %s is taken twice", x.Incident.ID)
				}
				ids[x.Incident.ID] = true
				if !w.Self || x.Incident.Kind != incident.KindWarning || x.Incident.Summary == "" || x.Incident.Host.Name != "node-7" {
					t.Errorf("%+v", x.Incident)
				}
				got = append(got, strings.TrimSpace(w.What+" "+w.Subject)+over)
				said = append(said, x.Incident.Summary)
			}
			return nil
		}
		s.unwritable = func() string { mu.Lock(); defer mu.Unlock(); return why }
		s.states = func() []observe.SourceState {
			mu.Lock()
			defer mu.Unlock()
			return []observe.SourceState{docker, trace}
		}
		s.down = func() map[string]string { mu.Lock(); defer mu.Unlock(); return maps.Clone(down) }
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		want := func(name string, wait time.Duration, w ...string) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(got) != fmt.Sprint(w) {
				t.Errorf("%s: told %q, want %q", name, got, w)
			}
			got = nil
		}
		want("all is well", time.Hour)
		set(func() { docker.Up, docker.Reason = false, "no socket" })
		want("a short outage", 50*time.Second)
		set(func() { docker.Up = true })
		want("it is over", 10*time.Second)
		set(func() { docker.Up = false })
		want("a long one", time.Hour, "source_blind docker")
		set(func() { docker.Up = true })
		want("seen again", 10*time.Second, "source_blind docker over")
		set(func() { down["slack"] = "connection refused" })
		want("out of reach", 14*time.Minute)
		want("for a while", 2*time.Minute, "receiver_down slack")
		set(func() { delete(down, "slack") })
		want("back", 10*time.Second, "receiver_down slack over")
		for range 1000 {
			s.deadLettered(notify.Trouble{Receiver: "hook", Parked: 3, Reason: "400"})
			s.observe(observe.Observation{Lost: &incident.Gap{Source: "kmsg", Lost: 7}})
		}
		want("a thousand times", time.Minute, "receiver_parked hook", "records_lost kmsg")
		set(func() { said = nil })
		want("the rest of them", 10*time.Minute, "receiver_parked hook", "records_lost kmsg")
		if len(said) != 2 || !strings.Contains(said[0], "(and 2994 more since ") || !strings.Contains(said[1], "(and 6986 more since ") {
			t.Errorf("of the rest it is said: %q", said)
		}
		want("all is told", time.Hour)
		s.deadLettered(notify.Trouble{Receiver: "hook", Parked: 1, Reason: "400"})
		s.observe(observe.Observation{Lost: &incident.Gap{Source: observe.KernelLog, Reason: "overwritten"}})
		want("and later", time.Minute, "receiver_parked hook", "records_lost kmsg")
		if last := said[len(said)-1]; !strings.Contains(last, "(how many is not known): overwritten") {
			t.Errorf("of a loss of unknown size it is said: %q", last)
		}
		set(func() { full, why = true, "disk full" })
		want("nothing can be kept", time.Minute)
		set(func() { full, why = false, "" })
		want("with room again", 10*time.Second, "store", "store over")
		s.victim(&incident.Incident{Victim: &incident.Process{PID: 77, Comm: "oomwatch"}, OOM: &incident.OOM{}}, 78)
		s.victim(&incident.Incident{Victim: &incident.Process{PID: 77, Comm: "java"}, OOM: &incident.OOM{}}, 77)
		want("another was killed", time.Minute)
		s.victim(&incident.Incident{Victim: &incident.Process{PID: 77, Comm: "oomwatch"}, OOM: &incident.OOM{}}, 77)
		want("itself", time.Minute, "watcher_killed")
		cancel()
		<-done
	})
}

// TestSelfReportsGoToTheOthers: not to the receiver that is the trouble, and to one
// that hears of grave things only where there is no other.
func TestSelfReportsGoToTheOthers(t *testing.T) {
	r := &recipients{log: zap.NewNop(), list: []config.Receiver{{Name: "a", Causes: []config.Cause{"oom.host"}}, {Name: "b"}, {Name: "pager", MinSeverity: "critical"}}}
	s := newSelfReports(incident.Host{}, zap.NewNop())
	for subject, want := range map[string]string{"b": "a", "docker": "a b", "pager": "a b"} {
		if got := strings.Join(r.owed(s.incident(incident.SelfParked, subject, time.Now(), "x", "")), " "); got != want {
			t.Errorf("about %s: told %q, want %q", subject, got, want)
		}
	}
	r.list = r.list[1:]
	if got := strings.Join(r.owed(s.incident(incident.SelfParked, "b", time.Now(), "x", "")), " "); got != "pager" {
		t.Errorf("nobody else: told %q", got)
	}
}

// TestHeartbeatTrustsItsCA asks a service that the system's authorities do not know.
func TestHeartbeatTrustsItsCA(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the one that is refused
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{"": false, trusted: true} {
		cfg := config.Default()
		cfg.Alerts.HeartbeatURL, cfg.Alerts.HeartbeatCAFile = config.Secret(srv.URL), file
		p, err := newHeartbeat(cfg, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.to.Beat(t.Context()); (err == nil) != want {
			t.Errorf("with %q: %v", file, err)
		}
		p.close()
	}
}

// TestHeartbeat: it is sent only while everything moves, and never says its URL.
func TestHeartbeat(t *testing.T) {
	var asked atomic.Int64
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/canary-ping" {
			asked.Add(1)
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	cfg := config.Default()
	cfg.Alerts.HeartbeatURL, cfg.Alerts.HeartbeatEvery = config.Secret(srv.URL+"/canary-ping"), config.Duration(time.Millisecond)
	p, err := newHeartbeat(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	if err := p.run(ctx, func(context.Context) error {
		if n++; n == 6 {
			cancel()
		}
		if n > 3 {
			return errors.New("stuck")
		}
		return nil
	}); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
	status = http.StatusNotFound
	if err := p.to.Beat(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a refused one: %v", err)
	}
	srv.Close()
	if err := p.to.Beat(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("nobody there: %v", err)
	}

	st := openTestStore(t, t.TempDir()+"/o.db")
	now := time.Now()
	for name, tt := range map[string]struct {
		loop, workers time.Time
		ok            bool
	}{
		"everything moves":        {now, now, true},
		"nobody is sent anything": {now, time.Time{}, true},
		"the loop":                {now.Add(-time.Minute), now, false},
		"a worker":                {now, now.Add(-time.Hour), false},
	} {
		if err := stuck(t.Context(), tt.loop, tt.workers, st); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	st.Close()
	if err := stuck(t.Context(), now, now, st); err == nil {
		t.Errorf("a store that cannot be written: %v", err)
	}
}
