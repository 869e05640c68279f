package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/doctor"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/web"
)

// needKernelLog skips where the kernel log, the one witness that these tests can
// count on, cannot be read.
func needKernelLog(t *testing.T) {
	t.Helper()
	r, err := kmsg.OpenReader(kmsg.ReaderOptions{})
	if err != nil {
		real.Missing(t, "%v", err)
	}
	r.Close()
}

// process is oomwatch as a process of its own.
type process struct {
	*harness.Daemon
	dir string
}

// launch starts oomwatch run in dir, without an engine.
func launch(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{dir: dir}
	base := []string{"run", "--store", filepath.Join(dir, "o.db"), "--socket", p.socket(), "--listen", "127.0.0.1:0",
		"--docker", "unix://" + filepath.Join(dir, "no-docker.sock"), "--log-format", "json"}
	p.Daemon = harness.Launch(t, exec.Command("oomwatch", append(base, args...)...), p.socket())
	return p
}

func (p *process) socket() string { return filepath.Join(p.dir, "s.sock") }

// ready waits until the daemon says that it is.
func (p *process) ready(t *testing.T) *web.Status {
	t.Helper()
	st, err := p.Ready(t.Context(), 20*time.Second, func(st *web.Status) bool { return st.Ready })
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// ends waits for the end and returns the exit status.
func (p *process) ends(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.Done:
	case <-time.After(within):
		t.Fatalf("it did not end within %s", within)
	}
	return p.ProcessState.ExitCode()
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// says waits until a text stands in the log n times.
func (p *process) says(t *testing.T, text string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); strings.Count(p.Err.String(), text) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not say %q %d times:\n%s", text, n, p.Err.String())
		}
	}
}

// owe puts an incident into a store, owed to receivers.
func owe(t *testing.T, dir string, receivers ...string) *incident.Incident {
	t.Helper()
	ctx := context.Background()
	st, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "o.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	inc := verdict.Sample(time.Now(), incident.Host{Name: "test"})
	if _, err := st.Save(ctx, store.Batch{Entries: []store.Entry{{Incident: inc, Receivers: receivers}}}); err != nil {
		t.Fatal(err)
	}
	return inc
}

// owed counts a store's deliveries to a receiver.
func owed(t *testing.T, dir, receiver string) map[incident.DeliveryState]int64 {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(dir, "o.db"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	counts, err := st.Deliveries(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return counts[receiver]
}

func TestDeliversWhatIsOwedAndEndsInOrder(t *testing.T) {
	needKernelLog(t)
	got := make(chan []byte, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- b
	}))
	defer hook.Close()
	dir := t.TempDir()
	inc := owe(t, dir, "webhook", "stdout")
	p := launch(t, dir, "--webhook", hook.URL)
	st := p.ready(t)
	if st.PID != p.Process.Pid || !st.Alive {
		t.Errorf("status: %+v", st)
	}
	var told incident.Incident
	select {
	case b := <-got:
		if err := json.Unmarshal(b, &told); err != nil || told.ID != inc.ID {
			t.Errorf("told %s: %v", b, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the webhook was not told")
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.Out.String(), "oomwatch-test"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("standard output was not told: %q", p.Out.String())
		}
	}
	list, err := web.NewClient(p.socket()).Explain(context.Background(), "oomwatch-test", false)
	if err != nil || len(list) != 1 || list[0].ID != inc.ID {
		t.Errorf("explain over the socket: %v, %v", ids(list), err)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, 6*time.Second); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	if _, err := os.Stat(p.socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if n := owed(t, dir, "webhook"); n[incident.Delivered] != 1 || n[incident.Pending] != 0 {
		t.Errorf("deliveries: %v", n)
	}

	// A second run repeats nothing.
	p = launch(t, dir, "--webhook", hook.URL)
	p.ready(t)
	time.Sleep(300 * time.Millisecond)
	p.signal(t, syscall.SIGINT)
	if code := p.ends(t, 6*time.Second); code != 0 {
		t.Errorf("exit status %d after SIGINT", code)
	}
	for len(got) > 0 {
		var again incident.Incident
		if err := json.Unmarshal(<-got, &again); err == nil && again.ID == inc.ID {
			t.Error("it was told twice")
		}
	}
}

// hungReceiver accepts and never answers.
func hungReceiver(t *testing.T) (url string, asked <-chan struct{}) {
	t.Helper()
	release, came := make(chan struct{}), make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-release
	}))
	t.Cleanup(func() { close(release); s.Close() })
	return s.URL, came
}

func TestEndsInTimeWithAHungReceiver(t *testing.T) {
	needKernelLog(t)
	url, asked := hungReceiver(t)
	dir := t.TempDir()
	owe(t, dir, "webhook")
	p := launch(t, dir, "--webhook", url)
	p.ready(t)
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Fatal("the receiver was not asked")
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, 6*time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if n := owed(t, dir, "webhook"); n[incident.Pending] != 1 {
		t.Errorf("deliveries: %v, want 1 pending", n)
	}

	// A second signal ends it at once.
	p = launch(t, dir, "--webhook", url)
	p.ready(t)
	select {
	case <-asked:
	case <-time.After(30 * time.Second): // it is tried again some seconds after the first attempt
		t.Fatal("the receiver was not asked again")
	}
	p.signal(t, syscall.SIGTERM)
	p.says(t, "oomwatch ends", 1)
	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, time.Second); code == 0 {
		t.Errorf("exit status %d after %s", code, time.Since(began))
	}
}

