package daemon

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/test/harness"
)

func TestSupervisor(t *testing.T) {
	path, read := harness.ListenNotify(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s, err := newSupervisor()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if os.Getenv("NOTIFY_SOCKET") != "" {
		t.Error("the variables stay in the environment")
	}
	s.say("READY=1", status("two\nlines"))
	if got := read(time.Second); got != "READY=1\nSTATUS=two lines" {
		t.Errorf("said %q", got)
	}

	// The watchdog is fed while the loop moves, and only then.
	var beat atomic.Int64
	var stuck atomic.Bool
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.feed(ctx, func() time.Time {
			if !stuck.Load() {
				beat.Add(1)
			}
			return time.Unix(0, beat.Load())
		}, zap.NewNop())
	}()
	for range 3 {
		if got := read(5 * time.Second); got != "WATCHDOG=1" {
			t.Fatalf("said %q", got)
		}
	}
	stuck.Store(true)
	for read(100*time.Millisecond) != "" { // what was under way
	}
	if got := read(300 * time.Millisecond); got != "" {
		t.Errorf("a stuck loop is reported as %q", got)
	}
	cancel()
	<-done
}

func TestNoSupervisor(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s, err := newSupervisor()
	if err != nil {
		t.Fatal(err)
	}
	s.say("READY=1")
	s.feed(context.Background(), nil, nil) // without a watchdog it returns at once
	if err := s.close(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/notify")
	if _, err := newSupervisor(); err == nil {
		t.Error("a socket that is not there was taken")
	}
}
