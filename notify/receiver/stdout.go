package receiver

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// Text writes each alert to a writer, for a person to read.
type Text struct {
	mu       sync.Mutex
	w        io.Writer
	opt      render.TextOptions
	template *render.Template
}

// NewText returns a Notifier that writes to w. template may be nil.
func NewText(w io.Writer, opt render.TextOptions, template *render.Template) *Text {
	return &Text{w: w, opt: opt, template: template}
}

// Traits implements notify.Notifier.
func (t *Text) Traits() notify.Traits {
	return notify.Traits{Digest: t.NotifyDigest}
}

// Notify implements Notifier.
func (t *Text) Notify(_ context.Context, a incident.Alert) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.write(a); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	if _, err := fmt.Fprintln(t.w); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return nil
}

// write writes the alert in the template's words, else in our own.
func (t *Text) write(a incident.Alert) error {
	if s := t.template.Text(a, redact.Sanitize); s != "" {
		// The template's own words are kept as they are, colours too.
		_, err := fmt.Fprintln(t.w, s)
		return err
	}
	return render.WriteAlert(t.w, a, t.opt)
}

// NotifyDigest writes a digest.
func (t *Text) NotifyDigest(_ context.Context, _ string, d *incident.Digest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := render.WriteDigest(t.w, d, t.opt); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	if _, err := fmt.Fprintln(t.w); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return nil
}
