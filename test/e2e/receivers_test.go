package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// The secrets of the real receivers. Nothing that the daemon prints holds them.
const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// TestRealReceivers causes one real OOM kill and looks for it in what people run:
// Debian's Alertmanager, rsyslog, systemd-journald, a receiver that verifies with
// the published library of Standard Webhooks, and a command.
func TestRealReceivers(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	dir, err := os.MkdirTemp("", "ow") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	signed := newSigned(t)
	taken := filepath.Join(dir, "taken.json")
	command := filepath.Join(dir, "take")
	if err := os.WriteFile(command, []byte("#!/bin/sh\nexec cat >>"+taken+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("receivers:\n"+
		"  - {name: signed, type: webhook, url: '%s/in', secret: '%s %s'}\n"+
		"  - {name: command, type: exec, command: [%s]}\n", signed.URL, newSecret, oldSecret, command)
	am := startAlertmanager(t, dir)
	if am != "" {
		config += fmt.Sprintf("  - {name: prometheus, type: alertmanager, url: '%s', resolve_after: 10m}\n", am)
	}
	rsyslog := startRsyslog(t, dir)
	if rsyslog != "" {
		config += fmt.Sprintf("  - {name: syslog, type: syslog, socket: %s/rsyslog.sock}\n", dir)
	}
	journal := startJournald(t, dir)
	if journal != "" {
		config += fmt.Sprintf("  - {name: journal, type: journal, socket: %s/systemd/journal/socket}\n", journal)
	}
	file := filepath.Join(dir, "receivers.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, e.Host, newReceiver(t), "--config", file)
	id := e.MustRun(t, "--name", "real", "-m", "32m", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web",
		"--label", "traefik.password=labelswordfish", "-e", "API_TOKEN=envswordfish",
		lab.Image, "sh", "-c", `echo 'db password=logswordfish <!here> postgres://app:urlswordfish@db/x'; exec tail /dev/zero`)

	check := func(name, missing string, find func() error) {
		t.Run(name, func(t *testing.T) {
			if missing != "" {
				real.Missing(t, "%s", missing)
			}
			eventually(t, 20*time.Second, find)
		})
	}
	check("standard webhooks", "", func() error { return signed.verified(id) })
	check("exec", "", func() error {
		b, err := os.ReadFile(taken)
		if err == nil && !bytes.Contains(b, []byte(id)) {
			err = fmt.Errorf("it got %s", b)
		}
		return err
	})
	check("alertmanager", orMissing(am, "prometheus-alertmanager"), func() error { return alertmanagerShows(am, id) })
	check("rsyslog", orMissing(rsyslog, "rsyslog"), func() error { return rsyslogShows(rsyslog, id) })
	check("journald", orMissing(journal, "systemd-journald, or root to run it apart"), func() error { return journalShows(journal, id) })

	d.stop(syscall.SIGTERM)
	everything := d.Err.String() + d.Out.String()
	for _, path := range []string{taken, rsyslog} {
		if b, err := os.ReadFile(path); err == nil {
			everything += string(b)
		}
	}
	if am != "" {
		b, err := get(am + "/api/v2/alerts")
		if err != nil {
			t.Error(err)
		}
		everything += string(b)
	}
	if journal != "" {
		out, err := journalctl(journal)
		if err != nil {
			t.Error(err)
		}
		everything += string(out)
	}
	out, _, _ := oomwatch(t, "explain", "real", "-o", "json", "--store", filepath.Join(d.dir, "store.db"), "--socket", d.socket)
	everything += out
	if !strings.Contains(out, "[redacted]") {
		t.Errorf("nothing was redacted: %s", out)
	}
	for _, secret := range []string{"swordfish", oldSecret[6:], newSecret[6:]} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q was printed or sent:\n%s", secret, everything)
		}
	}
}

func orMissing(there, what string) string {
	if there != "" {
		return ""
	}
	return "there is no " + what + " here"
}

func eventually(t *testing.T, most time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(lab.Slow(most))
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// startApart starts a program and ends it with the test.
func startApart(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said harness.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it may have ended
		late := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait() // ended by a signal
		late.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, said.String())
		}
	})
}

