package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
)

// fake is an engine (or a proxy before one) that does what a real one cannot be
// made to do.
type fake struct {
	host string
	mu   sync.Mutex
	seen []string // "METHOD /path" of every request
}

// serve answers requests by path, without the version before it.
func serve(t testing.TB, api string, answers map[string]http.HandlerFunc) *fake {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{host: "unix://" + path}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		p := r.URL.Path
		if strings.HasPrefix(p, "/v1.") {
			p = p[strings.Index(p[1:], "/")+1:]
		}
		w.Header().Set("Api-Version", api)
		h := answers[p]
		if every := answers["*"]; every != nil {
			h = every
		}
		switch q := r.URL.Query(); {
		case p == "/events" && h != nil && q.Has("until") && !q.Has("filters"):
			flush(w) // asked how far back its events reach: it holds none
		case h != nil:
			h(w, r)
		case p == "/_ping":
			fmt.Fprint(w, "OK")
		case p == "/version":
			reply(w, 200, `{"Version":"99.1","ApiVersion":"`+api+`"}`)
		case p == "/containers/json":
			reply(w, 200, `[]`)
		case p == "/events":
			flush(w)
			<-r.Context().Done()
		default:
			reply(w, 404, `{"message":"no such thing"}`)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return f
}

func reply(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body) // the client sees what arrives
}

func flush(w http.ResponseWriter) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func fakeEvent(id, action string, nano int64, attrs map[string]string) string {
	b, err := json.Marshal(map[string]any{"Type": "container", "Action": action, "Actor": map[string]any{"ID": id, "Attributes": attrs}, "time": nano / 1e9, "timeNano": nano})
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

func hurry(p *pace) {
	p.minWait, p.maxWait, p.settle = 5*time.Millisecond, 20*time.Millisecond, 5*time.Millisecond
}

func TestUnfitEngines(t *testing.T) {
	forbidden := func(w http.ResponseWriter, _ *http.Request) { reply(w, 403, `{"message":"not for you"}`) }
	for _, tt := range []struct {
		name, api   string
		answers     map[string]http.HandlerFunc
		reason, fix string
	}{
		{"too old", "1.30", nil, "1.30 is not supported by this client", "upgrade the engine to Docker 19.03"},
		{"too new", "1.99", map[string]http.HandlerFunc{"/events": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 400, `{"message":"client version 1.56 is too old. Minimum supported API version is 1.90, please upgrade your client to a newer version"}`)
		}}, "Minimum supported API version is 1.90", "upgrade oomwatch"},
		{"events forbidden", "1.41", map[string]http.HandlerFunc{"/events": forbidden}, "forbidden: GET /events", "let the proxy"},
		{"ping forbidden", "1.41", map[string]http.HandlerFunc{"/_ping": forbidden}, "forbidden: ping", "/_ping"},
		{"no engine at all", "", map[string]http.HandlerFunc{"/_ping": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>\x1b[31mhello", 404) }},
			`\x1b[31mhello`, "is a Docker Engine"},
		{"sends us elsewhere", "1.41", map[string]http.HandlerFunc{"/events": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/v1.41/containers/x/kill", http.StatusTemporaryRedirect)
		}}, "redirect", "is a Docker Engine"},
		{"hangs", "1.41", map[string]http.HandlerFunc{"/events": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
			"does not answer (GET /events)", "systemctl status docker"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serve(t, tt.api, tt.answers)
			rec := follow(t, Options{Host: f.host}, func(p *pace) {
				hurry(p)
				p.call = 300 * time.Millisecond
			})
			s := rec.wait(t, "word that it is down", isDown).Source
			if !strings.Contains(s.Reason, tt.reason) || !strings.Contains(s.Fix, tt.fix) {
				t.Errorf("state %+v", s)
			}
			if got := words(rec.snapshot()); len(got) > 1 || slices.ContainsFunc(rec.snapshot(), isUp) {
				t.Errorf("said more than once, or up: %q", got)
			}
		})
	}
}

