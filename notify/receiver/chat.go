package receiver

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// Chat posts each alert as one message of JSON to a service that takes no more than
// that. What differs between services stands in the constructors, a file each.
type Chat struct {
	p        *poster
	template *render.Template
	service  chatService
}

// chatService is what one service wants.
type chatService struct {
	// escape makes foreign text safe there.
	escape func(string) string
	// message is the JSON of a message.
	message func(o *render.Outline) any
	// answer judges the body of a 2xx; nil where the status says it all.
	answer func(p *poster, body []byte) error
	// put is the address that a message is put to, by the id of its delivery; nil for a
	// POST to the poster's own.
	put func(p *poster, delivery string) string
}

// newChat returns a Chat that posts to opt's URL with path added; template may be nil.
func newChat(opt HTTPOptions, path string, template *render.Template, service chatService) (*Chat, error) {
	p, err := newPoster(opt, path)
	if err != nil {
		return nil, err
	}
	return &Chat{p: p, template: template, service: service}, nil
}

// Traits implements notify.Notifier.
func (c *Chat) Traits() notify.Traits {
	return notify.Traits{Digest: c.NotifyDigest, Close: c.p.close}
}

// Notify sends the alert.
func (c *Chat) Notify(ctx context.Context, a incident.Alert) error {
	return c.send(ctx, a.DeliveryID, c.template.Apply(render.OutlineOf(a, true), a, c.service.escape))
}

// NotifyDigest sends a digest.
func (c *Chat) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	return c.send(ctx, id, render.OutlineOfDigest(d))
}

func (c *Chat) send(ctx context.Context, delivery string, o *render.Outline) error {
	method, to := http.MethodPost, c.p.url
	if c.service.put != nil {
		method, to = http.MethodPut, c.service.put(c.p, delivery)
	}
	answer, err := c.p.sendJSON(ctx, method, to, c.service.message(o))
	if err != nil || c.service.answer == nil {
		return err
	}
	return c.service.answer(c.p, answer)
}

// markup is how a service marks what we format ourselves.
type markup struct {
	escape     func(string) string
	bold, code func(string) string // around what is escaped already
	newline    string
}

// maxChatLine bounds one line of a message, in characters before it is escaped: twelve
// of them fit everywhere.
const maxChatLine = 260

// write lays an outline out in lines: the headline without its mark where head is true,
// then the rest, without the link. foot is true for when and where, and the command that
// shows more.
func (m markup) write(o *render.Outline, head, foot bool) string {
	var lines []string
	add := func(s string) { lines = append(lines, s) }
	if head {
		add(m.bold(m.escape(short(o.Mark()+" "+o.Title, maxChatLine))))
	}
	if o.Body != "" {
		add(strings.ReplaceAll(o.Body, "\n", m.newline))
	}
	if o.Lead != "" {
		add(m.escape(short(o.Lead, 3*maxChatLine)))
	}
	if o.Cause != "" {
		add(m.bold(m.escape(o.Cause)) + " · " + m.escape(o.Sure))
	}
	for _, l := range o.Lines {
		style := m.escape
		if l.Code {
			style = m.code
		}
		first := "•"
		if l.Label != "" {
			first = m.bold(l.Label + ":")
		}
		add(first + " " + style(short(l.Text, maxChatLine)))
	}
	if foot {
		add(m.escape(short(strings.Join(o.Foot, " · "), 2*maxChatLine)))
	}
	return strings.Join(lines, m.newline)
}

// short makes foreign text safe first, as that can make it longer, and then cuts it.
func short(s string, most int) string { return render.Clip(redact.Sanitize(s), most) }

// plainMarkup is for services that format nothing.
var plainMarkup = markup{escape: render.Defang, bold: func(s string) string { return s }, code: render.Defang, newline: "\n"}

// plainTitle and plainText are a message where title and text are apart. Text is what is
// left of the template where there is one; a service refuses an empty one.
func plainTitle(o *render.Outline) string {
	return render.Clip(o.Mark()+" "+render.Defang(o.Title), 200)
}

func plainText(o *render.Outline) string {
	return cmp.Or(strings.TrimSpace(plainMarkup.write(o, false, true)), o.Title)
}

// checkSecret refuses a token that cannot go into a header or an address.
func checkSecret(key, token, what string) error {
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return badOption(key, "the %s is empty, or holds blanks", what)
	}
	return nil
}