// startAlertmanager returns the URL of an Alertmanager, or "" where there is none.
func startAlertmanager(t *testing.T, dir string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		return ""
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(conf, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startApart(t, exec.Command(path, "--config.file="+conf, "--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+addr, "--cluster.listen-address="))
	eventually(t, 20*time.Second, func() error {
		resp, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return "http://" + addr
}

func get(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// alertmanagerShows looks for the container's alert as Alertmanager lists it.
func alertmanagerShows(url, id string) error {
	body, err := get(url + "/api/v2/alerts")
	if err != nil {
		return err
	}
	var alerts []struct {
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
		Status              struct{ State string }
	}
	if err := json.Unmarshal(body, &alerts); err != nil {
		return fmt.Errorf("%w in %s", err, body)
	}
	for _, a := range alerts {
		l := a.Labels
		if l["container"] == "real" && l["alertname"] == "ContainerDied" && l["cause"] == "oom.container" && l["severity"] == "critical" && l["compose_project"] == "shop" &&
			a.Status.State == "active" && strings.Contains(a.Annotations["summary"], "real was OOM-killed at its own 32 MiB limit") && time.Until(a.EndsAt) > 5*time.Minute {
			return nil
		}
	}
	return fmt.Errorf("no alert of %.12s in %s", id, body)
}

// startRsyslog returns the file that an rsyslog writes what it has read to.
func startRsyslog(t *testing.T, dir string) string {
	t.Helper()
	path, err := lookSbin("rsyslogd")
	if err != nil {
		return ""
	}
	out := filepath.Join(dir, "rsyslog.out")
	conf := filepath.Join(dir, "rsyslog.conf")
	text := fmt.Sprintf(`global(workDirectory=%q)
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%s/rsyslog.sock" UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")
template(name="parts" type="string" string="%%syslogfacility-text%%.%%syslogseverity-text%% %%app-name%% %%msgid%% %%structured-data%% :%%msg%%\n")
action(type="omfile" file=%q template="parts")
`, dir, dir, out)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startApart(t, exec.Command(path, "-n", "-f", conf, "-i", filepath.Join(dir, "rsyslog.pid")))
	eventually(t, 20*time.Second, func() error { _, err := os.Stat(filepath.Join(dir, "rsyslog.sock")); return err })
	return out
}

func lookSbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// rsyslogShows looks for the line, taken apart by rsyslog's own parser.
func rsyslogShows(file, id string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "daemon.crit oomwatch death [oomwatch@32473 id=") && strings.Contains(line, `cause="oom.container"`) &&
			strings.Contains(line, `container="real" container_id="`+id+`"`) && strings.Contains(line, "real was OOM-killed at its own 32 MiB limit") {
			return nil
		}
	}
	return fmt.Errorf("rsyslog wrote %s", b)
}

// startJournald runs a journal of its own, apart from the machine's, and returns
// the folder that is its /run.
func startJournald(t *testing.T, dir string) string {
	t.Helper()
	const journald = "/lib/systemd/systemd-journald"
	if _, err := os.Stat(journald); err != nil || os.Geteuid() != 0 {
		return ""
	}
	for _, tool := range []string{"unshare", "journalctl", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return ""
		}
	}
	run := filepath.Join(dir, "run")
	if err := os.MkdirAll(filepath.Join(run, "log", "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "set -e\nmount --bind " + run + " /run\nmount -t tmpfs tmpfs /var/log\nexec " + journald + "\n"
	startApart(t, exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script))
	eventually(t, 20*time.Second, func() error {
		_, err := os.Stat(filepath.Join(run, "systemd/journal/socket"))
		return err
	})
	return run
}

// journalShows asks journalctl for the entry by its fields.
func journalShows(run, id string) error {
	out, err := journalctl(run, "OOMWATCH_CAUSE=oom.container", "CONTAINER_ID_FULL="+id)
	if err != nil {
		return err
	}
	var entry map[string]any
	line, _, _ := bytes.Cut(out, []byte("\n"))
	if err := json.Unmarshal(line, &entry); err != nil {
		return fmt.Errorf("%w in %q", err, out)
	}
	message, _ := entry["MESSAGE"].(string)
	if entry["PRIORITY"] != "2" || entry["CONTAINER_NAME"] != "real" || entry["OOMWATCH_KIND"] != "death" || entry["_TRANSPORT"] != "journal" ||
		!strings.Contains(message, "real was OOM-killed at its own 32 MiB limit") {
		return fmt.Errorf("the journal has %s", line)
	}
	return nil
}

func journalctl(run string, match ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(10*time.Second))
	defer cancel()
	args := append([]string{"-D", filepath.Join(run, "log/journal"), "--no-pager", "-o", "json", "-t", "oomwatch"}, match...)
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("journalctl: %w", err)
	}
	return out, nil
}

// signedHook verifies what it is sent as the specification's own library does.
type signedHook struct {
	*httptest.Server
	mu   sync.Mutex
	last error
	good map[string]int
}

func newSigned(t *testing.T) *signedHook {
	s := &signedHook{good: map[string]int{}, last: errors.New("nothing came")}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, secret := range []string{oldSecret, newSecret} {
			wh, werr := standardwebhooks.NewWebhook(secret)
			if werr == nil {
				werr = wh.Verify(body, r.Header)
			}
			err = errors.Join(err, werr)
		}
		var inc struct{ Container struct{ ID string } }
		if err = errors.Join(err, json.Unmarshal(body, &inc)); err != nil {
			s.last = err
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.good[inc.Container.ID]++
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *signedHook) verified(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good[id] == 0 {
		return s.last
	}
	return nil
}
