package receiver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// edge is a receiver over HTTP as the suite meets it. Its URL, its token and its
// secret hold the canary.
type edge struct {
	name string
	make func(url string, conf *tls.Config) (notify.Notifier, error)
	yes  string // the body by which its service says that it took a message
	// bare is the verdict on a 2xx without a body; "" is told.
	bare string
	// no is the verdict on a 200 that says ok:false; "" is told.
	no string
}

// canaryToken is the secret part of a bot's token of Telegram's.
const canaryToken = canary + "_AAbbCCdd"

// canaryKey is an integration key of PagerDuty's that holds the canary.
const canaryKey = canary + "0123456789abcde"

func httpTo(url string, conf *tls.Config) HTTPOptions {
	return HTTPOptions{URL: url + "/hooks/" + canary, Version: "test", TLS: conf}
}

// edges are all receivers over HTTP.
var edges = []edge{
	{name: "webhook", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		h := httpTo(url, conf)
		h.URL += "?key=" + canary + "-query"
		return NewWebhook(WebhookOptions{HTTPOptions: h, Secret: canary + "-signing-key " + canary + "-older-key"})
	}},
	{name: "webhook as CloudEvents", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewWebhook(WebhookOptions{HTTPOptions: httpTo(url, conf), CloudEvents: true, Host: "node 1"})
	}},
	{name: "slack", yes: "ok", no: "never", make: func(url string, conf *tls.Config) (notify.Notifier, error) { return NewSlack(httpTo(url, conf), nil) }},
	{name: "slack_bot", yes: `{"ok":true,"channel":"C1","ts":"1.2"}`, bare: "unsure", no: "never", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewSlackBot(SlackBotOptions{HTTPOptions: httpTo(url, conf), Token: "xoxb-" + canary, Channel: "C1"})
	}},
	{name: "pagerduty", yes: `{"status":"success","message":"Event processed","dedup_key":"x"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewPagerDuty(PagerDutyOptions{HTTPOptions: httpTo(url, conf), Key: canaryKey})
	}},
	{name: "alertmanager", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewAlertmanager(AlertmanagerOptions{HTTPOptions: httpTo(url, conf), Token: canary + "-bearer"})
	}},
	{name: "discord", make: func(url string, conf *tls.Config) (notify.Notifier, error) { return NewDiscord(httpTo(url, conf), nil) }},
	{name: "webhook with a template", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		tm, err := render.NewTemplate(`{"msg": "{{.Summary}}", "id": "{{.ID}}"}`)
		if err != nil {
			return nil, err
		}
		return NewWebhook(WebhookOptions{HTTPOptions: httpTo(url, conf), Template: tm, Headers: map[string]string{"X-Api-Key": canary + "-header"}})
	}},
	{name: "telegram", yes: `{"ok":true,"result":{"message_id":1}}`, bare: "unsure", no: "never", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewTelegram(TelegramOptions{HTTPOptions: httpTo(url, conf), Token: "123456:" + canaryToken, Chat: "-1001234567890"})
	}},
	{name: "ntfy", yes: `{"id":"x","event":"message"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewNtfy(NtfyOptions{HTTPOptions: httpTo(url, conf), Topic: "ops", Token: "tk_" + canary})
	}},
	{name: "gotify", yes: `{"id":1}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewGotify(GotifyOptions{HTTPOptions: httpTo(url, conf), Token: canary + "-app"})
	}},
	{name: "matrix", yes: `{"event_id":"$x"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewMatrix(MatrixOptions{HTTPOptions: httpTo(url, conf), Token: canary + "-access", Room: "!abc:example.org"})
	}},
	{name: "mattermost", yes: "ok", make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewMattermost(httpTo(url, conf), nil)
	}},
	{name: "google_chat", yes: `{"name":"spaces/A/messages/B"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewGoogleChat(httpTo(url, conf), nil)
	}},
	{name: "opsgenie", yes: `{"result":"Request will be processed"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewOpsgenie(OpsgenieOptions{HTTPOptions: httpTo(url, conf), Key: canary + "-genie"})
	}},
	{name: "kubernetes", yes: `{"kind":"Event"}`, make: func(url string, conf *tls.Config) (notify.Notifier, error) {
		return NewKubernetes(KubernetesOptions{HTTPOptions: httpTo(url, conf), Token: canary + "-account"})
	}},
	{name: "teams", yes: "1", make: func(url string, conf *tls.Config) (notify.Notifier, error) { return NewTeams(httpTo(url, conf), nil) }},
}

// posters are what a receiver posts with.
func posters(t *testing.T, n notify.Notifier) []*poster {
	t.Helper()
	switch n := n.(type) {
	case *Webhook:
		return []*poster{n.p}
	case *SlackBot:
		return []*poster{n.post, n.update}
	case *PagerDuty:
		return []*poster{n.p}
	case *Alertmanager:
		return []*poster{n.p}
	case *Chat:
		return []*poster{n.p}
	case *Opsgenie:
		return []*poster{n.p}
	case *Kubernetes:
		return []*poster{n.p}
	}
	t.Fatalf("%T is no receiver over HTTP that this test knows", n)
	return nil
}

