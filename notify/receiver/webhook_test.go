package receiver

import (
	"crypto/tls"
	"encoding/json"
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

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
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
		var later *notify.RetryAfter
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
	defer hook.Traits().Close()
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
		defer hook.Traits().Close()
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

// TestRotation: with two secrets whoever knows either takes the request, as the
// published library of Standard Webhooks judges it.
func TestRotation(t *testing.T) {
	const older, newer, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_YgAwsBQIhrscChlQIMV+b5sSYspob7oD"
	for _, events := range []bool{false, true} {
		var head http.Header
		var body []byte
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			head = r.Header.Clone()
			body, _ = io.ReadAll(r.Body)
		}))
		hook, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: srv.URL}, Secret: newer + "\n" + older + "\n", CloudEvents: events})
		if err != nil {
			t.Fatal(err)
		}
		err = hook.Notify(t.Context(), incident.Alert{DeliveryID: "msg_1", Incident: hostile(), Attempt: 1})
		hook.Traits().Close()
		srv.Close()
		if err != nil {
			t.Fatal(err)
		}
		for secret, want := range map[string]bool{older: true, newer: true, other: false} {
			wh, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := wh.Verify(body, head); (err == nil) != want {
				t.Errorf("%s: %v, want %v", secret, err, want)
			}
			if err := wh.Verify(append(body, ' '), head); err == nil {
				t.Error("a changed body was taken")
			}
		}
	}
}

// TestCloudEvent: the id is the delivery's, the data what a bare webhook is sent.
func TestCloudEvent(t *testing.T) {
	var kind string
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		kind = r.Header.Get("Content-Type")
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	hook, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: srv.URL}, CloudEvents: true, Host: "node 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Traits().Close()
	a := incident.Alert{DeliveryID: "d-1", Incident: cases()["oom_container"], Attempt: 1}
	if err := hook.Notify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	checkCloudEvent(t, "event", body)
	m := decode(t, "event", body)
	bare, err := json.Marshal(a.Incident)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, "bare", bare), m["data"]); diff != "" {
		t.Errorf("-bare +data:\n%s", diff)
	}
	if kind != "application/cloudevents+json; charset=UTF-8" || m["id"] != "d-1" || m["type"] != "oomwatch.incident.v1" || m["subject"] != "web" || m["time"] != "2026-11-21T07:56:40.848Z" {
		t.Errorf("%s: %v %v %v %v", kind, m["id"], m["type"], m["subject"], m["time"])
	}
	if err := hook.NotifyDigest(t.Context(), "d-2", incident.NewDigest([]incident.Delivery{{Incident: a.Incident}}, "hook", 0)); err != nil {
		t.Fatal(err)
	}
	if m := decode(t, "digest", body); m["type"] != "oomwatch.digest.v1" || m["id"] != "d-2" {
		t.Errorf("%v %v", m["type"], m["id"])
	}
}
