// Package receiver sends alerts to the services that people read: a file for each.
// A receiver makes one request and says how it ended; package notify does the rest.
package receiver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// How long a receiver may take, and how much of its answer is read.
const (
	totalTimeout  = 15 * time.Second
	headerTimeout = 5 * time.Second
	maxAnswer     = 64 << 10
	// maxRetryAfter bounds what a receiver may ask for with Retry-After.
	maxRetryAfter = time.Hour
	// calmDown is how long a receiver is left alone that said "too many
	// requests" (429) and not when to come again.
	calmDown = 30 * time.Second
)

// CheckURL says what is wrong with a receiver's URL, without repeating it: it may
// hold a secret. Plain http is for this machine only, unless insecure is true.
func CheckURL(raw string, insecure bool) error {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		return errors.New("the URL cannot be parsed; write it as https://HOST/PATH")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the URL's scheme is %q; https is accepted, and http to this machine", u.Scheme)
	case u.Hostname() == "":
		return errors.New("the URL names no host; write it as https://HOST/PATH")
	case u.Scheme == "http" && !insecure && !loopback(u.Hostname()):
		return fmt.Errorf("the URL of %q is plain http, which anybody on the way can read; use https, or allow it in the configuration", u.Hostname())
	}
	return nil
}

// loopback is true for this machine: a name below localhost is not, as Go asks the
// DNS for it and a proxy may get what is sent there.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// HTTPOptions are what every receiver that is told over HTTP needs.
type HTTPOptions struct {
	URL     string
	Version string // for User-Agent
	// AllowInsecure allows plain http to other machines.
	AllowInsecure bool
	// TLS is nil for the system's roots.
	TLS *tls.Config
}

// BadOption is an option that a receiver cannot be made with. Key is the name of
// the option in the configuration. It holds no secret.
type BadOption struct {
	Key string
	Err error
}

func (e *BadOption) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *BadOption) Unwrap() error { return e.Err }

func badOption(key, format string, args ...any) error {
	return &BadOption{Key: key, Err: fmt.Errorf(format, args...)}
}

// poster posts bodies to one URL and reads the answers of HTTP as the Notifier's.
type poster struct {
	url    string
	header http.Header // goes along with every request
	client *http.Client
	now    func() time.Time
	calm   time.Duration // how long a bare 429 holds
	// secrets are hidden in every error, as the parts of the URL are.
	secrets []string
}

// newPoster returns a poster with deadlines, without redirects to other hosts,
// and with TLS 1.2 at least. path is added to the URL's own.
func newPoster(opt HTTPOptions, path string) (*poster, error) {
	raw := strings.TrimSpace(opt.URL)
	if err := CheckURL(raw, opt.AllowInsecure); err != nil {
		return nil, &BadOption{Key: "url", Err: err}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badOption("url", "the URL cannot be parsed")
	}
	if path != "" {
		u = u.JoinPath(path)
		raw = u.String()
	}
	return &poster{
		url: raw, now: time.Now, calm: calmDown,
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"oomwatch/" + opt.Version}},
		client: &http.Client{
			Timeout: totalTimeout,
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: headerTimeout}).DialContext,
				TLSClientConfig:        tlsConfig(opt.TLS),
				TLSHandshakeTimeout:    headerTimeout,
				ResponseHeaderTimeout:  headerTimeout,
				MaxResponseHeaderBytes: maxAnswer,
				MaxIdleConnsPerHost:    1,
				IdleConnTimeout:        90 * time.Second,
				ForceAttemptHTTP2:      true,
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				// 301, 302 and 303 would turn the POST into a GET: the alert would
				// not go along, and a page that answers 200 would count as told.
				if r.Method != via[0].Method || r.URL.Host != u.Host || r.URL.Scheme != u.Scheme || len(via) > 3 {
					return http.ErrUseLastResponse
				}
				return nil
			},
		},
	}, nil
}

// tlsConfig is a copy of conf, or the system's roots for nil, with TLS 1.2 at least.
func tlsConfig(conf *tls.Config) *tls.Config {
	if conf == nil {
		conf = &tls.Config{}
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return conf
}

// bearer sends a token with every request.
func (p *poster) bearer(token string) {
	if token != "" {
		p.header.Set("Authorization", "Bearer "+token)
		p.secrets = append(p.secrets, token)
	}
}

// ownHeaders are set by us, or by HTTP itself.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}

// headerName is a token of RFC 9110.
var headerName = lazyre.New("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// headers sends more headers with every request. Their values may be secrets.
func (p *poster) headers(more map[string]string) error {
	for name, value := range more {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !headerName.MatchString(name), strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return badOption("headers", "%q is not a header, or its value holds a line's end", name)
		case slices.Contains(ownHeaders, canonical):
			return badOption("headers", "%s cannot be set: it is set by the request itself", canonical)
		}
		p.header.Set(name, value)
		if canonical != "Content-Type" {
			p.secrets = append(p.secrets, value)
		}
	}
	return nil
}

// close ends the idle connections.
func (p *poster) close() { p.client.CloseIdleConnections() }

// postJSON posts a value as JSON, in which < and > stay as they are: escaped, they
// would count six times against a receiver's limit.
func (p *poster) postJSON(ctx context.Context, v any) ([]byte, error) {
	return p.sendJSON(ctx, http.MethodPost, p.url, v)
}

// sendJSON is postJSON with another method, to an address below the poster's own.
func (p *poster) sendJSON(ctx context.Context, method, to string, v any) ([]byte, error) {
	body, err := encodeJSON(v)
	if err != nil {
		return nil, &notify.Rejected{Err: fmt.Errorf("write the message as JSON: %w", err)}
	}
	return p.send(ctx, method, to, body, nil)
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// post sends a body, with more headers beside the poster's own, and returns the
// beginning of the answer's body.
func (p *poster) post(ctx context.Context, body []byte, header http.Header) ([]byte, error) {
	return p.send(ctx, http.MethodPost, p.url, body, header)
}

// send is post with another method, to an address below the poster's own.
func (p *poster) send(ctx context.Context, method, to string, body []byte, header http.Header) ([]byte, error) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(sent.Load() || i.Err == nil) },
	})
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, &notify.Rejected{Err: errors.New("the URL cannot be used for a request")}
	}
	for _, h := range []http.Header{p.header, header} {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	res, err := p.client.Do(req)
	if err != nil {
		err = fmt.Errorf("post to %s: %w", redact.URL(p.url), p.scrub(err))
		if sent.Load() {
			return nil, &notify.Unsure{Err: err}
		}
		return nil, err
	}
	defer res.Body.Close()
	answer, readErr := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err := p.judge(res, answer); err != nil {
		return answer, err
	}
	// The receiver has said yes already; a body that breaks off takes nothing back.
	_ = readErr
	return answer, nil
}

