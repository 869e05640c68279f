package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func unixTransport(path string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// killAs sends SIGKILL from a process of another name: this test binary, run
// anew through a link of that name.
func killAs(t *testing.T, name string, pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link)
	cmd.Env = append(os.Environ(), killEnv+"="+strconv.Itoa(pid))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kill as %s: %v\n%s", name, err, out)
	}
}

// killEnv makes the test binary kill a process and wait a moment, so that it can
// be looked up, instead of running tests.
const killEnv = "OOMWATCH_TEST_KILL"

func killAndExit() {
	pid, err := strconv.Atoi(os.Getenv(killEnv))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	time.Sleep(200 * time.Millisecond)
	os.Exit(0)
}
