// Package browser looks at the pages in a real Chromium: at three widths, light and dark,
// by keyboard alone and without script, with hostile names in every cell. It leaves
// pictures of them in bin/screenshots.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/web"
)

const root = "../.."

// paths are all pages, each with what it must say.
var paths = []struct{ name, path, says string }{
	{"incidents", "/", "Incidents, newest first"},
	{"search", "/?q=web&severity=critical&since=7d", "Incidents, newest first"},
	{"containers", "/containers", "shop-web-0000"},
	{"container", "/container/shop-web-0001?span=1h", "Does it leak?"},
	{"incident", "/incident/id000000", "What is known"},
	{"hostile", "/incident/id000002", "What is known"},
	{"leaks", "/leaks", "shop-db"},
	{"audit", "/audit", "no memory limit"},
	{"receivers", "/receivers", "Silences"},
}

// pageToken is what a person signs in with.
const pageToken = "a-token-of-the-tests"

// serve starts the pages of a daemon that has much to show.
func serve(t *testing.T, h *house) string {
	t.Helper()
	s := web.New(web.Options{Addr: "127.0.0.1:0", Backend: h, Control: h, Token: pageToken, Metrics: prometheus.NewRegistry(), Log: zap.NewNop()})
	if err := s.ListenTCP(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr()
}

// chromium starts a browser, in which every test has a tab of its own.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		real.Missing(t, "no chromium; install it: apt-get install --no-install-recommends chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(30*time.Second))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// faults collects what a tab complains of: errors of the console, refusals of the policy,
// and dialogs, which only foreign script can open.
type faults struct {
	mu   sync.Mutex
	list []string
}

func (f *faults) add(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, s)
}

func (f *faults) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.list
	f.list = nil
	return out
}

// tab opens a tab.
func tab(t *testing.T, ctx context.Context) (context.Context, *faults) {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	f := &faults{}
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			f.add("exception: " + ev.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.LevelError {
				f.add("console: " + ev.Entry.Text + " " + ev.Entry.URL)
			}
		case *page.EventJavascriptDialogOpening:
			f.add("a dialog: " + ev.Message)
			go chromedp.Run(ctx, page.HandleJavaScriptDialog(false)) //nolint:errcheck // the fault is noted
		}
	})
	if err := chromedp.Run(ctx, log.Enable(), runtime.Enable()); err != nil {
		t.Fatal(err)
	}
	return ctx, f
}

// sized sets a tab's size and scheme.
func sized(width int64, scheme string) chromedp.Action {
	return chromedp.Tasks{emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})}
}

// TestPages: every page at three widths, light and dark: nothing complains, nothing runs
// out of the screen, axe-core finds nothing serious, and nothing hostile has come alive.
func TestPages(t *testing.T) {
	ctx := chromium(t)
	url := serve(t, newHouse(60, 40))
	shots := filepath.Join(root, "bin/screenshots")
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	axe, err := os.ReadFile(filepath.Join(root, "bin/axe/axe.min.js"))
	if err != nil {
		real.Missing(t, "%v: run test/browser/ensure.sh", err)
	}
	ctx, f := tab(t, ctx)
	for _, p := range paths {
		for _, width := range []int64{390, 768, 1440} {
			for _, scheme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%s-%d-%s", p.name, width, scheme)
				var text string
				var wide, alive int
				var shot []byte
				err := chromedp.Run(ctx, sized(width, scheme), chromedp.Navigate(url+p.path), settled(p.name),
					chromedp.Evaluate(`document.body.innerText`, &text),
					chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
					chromedp.Evaluate(`document.querySelectorAll('img[src="x"], script:not([src])').length`, &alive),
					chromedp.FullScreenshot(&shot, 100))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := os.WriteFile(filepath.Join(shots, name+".png"), shot, 0o644); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(text, p.says) || wide > 0 || alive > 0 {
					t.Errorf("%s: %d pixels too wide, %d foreign elements, says:\n%.300s", name, wide, alive, text)
				}
				if found := f.take(); len(found) > 0 {
					t.Errorf("%s: %s", name, strings.Join(found, "\n"))
				}
				if !(width == 390 && scheme == "light" || width == 1440 && scheme == "dark") {
					continue // the same words in the same colours
				}
				for _, v := range violations(t, ctx, axe) {
					t.Errorf("%s: axe: %s", name, v)
				}
			}
		}
	}
}

// settled waits for what script draws.
func settled(name string) chromedp.Action {
	if name == "container" {
		return chromedp.WaitVisible("#chart canvas", chromedp.ByQuery)
	}
	return chromedp.WaitVisible("main", chromedp.ByQuery)
}

