package receiver

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// WebhookOptions are what NewWebhook needs.
type WebhookOptions struct {
	HTTPOptions
	// Secret signs every request as Standard Webhooks says: "whsec_" and
	// base64, or else the secret's own bytes; "" for no signature. Several,
	// with blanks between, sign each for itself: the receiver takes the one it
	// knows, so that a secret can be changed without a moment in between.
	Secret string
	// CloudEvents wraps the JSON as CloudEvents 1.0 in structured mode.
	CloudEvents bool
	// Host is the source of CloudEvents.
	Host string
	// Template is the body in place of the JSON, for a service that wants another: what it
	// takes of the incident is escaped for a string of JSON. Without a form for many it is
	// sent a storm one by one. nil is none.
	Template *render.Template
	// Headers go along with every request, over our own.
	Headers map[string]string
}

// Webhook posts incidents as JSON (contract: oomwatch.incident/v1).
type Webhook struct {
	p    *poster
	keys [][]byte
	// source is what CloudEvents come from; "" for plain JSON.
	source   string
	template *render.Template
}

// NewWebhook checks the options; nothing is sent.
func NewWebhook(opt WebhookOptions) (*Webhook, error) {
	p, err := newPoster(opt.HTTPOptions, "")
	if err != nil {
		return nil, err
	}
	w := &Webhook{p: p, template: opt.Template}
	if err := p.headers(opt.Headers); err != nil {
		return nil, err
	}
	if opt.CloudEvents && opt.Template != nil {
		return nil, badOption("template", "cloudevents has a body of its own: take one of the two")
	}
	for _, s := range strings.Fields(opt.Secret) {
		key, err := webhookKey(s)
		if err != nil {
			return nil, &BadOption{Key: "secret", Err: err}
		}
		w.keys = append(w.keys, key)
		p.secrets = append(p.secrets, s)
	}
	if opt.CloudEvents {
		// A path is a URI reference, and says where the machine is nowhere.
		w.source = (&url.URL{Path: "/oomwatch/" + redact.Sanitize(opt.Host)}).EscapedPath()
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
		return nil, errors.New("the secret after whsec_ is not base64 of at least 16 bytes; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return key, nil
}

// Notify posts the incident.
func (w *Webhook) Notify(ctx context.Context, a incident.Alert) error {
	if w.template != nil {
		body, err := w.template.Render(a, jsonEscape)
		if err != nil {
			return &notify.Rejected{Err: fmt.Errorf("the template failed: %w", err)}
		}
		return w.post(ctx, a.DeliveryID, []byte(body), http.Header{})
	}
	e := event{ID: a.DeliveryID, Type: "oomwatch.incident.v1", Time: a.Incident.Time, Data: a.Incident}
	if c := a.Incident.Container; c != nil {
		e.Subject = redact.Sanitize(cmp.Or(c.Name, c.ID))
	}
	return w.send(ctx, e)
}

// NotifyDigest posts a digest.
func (w *Webhook) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	return w.send(ctx, event{ID: id, Type: "oomwatch.digest.v1", Time: d.To, Data: d})
}

// event is an event of CloudEvents 1.0 in JSON
// (cloudevents.io, JSON event format, sections 2 and 3).
type event struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time,omitzero"`
	DataContentType string    `json:"datacontenttype"`
	Data            any       `json:"data"`
}

func (w *Webhook) send(ctx context.Context, e event) error {
	v := e.Data
	h := http.Header{}
	if w.source != "" {
		e.SpecVersion, e.Source, e.DataContentType = "1.0", w.source, "application/json"
		v = e
		h.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
	}
	body, err := json.Marshal(v)
	if err != nil {
		return &notify.Rejected{Err: fmt.Errorf("write the alert as JSON: %w", err)}
	}
	return w.post(ctx, e.ID, body, h)
}

// post signs a body and posts it.
func (w *Webhook) post(ctx context.Context, id string, body []byte, h http.Header) error {
	// The time of the attempt, not of the incident: receivers refuse old ones.
	stamp := strconv.FormatInt(w.p.now().Unix(), 10)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	var signatures []string
	for _, key := range w.keys {
		signatures = append(signatures, sign(key, id, stamp, body))
	}
	if len(signatures) > 0 {
		h.Set("webhook-signature", strings.Join(signatures, " "))
	}
	_, err := w.p.post(ctx, body, h)
	return err
}

// jsonEscape writes foreign text as the inside of a string of JSON.
func jsonEscape(s string) string {
	b, err := encodeJSON(redact.Sanitize(s))
	if err != nil {
		return ""
	}
	return string(b[1 : len(b)-1])
}

// sign is the signature of Standard Webhooks 1.0, symmetric.
func sign(key []byte, id, stamp string, body []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Traits implements notify.Notifier.
func (w *Webhook) Traits() notify.Traits {
	t := notify.Traits{Digest: w.NotifyDigest, Close: w.p.close}
	if w.template != nil {
		t.Digest = nil
	}
	return t
}
