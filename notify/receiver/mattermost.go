package receiver

import (
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/render"
)

// The pace that Mattermost allows by default: 10 requests a second, a burst of 100
// (docs.mattermost.com/administration-guide/configure/rate-limiting-configuration-settings.html).
const (
	MattermostBurst = 10
	MattermostEvery = time.Second
)

// mattermostMessage is what an incoming webhook takes: markdown of up to 16,383
// characters (developers.mattermost.com/integrate/webhooks/incoming).
type mattermostMessage struct {
	Text string `json:"text"`
}

// NewMattermost checks the options; nothing is sent. template may be nil.
func NewMattermost(opt HTTPOptions, template *render.Template) (*Chat, error) {
	return newChat(opt, "", template, chatService{
		escape: mattermostEscape,
		message: func(o *render.Outline) any {
			text := mattermostMarkup.write(o, true, true)
			if o.Link != "" {
				text += "  \n[More](" + o.Link + ")"
			}
			return mattermostMessage{Text: text}
		},
	})
}

var mattermostMarkup = markup{
	escape: mattermostEscape, newline: "  \n", // two blanks make a line's end one
	bold: func(s string) string { return "**" + s + "**" },
	code: func(s string) string { return "`" + discordCode(render.Defang(s)) + "`" },
}

// mattermostEscape makes foreign text safe in Mattermost's markdown, which knows the
// backslash of CommonMark. An address is a link there without any sign around it, and a
// tag is one by its #.
func mattermostEscape(s string) string {
	s = discordEscape(strings.NewReplacer("#", "＃", "$", "＄").Replace(render.Defang(s)))
	return wwwLink().ReplaceAllString(s, "${1}www\u2024")
}
