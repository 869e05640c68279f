package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/oomwatch/oomwatch/incident"
)

// canary stands for what is secret in a receiver's URL and settings.
const canary = "c4naryS3cretT0ken"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hookTo is a webhook whose URL and secret hold the canary.
func hookTo(t *testing.T, url string, conf *tls.Config) *Webhook {
	t.Helper()
	w, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: url + "/hooks/" + canary + "?key=" + canary + "-query", Version: "test", TLS: conf}, Secret: canary + "-signing-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func alertOf(id string) Alert {
	return Alert{DeliveryID: incident.DeliveryID(id, "hook"), Attempt: 1, Incident: &incident.Incident{Schema: incident.Schema, ID: id, Kind: incident.KindDeath,
		Cause: incident.OOMContainer, Confidence: incident.Certain, Severity: incident.Critical, Summary: "web was OOM-killed", Count: 1}}
}

func hide(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err.Error()), canary) {
		t.Errorf("the error holds the secret: %v", err)
	}
}

// TestSignature checks the vector that the Standard Webhooks libraries publish.
func TestSignature(t *testing.T) {
	key, err := webhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestWebhookPostsTheIncident(t *testing.T) {
	var body []byte
	var head http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	hook := hookTo(t, srv.URL, nil)
	hook.p.now = func() time.Time { return time.Unix(1700000000, 0) }
	a := alertOf("i-1")
	if err := hook.Notify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	var got incident.Incident
	if err := json.Unmarshal(body, &got); err != nil || got.ID != "i-1" || got.Schema != incident.Schema {
		t.Errorf("body %s: %v", body, err)
	}
	for k, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "oomwatch/test", "Webhook-Id": a.DeliveryID, "Webhook-Timestamp": "1700000000"} {
		if head.Get(k) != want {
			t.Errorf("%s: %q, want %q", k, head.Get(k), want)
		}
	}
	if want := sign([]byte(canary+"-signing-key"), a.DeliveryID, "1700000000", body); head.Get("Webhook-Signature") != want {
		t.Errorf("signature %q, want %q", head.Get("Webhook-Signature"), want)
	}
}

// verdict names what the outbox will make of an error.
func verdict(err error) string {
	var rejected *Rejected
	var later *RetryAfter
	var unsure *Unsure
	switch {
	case err == nil:
		return "told"
	case errors.As(err, &rejected) && rejected.Gone:
		return "gone"
	case errors.As(err, &rejected):
		return "never"
	case errors.As(err, &later):
		return "later"
	case errors.As(err, &unsure):
		return "unsure"
	}
	return "again"
}

// TestReceiverZoo meets every kind of receiver with a webhook and a Slack sender.
func TestReceiverZoo(t *testing.T) {
	echo := "you posted to /hooks/" + canary + " with " + canary + "-query"
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			if code >= 300 {
				fmt.Fprintln(w, echo)
			}
		}
	}
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"200", status(200), "told"},
		{"202", status(202), "told"},
		{"204", status(204), "told"},
		{"301 to another host", status(301, "Location", "http://example.invalid/"+canary), "never"},
		{"307 to another host", status(307, "Location", "http://example.invalid/"+canary), "never"},
		{"400", status(400), "never"},
		{"401", status(401), "never"},
		{"403", status(403), "never"},
		{"404", status(404), "never"},
		{"408", status(408), "again"},
		{"410", status(410), "gone"},
		{"413", status(413), "never"},
		{"425", status(425), "again"},
		{"429 with seconds", status(429, "Retry-After", "7"), "later"},
		{"429 with a fraction", status(429, "Retry-After", "0.376"), "later"},
		{"429 with a date", status(429, "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)), "later"},
		{"429 with nothing", status(429), "later"},
		{"429 with nonsense", status(429, "Retry-After", "soon"), "later"},
		{"429 with a year", status(429, "Retry-After", "31536000"), "later"},
		{"500", status(500), "again"},
		{"502", status(502), "again"},
		{"503 with seconds", status(503, "Retry-After", "1"), "later"},
		{"reset", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}, "unsure"},
		{"closes without an answer", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				c.Close()
			}
		}, "unsure"},
		{"never answers", hang, "unsure"},
		{"a byte a second", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(500)
			for range 100 {
				fmt.Fprint(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, "again"},
		{"headers without end", func(w http.ResponseWriter, r *http.Request) {
			for i := range 4000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("y", 100))
			}
			w.WriteHeader(200)
		}, "unsure"},
		{"a huge body", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			chunk := bytes.Repeat([]byte("z"), 1<<20)
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "again"},
		{"not HTTP", func(w http.ResponseWriter, r *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				fmt.Fprint(c, "SSH-2.0-x "+canary+"\r\n\r\n")
				c.Close()
			}
		}, "unsure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			defer srv.CloseClientConnections()
			hook := hookTo(t, srv.URL, nil)
			shorten(hook.p)
			err := hook.Notify(t.Context(), alertOf("i-1"))
			hide(t, err)
			if got := verdict(err); got != c.want {
				t.Errorf("webhook: %s (%v), want %s", got, err, c.want)
			}
			var later *RetryAfter
			if errors.As(err, &later) && (later.At.Before(time.Now().Add(-time.Second)) || later.At.After(time.Now().Add(maxRetryAfter+time.Second))) {
				t.Errorf("asked to wait until %v", later.At)
			}
			slack, err := NewSlack(HTTPOptions{URL: srv.URL + "/services/" + canary, Version: "test"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer slack.Close()
			shorten(slack.p)
			err = slack.Notify(t.Context(), alertOf("i-1"))
			hide(t, err)
			if got := verdict(err); got != c.want {
				t.Errorf("slack: %s (%v), want %s", got, err, c.want)
			}
		})
	}
}

