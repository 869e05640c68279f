package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
)

const hostile = `</title><script>alert(1)</script>"'><img src=x onerror=alert(1)>`

type backend struct {
	list   []*incident.Incident
	status Status
	err    error
	got    Query
	rows   []warn.Row
	report *audit.Report

	readings []recorder.Reading
	leaks    []triage.Service
}

func (b *backend) Incidents(_ context.Context, q Query, each func(Found) error) error {
	b.got = q
	if b.err != nil {
		return b.err
	}
	for n, inc := range b.list {
		if q.Open && !inc.Open() {
			continue
		}
		if err := each(found(n, inc)); err != nil {
			return err
		}
	}
	return nil
}

func found(n int, inc *incident.Incident) Found {
	body, err := json.Marshal(inc)
	if err != nil {
		panic(err)
	}
	return Found{Place: fmt.Sprintf("%d.%d", inc.Time.UnixNano(), n), Body: body}
}

func (b *backend) Explain(_ context.Context, what string, _ bool, each func(Found) error) error {
	if b.err != nil {
		return b.err
	}
	for n, i := range b.list {
		if what == "" {
			return each(found(n, i))
		}
		if i.ID == what {
			if err := each(found(n, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *backend) Alive() bool { return b.status.Alive }

func (b *backend) Status(context.Context) Status { return b.status }

func (b *backend) Top(context.Context) []warn.Row { return b.rows }

func (b *backend) Memory(_ context.Context, what string, from, to time.Time) (recorder.Series, error) {
	s := recorder.Series{Service: what, Step: recorder.StepRead}
	for _, r := range b.readings {
		if !r.At.Before(from) && !r.At.After(to) {
			s.Readings = append(s.Readings, r)
		}
	}
	return s, b.err
}

func (b *backend) Leaks(context.Context) ([]triage.Service, error) { return b.leaks, b.err }

func (b *backend) Audit(context.Context) (*audit.Report, error) { return b.report, nil }

func newBackend() *backend {
	return &backend{
		list: []*incident.Incident{
			{Schema: incident.Schema, ID: "aaaa", Kind: incident.KindDeath, Time: time.Unix(1e9, 0).UTC(), Severity: incident.Critical,
				Summary: hostile, Cause: incident.OOMContainer, Confidence: incident.Certain, Count: 1,
				Container: &incident.Container{Name: hostile, Image: hostile, ExitCode: new(0)},
				Processes: []incident.Process{{PID: 1, Comm: hostile}},
				Evidence:  []incident.Evidence{{Source: "kmsg", Text: hostile, Means: hostile}},
				Advice:    []string{hostile}, LogTail: []string{hostile}},
		},
		status: Status{Version: "1", Ready: true, Alive: true, Sources: []SourceStatus{{Name: "kmsg", Up: false, Reason: hostile, Lost: 7}}},
	}
}

// start runs a Server until the test ends and returns it with its URL.
func start(t *testing.T, b *backend, opt Options) (*Server, string) {
	t.Helper()
	return startWith(t, b, opt)
}

func startWith(t *testing.T, b Backend, opt Options) (*Server, string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_test_total"})
	reg.MustRegister(c)
	c.Inc()
	opt.Addr, opt.Backend, opt.Metrics, opt.Log = "127.0.0.1:0", b, reg, zap.NewNop()
	s := New(opt)
	if err := errors.Join(s.ListenTCP(), s.ListenUnix()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not return")
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s, "http://" + s.Addr()
}

func get(t *testing.T, url string, change func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestPagesEscapeForeignText(t *testing.T) {
	_, url := start(t, newBackend(), Options{})
	for _, path := range []string{"/", "/incident/aaaa"} {
		code, body, h := get(t, url+path, nil)
		if code != 200 {
			t.Fatalf("%s: status %d: %s", path, code, body)
		}
		if strings.Contains(strings.Replace(body, `<script src="/app.js" defer></script>`, "", 1), "<script") || strings.Contains(body, "<img") {
			t.Errorf("%s holds foreign markup:\n%s", path, body)
		}
		if !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s does not show the foreign text at all", path)
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: policy %q", path, h.Get("Content-Security-Policy"))
		}
	}
	if code, body, _ := get(t, url+"/style.css", nil); code != 200 || !strings.Contains(body, ".incidents") {
		t.Errorf("style.css: status %d", code)
	}
	if code, _, _ := get(t, url+"/incident/zzzz", nil); code != 404 {
		t.Errorf("unknown incident: status %d, want 404", code)
	}
}

// TestTwoHosts: a page shows the incident of the host that it was asked for.
func TestTwoHosts(t *testing.T) {
	b := newBackend()
	b.list = nil
	for _, host := range []string{"node-1", "node-2"} {
		b.list = append(b.list, &incident.Incident{ID: "same", Kind: incident.KindDeath, Host: &incident.Host{Name: host}, Summary: "web died on " + host})
	}
	_, url := start(t, b, Options{})
	_, index, _ := get(t, url+"/", nil)
	for _, host := range []string{"node-1", "node-2"} {
		if !strings.Contains(index, `href="/incident/same?host=`+host+`"`) {
			t.Errorf("the list has no link to the one of %s", host)
		}
		if _, page, _ := get(t, url+"/incident/same?host="+host, nil); !strings.Contains(page, "web died on "+host) {
			t.Errorf("the page of %s shows another", host)
		}
	}
	if code, _, _ := get(t, url+"/incident/same?host=node-3", nil); code != http.StatusNotFound {
		t.Errorf("a host without it: status %d", code)
	}
}

func TestMemoryPicture(t *testing.T) {
	b := newBackend()
	b.list[0].History = &incident.History{Points: []incident.Point{{T: -2, Bytes: 1 << 20}, {T: 0, Bytes: 5 << 20}}, Trend: "unknown"}
	_, url := start(t, b, Options{})
	id := b.list[0].ID
	if _, body, h := get(t, url+"/incident/"+id, nil); !strings.Contains(body, `<img class="chart" src="/incident/`+id+`/memory.svg?plain"`) || !strings.Contains(h.Get("Content-Security-Policy"), "img-src 'self'") {
		t.Errorf("the page does not show the picture, by %q:\n%s", h.Get("Content-Security-Policy"), body)
	}
	code, body, h := get(t, url+"/incident/"+id+"/memory.svg", nil)
	if code != 200 || h.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(body, "<svg ") || strings.Contains(body, "<script") || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("status %d, %s, %q:\n%s", code, h.Get("Content-Type"), h.Get("Content-Security-Policy"), body)
	}
	b.list[0].History = nil
	for _, path := range []string{"/incident/" + id + "/memory.svg?plain", "/incident/zzzz/memory.svg?plain"} {
		if code, _, _ := get(t, url+path, nil); code != 404 {
			t.Errorf("%s: status %d, want 404", path, code)
		}
	}
}

func TestOnlyReadingIsAnswered(t *testing.T) {
	_, url := start(t, newBackend(), Options{})
	for _, m := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
		code, _, h := get(t, url+"/v1/status", func(r *http.Request) { r.Method = m })
		if code != http.StatusMethodNotAllowed || h.Get("Allow") == "" {
			t.Errorf("%s: status %d, Allow %q", m, code, h.Get("Allow"))
		}
	}
}

func TestHostHeader(t *testing.T) {
	_, url := start(t, newBackend(), Options{AllowedHosts: []string{"Watch.Example.org"}})
	for host, want := range map[string]int{
		"127.0.0.1:9468": 200, "[::1]:9468": 200, "localhost": 200, "LOCALHOST.:80": 200, "10.1.2.3": 200, "node-7:9468": 200,
		"watch.example.org:9468": 200, "evil.example.org": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example:9468": 421, "a.b": 421,
	} {
		if code, _, _ := get(t, url+"/v1/status", func(r *http.Request) { r.Host = host }); code != want {
			t.Errorf("Host %q: status %d, want %d", host, code, want)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	for _, tt := range []struct {
		alive, ready    bool
		health, readied int
	}{{true, true, 200, 200}, {true, false, 200, 503}, {false, true, 503, 200}} {
		b := newBackend()
		b.status.Alive, b.status.Ready = tt.alive, tt.ready
		_, url := start(t, b, Options{})
		if code, _, _ := get(t, url+"/healthz", nil); code != tt.health {
			t.Errorf("%+v: healthz %d", tt, code)
		}
		code, body, _ := get(t, url+"/readyz", nil)
		if code != tt.readied {
			t.Errorf("%+v: readyz %d", tt, code)
		}
		var st Status
		if err := json.Unmarshal([]byte(body), &st); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.status, st); diff != "" {
			t.Errorf("readyz does not name each source (-want +got):\n%s", diff)
		}
	}
}

func TestMetrics(t *testing.T) {
	_, url := start(t, newBackend(), Options{})
	if code, body, _ := get(t, url+"/metrics", nil); code != 200 || !strings.Contains(body, "oomwatch_test_total 1") {
		t.Errorf("status %d:\n%s", code, body)
	}
}

func TestBadParameters(t *testing.T) {
	b := newBackend()
	_, url := start(t, b, Options{})
	for _, p := range []string{"/v1/incidents?since=yesterday", "/v1/incidents?limit=-1", "/v1/incidents?limit=x", "/v1/incidents?containers=a", "/v1/explain?container=a"} {
		if code, body, _ := get(t, url+p, nil); code != 400 || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: status %d: %s", p, code, body)
		}
	}
	b.err = errors.New("disk gone")
	if code, body, _ := get(t, url+"/v1/incidents", nil); code != 500 || !strings.Contains(body, "disk gone") {
		t.Errorf("status %d: %s", code, body)
	}
}

func TestSocketAndClient(t *testing.T) {
	b := newBackend()
	sock := filepath.Join(t.TempDir(), "sub", "w.sock")
	start(t, b, Options{Socket: sock})
	st, err := os.Stat(sock)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o660 {
		t.Errorf("mode %o, want 660", st.Mode().Perm())
	}
	c := NewClient(sock)
	ctx := context.Background()
	q := Query{Since: time.Unix(5, 6).UTC(), Container: "a&b", Cause: incident.OOMHost, Kind: incident.KindHost, Limit: 3}
	list, err := c.Incidents(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(q, b.got); diff != "" {
		t.Errorf("query changed on its way (-want +got):\n%s", diff)
	}
	if open, err := parseQuery(Query{Open: true}.values()); err != nil || !open.Open {
		t.Errorf("open warnings are asked for as %+v, %v", open, err)
	}
	if diff := cmp.Diff(b.list, list); diff != "" {
		t.Errorf("incidents changed on their way (-want +got):\n%s", diff)
	}
	if list, err := c.Explain(ctx, "aaaa", true); err != nil || len(list) != 1 {
		t.Errorf("Explain: %v, %v", list, err)
	}
	if list, err := c.Explain(ctx, "none", false); err != nil || len(list) != 0 {
		t.Errorf("Explain of nothing: %v, %v", list, err)
	}
	got, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&b.status, got); diff != "" {
		t.Errorf("status changed on its way (-want +got):\n%s", diff)
	}
	b.err = errors.New("disk gone")
	if _, err := c.Incidents(ctx, Query{}); err == nil || !strings.Contains(err.Error(), "disk gone") || errors.Is(err, ErrNoDaemon) {
		t.Errorf("error of the daemon: %v", err)
	}
	if _, err := NewClient(sock + "x").Status(ctx); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("nobody there: %v", err)
	}
	if err := New(Options{Socket: sock}).ListenUnix(); !errors.Is(err, ErrSocketInUse) {
		t.Errorf("second daemon: %v", err)
	}
}

func TestStaleSocketIsReplacedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s := New(Options{Socket: stale})
	if err := s.ListenUnix(); err != nil {
		t.Errorf("stale socket: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Socket: file}).ListenUnix(); err == nil {
		t.Error("a file that is not a socket was taken")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file is gone: %q, %v", b, err)
	}
}

func TestBusyPort(t *testing.T) {
	s, _ := start(t, newBackend(), Options{})
	if err := New(Options{Addr: s.Addr()}).ListenTCP(); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("busy port: %v", err)
	}
}

func TestSlowClientIsCutOff(t *testing.T) {
	s, _ := start(t, newBackend(), Options{})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	// The header never ends: start's cleanup proves that Run ends all the same.
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLeaksHaveAPast: /leaks draws what each service held in the last day; nothing where
// nothing is kept.
func TestLeaksHaveAPast(t *testing.T) {
	b := newBackend()
	b.leaks = []triage.Service{{Service: "web", Class: triage.Leak, Confidence: incident.Likely, Reasons: []string{"what is left grows"}}}
	now := time.Now()
	_, url := start(t, b, Options{})
	if code, body, _ := get(t, url+"/leaks", nil); code != http.StatusOK || !strings.Contains(body, `data-c="last 24 h"></td>`) || !strings.Contains(body, ">web</a>") {
		t.Errorf("without readings: %d\n%s", code, body)
	}
	for n := range int64(8) {
		b.readings = append(b.readings, recorder.Reading{At: now.Add(time.Duration(n-9) * time.Hour), Used: 300<<20 + n<<27, File: 300 << 20})
	}
	if code, body, _ := get(t, url+"/leaks", nil); code != http.StatusOK || !strings.Contains(body, "▁▂▃▄▅▆▇█") {
		t.Errorf("with readings: %d\n%s", code, body)
	}
}