// at makes the edge's receiver for a URL.
func (e *edge) at(t *testing.T, url string, conf *tls.Config) notify.Notifier {
	t.Helper()
	n, err := e.make(url, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Traits().Close)
	return n
}

// pipes is a network in memory, on which a fake clock can run.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// sink is a receiver of any kind as the corpus meets it: sent returns what has
// gone out since it was last asked, a message each.
type sink struct {
	name  string
	n     notify.Notifier
	sent  func() [][]byte
	check func(t checker, what string, body []byte)
}

// sinks are all receivers, each with what catches its messages and the rules
// that these must keep.
func sinks(t *testing.T) []sink {
	t.Helper()
	checks := map[string]func(checker, string, []byte){
		"webhook": checkWebhook, "webhook as CloudEvents": checkCloudEvent, "slack": checkBlockKit, "slack_bot": checkSlackCall,
		"pagerduty": checkPagerDuty, "alertmanager": checkAlertmanager, "discord": checkDiscord, "teams": checkTeams,
		"webhook with a template": checkTemplated, "telegram": checkTelegram, "ntfy": checkNtfy, "gotify": checkGotify, "matrix": checkMatrix,
		"mattermost": checkMattermost, "google_chat": checkGoogleChat, "opsgenie": checkOpsgenie, "kubernetes": checkKubernetes,
	}
	var out []sink
	for _, e := range edges {
		var mu sync.Mutex
		var bodies [][]byte
		n := e.at(t, "http://localhost", nil)
		for _, p := range posters(t, n) {
			p.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, b)
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(e.yes)), Request: r}, nil
			})
		}
		out = append(out, sink{e.name, n, func() [][]byte {
			mu.Lock()
			defer mu.Unlock()
			b := bodies
			bodies = nil
			return b
		}, checks[e.name]})
	}
	sys, sysSent := listenDatagrams(t)
	syslog, err := NewSyslog(SyslogOptions{Socket: sys, Host: "node-7"})
	if err != nil {
		t.Fatal(err)
	}
	jour, jourSent := listenDatagrams(t)
	journal, err := NewJournal(JournalOptions{Socket: jour})
	if err != nil {
		t.Fatal(err)
	}
	var screen lockedText
	out = append(out, sink{"syslog", syslog, sysSent, checkSyslog}, sink{"journal", journal, jourSent, checkJournal},
		sink{"stdout", NewText(&screen, render.TextOptions{}, nil), screen.take, checkScreen})
	script := filepath.Join(t.TempDir(), "take")
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nset -e\ncat >>"+taken+"\necho \"$# $*\" >>"+taken+"\nenv | sort >>"+taken+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, err := NewExec(ExecOptions{Command: []string{script}})
	if err != nil {
		t.Fatal(err)
	}
	return append(out, sink{"exec", cmd, func() [][]byte {
		b, err := os.ReadFile(taken)
		if err != nil {
			return nil
		}
		_ = os.Remove(taken) // the next one is made anew
		return [][]byte{b}
	}, checkExec})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// CloseIdleConnections has nothing to close.
func (f roundTrip) CloseIdleConnections() {}

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) take() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return [][]byte{[]byte(s)}
}

// listenDatagrams is a socket as a syslog daemon has it.
func listenDatagrams(t *testing.T) (path string, sent func() [][]byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ow") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return path, func() (out [][]byte) {
		// What was sent waits in the socket already.
		if err := raw.Control(func(fd uintptr) {
			for buf := make([]byte, 1<<18); ; {
				n, _, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
				if err != nil {
					return
				}
				out = append(out, bytes.Clone(buf[:n]))
			}
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// decode reads JSON into plain values.
func decode(t checker, what string, body []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v\n%.300s", what, err, body)
	}
	return v
}

// checkExec looks at what the command was given: no argument, no environment but
// ours, and the JSON.
func checkExec(t checker, what string, body []byte) {
	t.Helper()
	line, rest, _ := strings.Cut(string(body), "\n")
	checkWebhook(t, what, []byte(line))
	s := bufio.NewScanner(strings.NewReader(rest))
	s.Scan()
	if s.Text() != "0 " {
		t.Errorf("%s: arguments %q", what, s.Text())
	}
	for s.Scan() {
		name, value, ok := strings.Cut(s.Text(), "=")
		if !ok || name != "PATH" && name != "LANG" && name != "PWD" && name != "_" && name != "SHLVL" && name != "OLDPWD" && !strings.HasPrefix(name, "OOMWATCH_") {
			t.Errorf("%s: in the environment: %q", what, s.Text())
		}
		safe(t, what+": "+name, value)
	}
}
