package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// WebhookOptions are what NewWebhook needs.
type WebhookOptions struct {
	URL string
	// Secret signs every request as Standard Webhooks says: "whsec_" and
	// base64, or else the secret's own bytes; "" for no signature.
	Secret string
	// Version goes into User-Agent.
	Version string
	// AllowInsecure allows plain http to other machines.
	AllowInsecure bool
	// TLS is nil for the system's roots.
	TLS *tls.Config
}

// Webhook posts incidents as JSON (contract: oomwatch.incident/v1).
type Webhook struct {
	p   *poster
	key []byte
}

// NewWebhook checks the options; nothing is sent.
func NewWebhook(opt WebhookOptions) (*Webhook, error) {
	p, err := newPoster(opt.URL, opt.Version, opt.AllowInsecure, opt.TLS)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	w := &Webhook{p: p}
	if opt.Secret != "" {
		if w.key, err = webhookKey(strings.TrimSpace(opt.Secret)); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	return w, nil
}

// webhookKey reads a Standard Webhooks secret.
func webhookKey(secret string) ([]byte, error) {
	enc, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		if len(secret) < 16 {
			return nil, errors.New("the secret is shorter than 16 characters; make one with: echo whsec_$(openssl rand -base64 32)")
		}
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(enc)
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(enc)
	}
	if err != nil || len(key) < 16 {
		return nil, errors.New("the secret after whsec_ is no base64 of at least 16 bytes; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return key, nil
}

// Notify posts the incident.
func (w *Webhook) Notify(ctx context.Context, a Alert) error {
	body, err := json.Marshal(a.Incident)
	if err != nil {
		return &Rejected{Err: fmt.Errorf("write the incident as JSON: %w", err)}
	}
	return w.send(ctx, a.DeliveryID, body)
}

func (w *Webhook) send(ctx context.Context, id string, body []byte) error {
	h := http.Header{}
	// The time of the attempt, not of the incident: receivers refuse old ones.
	stamp := strconv.FormatInt(w.p.now().Unix(), 10)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	if w.key != nil {
		h.Set("webhook-signature", sign(w.key, id, stamp, body))
	}
	_, err := w.p.post(ctx, body, h)
	return err
}

// sign is the signature of Standard Webhooks 1.0, symmetric.
func sign(key []byte, id, stamp string, body []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Close ends idle connections.
func (w *Webhook) Close() { w.p.close() }

// Digest is many incidents told in one message.
type Digest struct {
	Schema    string                 `json:"schema"` // DigestSchema
	Summary   string                 `json:"summary"`
	From      time.Time              `json:"from"`
	To        time.Time              `json:"to"`
	Count     int                    `json:"count"`
	ByCause   map[incident.Cause]int `json:"by_cause"`
	Incidents []DigestEntry          `json:"incidents"`
}

// DigestSchema names the JSON form of a Digest.
const DigestSchema = "oomwatch.digest/v1"

// DigestEntry is one incident in a Digest.
type DigestEntry struct {
	ID        string            `json:"id"`
	Kind      incident.Kind     `json:"kind"`
	Cause     incident.Cause    `json:"cause"`
	Severity  incident.Severity `json:"severity"`
	Summary   string            `json:"summary"`
	Container *DigestContainer  `json:"container,omitempty"`
}

// DigestContainer names the container of a DigestEntry.
type DigestContainer struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// NotifyDigest posts a digest.
func (w *Webhook) NotifyDigest(ctx context.Context, id string, d *Digest) error {
	body, err := json.Marshal(d)
	if err != nil {
		return &Rejected{Err: fmt.Errorf("write the digest as JSON: %w", err)}
	}
	return w.send(ctx, id, body)
}
