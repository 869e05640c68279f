package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/render"
)

// endless is a backend with more incidents than anybody reads.
type endless struct{ *backend }

func (endless) Incidents(ctx context.Context, _ Query, each func(Found) error) error {
	body := []byte(`{"id":"a","summary":"` + strings.Repeat("x", 4000) + `"}`)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(Found{Body: body}); err != nil {
			return err
		}
	}
}

// TestClientsThatDoNotRead: a hundred clients ask for everything and read nothing.
// Health answers at once, memory is bounded, and they are cut off.
func TestClientsThatDoNotRead(t *testing.T) {
	b := newBackend()
	s, url := startWith(t, endless{b}, Options{})
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, 100)
	for i := range conns {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET /v1/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	slowest := time.Duration(0)
	for range 20 {
		begun := time.Now()
		if code, _, _ := get(t, url+"/healthz", nil); code != http.StatusOK {
			t.Errorf("healthz answers %d", code)
		}
		slowest = max(slowest, time.Since(begun))
		time.Sleep(20 * time.Millisecond)
	}
	if slowest > time.Second {
		t.Errorf("healthz took %v", slowest)
	}
	runtime.ReadMemStats(&during)
	grown := int64(during.HeapInuse) - int64(before.HeapInuse)
	if grown > 16<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	code, _, h := get(t, url+"/v1/incidents", nil)
	if code != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("one more is answered %d", code)
	}
	cut := time.Now()
	for len(s.answers) > 0 && time.Since(cut) < 10*stallTimeout {
		time.Sleep(50 * time.Millisecond)
	}
	if len(s.answers) > 0 {
		t.Errorf("%d answers are still being made", len(s.answers))
	}
	t.Logf("healthz took %v at most, memory grew by %d KiB, all were cut off after %v", slowest, grown>>10, time.Since(cut).Round(time.Second))
}

// TestOlderPages: the page leads to what is older, and that to the newest.
func TestOlderPages(t *testing.T) {
	b := newBackend()
	for i := range pageLimit {
		b.list = append(b.list, &incident.Incident{ID: fmt.Sprintf("x%03d", i), Time: time.Unix(1e9, int64(i)), Summary: strings.Repeat("y", 5000), Unit: fmt.Sprint(i)})
	}
	_, url := start(t, b, Options{})
	_, page, _ := get(t, url+"/", nil)
	if !strings.Contains(page, `href="/?before=1000000000000000098.99"`) || strings.Contains(page, "the newest") || strings.Contains(page, strings.Repeat("y", 301)) {
		t.Errorf("the first page:\n%.2000s", page)
	}
	if _, page, _ = get(t, url+"/?cause=oom.container&q=x", nil); !strings.Contains(page, "fits this search") && !strings.Contains(page, "aaaa") {
		t.Errorf("a search:\n%.2000s", page)
	}
	b.list = b.list[:3]
	_, page, _ = get(t, url+"/?before=7.8", nil)
	if strings.Contains(page, ">older</a>") || !strings.Contains(page, "the newest") {
		t.Errorf("the last page, of %+v:\n%s", b.got, page)
	}
}

// TestQuickLook: the look at the JSON passes over nothing that is searched for.
func TestQuickLook(t *testing.T) {
	inc := &incident.Incident{ID: "d-5F", Kind: incident.KindDeath, Severity: incident.Warning, Cause: incident.OOMContainer, Summary: `NOTHÜNG of "tail & Co" <x> was OOM-killed`,
		Container: &incident.Container{ID: strings.Repeat("ab12", 16), Name: "shop-web-1", Image: "reg/Shop/web:1.4", Compose: &incident.Compose{Project: "Shop", Service: "web"}}}
	body := found(0, inc).Body
	for _, q := range []search{{Text: "nothüng"}, {Text: "Tail & co"}, {Text: "<X>"}, {Text: `of "tail`}, {Text: "reg/shop"}, {Text: "shop/WEB"}, {Text: "killed oom.container"}, {Text: "d-5f"},
		{Service: "web"}, {Service: "Shop/web"}, {Service: "shop-web-1"}, {Severity: "warning", Text: "OOM"}} {
		var l listed
		if err := json.Unmarshal(body, &l); err != nil || !q.wants(&l) || !q.quick()(body) {
			t.Errorf("%+v: wanted %v, seen at a quick look %v, %v", q, q.wants(&l), q.quick()(body), err)
		}
	}
	for _, q := range []search{{Text: "nothing-fits"}, {Service: "db"}, {Severity: "critical"}} {
		if q.quick()(body) {
			t.Errorf("%+v is not passed over", q)
		}
	}
}

// TestCountsOfOne: pages and alerts count one thing in the singular.
func TestCountsOfOne(t *testing.T) {
	b := newBackend()
	b.list[0].Gaps = []incident.Gap{{Source: "kmsg", Lost: 1}}
	b.report = &audit.Report{Containers: make([]audit.Subject, 1), Findings: []audit.Finding{{Rule: "restart", Severity: incident.Warning}}}
	b.status = Status{Ready: true, Sources: []SourceStatus{{Name: "kmsg", Up: true, Lost: 1}}}
	_, url := start(t, b, Options{})
	for path, want := range map[string]string{"/incident/aaaa": "kmsg: 1 record lost", "/incident/aaaa/text": "1 record lost", "/audit": "1 finding in 1 running container", "/": "reads kmsg; 1 record lost"} {
		if _, page, _ := get(t, url+path, nil); !strings.Contains(page, want) || strings.Contains(page, "1 records") {
			t.Errorf("%s has not %q:\n%.3000s", path, want, page)
		}
	}
	if got := render.GapsLine(b.list[0].Gaps); got != "kmsg lost 1 record" {
		t.Error(got)
	}
}

// TestPodsOfOneName: containers of one name in pods of two namespaces are two groups, and
// each is found by its pod.
func TestPodsOfOneName(t *testing.T) {
	b := newBackend()
	b.list = nil
	for i, ns := range []string{"shop", "bank"} {
		b.list = append(b.list, &incident.Incident{ID: ns, Kind: incident.KindDeath, Cause: incident.OOMContainer, Time: time.Unix(1e9, int64(i)), Summary: "app died",
			Container: &incident.Container{ID: strings.Repeat(fmt.Sprint(i), 64), Name: "app", Pod: &incident.Pod{Namespace: ns, Name: "app-7d9c5b6f4-x2x4z"}}})
	}
	_, url := start(t, b, Options{})
	if _, page, _ := get(t, url+"/", nil); strings.Count(page, `<a class="what"`) != 2 {
		t.Errorf("both pods are to be seen:\n%.3000s", page)
	}
	if _, page, _ := get(t, url+"/?q=bank/app-7d9", nil); strings.Count(page, `<a class="what"`) != 1 || !strings.Contains(page, "/incident/bank") {
		t.Errorf("a search for a pod:\n%.3000s", page)
	}
}
