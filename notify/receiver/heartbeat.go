package receiver

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/oomwatch/oomwatch/redact"
)

// Heartbeat asks a URL, so that whoever listens there notices when it stops.
type Heartbeat struct{ p *poster }

// NewHeartbeat checks the options; nothing is sent.
func NewHeartbeat(opt HTTPOptions) (*Heartbeat, error) {
	p, err := newPoster(opt, "")
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	return &Heartbeat{p: p}, nil
}

// Beat asks once. No error holds the URL's secrets.
func (h *Heartbeat) Beat(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.p.url, nil)
	if err != nil {
		return fmt.Errorf("heartbeat: ask %s: the URL cannot be used for a request", redact.URL(h.p.url))
	}
	req.Header.Set("User-Agent", h.p.header.Get("User-Agent"))
	res, err := h.p.client.Do(req)
	if err != nil {
		return fmt.Errorf("heartbeat: ask %s: %w", redact.URL(h.p.url), h.p.scrub(err))
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode >= 300 {
		return fmt.Errorf("heartbeat: ask %s: answered %s", redact.URL(h.p.url), res.Status)
	}
	return nil
}

// Close ends idle connections.
func (h *Heartbeat) Close() { h.p.close() }
