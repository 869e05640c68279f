package notify

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/oomwatch/oomwatch/redact"
)

// Text tells each alert to a writer, for a person to read.
type Text struct {
	mu       sync.Mutex
	w        io.Writer
	opt      TextOptions
	template *Template
}

// NewText returns a Notifier that writes to w. template may be nil.
func NewText(w io.Writer, opt TextOptions, template *Template) *Text {
	return &Text{w: w, opt: opt, template: template}
}

// Notify implements Notifier.
func (t *Text) Notify(_ context.Context, a Alert) error {
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

// write tells the whole of it, or what is new of what was told before.
func (t *Text) write(a Alert) error {
	if s := t.template.text(a, redact.Sanitize); s != "" {
		// The template's own words are kept as they are, colours too.
		_, err := fmt.Fprintln(t.w, s)
		return err
	}
	if !a.Update {
		return WriteText(t.w, a.Incident, t.opt)
	}
	p := &page{opt: t.opt}
	if p.opt.Width <= 0 {
		p.opt.Width = 80
	}
	p.wrapped("", "", lineOf(a), p.bold)
	_, err := io.WriteString(t.w, p.b.String())
	return err
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
		said := i.Summary
		if n := i.news(); n != "" {
			said = n + ": " + said
		}
		p.line(clip(redact.Sanitize(fmt.Sprintf("  %s  %-16s  %s", i.ID, i.Cause, said)), p.opt.Width))
	}
	p.line("")
	if _, err := io.WriteString(t.w, p.b.String()); err != nil {
		return fmt.Errorf("write alert: %w", err)
	}
	return nil
}