// A proxy that lets some calls pass weakens the source and does not end it.
func TestForbiddenInspectWeakens(t *testing.T) {
	f := serve(t, "1.41", map[string]http.HandlerFunc{
		"/containers/json": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `[{"Id":"aaa","Names":["/web"],"Image":"shop/web:1","State":"running","Labels":{"com.docker.compose.service":"web"}}]`)
		},
		"/containers/aaa/json": func(w http.ResponseWriter, _ *http.Request) { reply(w, 403, `{"message":"not for you"}`) },
		"/version":             func(w http.ResponseWriter, _ *http.Request) { reply(w, 403, `{"message":"not for you"}`) },
	})
	rec := follow(t, Options{Host: f.host}, hurry)
	list := rec.wait(t, "reconcile", isReconcile).List
	c := list.Containers[0]
	if len(list.Containers) != 1 || c.ID != "aaa" || c.Name != "web" || c.Image != "shop/web:1" || !*c.Running || c.Compose.Service != "web" {
		t.Errorf("list %s", toJSON(t, list))
	}
	s := rec.wait(t, "weak state", func(o observe.Observation) bool {
		return isUp(o) && strings.Contains(o.Source.Reason, "cannot be inspected")
	}).Source
	if !strings.Contains(s.Reason, "forbidden: GET /containers/ID/json") || !strings.Contains(s.Fix, "let the proxy") {
		t.Errorf("state %+v", s)
	}
}

// A proxy that cuts the stream now and then, and an engine that repeats its
// events after each cut: nothing is told twice, and nobody calls it down.
func TestCutStreamIsMadeAgain(t *testing.T) {
	base := time.Now().UnixNano()
	var mu sync.Mutex
	var since []string
	n := 0
	f := serve(t, "1.41", map[string]http.HandlerFunc{"/events": func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		since = append(since, r.URL.Query().Get("since"))
		n++
		turn := n
		mu.Unlock()
		flush(w)
		for i := range turn {
			_, _ = io.WriteString(w, fakeEvent("aaa", "pause", base+int64(i), nil))
		}
		if turn >= 5 {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}})
	rec := follow(t, Options{Host: f.host}, hurry)
	rec.wait(t, "fifth event", func(o observe.Observation) bool { return o.Event != nil && o.At.UnixNano() == base+4 })
	if got := told(rec.of("aaa")); len(got) != 5 {
		t.Errorf("%d events told, want 5: %q", len(got), got)
	}
	if slices.ContainsFunc(rec.snapshot(), isDown) {
		t.Errorf("called down: %q", words(rec.snapshot()))
	}
	mu.Lock()
	defer mu.Unlock()
	last := time.Unix(0, base+3).Add(-replayBack)
	if since[0] != "" || since[4] != fmt.Sprintf("%d.%09d", last.Unix(), last.Nanosecond()) {
		t.Errorf("asked since %q, want first nothing and at last %d.%09d", since, last.Unix(), last.Nanosecond())
	}
}

func TestGarbageInTheStream(t *testing.T) {
	var once sync.Once
	f := serve(t, "1.41", map[string]http.HandlerFunc{"/events": func(w http.ResponseWriter, r *http.Request) {
		flush(w)
		once.Do(func() { _, _ = io.WriteString(w, fakeEvent("aaa", "oom", 1, nil)+"{]\x00garbage\n") })
		_, _ = io.WriteString(w, fakeEvent("", "oom", 2, nil)+fakeEvent("bbb", "exec_die", 3, nil)+fakeEvent("bbb", "die", 4, map[string]string{"exitCode": "many"}))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}})
	rec := follow(t, Options{Host: f.host}, hurry)
	x := rec.wait(t, "exit", isExit("bbb")).Exit
	if x.ExitCode != unknownExit {
		t.Errorf("exit code %d of one that was no number", x.ExitCode)
	}
	rec.wait(t, "oom", isAction("aaa", "oom"))
	if got := told(rec.of("bbb")); !slices.Equal(got, []string{"die 255"}) {
		t.Errorf("told %q", got)
	}
}

