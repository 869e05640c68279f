package receiver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/notify"
)

// animal is a receiver that behaves in one way.
type animal struct {
	name string
	h    http.HandlerFunc
	want func(e *edge) string
}

func always(v string) func(*edge) string { return func(*edge) string { return v } }

// zoo are all ways in which a receiver may answer. No time passes but on a fake
// clock.
func zoo() []animal {
	// Whatever it was posted it may say back.
	echo := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "you posted to", r.URL, "with", r.Header.Get("Authorization"), canary+"-query", canaryKey)
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			if code >= 300 {
				echo(w, r)
			}
		}
	}
	says := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	hijack := func(do func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				do(c)
				c.Close()
			}
		}
	}
	slowly := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			for {
				fmt.Fprint(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		}
	}
	endless := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			chunk := bytes.Repeat([]byte("z"), 64<<10)
			for range 1 << 20 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	bare := func(e *edge) string { return orTold(e.bare) }
	odd := func(e *edge) string {
		if e.no != "" {
			return "unsure" // its service answers in words of its own
		}
		return "told"
	}
	return []animal{
		{"200", says(200, ""), bare},
		{"202", status(202), bare},
		{"204", status(204), bare},
		{"200 with ok:false", says(200, `{"ok":false,"error":"channel_not_found"}`), func(e *edge) string { return orTold(e.no) }},
		{"200 with ok:false, rate limit", says(200, `{"ok":false,"error":"ratelimited"}`), func(e *edge) string {
			if strings.HasPrefix(e.name, "slack") {
				return "later" // the code is Slack's
			}
			return orTold(e.no)
		}},
		{"200 with a page", says(200, "<html>please log in, "+canary+"</html>"), odd},
		{"200, a byte a second", slowly(200), odd},
		{"200, without end", endless(200), odd},
		{"301 to another host", status(301, "Location", "http://example.invalid/"+canary), always("never")},
		{"302 on the same host", status(302, "Location", "/other/"+canary), always("never")},
		{"307 to another host", status(307, "Location", "http://example.invalid/"+canary), always("never")},
		{"308 to another port", status(308, "Location", "http://localhost:81/"+canary), always("never")},
		{"307 without end", status(307, "Location", "/again/"+canary), always("never")},
		{"400", status(400), always("never")},
		{"401", status(401), always("never")},
		{"403", status(403), always("never")},
		{"404", status(404), always("never")},
		{"408", status(408), always("again")},
		{"408 with seconds", status(408, "Retry-After", "1"), always("later")},
		{"410", status(410), always("gone")},
		{"413", status(413), always("never")},
		{"425", status(425), always("again")},
		{"425 with seconds", status(425, "Retry-After", "1"), always("later")},
		{"429 with seconds", status(429, "Retry-After", "7"), always("later")},
		{"429 with a fraction", status(429, "Retry-After", "0.376"), always("later")},
		{"429 with a fraction in the body", says(429, `{"message":"You are being rate limited.","retry_after":0.376,"global":false}`), always("later")},
		{"429 as Telegram says it", says(429, `{"ok":false,"error_code":429,"parameters":{"retry_after":3}}`), always("later")},
		{"429 as Matrix says it", says(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}`), always("later")},
		{"429 with a date", status(429, "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)), always("later")},
		{"429 with nothing", status(429), always("later")},
		{"429 with nonsense", status(429, "Retry-After", "soon"), always("later")},
		{"429 with a year", status(429, "Retry-After", "31536000"), always("later")},
		{"400 with seconds", status(400, "Retry-After", "1"), always("never")},
		{"500", status(500), always("again")},
		{"500 with seconds", status(500, "Retry-After", "1"), always("later")},
		{"502", status(502), always("again")},
		{"502 with nonsense", status(502, "Retry-After", "soon"), always("again")},
		{"503", status(503), always("again")},
		{"503 with seconds", status(503, "Retry-After", "1"), always("later")},
		{"500, a byte a second", slowly(500), always("again")},
		{"500, without end", endless(500), always("again")},
		{"closes without an answer", hijack(func(net.Conn) {}), always("unsure")},
		{"breaks off in the header", hijack(func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX-"+canary) }), always("unsure")},
		{"not HTTP", hijack(func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x "+canary+"\r\n\r\n") }), always("unsure")},
		{"never answers", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, always("unsure")},
		{"headers without end", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for i := range 4000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("y", 100))
			}
			w.WriteHeader(200)
		}, always("unsure")},
	}
}

func orTold(v string) string {
	if v == "" {
		return "told"
	}
	return v
}

// TestReceiverZoo has every receiver meet every animal, on a fake clock and a
// network in memory: with the deadlines that hold in earnest.
func TestReceiverZoo(t *testing.T) {
	for _, e := range edges {
		for _, a := range zoo() {
			t.Run(e.name+"/"+a.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { meet(t, &e, &a) })
			})
		}
	}
}

func meet(t *testing.T, e *edge, a *animal) {
	wires := newPipes()
	srv := &http.Server{Handler: a.h}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(wires) }()
	n, err := e.make("http://localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range posters(t, n) {
		p.client.Transport.(*http.Transport).DialContext = wires.dial
	}
	began := time.Now()
	err = n.Notify(t.Context(), alertOf("i-1"))
	took := time.Since(began)
	hide(t, err)
	if got, want := verdict(err), a.want(e); got != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if took > totalTimeout {
		t.Errorf("it took %v; %v is the most", took, totalTimeout)
	}
	var later *notify.RetryAfter
	if errors.As(err, &later) && (later.At.Before(time.Now()) || later.At.After(time.Now().Add(maxRetryAfter))) {
		t.Errorf("asked to wait until %v", later.At)
	}
	n.Traits().Close()
	srv.Close()
	<-ended
	synctest.Wait()
}

// TestZooSaysYes: the body by which a service says yes is taken as one.
func TestZooSaysYes(t *testing.T) {
	for _, e := range edges {
		a := animal{name: "yes", h: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, e.yes)
		}, want: always("told")}
		t.Run(e.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { meet(t, &e, &a) }) })
	}
}

// TestUnreachableReceivers: nothing is told, nothing is parked, and no error
// holds a secret.
func TestUnreachableReceivers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	quiet := func(conf *tls.Config) *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv.Config.ErrorLog = nothing
		srv.TLS = conf
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv
	}
	trust := func(c *x509.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(c)
		return &tls.Config{RootCAs: pool}
	}
	secure := quiet(nil)
	old := quiet(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	expired, elsewhere := certificate(t, time.Now().Add(-time.Hour), "127.0.0.1"), certificate(t, time.Now().Add(time.Hour), "10.9.8.7")
	past, other := quiet(&tls.Config{Certificates: []tls.Certificate{expired}}), quiet(&tls.Config{Certificates: []tls.Certificate{elsewhere}})
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, url string
		conf      *tls.Config
		ctx       context.Context
		want      string
	}{
		{"connection refused", closed, nil, t.Context(), "connection refused"},
		{"unknown authority", secure.URL, nil, t.Context(), "certificate signed by unknown authority"},
		{"expired certificate", past.URL, trust(expired.Leaf), t.Context(), "expired"},
		{"another's certificate", other.URL, trust(elsewhere.Leaf), t.Context(), "not 127.0.0.1"},
		{"TLS 1.1 only", old.URL, trust(old.Certificate()), t.Context(), "protocol version"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), nil, t.Context(), "HTTP"},
		{"no such name", "https://receiver.invalid", nil, t.Context(), "receiver.invalid"},
		{"cancelled", closed, nil, cancelled, "context canceled"},
	} {
		for _, e := range edges {
			t.Run(c.name+"/"+e.name, func(t *testing.T) {
				err := e.at(t, c.url, c.conf).Notify(c.ctx, alertOf("i-1"))
				hide(t, err)
				if got := verdict(err); got != "again" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s (%v), want again because of %q", got, err, c.want)
				}
				if c.ctx.Err() != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%v is not context.Canceled", err)
				}
			})
		}
	}
	t.Run("known authority", func(t *testing.T) {
		if err := hookTo(t, secure.URL, trust(secure.Certificate())).Notify(t.Context(), alertOf("i-1")); err != nil {
			t.Error(err)
		}
	})
}

// certificate signs itself, for one address.
func certificate(t *testing.T, until time.Time, ip string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(ip)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
