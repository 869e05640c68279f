// Package e2e runs the real binary against a real Docker engine, the real
// kernel log and real control groups, and reads what comes out at a webhook.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/web"
)

var binary string

func TestMain(m *testing.M) {
	if os.Getenv(killEnv) != "" {
		killAndExit()
	}
	dir, err := os.MkdirTemp("", "oomwatch-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// On a machine without Go the binary is brought along.
	if binary = os.Getenv("OOMWATCH_BINARY"); binary == "" {
		binary = filepath.Join(dir, "oomwatch")
		build := exec.Command("go", "build", "-o", binary, "github.com/oomwatch/oomwatch/cmd/oomwatch")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build oomwatch:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// receiver is a webhook that keeps what it is sent. A digest counts for each
// incident in it.
type receiver struct {
	*httptest.Server
	t      testing.TB
	mu     sync.Mutex
	got    []incident.Incident
	raw    [][]byte // each of got as it came
	status int      // answered instead of 204, when set
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	var digest struct {
		Incidents []json.RawMessage `json:"incidents"`
	}
	if err := json.Unmarshal(body, &digest); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	all := digest.Incidents
	if all == nil {
		all = []json.RawMessage{body}
	}
	for _, raw := range all {
		var one incident.Incident
		if err := json.Unmarshal(raw, &one); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if wrong := falseComfort(&one); wrong != "" {
			r.t.Errorf("%s %s: %s: %s", one.ID, one.Cause, wrong, one.Summary)
		}
		r.got, r.raw = append(r.got, one), append(r.raw, raw)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	r.status = status
	r.mu.Unlock()
}

// of returns what was told of a container, by its id.
func (r *receiver) of(id string) []incident.Incident {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []incident.Incident
	for _, i := range r.got {
		if i.Container != nil && i.Container.ID == id {
			out = append(out, i)
		}
	}
	return out
}

// all returns what was told, of whatever.
func (r *receiver) all() []incident.Incident {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// json is the first thing that was told of a container, as it came.
func (r *receiver) json(id string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.got {
		if x.Container != nil && x.Container.ID == id {
			return r.raw[i]
		}
	}
	return nil
}

// waitFor waits until n incidents of a container were told.
func (r *receiver) waitFor(t testing.TB, id string, n int, wait time.Duration) []incident.Incident {
	t.Helper()
	deadline := time.Now().Add(lab.Slow(wait))
	for {
		got := r.of(id)
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("container %.12s: %d incidents told after %s, want %d", id, len(got), wait, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// daemon is a running `oomwatch run`.
type daemon struct {
	*harness.Daemon // nil until it was started
	dir             string
	socket          string
	args            []string
}

// startDaemon starts oomwatch on a host's engine, telling everything, also what
// was asked for, to hook; it returns when the daemon is ready.
// It does not warn: what a test waits for is a death.
func startDaemon(t testing.TB, host string, hook *receiver, extra ...string) *daemon {
	t.Helper()
	return startDaemonWith(t, host, hook, noWarnings, extra...)
}

const noWarnings = "warnings: {enabled: false}\n"

// startDaemonWith is startDaemon with more configuration.
func startDaemonWith(t testing.TB, host string, hook *receiver, config string, extra ...string) *daemon {
	t.Helper()
	d := newDaemon(t, host, hook, config, extra...)
	d.start(t)
	return d
}

// newDaemon is the same, to be started.
func newDaemon(t testing.TB, host string, hook *receiver, config string, extra ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "config.yaml")
	text := "alerts:\n  info: true\n  group_window: 0s\n  storm_per_minute: 10000\n  budget: 100000\n" + config
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{dir: dir, socket: filepath.Join(dir, "s.sock")}
	d.args = append([]string{binary, "run", "--config", conf, "--store", filepath.Join(dir, "store.db"), "--socket", d.socket,
		"--listen", "127.0.0.1:0", "--docker", host, "--webhook", hook.URL, "--log-format", "json"}, extra...)
	t.Cleanup(func() {
		if d.Daemon == nil {
			return
		}
		d.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("daemon said:\n%s", d.Err.String())
		}
	})
	return d
}

// hideTracefs has the daemon run where the kernel's tracing files are not.
func (d *daemon) hideTracefs(t testing.TB) {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		real.Missing(t, "a mount namespace for the daemon: %v", err)
	}
	d.args = append([]string{unshare, "--mount", "sh", "-c",
		`mount -t tmpfs none /sys/kernel/tracing && { [ ! -d /sys/kernel/debug/tracing ] || mount -t tmpfs none /sys/kernel/debug; } && exec "$0" "$@"`}, d.args...)
}

func (d *daemon) start(t testing.TB) {
	t.Helper()
	var err error
	if d.Daemon, err = harness.Start(exec.Command(d.args[0], d.args[1:]...), d.socket); err != nil {
		t.Fatal(err)
	}
	d.ready(t)
}

// ready waits until the daemon says that every source which can be up is.
func (d *daemon) ready(t testing.TB) {
	t.Helper()
	_, err := d.Ready(t.Context(), lab.Slow(20*time.Second), func(st *web.Status) bool {
		up := 0
		for _, s := range st.Sources {
			if s.Up {
				up++
			}
		}
		// docker, kmsg and cgroup; trace only where tracefs is mounted.
		return up >= 3 && len(st.Sources) >= 4
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sourceStatus is what /v1/status says of the sources.
type sourceStatus struct {
	Sources []struct {
		Name   string `json:"name"`
		Up     bool   `json:"up"`
		Reason string `json:"reason"`
	} `json:"sources"`
}

func (d *daemon) status(t testing.TB) (s sourceStatus, body []byte, err error) {
	t.Helper()
	body, err = d.get("/v1/status")
	if err != nil {
		return s, nil, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatalf("/v1/status: %v in %s", err, body)
	}
	return s, body, nil
}

// sees is true when a source is up.
func (d *daemon) sees(t testing.TB, source string) bool {
	t.Helper()
	// A source says how it is soon after the daemon answers, not before.
	for deadline := time.Now().Add(lab.Slow(10 * time.Second)); ; time.Sleep(50 * time.Millisecond) {
		status, _, err := d.status(t)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range status.Sources {
			if s.Name == source && (s.Up || s.Reason != "") {
				return s.Up
			}
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// get asks the daemon over its socket.
func (d *daemon) get(path string) ([]byte, error) {
	c := http.Client{Timeout: lab.Slow(10 * time.Second), Transport: unixTransport(d.socket)}
	resp, err := c.Get("http://oomwatch" + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return b, err
}

// kept is an incident as the daemon keeps it, nil where there is none of that id.
func (d *daemon) kept(t testing.TB, id string) []byte {
	t.Helper()
	b, err := d.get("/v1/incidents")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(`"id":"`+id+`"`)) {
			return line
		}
	}
	return nil
}

// stop sends a signal and waits for the end.
func (d *daemon) stop(sig syscall.Signal) { d.Stop(sig, lab.Slow(15*time.Second)) }

// oomwatch runs a command and returns its output and exit status.
func oomwatch(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(time.Minute))
	defer cancel()
	var out, errb bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errb
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errb.String(), cmd.ProcessState.ExitCode()
}

// parseLines reads one incident a line.
func parseLines(t testing.TB, out string) []incident.Incident {
	t.Helper()
	var all []incident.Incident
	for line := range strings.Lines(out) {
		var i incident.Incident
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, i)
	}
	return all
}
