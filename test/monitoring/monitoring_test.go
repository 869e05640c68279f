// Package monitoring holds the rules and the dashboard of examples/monitoring to a real
// Prometheus, which scrapes a real daemon that saw a real OOM kill.
package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/web"
)

const examples = "../../examples/monitoring"

// tool finds a program of Debian's package prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		real.Missing(t, "%s (Debian package prometheus): %v", name, err)
	}
	return path
}

func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"}, {"check", "config", "prometheus.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = examples
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// dashboard is the part of Grafana's model that is used.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
		Options map[string]any
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(examples, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// options are what Grafana's published schema (github.com/grafana/grafana-foundation-sdk)
// requires of a panel's options, by its type.
var options = map[string][]string{
	"stat":       {"colorMode", "graphMode", "justifyMode", "orientation", "percentChangeColorMode", "reduceOptions", "showPercentChange", "textMode", "wideLayout"},
	"timeseries": {"legend", "tooltip"},
	"table":      {"frameIndex", "showHeader"},
}

// TestDashboard looks that its panels are of kinds that there are, lie side by side, and
// use no variable that is not defined.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 30 || len(d.Panels) < 8 {
		t.Errorf("%+v", d)
	}
	known := map[string]bool{"__range": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || options[p.Type] == nil {
			t.Errorf("%+v", p)
		}
		for _, name := range options[p.Type] {
			if p.Options[name] == nil {
				t.Errorf("%q has no option %s, which the schema requires", p.Title, name)
			}
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Errorf("%q lies on %q, or outside", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		for _, q := range p.Targets {
			for _, part := range strings.Split(q.Expr, "$")[1:] {
				name := part[:len(part)-len(strings.TrimLeft(part, "abcdefghijklmnopqrstuvwxyz_"))]
				if !known[name] {
					t.Errorf("%q uses $%s, which nobody defines", p.Title, name)
				}
			}
		}
	}
}

// TestAlertFires has a real Prometheus scrape a daemon while a container is OOM-killed and
// removed at once: the rule fires, and every query of the dashboard is answered.
func TestAlertFires(t *testing.T) {
	prometheus := tool(t, "prometheus")
	e := lab.Start(t, lab.Options{})
	dir := t.TempDir()
	target, at := freeAddr(t), freeAddr(t)
	startDaemon(t, dir, e.Host, target)
	config := strings.NewReplacer("127.0.0.1:9468", target, "15s", "1s", "rules.yaml", absolute(t, "rules.yaml")).Replace(read(t, "prometheus.yaml"))
	conf := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(prometheus, "--config.file", conf, "--storage.tsdb.path", filepath.Join(dir, "tsdb"), "--web.listen-address", at))
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slow(90*time.Second))
	defer cancel()
	wait(ctx, t, func() error { return scraped(ctx, at) })

	e.MustDocker(t, "run", "-d", "--rm", "--name", "prey", "--network", "none", "-m", "32m", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=prey",
		lab.Image, "sh", "-c", "sleep 4; exec tail /dev/zero")
	wait(ctx, t, func() error { return firing(ctx, at, "ContainerOOMKilled", "prey") })

	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$container", ".*", "$__range", "5m").Replace(q.Expr)
			idle := strings.Contains(expr, "limit_seconds") || strings.Contains(expr, "headroom") || strings.Contains(expr, "audit")
			wait(ctx, t, func() error { // a rise needs two scrapes
				n, err := ask(ctx, at, expr)
				if err == nil && n == 0 && !idle {
					err = fmt.Errorf("%q has nothing to show: %s", p.Title, expr)
				}
				return err
			})
		}
	}
	checkFormats(ctx, t, target)
}

// checkFormats reads the metrics as Prometheus' own checker does, and as OpenMetrics.
func checkFormats(ctx context.Context, t *testing.T, target string) {
	t.Helper()
	plain, err := get(ctx, "http://"+target+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, tool(t, "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(plain)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	open, err := get(ctx, "http://"+target+"/metrics", "application/openmetrics-text; version=1.0.0")
	if err != nil || !bytes.HasSuffix(open, []byte("# EOF\n")) || !bytes.Contains(open, []byte(`oomwatch_container_oom_kills_total{compose_project="shop",compose_service="prey",container="prey"`)) {
		t.Errorf("OpenMetrics: %v\n%.600s", err, open)
	}
}

// scraped is nil once the daemon was scraped.
func scraped(ctx context.Context, at string) error {
	n, err := ask(ctx, at, `up{job="oomwatch"} == 1`)
	if err == nil && n == 0 {
		err = errors.New("Prometheus has not scraped the daemon")
	}
	return err
}

// firing is nil once an alert fires for a container.
func firing(ctx context.Context, at, alert, container string) error {
	b, err := get(ctx, "http://"+at+"/api/v1/alerts", "")
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				State       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return err
	}
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == alert && a.Labels["container"] == container && a.State == "firing" && strings.Contains(a.Annotations["description"], "oomwatch explain "+container) {
			return nil
		}
	}
	return fmt.Errorf("%s does not fire for %s: %s", alert, container, b)
}

// ask puts a query and returns how many series answer it.
func ask(ctx context.Context, at, expr string) (int, error) {
	b, err := get(ctx, "http://"+at+"/api/v1/query?query="+url.QueryEscape(expr), "")
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status string
		Error  string
		Data   struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	return len(answer.Data.Result), nil
}

func get(ctx context.Context, address, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", address, res.Status, b)
	}
	return b, err
}

// startDaemon builds and starts oomwatch on an engine, with its metrics on an address.
func startDaemon(t *testing.T, dir, host, listen string) {
	t.Helper()
	binary := filepath.Join(dir, "oomwatch")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/oomwatch/oomwatch/cmd/oomwatch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build oomwatch: %v\n%s", err, out)
	}
	socket := filepath.Join(dir, "s.sock")
	d := harness.Launch(t, exec.Command(binary, "run", "--store", filepath.Join(dir, "store.db"), "--socket", socket, "--listen", listen, "--docker", host), socket)
	if _, err := d.Ready(t.Context(), lab.Slow(time.Minute), func(st *web.Status) bool { return st.Ready && len(st.Sources) > 2 }); err != nil {
		t.Fatal(err)
	}
}

// start starts a program until the test's end.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out harness.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait() // ended by a signal
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, out.String())
		}
	})
}

func wait(ctx context.Context, t *testing.T, try func() error) {
	t.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
