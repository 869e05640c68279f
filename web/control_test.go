package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// control notes what it was asked.
type control struct{ asked []string }

func (c *control) Silences(context.Context) ([]incident.Silence, error) { return nil, nil }

func (c *control) AddSilence(_ context.Context, s incident.Silence) (incident.Silence, error) {
	c.asked = append(c.asked, "add "+s.Reason+" "+s.By)
	s.ID = "abcd"
	return s, nil
}

func (c *control) ExpireSilence(_ context.Context, id string) (incident.Silence, error) {
	c.asked = append(c.asked, "expire "+id)
	return incident.Silence{}, errors.New("no such silence")
}

func (c *control) Retry(_ context.Context, r string) (int, error) {
	c.asked = append(c.asked, "retry "+r)
	return 3, nil
}

func TestControlOverTheSocket(t *testing.T) {
	c := &control{}
	socket := filepath.Join(t.TempDir(), "s.sock")
	_, url := start(t, newBackend(), Options{Socket: socket, Control: c})
	cl := NewClient(socket)
	ctx := t.Context()
	kept, err := cl.AddSilence(ctx, incident.Silence{Reason: "deploy", Until: time.Now().Add(time.Hour), By: "uid 1: me"})
	if err != nil || kept.ID != "abcd" || kept.By != fmt.Sprintf("uid %d", os.Geteuid()) {
		t.Errorf("add: %+v, %v", kept, err)
	}
	if list, err := cl.Silences(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("list: %v, %v", list, err)
	}
	if _, err := cl.ExpireSilence(ctx, "x"); err == nil || !strings.Contains(err.Error(), "no such silence") {
		t.Errorf("expire: %v", err)
	}
	if n, err := cl.Retry(ctx, "slack"); err != nil || n != 3 {
		t.Errorf("retry: %d, %v", n, err)
	}
	if got := strings.Join(c.asked, "; "); got != fmt.Sprintf("add deploy uid %d; expire x; retry slack", os.Geteuid()) {
		t.Errorf("asked: %s", got)
	}
	c.asked = nil
	// Nothing of it over TCP, and nothing that is not understood.
	for _, path := range []string{"/v1/silences", "/v1/silences/expire", "/v1/notify/retry"} {
		res, err := http.Post(url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s over TCP: %s", path, res.Status)
		}
	}
	over := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	for body, want := range map[string]int{"{": 400, `{"reasn":"x"}`: 400, `{}{}`: 400, `{"reason":"` + strings.Repeat("x", maxRequest) + `"}`: 400} {
		res, err := over.Post("http://localhost/v1/silences", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%.20s: %s", body, res.Status)
		}
	}
	res, err := over.Post("http://localhost/v1/incidents", "", nil)
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("POST to what is only read: %v, %v", res, err)
	}
	res.Body.Close()
	if len(c.asked) != 0 {
		t.Errorf("asked all the same: %v", c.asked)
	}
}

// TestControlKnowsItsPeer: who is neither root nor the daemon's user is refused, and
// so is one whom the kernel does not name.
func TestControlKnowsItsPeer(t *testing.T) {
	for _, tt := range []struct {
		uid  any
		want int
	}{{uint32(0), 200}, {uint32(os.Geteuid()), 200}, {uint32(4711), 403}, {nil, 403}} {
		c := &control{}
		h := (&Server{opt: Options{Control: c}}).control(http.NotFoundHandler())
		r := httptest.NewRequest(http.MethodPost, "/v1/notify/retry", strings.NewReader("{}"))
		if tt.uid != nil {
			r = r.WithContext(context.WithValue(r.Context(), peerKey{}, tt.uid))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want || (len(c.asked) > 0) != (tt.want == 200) {
			t.Errorf("uid %v: %d, asked %v", tt.uid, w.Code, c.asked)
		}
	}
}