// A death whose container cannot be asked any more still has its Detail, for
// somebody waits for it.
func TestEveryPendingDetailComes(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	now := time.Now().UnixNano()
	f := serve(t, "1.41", map[string]http.HandlerFunc{
		"/events": func(w http.ResponseWriter, r *http.Request) {
			flush(w)
			for i, id := range []string{"gone", "hangs", "shut"} {
				_, _ = io.WriteString(w, fakeEvent(id, "die", now+int64(i), map[string]string{"exitCode": "1"}))
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"/containers/hangs/json": hang, "/containers/hangs/logs": hang,
		"/containers/shut/json": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `{"Id":"shut","State":{"Status":"exited","FinishedAt":"2026-11-21T09:54:39Z"}}`)
		},
		"/containers/shut/logs": func(w http.ResponseWriter, _ *http.Request) { reply(w, 403, `{"message":"no logs"}`) },
	})
	rec := follow(t, Options{Host: f.host, LogLines: 5}, func(p *pace) {
		hurry(p)
		p.detail = 200 * time.Millisecond
	})
	for id, want := range map[string]string{"gone": "removed before its log could be read", "hangs": "did not answer in time", "shut": "its log cannot be read"} {
		d := rec.wait(t, "detail of "+id, isDetail(id)).Detail
		if !strings.Contains(d.Problem, want) || (id == "shut") != (d.Inspect != nil) {
			t.Errorf("%s: %s", id, toJSON(t, d))
		}
	}
}

// Nothing but reading passes the transport, whatever the code above it asks for.
func TestOnlyReads(t *testing.T) {
	f := serve(t, "1.41", nil)
	ep, err := parseHost(f.host, "test")
	if err != nil {
		t.Fatal(err)
	}
	cli, tr, err := ep.client(newMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.next.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"kill":   func() error { _, err := cli.ContainerKill(ctx, "x", client.ContainerKillOptions{}); return err },
		"stop":   func() error { _, err := cli.ContainerStop(ctx, "x", client.ContainerStopOptions{}); return err },
		"start":  func() error { _, err := cli.ContainerStart(ctx, "x", client.ContainerStartOptions{}); return err },
		"remove": func() error { _, err := cli.ContainerRemove(ctx, "x", client.ContainerRemoveOptions{}); return err },
		"create": func() error {
			_, err := cli.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "x"})
			return err
		},
		"history": func() error { _, err := cli.ImageHistory(ctx, "x"); return err },
		"archive": func() error {
			_, err := cli.CopyFromContainer(ctx, "x", client.CopyFromContainerOptions{SourcePath: "/etc/shadow"})
			return err
		},
		"sneaky id": func() error {
			_, err := cli.ContainerInspect(ctx, "../x/kill?", client.ContainerInspectOptions{})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "oomwatch only reads") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := f.requests(); !slices.Equal(got, []string{"HEAD /_ping"}) {
		t.Errorf("requests that arrived: %q", got)
	}
	for call, want := range map[string]string{
		"GET /v1.41/events": "events", "GET /version": "version", "HEAD /_ping": "ping", "GET /v1.41/containers/json": "list",
		"GET /v1.44/containers/web_1.x-y/json": "inspect", "GET /v1.44/containers/aaa/logs": "logs", "GET /v1.44/info": "info",
		"POST /v1.41/events": "", "HEAD /version": "", "GET /v1.41/containers/aaa/archive": "", "GET /containers/a/b/json": "", "GET /v1.41/containers/aaa/json/x": "",
		"DELETE /v1.41/containers/aaa": "", "GET /v1.41/containers/../json": "", "GET /v1.41/images/json": "images", "GET /v1.41/images/x/json": "", "GET /v1.41/system/df": "usage", "POST /v1.41/images/json": "", "GET /containers/aaa/export": "", "PUT /_ping": "",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := callName(method, path); got != want {
			t.Errorf("%s is %q, want %q", call, got, want)
		}
	}
}

