package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
)

// TestHook runs a real command: it gets the incident, no more of them than may be
// are started in a minute, and what does not end is killed.
func TestHook(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "dump")
	text := fmt.Sprintf("#!/bin/sh\ncat >%s/$OOMWATCH_ID\n[ $OOMWATCH_ID != slow ] || sleep 100\n", dir)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	h := newOnWarning(zap.New(core))
	now := time.Now()
	h.fire(&incident.Incident{ID: "none"}, now) // nothing is to be run yet
	if err := h.set(&config.OnWarning{Exec: []string{script}, Timeout: config.Duration(2 * time.Second), PerMinute: 3}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()
	for _, id := range []string{"slow", "one", "two", "three"} {
		h.fire(&incident.Incident{ID: id, Kind: incident.KindWarning, Summary: "web\n$(touch /tmp/x)"}, now)
	}
	h.fire(&incident.Incident{ID: "later"}, now.Add(time.Minute))
	deadline := time.Now().Add(20 * time.Second)
	for logs.FilterMessageSnippet("the command for warnings").Len() < 5 {
		if time.Now().After(deadline) {
			t.Fatalf("said: %v", logs.All())
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for id, want := range map[string]bool{"none": false, "slow": true, "one": true, "two": true, "three": false, "later": true} {
		b, err := os.ReadFile(filepath.Join(dir, id))
		var inc incident.Incident
		if got := err == nil; got != want || got && (json.Unmarshal(b, &inc) != nil || inc.ID != id) {
			t.Errorf("%s: ran %v, want %v; it got %q", id, got, want, b)
		}
	}
	killed := 0
	for _, l := range logs.All() {
		if err, ok := l.ContextMap()["error"].(string); ok && strings.Contains(err, "killed after 2.0 s") {
			killed++
		}
	}
	if killed != 1 {
		t.Errorf("%d commands were killed, want the slow one: %v", killed, logs.All())
	}
}
