package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// secret is a made-up secret that says where it was put.
func secret(where string) string { return "swordfish" + where }

// echoes are receivers that answer what each is asked to by its path, with their
// own secrets in it, as a careless service would.
type echoes struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string]string // the first word of the path → all that came
	auth   string
}

func newEchoes(t *testing.T) *echoes {
	e := &echoes{bodies: map[string]string{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what broke off is there as far as it came
		first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		e.mu.Lock()
		e.bodies[first] += string(body) + "\n"
		e.auth += r.Header.Get("Authorization") + "\n"
		e.mu.Unlock()
		status := http.StatusOK
		switch {
		case strings.HasPrefix(rest, "refuses"):
			status = http.StatusForbidden
		case strings.HasPrefix(rest, "fails"):
			status = http.StatusInternalServerError
		case strings.HasPrefix(rest, "moved"):
			w.Header().Set("Location", "http://192.0.2.1/"+rest)
			status = http.StatusFound
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"ok":false,"error":"no","status":"success","saw":"%s %s %s"}`, r.URL, r.Header.Get("Authorization"), r.Header.Get("webhook-signature"))
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *echoes) told(who string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[who]
}

// TestNoSecretComesOut puts a secret wherever one can be (addresses, tokens, keys,
// files, the environment of the daemon and of a container, its command, labels and
// log) and looks for each in everything that the daemon writes, sends and says,
// down to the dump that it leaves when it is made to crash.
func TestNoSecretComesOut(t *testing.T) {
	engine := lab.Start(t, lab.Options{})
	e := newEchoes(t)
	side := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(side, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	caller := strings.Replace(e.URL, "http://", "http://caller:"+secret("userinfo")+"@", 1)
	receivers := []string{
		"{name: slack, type: slack, url: '" + e.URL + "/slack/fails/" + secret("slack") + "'}",
		"{name: bot, type: slack_bot, channel: C1, token: " + secret("bot") + ", url: '" + e.URL + "/bot'}",
		"{name: signed, type: webhook, url: '" + caller + "/signed/" + secret("path") + "?key=" + secret("query") + "', secret: " + secret("signing-key") + "-of-some-length}",
		"{name: filed, type: webhook, url_file: " + file("url", e.URL+"/filed/refuses/"+secret("file")) + ", secret_file: " + file("key", secret("key-file")+"-of-some-length") + "}",
		"{name: environ, type: discord, url_env: CANARY_URL}",
		"{name: moved, type: webhook, url: '" + e.URL + "/moved/moved/" + secret("redirect") + "'}",
		"{name: nobody, type: teams, url: 'https://nobody.invalid/" + secret("dns") + "?sig=" + secret("sig") + "'}",
		"{name: closed, type: webhook, url: 'http://127.0.0.1:1/" + secret("refused") + "'}",
		"{name: duty, type: pagerduty, token: " + secret("duty") + "0123456789abcdef012, url: '" + e.URL + "/duty/refuses'}",
		"{name: metrics, type: alertmanager, token: " + secret("bearer") + ", url: '" + e.URL + "/metrics/fails'}",
		"{name: command, type: exec, command: [" + file("fail", "#!/bin/sh\ncat >>"+filepath.Join(side, "taken")+"\necho password="+secret("stderr")+" >&2\nexit 1\n") + "]}",
		"{name: printed, type: stdout}",
	}
	config := "  heartbeat_url: '" + e.URL + "/beat/fails/" + secret("heartbeat") + "'\n  heartbeat_every: 10s\n" + noWarnings + "receivers:\n  - " + strings.Join(receivers, "\n  - ") + "\n"
	d := newDaemon(t, engine.Host, newReceiver(t), config, "--log-level", "debug")
	t.Setenv("CANARY_URL", e.URL+"/environ/fails/"+secret("env"))
	t.Setenv("HTTPS_PROXY", "http://caller:"+secret("proxy")+"@127.0.0.1:1")
	t.Setenv("GOTRACEBACK", "all")
	d.start(t)
	engine.MustRun(t, "--name", "leaky", "-m", "32m", "-e", "DB_PASSWORD="+secret("container-env"), "-e", "PLAIN="+secret("container-plain"),
		"--label", "traefik.auth.password="+secret("label"), lab.Image,
		"sh", "-c", "echo connecting to postgres://app:"+secret("log-url")+"@db/x with token="+secret("log-token")+"; exec tail /dev/zero", "--password="+secret("argument"))

	// Each has been told, or has been tried.
	for _, who := range []string{"slack", "bot", "signed", "filed", "environ", "moved", "duty", "metrics", "beat"} {
		eventually(t, 60*time.Second, func() error {
			if e.told(who) == "" && who == "beat" {
				return fmt.Errorf("no heartbeat came")
			}
			if who != "beat" && !strings.Contains(e.told(who), "leaky") {
				return fmt.Errorf("%s was not told: %q", who, e.told(who))
			}
			return nil
		})
	}
	for _, who := range []string{"closed", "nobody", "command"} {
		eventually(t, 60*time.Second, func() error {
			if !strings.Contains(d.Err.String(), `"receiver":"`+who+`"`) {
				return fmt.Errorf("%s was not tried", who)
			}
			return nil
		})
	}
	for _, want := range []string{secret("bot"), secret("bearer")} {
		if !strings.Contains(e.auth, want) {
			t.Errorf("%s was not used", want)
		}
	}

	seen := map[string]string{"standard output": d.Out.String()}
	for _, path := range []string{"/metrics", "/v1/status", "/v1/incidents", "/v1/explain?what=leaky", "/v1/top", "/", "/v1/silences"} {
		b, err := d.get(path)
		if err != nil && path != "/v1/explain?what=leaky" {
			t.Error(err)
		}
		seen[path] = string(b)
	}
	store, conf := filepath.Join(d.dir, "store.db"), filepath.Join(d.dir, "config.yaml")
	for _, args := range [][]string{
		{"doctor", "--docker", engine.Host, "--store", store}, {"doctor", "-o", "json", "--docker", engine.Host, "--store", store},
		{"notify", "status", "--socket", d.socket}, {"notify", "status", "-o", "json", "--store", store, "--socket", filepath.Join(side, "none")},
		{"notify", "test", "--config", conf}, {"config", "show", conf}, {"config", "check", conf},
		{"explain", "leaky", "--store", store}, {"explain", "leaky", "-o", "json", "--socket", d.socket}, {"history", "-o", "json", "--store", store},
		{"triage", "--store", store}, {"version"},
	} {
		out, errs, _ := oomwatch(t, args...)
		seen[strings.Join(args, " ")] = out + errs
	}
	for who, body := range e.bodies {
		// The key in the body is how PagerDuty is told whose alert it is.
		seen["messages to "+who] = strings.ReplaceAll(body, `"routing_key":"`+secret("duty")+`0123456789abcdef012"`, "")
	}
	if b, err := os.ReadFile(filepath.Join(side, "taken")); err != nil {
		t.Error(err)
	} else {
		seen["the command's input"] = string(b)
	}
	if err := d.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-d.Done
	if !strings.Contains(d.Err.String(), "goroutine ") {
		t.Error("it left no dump")
	}
	seen["log and crash"] = d.Err.String()
	files, err := filepath.Glob(filepath.Join(d.dir, "store*"))
	if err != nil || len(files) < 3 {
		t.Errorf("the store is in %q, %v", files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		seen[filepath.Base(path)] = string(b)
	}
	told := 0
	for where, text := range seen {
		if strings.Contains(text, "leaky") {
			told++
		}
		for at := 0; ; {
			i := strings.Index(text[at:], "swordfish")
			if i < 0 {
				break
			}
			at += i
			t.Errorf("%s: ...%q", where, text[max(0, at-100):min(len(text), at+60)])
			at += len("swordfish")
		}
	}
	if told < 15 {
		t.Errorf("only %d of %d places tell of the container at all", told, len(seen))
	}
}
