package receiver

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// Slack posts alerts to an incoming webhook, in Block Kit.
type Slack struct {
	p        *poster
	template *render.Template
}

// The pace that Slack allows for an incoming webhook and for a channel: a short
// burst, then one message a second (docs.slack.dev/apis/web-api/rate-limits).
const (
	SlackBurst = 5
	SlackEvery = time.Second
)

// NewSlack checks the options; nothing is sent. template may be nil.
func NewSlack(opt HTTPOptions, template *render.Template) (*Slack, error) {
	p, err := newPoster(opt, "")
	if err != nil {
		return nil, err
	}
	return &Slack{p: p, template: template}, nil
}

// Traits implements notify.Notifier.
func (s *Slack) Traits() notify.Traits {
	return notify.Traits{Digest: s.NotifyDigest, Close: s.p.close}
}

// Notify posts the alert.
func (s *Slack) Notify(ctx context.Context, a incident.Alert) error {
	return s.send(ctx, slackMessageOf(s.template.Apply(render.OutlineOf(a, true), a, slackEscape)))
}

// NotifyDigest posts a digest.
func (s *Slack) NotifyDigest(ctx context.Context, _ string, d *incident.Digest) error {
	return s.send(ctx, slackMessageOf(render.OutlineOfDigest(d)))
}

func (s *Slack) send(ctx context.Context, m *slackMessage) error {
	answer, err := s.p.postJSON(ctx, m)
	if err != nil {
		return err
	}
	return slackAnswer(answer, s.p.now(), s.p.excerpt)
}

// slackAnswer reads the body of a 200: "ok" from an incoming webhook, and JSON
// with "ok" from what speaks like Slack's API; what says no says why.
func slackAnswer(body []byte, now time.Time, excerpt func([]byte) string) error {
	text := strings.TrimSpace(string(body))
	if text == "ok" || text == "" {
		return nil
	}
	var api slackReply
	if json.Unmarshal(body, &api) == nil && api.OK != nil {
		return api.err(now, excerpt)
	}
	// A page of something on the way, or an answer that broke off: it may have arrived.
	return &notify.Unsure{Err: fmt.Errorf("slack answered 200 but not \"ok\": %s", excerpt(body))}
}

// slackMessage is the part of Block Kit that is used.
type slackMessage struct {
	Text        string       `json:"text"` // what notifications and screen readers show
	Blocks      []slackBlock `json:"blocks"`
	Mrkdwn      bool         `json:"mrkdwn"` // false: Text is shown as it is
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
	// Verbatim keeps Slack from making links and mentions of what looks like one.
	Verbatim bool `json:"verbatim,omitempty"`
}

// Slack's limits, in characters (docs.slack.dev/reference/block-kit/blocks).
// maxSlack bounds the whole message: beyond about 13,200 Slack refuses it with
// the undocumented msg_blocks_too_long.
const (
	maxHeader   = 150
	maxSection  = 3000
	maxSlack    = 9500
	maxFallback = 600
)

func plain(s string) *slackText { return &slackText{Type: "plain_text", Text: s} }
func mrkdwn(s string) slackText { return slackText{Type: "mrkdwn", Text: s, Verbatim: true} }
func section(s string) slackBlock {
	t := mrkdwn(s)
	return slackBlock{Type: "section", Text: &t}
}

