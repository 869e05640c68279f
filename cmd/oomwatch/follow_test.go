package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/web"
)

// growing is a daemon that has one more incident at each look, and corrects the first at
// the third.
type growing struct {
	web.Backend
	mu    sync.Mutex
	looks int
}

func (g *growing) Incidents(_ context.Context, q web.Query, each func(web.Found) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looks++
	now := time.Now()
	for n := range g.looks {
		inc := &incident.Incident{Schema: incident.Schema, ID: string(rune('a' + n)), Kind: incident.KindDeath, Cause: incident.ExitError, Confidence: incident.Certain,
			Time: now.Add(-time.Minute), Summary: "web exited", Container: &incident.Container{Name: "web-" + string(rune('a'+n))}, Count: 1}
		if n == 0 && g.looks > 2 {
			inc.Cause = incident.OOMContainer
		}
		body, err := json.Marshal(inc)
		if err != nil {
			return err
		}
		if err := each(web.Found{Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// TestHistoryFollow: each incident is printed once, and again when it was corrected.
func TestHistoryFollow(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "o.sock")
	s := web.New(web.Options{Socket: socket, Backend: &growing{}, Metrics: prometheus.NewRegistry(), Log: zap.NewNop()})
	if err := s.ListenUnix(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	until, stop := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer stop()
	cmd := newHistory()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--follow", "--socket", socket})
	if err := cmd.ExecuteContext(until); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if strings.Count(got, "web-a") != 2 || strings.Count(got, "web-b") != 1 || strings.Count(got, "web-c") != 1 || strings.Count(got, "TIME") != 1 {
		t.Errorf("printed:\n%s", got)
	}
}