// shorten makes the deadlines a test's.
func shorten(p *poster) {
	p.client.Timeout = 500 * time.Millisecond
	p.client.Transport.(*http.Transport).ResponseHeaderTimeout = 300 * time.Millisecond
}

func TestDeadlinesAreTheContracts(t *testing.T) {
	hook := hookTo(t, "http://127.0.0.1:1", nil)
	tr := hook.p.client.Transport.(*http.Transport)
	if hook.p.client.Timeout != 15*time.Second || tr.ResponseHeaderTimeout != 5*time.Second || tr.TLSClientConfig.MinVersion != tls.VersionTLS12 || maxAnswer != 64<<10 {
		t.Errorf("timeout %v, header %v, TLS %x", hook.p.client.Timeout, tr.ResponseHeaderTimeout, tr.TLSClientConfig.MinVersion)
	}
}

func TestUnreachableReceivers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer secure.Close()
	secure.Config.ErrorLog = nil
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	pool := x509.NewCertPool()
	pool.AddCert(old.Certificate())
	for _, c := range []struct {
		name, url string
		conf      *tls.Config
	}{
		{"connection refused", closed, nil},
		{"unknown certificate", secure.URL, nil},
		{"TLS 1.1 only", old.URL, &tls.Config{RootCAs: pool}},
		{"no such name", "https://receiver.invalid", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := hookTo(t, c.url, c.conf).Notify(t.Context(), alertOf("i-1"))
			hide(t, err)
			if got := verdict(err); got != "again" {
				t.Errorf("%s (%v), want again", got, err)
			}
		})
	}
	t.Run("known certificate", func(t *testing.T) {
		pool := x509.NewCertPool()
		pool.AddCert(secure.Certificate())
		if err := hookTo(t, secure.URL, &tls.Config{RootCAs: pool}).Notify(t.Context(), alertOf("i-1")); err != nil {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := hookTo(t, closed, nil).Notify(ctx, alertOf("i-1"))
		hide(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	})
}

// TestRedirectsStayOnTheHost: a redirect on the same host is followed, with the body.
func TestRedirectsStayOnTheHost(t *testing.T) {
	var got string
	mux := http.NewServeMux()
	mux.HandleFunc("/hooks/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/new", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.Method + " " + string(b)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	if err := hookTo(t, srv.URL, nil).Notify(t.Context(), alertOf("i-7")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "POST {") || !strings.Contains(got, "i-7") {
		t.Errorf("the new address got %q", got)
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	for _, raw := range []string{"", "example.com/" + canary, "ftp://example.com/" + canary, "http://example.com/" + canary, "https:///" + canary, "https://[::1/" + canary, "http://10.0.0.7/" + canary} {
		_, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: raw}})
		if err == nil {
			t.Errorf("%q was accepted", raw)
		}
		hide(t, err)
		_, err = NewSlack(HTTPOptions{URL: raw}, nil)
		if err == nil {
			t.Errorf("%q was accepted for Slack", raw)
		}
		hide(t, err)
	}
	for _, raw := range []string{"https://example.com/x", "http://localhost:8080", "http://127.0.0.2/x", "http://[::1]:80/"} {
		if _, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: raw}}); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: "http://example.com/x", AllowInsecure: true}}); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"short", "whsec_!!!" + canary, "whsec_QUJD"} {
		_, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: "https://example.com/x"}, Secret: secret})
		if err == nil {
			t.Errorf("the secret %q was accepted", secret)
		}
		hide(t, err)
	}
}

// TestLogsHoldNoSecret delivers to bad receivers through an outbox and looks at
// all it logs and keeps.
func TestLogsHoldNoSecret(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, "no access to", r.URL)
	}))
	defer srv.Close()
	var buf bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&buf), zapcore.DebugLevel))
	q := &memQueue{}
	q.add("hook", "a", "c1", incident.OOMContainer)
	o := NewOutbox(OutboxOptions{Queue: q, Receivers: []Receiver{{Name: "hook", Notifier: hookTo(t, srv.URL, nil)}}, Logger: log})
	o.Drain(t.Context())
	if got := q.states(); got != "a:parked" {
		t.Errorf("states %s", got)
	}
	if !strings.Contains(buf.String(), "403") || strings.Contains(buf.String(), canary) {
		t.Errorf("log: %s", buf.String())
	}
}