// violations are what axe-core finds serious or critical on the page.
func violations(t *testing.T, ctx context.Context, axe []byte) []string {
	t.Helper()
	var found string
	err := chromedp.Run(ctx, chromedp.Evaluate(string(axe)+";0", nil), chromedp.Evaluate(`axe.run().then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, at: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))}))))`, &found,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		ID, Impact, Help string
		At               []string
	}
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		t.Fatalf("%v: %s", err, found)
	}
	var out []string
	for _, v := range list {
		if v.Impact == "serious" || v.Impact == "critical" {
			out = append(out, fmt.Sprintf("%s (%s): %s: %q", v.ID, v.Impact, v.Help, v.At))
		}
	}
	return out
}

// TestWithoutScript: every page says the same with script turned off.
func TestWithoutScript(t *testing.T) {
	ctx := chromium(t)
	url := serve(t, newHouse(60, 40))
	ctx, _ = tab(t, ctx)
	for _, p := range paths {
		var text string
		var pictures int
		err := chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(true), sized(390, "light"), chromedp.Navigate(url+p.path), chromedp.WaitVisible("main", chromedp.ByQuery),
			chromedp.Evaluate(`document.body.innerText`, &text),
			chromedp.Evaluate(`[...document.querySelectorAll("img.chart")].filter(i => i.naturalWidth > 0).length`, &pictures))
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if !strings.Contains(text, p.says) {
			t.Errorf("%s says:\n%.300s", p.name, text)
		}
		if (p.name == "container" || p.name == "incident") && pictures != 1 {
			t.Errorf("%s: %d pictures of the memory", p.name, pictures)
		}
	}
}

// TestKeyboard: with the Tab key alone a reader gets past the navigation, searches, and
// opens an incident.
func TestKeyboard(t *testing.T) {
	ctx := chromium(t)
	url := serve(t, newHouse(60, 40))
	ctx, f := tab(t, ctx)
	if err := chromedp.Run(ctx, sized(1440, "light"), chromedp.Navigate(url+"/"), chromedp.WaitVisible("main", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	var seen []string
	press := func(key string) (at string) {
		t.Helper()
		const where = `(() => { const e = document.activeElement, s = getComputedStyle(e); return (s.outlineStyle === "none" ? "UNSEEN " : "") + e.tagName + " " + (e.name || e.className || e.textContent.trim().slice(0, 30)); })()`
		if err := chromedp.Run(ctx, chromedp.KeyEvent(key), chromedp.Evaluate(where, &at)); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, at)
		return at
	}
	if at := press(kb.Tab); at != "A skip" {
		t.Errorf("the first stop is %q", at)
	}
	for range 40 {
		at := press(kb.Tab)
		if strings.HasPrefix(at, "UNSEEN") {
			t.Errorf("focus cannot be seen at %q", at)
		}
		if at == "INPUT q" {
			if err := chromedp.Run(ctx, chromedp.KeyEvent("stop"), chromedp.KeyEvent(kb.Enter), chromedp.Sleep(300*time.Millisecond), chromedp.WaitVisible("main", chromedp.ByQuery)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	var address string
	for range 40 {
		if at := press(kb.Tab); at == "A what" {
			if err := chromedp.Run(ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("article", chromedp.ByQuery), chromedp.Location(&address)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if !strings.Contains(address, "/incident/") || len(f.take()) > 0 {
		t.Errorf("at %q after %q", address, seen)
	}
}

// TestManyFit: with 10,000 incidents and 1,000 containers a page stays below 150 kB, and
// an update of the live table below 20 kB.
func TestManyFit(t *testing.T) {
	url := serve(t, newHouse(10_000, 1000))
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/", "/containers", "/?q=nothing-like-it", "/containers?sort=name&page=3"} {
		began := time.Now()
		res, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		t.Logf("%s: %d bytes in %s", path, len(body), time.Since(began).Round(time.Millisecond))
		if err != nil || res.StatusCode != 200 || len(body) > 150_000 {
			t.Errorf("%s: status %d, %d bytes, %v", path, res.StatusCode, len(body), err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/containers/live?sort=name", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(nil, 1<<20)
	updates := 0
	for updates < 3 && sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			updates++
			t.Logf("update %d: %d bytes", updates, len(data))
			if len(data) > 20_000 || updates > 1 && len(data) < 10 {
				t.Errorf("update %d: %d bytes", updates, len(data))
			}
		}
	}
	if err := sc.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