// judge reads the status: 2xx told; 410 gone; 408, 425, 429 and 5xx again, after
// the time that a Retry-After asks for; what else is below 500 never.
func (p *poster) judge(res *http.Response, answer []byte) error {
	code := res.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	var err error = &statusError{code, fmt.Sprintf("post to %s: answered %d %s", redact.URL(p.url), code, http.StatusText(code))}
	if word := p.excerpt(answer); word != "" {
		err = fmt.Errorf("%w: %s", err, word)
	}
	switch {
	case code == http.StatusGone:
		return &notify.Rejected{Err: err, Gone: true}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		said := []string{res.Header.Get("Retry-After")}
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			said = append(said, saidInBody(answer))
		}
		for _, v := range said {
			if at, ok := retryAfter(v, p.now()); ok {
				return &notify.RetryAfter{Err: err, At: at}
			}
		}
		if code == http.StatusTooManyRequests {
			return &notify.RetryAfter{Err: err, At: p.now().Add(p.calm)}
		}
		return err
	case code >= 300 && code < 400:
		return &notify.Rejected{Err: fmt.Errorf("%w; only 307 and 308 within the same host are followed: give the final URL", err)}
	}
	return &notify.Rejected{Err: err}
}

// statusError is an answer other than 2xx.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// saidInBody is the number of seconds to wait as Discord, Telegram and Matrix write it,
// "" for none.
func saidInBody(answer []byte) string {
	var body struct {
		RetryAfter   json.Number `json:"retry_after"`
		RetryAfterMS float64     `json:"retry_after_ms"`
		Parameters   struct {
			RetryAfter json.Number `json:"retry_after"`
		} `json:"parameters"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return ""
	}
	if body.RetryAfterMS > 0 {
		return strconv.FormatFloat(body.RetryAfterMS/1000, 'f', -1, 64)
	}
	return cmp.Or(body.RetryAfter, body.Parameters.RetryAfter).String()
}

// retryAfter reads the header's seconds or date (RFC 9110).
func retryAfter(v string, now time.Time) (time.Time, bool) {
	v = strings.TrimSpace(v)
	if v == "" {
		return time.Time{}, false
	}
	var at time.Time
	if n, err := strconv.ParseFloat(v, 64); err == nil {
		if !(n >= 0) {
			return time.Time{}, false
		}
		at = now.Add(time.Duration(min(n, maxRetryAfter.Seconds()) * float64(time.Second)))
	} else if at, err = http.ParseTime(v); err != nil {
		return time.Time{}, false
	}
	if at.Before(now) {
		at = now
	}
	if at.After(now.Add(maxRetryAfter)) {
		at = now.Add(maxRetryAfter)
	}
	return at, true
}

// excerpt is the receiver's word, made safe and short. It may repeat what was
// sent to it, the URL included.
func (p *poster) excerpt(answer []byte) string {
	s := string(answer[:min(len(answer), 1024)])
	s = p.hide(s)
	s = strings.Join(strings.Fields(redact.Sanitize(redact.Line(s))), " ")
	return render.Clip(s, 200)
}

// scrub takes the URL out of an error of net/http, keeping what it wraps.
func (p *poster) scrub(err error) error {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" && op.Addr != nil {
		why := op.Err
		if call := (*os.SyscallError)(nil); errors.As(why, &call) {
			why = call.Err
		}
		err = fmt.Errorf("no connection to %s: %w", op.Addr, why)
	}
	if s := err.Error(); s != p.hide(s) {
		return errors.New(p.hide(s))
	}
	return err
}

// hide removes the secret parts of the URL from a text.
func (p *poster) hide(s string) string {
	u, err := url.Parse(p.url)
	if err != nil {
		return s
	}
	parts := append([]string{p.url, u.RequestURI(), u.Path, u.RawQuery}, p.secrets...)
	parts = append(parts, strings.Split(u.EscapedPath(), "/")...)
	parts = append(parts, strings.Split(u.Path, "/")...)
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, v, _ := strings.Cut(pair, "=")
		parts = append(parts, pair, v)
	}
	for _, vs := range u.Query() {
		parts = append(parts, vs...)
	}
	if u.User != nil {
		pw, _ := u.User.Password()
		parts = append(parts, u.User.String(), u.User.Username(), pw)
	}
	// The longest first: a part that begins another would leave its end to be read.
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	for _, part := range parts {
		if len(part) >= 6 {
			s = strings.ReplaceAll(s, part, redact.Redacted)
		}
	}
	return s
}
