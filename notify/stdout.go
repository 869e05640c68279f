package notify

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/oomwatch/oomwatch/incident"
)

// Text tells each alert to a writer, for a person to read.
type Text struct {
	mu  sync.Mutex
	w   io.Writer
	opt TextOptions
}

// NewText returns a Notifier that writes to w.
func NewText(w io.Writer, opt TextOptions) *Text { return &Text{w: w, opt: opt} }

// Notify implements Notifier.
func (t *Text) Notify(_ context.Context, a Alert) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := WriteText(t.w, a.Incident, t.opt); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	if _, err := fmt.Fprintln(t.w); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return nil
}

// NotifyDigest implements DigestNotifier.
func (t *Text) NotifyDigest(_ context.Context, _ string, d *Digest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &page{opt: t.opt}
	if p.opt.Width <= 0 {
		p.opt.Width = 80
	}
	p.wrapped("", "", d.Summary, p.bold)
	for _, i := range d.Incidents {
		p.line(clip(incident.Sanitize(fmt.Sprintf("  %s  %-16s  %s", i.ID, i.Cause, i.Summary)), p.opt.Width))
	}
	p.line("")
	if _, err := io.WriteString(t.w, p.b.String()); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return nil
}
