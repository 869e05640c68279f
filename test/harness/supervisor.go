package harness

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// ListenNotify plays systemd's side of sd_notify(3): path is what NOTIFY_SOCKET is to
// be, and read returns the next message, "" where none comes within wait.
func ListenNotify(t testing.TB) (path string, read func(wait time.Duration) string) {
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
			t.Error(err)
			return ""
		}
		n, err := conn.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
}