// slackMessageOf writes an outline in Block Kit, within Slack's limits.
func slackMessageOf(o *render.Outline) *slackMessage {
	first := o.Lead
	if o.Sure != "" {
		first += " (" + o.Sure + ")"
	}
	m := &slackMessage{Text: render.ClipEscaped(o.Mark()+" "+slackEscape(first), maxFallback)}
	add := func(s string, most int) {
		if s != "" {
			m.Blocks = append(m.Blocks, section(render.ClipEscaped(s, most)))
		}
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "header", Text: plain(render.ClipEscaped(o.Mark()+" "+slackEscape(o.Title), maxHeader))})
	lead := render.ClipEscaped(slackEscape(o.Lead), 1300) // leaves room for the cause's line, whole
	if o.Cause != "" {
		lead += "\n*" + slackEscape(o.Cause) + "* · " + slackEscape(o.Sure)
	}
	if o.Body == "" {
		add(lead, 1500)
	}
	add(slackFacts(o.Facts), maxSection)
	if len(o.Advice) > 0 {
		add("*Do next:* "+slackEscapeLines(o.Advice), 1500)
	}
	if o.Gaps != "" {
		add("*Not seen:* "+slackEscape(o.Gaps), 500)
	}
	// The lists have what room is left: the log first, then the rest.
	const maxFoot = 1000
	room := maxSlack - utf8.RuneCountInString(m.Text) - maxFoot
	for i := range m.Blocks {
		room -= m.Blocks[i].size()
	}
	for _, s := range render.Pieces(o.Body, min(room, 8*maxSection), maxSection) {
		m.Blocks = append(m.Blocks, section(s))
		room -= render.Runes(s)
	}
	var out []string
	for _, l := range o.Lists {
		const frame = 60 // the title, and the fences
		title, kept := l.Fit(min(l.Most, room-frame), 300, slackEscape, func(s string) int { return render.Runes(s) + 2 })
		if len(kept) == 0 {
			if len(l.Lines) > 0 {
				out = append(out, l.Title)
			}
			continue
		}
		text := strings.Join(kept, "\n")
		if l.Prose {
			text = "• " + strings.Join(kept, "\n• ")
		}
		room -= utf8.RuneCountInString(text) + frame
		for i, s := range render.Pieces(text, len(text), maxSection-frame) {
			if !l.Prose {
				s = "```\n" + s + "\n```"
			}
			if i == 0 {
				s = "*" + title + ":*\n" + s
			}
			m.Blocks = append(m.Blocks, section(s))
		}
	}
	o.LeftOut(out)
	foot := mrkdwn(render.ClipEscaped(slackEscape(strings.Join(o.Foot, " · ")), maxFoot))
	m.Blocks = append(m.Blocks, slackBlock{Type: "context", Elements: []slackText{foot}})
	return m
}

// slackFacts writes a line for each fact. Too many long ones share the section
// evenly: each keeps its label whole, and none is left out.
func slackFacts(facts []render.Fact) string {
	write := func(most int) string {
		var lines []string
		for _, f := range facts {
			lines = append(lines, render.ClipEscaped("*"+f.Label+":* "+slackEscape(f.Value), most))
		}
		return strings.Join(lines, "\n")
	}
	text := write(420)
	if utf8.RuneCountInString(text) > maxSection {
		text = write(maxSection/len(facts) - 1)
	}
	return text
}

// slackEscapeLines escapes several texts, a line each.
func slackEscapeLines(texts []string) string {
	var out []string
	for _, s := range texts {
		out = append(out, slackEscape(s))
	}
	return strings.Join(out, "\n")
}

// size counts the block's characters.
func (b *slackBlock) size() int {
	n := 0
	if b.Text != nil {
		n += utf8.RuneCountInString(b.Text.Text)
	}
	for _, t := range b.Elements {
		n += utf8.RuneCountInString(t.Text)
	}
	return n
}

// slackEscape makes foreign text safe in mrkdwn: nothing in it can mention, link,
// format or leave a code block. Slack decodes &, < and > only and has no escape for
// the characters that format: these are replaced by ones that look the same.
func slackEscape(s string) string {
	s = redact.Sanitize(s)
	var b strings.Builder
	b.Grow(len(s) + 16)
	before := ' '
	for i, r := range s {
		switch r {
		case '_':
			// It formats only at the edge of a word; inside names it stays.
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if wordRune(before) && wordRune(after) {
				b.WriteRune(r)
			} else {
				b.WriteRune('ˍ') // U+02CD modifier letter low macron
			}
		case ':':
			// :name: would become an emoji, a time of day does not.
			if !wordRune(before) && slackEmoji.MatchString(s[i:min(len(s), i+110)]) {
				b.WriteRune('∶') // U+2236 ratio
			} else {
				b.WriteRune(r)
			}
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		default:
			if look, ok := slackLookalike[r]; ok {
				b.WriteRune(look)
			} else {
				b.WriteRune(r)
			}
		}
		before = r
	}
	return b.String()
}

var slackEmoji = regexp.MustCompile(`^:[\pL\d_'+-]+:`)

// wordRune keeps to what is a word in any client: digits of other scripts may be none.
func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || '0' <= r && r <= '9' }

// slackLookalike replaces the characters that format, and the @ that some clients
// make a mention of.
var slackLookalike = map[rune]rune{
	'*': '∗', // U+2217 asterisk operator
	'~': '∼', // U+223C tilde operator
	'`': 'ˋ', // U+02CB modifier letter grave accent
	'@': '＠', // U+FF20 fullwidth commercial at
}
