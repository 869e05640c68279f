package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
)

const (
	// maxAnswer bounds what a Client reads of one answer.
	maxAnswer = 1 << 30
	// answerWait is how long a daemon may take for one answer, or the next part of it.
	answerWait = 10 * time.Second
)

// ErrNoDaemon is returned by a Client when nobody answers on the socket, or not
// in time.
var ErrNoDaemon = errors.New("no daemon answers")

// deniedOrGone is why the socket cannot be used. It is ErrNoDaemon and the reason.
type deniedOrGone struct {
	path string
	err  error
}

func (e *deniedOrGone) Error() string {
	if errors.Is(e.err, fs.ErrPermission) {
		return fmt.Sprintf("a daemon may run, but you may not use its socket %s: run with sudo, or join its group", e.path)
	}
	return fmt.Sprintf("%v on %s: %v", ErrNoDaemon, e.path, e.err)
}

// Unwrap returns both.
func (e *deniedOrGone) Unwrap() []error { return []error{ErrNoDaemon, e.err} }

// Client asks a running daemon over its unix socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a Client of the daemon that listens on the unix socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		return patient{c}, nil
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// patient is a connection whose other end must go on within answerWait.
type patient struct{ net.Conn }

// Read implements net.Conn.
func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// Incidents asks for what matches q, oldest first.
func (c *Client) Incidents(ctx context.Context, q Query) ([]*incident.Incident, error) {
	return c.lines(ctx, "/v1/incidents", q.values())
}

// Explain asks why something died; see Backend.Explain.
func (c *Client) Explain(ctx context.Context, what string, all bool) ([]*incident.Incident, error) {
	v := url.Values{"q": {what}}
	if all {
		v.Set("all", "true")
	}
	return c.lines(ctx, "/v1/explain", v)
}

// Status asks how the daemon is doing.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	body, err := c.get(ctx, "/v1/status", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var st Status
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&st); err != nil {
		return nil, fmt.Errorf("read the daemon's status: %w", err)
	}
	return &st, nil
}

// Top asks how every running container stands, the most in danger first.
func (c *Client) Top(ctx context.Context) ([]*warn.Row, error) {
	return lines[warn.Row](ctx, c, "/v1/top", nil)
}

// Leaks asks what the last look for leaks found.
func (c *Client) Leaks(ctx context.Context) ([]*triage.Service, error) {
	return lines[triage.Service](ctx, c, "/v1/leaks", nil)
}

// Audit asks which running containers are set up to die badly.
func (c *Client) Audit(ctx context.Context) (*audit.Report, error) {
	body, err := c.get(ctx, "/v1/audit", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var r audit.Report
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&r); err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return &r, nil
}

func (c *Client) lines(ctx context.Context, path string, v url.Values) ([]*incident.Incident, error) {
	return lines[incident.Incident](ctx, c, path, v)
}

// lines reads an answer of one object per line.
func lines[T any](ctx context.Context, c *Client, path string, v url.Values) ([]*T, error) {
	body, err := c.get(ctx, path, v)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var out []*T
	dec := json.NewDecoder(bufio.NewReader(io.LimitReader(body, maxAnswer)))
	for {
		one := new(T)
		err := dec.Decode(one)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the daemon's answer: %w", err)
		}
		out = append(out, one)
	}
}

// Silences asks for the silences that have not ended.
func (c *Client) Silences(ctx context.Context) ([]incident.Silence, error) {
	var out []incident.Silence
	err := c.ask(ctx, http.MethodGet, "/v1/silences", nil, &out)
	return out, err
}

// AddSilence asks for a silence, and returns it as it is kept.
func (c *Client) AddSilence(ctx context.Context, s incident.Silence) (incident.Silence, error) {
	var kept incident.Silence
	err := c.ask(ctx, http.MethodPost, "/v1/silences", s, &kept)
	return kept, err
}

// ExpireSilence ends a silence, and returns it as it is kept.
func (c *Client) ExpireSilence(ctx context.Context, id string) (incident.Silence, error) {
	var ended incident.Silence
	err := c.ask(ctx, http.MethodPost, "/v1/silences/expire", expireRequest{ID: id}, &ended)
	return ended, err
}

// Retry makes what a receiver ("" for every one) is owed due again, and returns how
// many deliveries that are.
func (c *Client) Retry(ctx context.Context, receiver string) (int, error) {
	var out retryAnswer
	err := c.ask(ctx, http.MethodPost, "/v1/notify/retry", retryRequest{Receiver: receiver}, &out)
	return out.Deliveries, err
}

// ask sends what may be nil and reads the answer.
func (c *Client) ask(ctx context.Context, method, path string, send, into any) error {
	var body io.Reader
	if send != nil {
		b, err := json.Marshal(send)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Close()
	if err := json.NewDecoder(io.LimitReader(res, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, v url.Values) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path+"?"+v.Encode(), nil)
}

func (c *Client) do(ctx context.Context, method, path string, send io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, send)
	if err != nil {
		return nil, err
	}
	if send != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, &deniedOrGone{c.path, op.Err}
		}
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() && ctx.Err() == nil {
			return nil, fmt.Errorf("%w on %s within %s", ErrNoDaemon, c.path, answerWait)
		}
		return nil, fmt.Errorf("ask the daemon on %s: %w", c.path, err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	var said struct{ Error string }
	if json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said) != nil || said.Error == "" {
		said.Error = res.Status
	}
	return nil, fmt.Errorf("the daemon on %s answered: %s", c.path, said.Error)
}
