package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// listenNotify plays systemd's side.
func listenNotify(t *testing.T) (path string, read func(wait time.Duration) string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func(wait time.Duration) string {
		buf := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
}

func TestSupervisor(t *testing.T) {
	path, read := listenNotify(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s, err := newSupervisor()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
		s.Run(ctx, func() time.Time {
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
	s.Run(context.Background(), nil, nil) // without a watchdog it returns at once
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/notify")
	if _, err := newSupervisor(); err == nil {
		t.Error("a socket that is not there was taken")
	}
}
