package receiver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// The pace that Slack allows for an incoming webhook and for a channel: a short
// burst, then one message a second (docs.slack.dev/apis/web-api/rate-limits).
const (
	SlackBurst = 5
	SlackEvery = time.Second
)

// NewSlack checks the options; nothing is sent. template may be nil. The Chat posts
// alerts to an incoming webhook, in Block Kit.
func NewSlack(opt HTTPOptions, template *render.Template) (*Chat, error) {
	return newChat(opt, "", template, chatService{
		escape:  slackEscape,
		message: func(o *render.Outline) any { return slackMessageOf(o) },
		answer:  slackAnswer,
	})
}

// slackAnswer reads the body of a 200: "ok" from an incoming webhook, and JSON
// with "ok" from what speaks like Slack's API; what says no says why.
func slackAnswer(p *poster, body []byte) error {
	text := strings.TrimSpace(string(body))
	if text == "ok" || text == "" {
		return nil
	}
	var api slackReply
	if json.Unmarshal(body, &api) == nil && api.OK != nil {
		return api.err(p)
	}
	// A page of something on the way, or an answer that broke off: it may have arrived.
	return &notify.Unsure{Err: fmt.Errorf("slack answered 200 but not \"ok\": %s", p.excerpt(body))}
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
	maxFoot     = 1000
)

func plain(s string) *slackText { return &slackText{Type: "plain_text", Text: s} }
func mrkdwn(s string) slackText { return slackText{Type: "mrkdwn", Text: s, Verbatim: true} }
func section(s string) slackBlock {
	t := mrkdwn(s)
	return slackBlock{Type: "section", Text: &t}
}

// slackMessageOf writes an outline in Block Kit, within Slack's limits.
func slackMessageOf(o *render.Outline) *slackMessage {
	first := cmp.Or(o.Lead, o.Title)
	if o.Sure != "" {
		first += " (" + o.Sure + ")"
	}
	m := &slackMessage{Text: render.ClipEscaped(o.Mark()+" "+slackEscape(first), maxFallback)}
	m.Blocks = append(m.Blocks, slackBlock{Type: "header", Text: plain(render.ClipEscaped(o.Mark()+" "+slackEscape(o.Title), maxHeader))})
	if o.Body == "" {
		if lines := slackMarkup.write(o, false, false); lines != "" {
			m.Blocks = append(m.Blocks, section(render.ClipEscaped(lines, maxSection)))
		}
	}
	for _, s := range render.Pieces(o.Body, min(maxSlack-maxFallback-maxFoot, 8*maxSection), maxSection) {
		m.Blocks = append(m.Blocks, section(s))
	}
	foot := render.ClipEscaped(slackEscape(strings.Join(o.Foot, " · ")), maxFoot)
	if o.Link != "" {
		foot = "<" + o.Link + "|More> · " + foot
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "context", Elements: []slackText{mrkdwn(foot)}})
	return m
}

var slackMarkup = markup{
	escape: slackEscape, newline: "\n",
	bold: func(s string) string { return "*" + s + "*" },
	code: func(s string) string { return "`" + slackEscape(s) + "`" },
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
			if !wordRune(before) && slackEmoji().MatchString(s[i:min(len(s), i+110)]) {
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

var slackEmoji = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^:[\pL\d_'+-]+:`)
})

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