func TestReload(t *testing.T) {
	needKernelLog(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("receivers: [{name: one, type: stdout}]\n")
	p := launch(t, dir, "--config", conf)
	p.ready(t)
	for i := range 10 {
		write("receivers: [{name: one, type: stdout}]\nlog: {level: lowd}\n")
		p.signal(t, syscall.SIGHUP)
		p.says(t, "the old one stays in force", i+1)
		write("listen: 127.0.0.1:" + strconv.Itoa(1024+i) + "\nreceivers: [{name: one, type: stdout}, {name: two" + strconv.Itoa(i) + ", type: stdout}]\n")
		p.signal(t, syscall.SIGHUP)
		p.says(t, "the new configuration is in force", i+1)
	}
	log := p.Err.String()
	if !strings.Contains(log, "c.yaml:2:14") || !strings.Contains(log, "Known: debug, info, warn, error") {
		t.Errorf("the bad file's mistake is not named:\n%s", log)
	}
	if !strings.Contains(log, `"receivers":["one","two9"]`) {
		t.Errorf("the new receivers are not in force:\n%s", log)
	}
	p.ready(t)
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, 6*time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	needKernelLog(t)
	dir := t.TempDir()
	first := launch(t, dir)
	first.ready(t)
	second := launch(t, dir, "--socket", filepath.Join(dir, "other.sock"))
	if code := second.ends(t, 10*time.Second); code != exitLocked {
		t.Errorf("exit status %d", code)
	}
	if pid := strconv.Itoa(first.Process.Pid); !strings.Contains(second.Err.String(), pid) || !strings.Contains(second.Err.String(), "--store") {
		t.Errorf("the message names neither pid %s nor the next step: %s", pid, second.Err.String())
	}
	first.ready(t)
	first.signal(t, syscall.SIGKILL)
	<-first.Done
	third := launch(t, dir)
	third.ready(t)
}

func TestRefusesWhatItCannotUse(t *testing.T) {
	needKernelLog(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"busy port", []string{"--listen", l.Addr().String()}, []string{l.Addr().String(), "address already in use", "--listen"}},
		{"no such address", []string{"--listen", "192.0.2.1:9468"}, []string{"192.0.2.1:9468", "--listen"}},
		{"store below a file", []string{"--store", filepath.Join(file, "o.db")}, []string{file, "--store"}},
		{"socket that is a file", []string{"--socket", file}, []string{file, "not a socket", "--socket"}},
		{"wrong DOCKER_HOST", []string{"--docker", "unix://relative.sock"}, []string{"relative.sock", "unix:///"}},
	} {
		p := launch(t, t.TempDir(), tt.args...)
		if code := p.ends(t, 10*time.Second); code != exitFailed {
			t.Errorf("%s: exit status %d", tt.name, code)
		}
		for _, want := range tt.want {
			if !strings.Contains(p.Err.String(), want) {
				t.Errorf("%s: %q is not in %q", tt.name, want, p.Err.String())
			}
		}
	}
}

func TestTellsTheSupervisor(t *testing.T) {
	needKernelLog(t)
	path, read := harness.ListenNotify(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "3000000")
	p := launch(t, t.TempDir())
	heard := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
			if strings.Contains(read(time.Second), want) {
				return
			}
		}
		t.Fatalf("the supervisor did not hear %s", want)
	}
	heard("READY=1\nSTATUS=")
	heard("WATCHDOG=1")
	p.signal(t, syscall.SIGHUP)
	heard("RELOADING=1")
	heard("READY=1")
	p.signal(t, syscall.SIGTERM)
	heard("STOPPING=1")
	p.ends(t, 6*time.Second)
}

// asNobody runs a command as a user without rights.
func asNobody(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	if os.Geteuid() != 0 {
		real.Missing(t, "only root can become nobody")
	}
	path, err := exec.LookPath("oomwatch")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The test's own folders are root's alone.
	dir, err := os.MkdirTemp("/tmp", "oomwatch-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "oomwatch")
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir, cmd.Env = dir, []string{"HOME=/nonexistent", "DOCKER_HOST=unix:///nonexistent/docker.sock"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestWithoutRights: nothing can be seen, and each command says what to do.
func TestWithoutRights(t *testing.T) {
	restricted, err := os.ReadFile("/proc/sys/kernel/dmesg_restrict")
	if err != nil || strings.TrimSpace(string(restricted)) != "1" {
		real.Missing(t, "this kernel lets everybody read its log")
	}
	out, errs, code := asNobody(t, "doctor", "-o", "json")
	if code != exitFailed {
		t.Errorf("doctor: exit status %d: %s", code, errs)
	}
	found := map[string]doctor.Finding{}
	dec := json.NewDecoder(strings.NewReader(out))
	for {
		var f doctor.Finding
		if err := dec.Decode(&f); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		found[f.Capability] = f
	}
	for _, name := range []string{"kernel log", "dmesg_restrict", "docker engine", "store"} {
		if f := found[name]; f.State != doctor.Missing || f.Fix == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, args := range [][]string{{"run"}, {"run", "--store", "o.db", "--socket", "o.sock", "--listen", "off"}, {"explain"}, {"history"}} {
		_, errs, code := asNobody(t, args...)
		if code != exitFailed || strings.Contains(errs, "panic") || !strings.Contains(errs, "oomwatch: ") {
			t.Errorf("%v: exit status %d: %s", args, code, errs)
		}
	}
	if _, errs, _ := asNobody(t, "explain"); !strings.Contains(errs, "CAP_SYSLOG") || !strings.Contains(errs, "oomwatch doctor") {
		t.Errorf("explain does not name the step: %s", errs)
	}
}
