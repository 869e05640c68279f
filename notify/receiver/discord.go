package receiver

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// The pace that Discord allows for a webhook: about 5 in 2 seconds and 30 a
// minute; what it refuses counts, too.
const (
	DiscordBurst = 4
	DiscordEvery = 2 * time.Second
)

// NewDiscord checks the options; nothing is sent. template may be nil. The Chat posts
// alerts to a Discord webhook, as an embed.
func NewDiscord(opt HTTPOptions, template *render.Template) (*Chat, error) {
	return newChat(opt, "", template, chatService{
		escape:  discordEscape,
		message: func(o *render.Outline) any { return discordMessageOf(o) },
	})
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
		text = discordMarkup.write(o, false, false)
	}
	if o.Link != "" {
		// In angle brackets it is a link without a preview.
		text += "\n[More](<" + o.Link + ">)"
	}
	// A footer knows no markdown.
	m.Embeds = []discordEmbed{{Description: text, Color: discordColour[o.Level()], Timestamp: o.At, Footer: discordFooter{render.Clip(render.Defang(strings.Join(o.Foot, " · ")), maxDiscordFooter)}}}
	return m
}

// discordColour is by level.
var discordColour = [...]int{0x12b76a, 0x2e90fa, 0xf79009, 0xd92d20}

var discordMarkup = markup{
	escape: discordEscape, newline: "\n",
	bold: func(s string) string { return "**" + s + "**" },
	code: func(s string) string { return "`" + discordCode(s) + "`" },
}

var (
	discordFormats = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, ">", `\>`, "<", `\<`,
		"#", `\#`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, ":", `\:`, "-", `\-`, "+", `\+`, "@", "＠")
	discordNumber = lazyre.New(`^(\s*\d+)\.`)
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