// All that a source asks of a real engine is on the list of a careful proxy.
func TestRealRequestsAreReads(t *testing.T) {
	e := engine(t)
	socket := strings.TrimPrefix(e.Host, "unix://")
	dialer := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer dialer.CloseIdleConnections()
	pass := func(w http.ResponseWriter, r *http.Request) {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "engine", ""
		resp, err := dialer.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		w.(http.Flusher).Flush()
		buf := make([]byte, 4096)
		for {
			n, err := resp.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	}
	f := serve(t, "1.41", map[string]http.HandlerFunc{"*": pass})
	rec := follow(t, Options{Host: f.host, LogLines: 5}, nil)
	rec.wait(t, "reconcile", isReconcile)
	id := cause(t, e, "exit3")
	rec.wait(t, "detail", isDetail(id))
	for _, r := range f.requests() {
		method, path, _ := strings.Cut(r, " ")
		if callName(method, path) == "" {
			t.Errorf("asked %s", r)
		}
	}
}

func TestProbe(t *testing.T) {
	e := engine(t)
	e.MustRun(t, "--log-driver", "none", lab.Image, "true")
	var got []string
	for _, c := range Probe(t.Context(), e.Host) {
		got = append(got, c.Name)
		if !c.OK || c.Error != "" || c.Fix != "" {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"host", "ping", "version", "info", "events", "list", "inspect", "logs"}; !slices.Equal(got, want) {
		t.Errorf("checks %q, want %q", got, want)
	}
	f := serve(t, "1.41", map[string]http.HandlerFunc{
		"/events": func(w http.ResponseWriter, _ *http.Request) { reply(w, 403, `{"message":"not for you"}`) },
	})
	for _, c := range Probe(t.Context(), f.host) {
		// The fake has no /info, and no container: being told so is an answer.
		if want := c.Name != "events" && c.Name != "info"; c.OK != want || !want && c.Fix == "" {
			t.Errorf("%+v", c)
		}
	}
	if c := Probe(t.Context(), "foo"); len(c) != 1 || c[0].OK || !strings.Contains(c[0].Error, "no address of an engine") {
		t.Errorf("bad host: %+v", c)
	}
}

// The host's clock is set back by an hour under a container: the engine shows that it began
// an hour after it ended. That is its own end all the same, its log is read, and the run
// that follows has its pid.
func TestClockSetBack(t *testing.T) {
	died := time.Now()
	began := died.Add(time.Hour)
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	state := fmt.Sprintf(`{"Id":"web","State":{"Status":"exited","ExitCode":137,"OOMKilled":true,"StartedAt":%q,"FinishedAt":%q}}`, stamp(began), stamp(died))
	again := make(chan struct{})
	var mu sync.Mutex
	var since []string
	f := serve(t, "1.41", map[string]http.HandlerFunc{
		"/events": func(w http.ResponseWriter, r *http.Request) {
			flush(w)
			_, _ = io.WriteString(w, fakeEvent("web", "start", began.UnixNano()+1, nil)+fakeEvent("web", "die", died.UnixNano()+1, map[string]string{"exitCode": "137"}))
			w.(http.Flusher).Flush()
			select {
			case <-again:
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(w, fakeEvent("web", "start", died.Add(time.Second).UnixNano(), nil))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"/containers/web/json": func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			reply(w, 200, state)
		},
		"/containers/web/logs": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			since = append(since, r.URL.Query().Get("since"))
			w.WriteHeader(200)
		},
	})
	rec := follow(t, Options{Host: f.host, LogLines: 5}, hurry)
	d := rec.wait(t, "detail", isDetail("web")).Detail
	if d.Inspect == nil || d.Inspect.Exit == nil || !d.Inspect.Exit.OOMKilled || !d.Inspect.Exit.FinishedAt.Equal(died.Round(0)) {
		t.Errorf("detail %s", toJSON(t, d))
	}
	mu.Lock()
	for _, s := range since {
		if s != "" && s != "0" && s > fmt.Sprint(died.Unix()+1) {
			t.Errorf("asked for its log since %s, and it ended at %d", s, died.Unix())
		}
	}
	if len(since) == 0 {
		t.Error("its log was not asked for")
	}
	state = fmt.Sprintf(`{"Id":"web","State":{"Status":"running","Running":true,"Pid":4711,"StartedAt":%q}}`, stamp(died.Add(time.Second-time.Millisecond)))
	mu.Unlock()
	close(again)
	rec.wait(t, "the run that follows, with its pid", func(o observe.Observation) bool {
		return o.Container != nil && o.Container.ID == "web" && o.Container.PID == 4711 && !o.Container.AnswersStart.IsZero()
	})
	rec.wait(t, "the events that follow are read on from", func(o observe.Observation) bool {
		return o.Cursor != nil && o.Cursor.Value < stamp(began)
	})
}
