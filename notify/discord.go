package notify

import (
	"context"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/redact"
)

// Discord posts alerts to a Discord webhook, as an embed.
type Discord struct {
	p        *poster
	template *Template
}

// The pace that Discord allows for a webhook: about 5 in 2 seconds and 30 a
// minute; what it refuses counts, too.
const (
	DiscordBurst = 4
	DiscordEvery = 2 * time.Second
)

// NewDiscord checks the options; nothing is sent. template may be nil.
func NewDiscord(opt HTTPOptions, template *Template) (*Discord, error) {
	p, err := newPoster(opt, "")
	if err != nil {
		return nil, err
	}
	return &Discord{p: p, template: template}, nil
}

// Close ends idle connections.
func (d *Discord) Close() { d.p.close() }

// Notify posts the alert.
func (d *Discord) Notify(ctx context.Context, a Alert) error {
	_, err := d.p.postJSON(ctx, discordMessageOf(d.template.apply(outlineOf(a, true), a, discordEscape)))
	return err
}

// NotifyDigest posts a digest.
func (d *Discord) NotifyDigest(ctx context.Context, _ string, g *Digest) error {
	_, err := d.p.postJSON(ctx, discordMessageOf(outlineOfDigest(g)))
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

func discordMessageOf(o *outline) *discordMessage {
	m := &discordMessage{AllowedMentions: discordMentions{Parse: []string{}},
		Content: clipBackslash(o.mark()+" "+discordEscape(o.title), maxDiscordContent)}
	text := clipBackslash(discordEscape(o.lead), 1000)
	if o.cause != "" {
		text += "\n**" + discordEscape(o.cause) + "** · " + discordEscape(o.sure)
	}
	if o.body != "" {
		text = clipBackslash(o.body, maxDiscordText)
	}
	add := func(s string, most int) {
		room := min(most, maxDiscordText-utf8.RuneCountInString(text)-1)
		if s != "" && room > 40 {
			text += "\n" + clipBackslash(s, room)
		}
	}
	for _, f := range o.facts {
		add("**"+f.label+":** "+discordEscape(f.value), 300)
	}
	if len(o.advice) > 0 {
		add("**Do next:** "+discordEscape(strings.Join(o.advice, " ")), 900)
	}
	if o.gaps != "" {
		add("**Not seen:** "+discordEscape(o.gaps), 300)
	}
	var out []string
	for _, l := range o.lists {
		const frame = 60 // the title, and the fences
		room := min(l.most, maxDiscordText-utf8.RuneCountInString(text)-frame)
		escape := discordCode
		if l.prose {
			escape = discordEscape
		}
		title, kept := l.fit(room, 300, escape, func(s string) int { return runes(s) + 2 })
		switch {
		case len(kept) > 0 && l.prose:
			text += "\n**" + title + ":**\n• " + strings.Join(kept, "\n• ")
		case len(kept) > 0:
			text += "\n**" + title + ":**\n```\n" + strings.Join(kept, "\n") + "\n```"
		case len(l.lines) > 0:
			out = append(out, l.title)
		}
	}
	o.leftOut(out)
	colour := map[string]int{"🔴": 0xd92d20, "🟠": 0xf79009, "🟢": 0x12b76a, "🔵": 0x2e90fa}[o.mark()]
	// A footer knows no markdown.
	m.Embeds = []discordEmbed{{Description: text, Color: colour, Timestamp: o.at, Footer: discordFooter{clip(defang(strings.Join(o.foot, " · ")), maxDiscordFooter)}}}
	return m
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
	s = s[:runeIndex(s, n-1)]
	if tail := len(s) - len(strings.TrimRight(s, `\`)); tail%2 == 1 {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// defang makes foreign text safe where nothing formats but a URL becomes a link:
// it is written as those who warn of one do.
func defang(s string) string { return strings.ReplaceAll(redact.Sanitize(s), "://", "[:]//") }
