package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
)

// canary stands for what is secret in a receiver's URL and settings.
const canary = "c4naryS3cretT0ken"

// nothing is where a test server may complain.
var nothing = log.New(io.Discard, "", 0)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hookTo is a webhook whose URL and secret hold the canary.
func hookTo(t *testing.T, url string, conf *tls.Config) *Webhook {
	t.Helper()
	w, err := NewWebhook(WebhookOptions{HTTPOptions: HTTPOptions{URL: url + "/hooks/" + canary + "?key=" + canary + "-query", Version: "test", TLS: conf}, Secret: canary + "-signing-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Traits().Close)
	return w
}

func alertOf(id string) incident.Alert {
	return incident.Alert{DeliveryID: incident.DeliveryID("", id, "hook"), Attempt: 1, Incident: &incident.Incident{Schema: incident.Schema, ID: id, Kind: incident.KindDeath,
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
	var rejected *notify.Rejected
	var later *notify.RetryAfter
	var unsure *notify.Unsure
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
	for _, raw := range []string{"", "example.com/" + canary, "ftp://example.com/" + canary, "http://example.com/" + canary, "https:///" + canary, "https://[::1/" + canary, "http://10.0.0.7/" + canary, "http://am.localhost/" + canary} {
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

// oneOwed is a queue of one delivery.
type oneOwed struct {
	d   incident.Delivery
	out incident.Outcome
}

func (q *oneOwed) Due(context.Context, string, time.Time, int) ([]incident.Delivery, error) {
	if q.out.State != "" {
		return nil, nil
	}
	return []incident.Delivery{q.d}, nil
}

func (q *oneOwed) Begin(context.Context, string, ...incident.Delivery) error { return nil }

func (q *oneOwed) Settle(_ context.Context, o incident.Outcome, _ ...incident.Delivery) error {
	q.out = o
	return nil
}

func (q *oneOwed) NextDue(context.Context, string) (time.Time, error) { return time.Time{}, nil }

func (q *oneOwed) Told(context.Context, string, time.Time) ([]incident.Delivery, error) {
	return nil, nil
}

// TestLogsHoldNoSecret delivers to receivers that refuse and say back all that
// they know, through an outbox, and looks at all it logs and keeps.
func TestLogsHoldNoSecret(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, "no access to", r.URL, "with", r.Header, string(body[:min(len(body), 300)]))
	}))
	defer srv.Close()
	for _, e := range edges {
		t.Run(e.name, func(t *testing.T) {
			var buf bytes.Buffer
			log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&buf), zapcore.DebugLevel))
			q := &oneOwed{d: incident.Delivery{ID: "d", Receiver: "hook", Lane: "c1", Incident: alertOf("a").Incident, KeptAt: time.Now()}}
			o := notify.NewOutbox(notify.OutboxOptions{Queue: q, Receivers: []notify.Receiver{{Name: "hook", Notifier: e.at(t, srv.URL, nil)}}, Logger: log})
			o.Drain(t.Context())
			if q.out.State != incident.Parked {
				t.Errorf("state %s", q.out.State)
			}
			if !strings.Contains(buf.String(), "403") || strings.Contains(buf.String(), canary) {
				t.Errorf("log: %s", buf.String())
			}
		})
	}
}
