package notify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRedirectIsNeverTold: a redirect that drops the body must not count as told,
// though the page it leads to answers 200.
func TestRedirectIsNeverTold(t *testing.T) {
	for code, want := range map[int]string{301: "never", 302: "never", 303: "never", 307: "told", 308: "told"} {
		var got []string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/hooks/") {
				http.Redirect(w, r, "/new", code)
				return
			}
			b, _ := io.ReadAll(r.Body)
			got = append(got, fmt.Sprint(r.Method, " ", len(b) > 0))
		}))
		err := hookTo(t, srv.URL, nil).Notify(t.Context(), alertOf("i-1"))
		srv.Close()
		hide(t, err)
		if verdict(err) != want {
			t.Errorf("%d: %s (%v), want %s", code, verdict(err), err, want)
		}
		if told := slices.Equal(got, []string{"POST true"}); told != (want == "told") || !told && len(got) > 0 {
			t.Errorf("%d: the new address got %v", code, got)
		}
	}
}

func TestTooManyRequestsHoldsTheReceiver(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": calmDown, "soon": calmDown, "-5": calmDown, "NaN": calmDown,
		"7": 7 * time.Second, "0": 0, "0.5": 500 * time.Millisecond,
		"31536000": time.Hour, "1e300": time.Hour, "+Inf": time.Hour,
		"Sat, 21 Nov 2026 08:01:00 GMT": time.Minute,
		"Sat, 21 Nov 2026 07:00:00 GMT": 0,
		"Sun, 21 Nov 2027 08:00:00 GMT": time.Hour,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		hook := hookTo(t, srv.URL, nil)
		hook.p.now = func() time.Time { return now }
		err := hook.Notify(t.Context(), alertOf("i-1"))
		srv.Close()
		var later *RetryAfter
		if !errors.As(err, &later) || later.At.Sub(now) != want {
			t.Errorf("Retry-After %q: %v, want a wait of %v", header, err, want)
		}
	}
}

// TestConnectionIsUsedAgain: one connection for many alerts.
func TestConnectionIsUsedAgain(t *testing.T) {
	var mu sync.Mutex
	from := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr]++
		fmt.Fprint(w, "thank you")
	}))
	defer srv.Close()
	hook := hookTo(t, srv.URL, nil)
	for range 5 {
		if err := hook.Notify(t.Context(), alertOf("i-1")); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(from) != 1 {
		t.Errorf("5 alerts came over the connections %v", from)
	}
}

// TestNoPartOfTheURLIsRepeated: a receiver may say back any part of the URL, in
// any spelling.
func TestNoPartOfTheURLIsRepeated(t *testing.T) {
	var say string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, say)
	}))
	defer srv.Close()
	raw := strings.Replace(srv.URL, "http://", "http://caller:pass-"+canary+"@", 1) + "/secret/secret-" + canary + "/sp%20ce%2F" + canary + "?k=a%20" + canary + "&" + canary + "=z"
	hook, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: raw}})
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()
	for _, say = range []string{raw, "secret-" + canary, "sp ce/" + canary, "sp%20ce%2F" + canary, "a " + canary, "a%20" + canary, "k=a%20" + canary, canary + "=z", "pass-" + canary} {
		err := hook.Notify(t.Context(), alertOf("i-1"))
		hide(t, err)
		if verdict(err) != "never" {
			t.Errorf("%s: %v", verdict(err), err)
		}
	}
}

func TestSettingsOfTLSAreNotChanged(t *testing.T) {
	conf := &tls.Config{}
	hookTo(t, "https://receiver.invalid", conf)
	if conf.MinVersion != 0 {
		t.Errorf("the caller's MinVersion became %x", conf.MinVersion)
	}
}

// TestProxyOfTheEnvironment runs itself, for the environment is read but once.
func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("OOMWATCH_TEST_PROXY") != "" {
		hook, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: "http://receiver.invalid/hook", AllowInsecure: true}})
		if err != nil {
			t.Fatal(err)
		}
		defer hook.Close()
		fmt.Printf("answer: %v\n", hook.Notify(t.Context(), alertOf("i-1")))
		return
	}
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.String() }))
	defer srv.Close()
	for _, c := range []struct{ proxy, want string }{
		{srv.URL, "answer: <nil>"},
		{"http://caller:" + canary + "@127.0.0.1:1", "answer: post to http://receiver.invalid/[redacted]: proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOfTheEnvironment$", "-test.v")
		cmd.Env = append(os.Environ(), "OOMWATCH_TEST_PROXY=1", "HTTP_PROXY="+c.proxy, "http_proxy="+c.proxy, "NO_PROXY=", "no_proxy=")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), canary) {
			t.Errorf("want %q, got %v:\n%s", c.want, err, out)
		}
	}
	if asked != "http://receiver.invalid/hook" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
