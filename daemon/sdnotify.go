package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// supervisor reports to systemd how the daemon is doing (sd_notify(3)). Without a
// supervisor every method does nothing.
type supervisor struct {
	conn     net.Conn
	watchdog time.Duration // 0: not asked for
}

// newSupervisor connects to the socket in NOTIFY_SOCKET. The variables are taken
// out of the environment: they are not for programs that this one might start.
func newSupervisor() (*supervisor, error) {
	path, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	s := &supervisor{}
	if path == "" {
		return s, nil
	}
	conn, err := net.Dial("unixgram", path) // a leading @ is the abstract namespace, there and here
	if err != nil {
		return nil, fmt.Errorf("reach the supervisor on NOTIFY_SOCKET: %w", err)
	}
	s.conn = conn
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	return s, nil
}

// say sends assignments like "READY=1". A supervisor that does not listen is no
// reason to stop.
func (s *supervisor) say(assignments ...string) {
	if s.conn == nil {
		return
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return
	}
	_, _ = s.conn.Write([]byte(strings.Join(assignments, "\n"))) // as above
}

// status is one line for `systemctl status`.
func status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// feed feeds the supervisor's watchdog until ctx ends, but only when beat has moved since
// the last time: a daemon whose main loop is stuck is restarted.
func (s *supervisor) feed(ctx context.Context, beat func() time.Time, log *zap.Logger) error {
	if s.watchdog == 0 {
		return nil
	}
	tick := time.NewTicker(s.watchdog / 3)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := beat()
		if now.After(last) {
			s.say("WATCHDOG=1")
		} else {
			log.Error("the main loop has not moved since the last look", zap.Duration("watchdog", s.watchdog))
		}
		last = now
	}
}

// close ends the connection to the supervisor.
func (s *supervisor) close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
