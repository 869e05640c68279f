package receiver

import (
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/render"
)

// The pace that Google Chat allows for a space: one message a second
// (developers.google.com/workspace/chat/limits).
const (
	GoogleChatBurst = 1
	GoogleChatEvery = time.Second
)

// googleChatMessage is what an incoming webhook takes: text of up to 32,000 bytes
// (developers.google.com/workspace/chat/quickstart/webhooks, .../reference/rest/v1/spaces.messages).
type googleChatMessage struct {
	Text string `json:"text"`
}

// NewGoogleChat checks the options; nothing is sent. template may be nil.
func NewGoogleChat(opt HTTPOptions, template *render.Template) (*Chat, error) {
	return newChat(opt, "", template, chatService{
		escape: googleChatEscape,
		message: func(o *render.Outline) any {
			text := googleChatMarkup.write(o, true, true)
			if o.Link != "" {
				text += "\n<" + o.Link + "|More>"
			}
			return googleChatMessage{Text: text}
		},
	})
}

var googleChatMarkup = markup{
	escape: googleChatEscape, newline: "\n",
	bold: func(s string) string { return "*" + s + "*" },
	code: func(s string) string { return "`" + googleChatEscape(s) + "`" },
}

// wwwLink is what clients make a link of without a scheme.
var wwwLink = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\pL\d])www\.`)
})

// googleChatEscape makes foreign text safe where * _ ~ ` format and < > link or mention
// (developers.google.com/workspace/chat/format-messages). There is no escape for them:
// they are replaced by ones that look the same.
func googleChatEscape(s string) string {
	s = strings.NewReplacer("*", "∗", "_", "ˍ", "~", "∼", "`", "ˋ", "<", "‹", ">", "›", "@", "＠").Replace(render.Defang(s))
	return wwwLink().ReplaceAllString(s, "${1}www\u2024")
}
