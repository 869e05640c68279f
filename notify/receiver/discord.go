package receiver

import (
	"context"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// Discord posts alerts to a Discord webhook, as an embed.
type Discord struct {
	p        *poster
	template *render.Template
}

// The pace that Discord allows for a webhook: about 5 in 2 seconds and 30 a
// minute; what it refuses counts, too.
const (
	DiscordBurst = 4
	DiscordEvery = 2 * time.Second
)

// NewDiscord checks the options; nothing is sent. template may be nil.
func NewDiscord(opt HTTPOptions, template *render.Template) (*Discord, error) {
	p, err := newPoster(opt, "")
	if err != nil {
		return nil, err
	}
	return &Discord{p: p, template: template}, nil
}

// Traits implements notify.Notifier.
func (d *Discord) Traits() notify.Traits {
	return notify.Traits{Digest: d.NotifyDigest, Close: d.p.close}
}

// Notify posts the alert.
func (d *Discord) Notify(ctx context.Context, a incident.Alert) error {
	_, err := d.p.postJSON(ctx, discordMessageOf(d.template.Apply(render.OutlineOf(a, true), a, discordEscape)))
	return err
}

// NotifyDigest posts a digest.
func (d *Discord) NotifyDigest(ctx context.Context, _ string, g *incident.Digest) error {
	_, err := d.p.postJSON(ctx, discordMessageOf(render.OutlineOfDigest(g)))
	return err
}

// discordMessage is the part of a webhook's message that is used
// (discord.com/developers/docs/resources/webhook#execute-webhook).
type discordMessage struct {
	Content string         `json:"content"`
	Embeds  []discordEmbed `json:"embeds"`
	// AllowedMentions with an empty list lets nobody be mentioned.
	AllowedMentions discordMentions `json:"allowed_mentions"`
}

type discordMentions struct {
	Parse []string `json:"parse"`
}

type discordEmbed struct {
	Description string        `json:"description"`
	Color       int           `json:"color"`
	Footer      discordFooter `json:"footer"`
	Timestamp   time.Time     `json:"timestamp,omitzero"`
}

type discordFooter struct {
	Text string `json:"text"`
}

// Discord's limits, in characters: 2,000 of content, 4,096 of a description,
// 2,048 of a footer, 6,000 of all embeds
// (discord.com/developers/docs/resources/message#embed-object-embed-limits).
const (
	maxDiscordContent = 400
	maxDiscordText    = 4000
	maxDiscordFooter  = 1000
)

func discordMessageOf(o *render.Outline) *discordMessage {
	m := &discordMessage{AllowedMentions: discordMentions{Parse: []string{}},
		Content: clipBackslash(o.Mark()+" "+discordEscape(o.Title), maxDiscordContent)}
	text := clipBackslash(o.Body, maxDiscordText)
	if o.Body == "" {
		text = discordLines(o)
	}
	if o.Link != "" {
		// In angle brackets it is a link without a preview.
		text += "\n[More](<" + o.Link + ">)"
	}
	colour := map[string]int{"🔴": 0xd92d20, "🟠": 0xf79009, "🟢": 0x12b76a, "🔵": 0x2e90fa}[o.Mark()]
	// A footer knows no markdown.
	m.Embeds = []discordEmbed{{Description: text, Color: colour, Timestamp: o.At, Footer: discordFooter{render.Clip(render.Defang(strings.Join(o.Foot, " · ")), maxDiscordFooter)}}}
	return m
}

// discordLines are the lines of an outline; there is one at least.
func discordLines(o *render.Outline) string {
	var lines []string
	if o.Lead != "" {
		lines = append(lines, clipBackslash(discordEscape(o.Lead), 1200))
	}
	if o.Cause != "" {
		lines = append(lines, "**"+discordEscape(o.Cause)+"** · "+discordEscape(o.Sure))
	}
	for _, l := range o.Lines {
		text := clipBackslash(discordEscape(l.Text), 400)
		if l.Code {
			text = "`" + render.Clip(discordCode(l.Text), 300) + "`"
		}
		if l.Label == "" {
			lines = append(lines, "• "+text)
		} else {
			lines = append(lines, "**"+l.Label+":** "+text)
		}
	}
	return strings.Join(lines, "\n")
}

var (
	discordFormats = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, ">", `\>`, "<", `\<`,
		"#", `\#`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, ":", `\:`, "-", `\-`, "+", `\+`, "@", "＠")
	discordNumber = regexp.MustCompile(`^(\s*\d+)\.`)
)

// discordEscape makes foreign text safe in Discord's markdown: a backslash takes
// its meaning from every character that formats, links or names an emoji.
func discordEscape(s string) string {
	return discordNumber.ReplaceAllString(discordFormats.Replace(redact.Sanitize(s)), `$1\.`)
}

// discordCode makes foreign text safe in a code block, where only the fence
// has a meaning.
func discordCode(s string) string {
	return strings.NewReplacer("`", "ˋ", "@", "＠").Replace(redact.Sanitize(s))
}

// clipBackslash shortens text without leaving a backslash that would escape
// what follows.
func clipBackslash(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = s[:render.RuneIndex(s, n-1)]
	if tail := len(s) - len(strings.TrimRight(s, `\`)); tail%2 == 1 {
		s = s[:len(s)-1]
	}
	return s + "…"
}
