package receiver

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// TelegramURL is where Telegram's Bot API answers; a local server has another.
const TelegramURL = "https://api.telegram.org"

// The pace that Telegram allows a bot in one chat: about a message a second, and 20 a
// minute in a group (core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this).
const (
	TelegramBurst = 5
	TelegramEvery = 3 * time.Second
)

// TelegramOptions are what NewTelegram needs.
type TelegramOptions struct {
	HTTPOptions // URL is TelegramURL where it is ""
	// Token is the bot's, as @BotFather gave it: 123456:ABC-DEF.
	Token string
	// Chat is the chat's id (-1001234567890) or a channel's @name.
	Chat     string
	Template *render.Template
}

// telegramMessage are the arguments of sendMessage: text of up to 4,096 characters
// (core.telegram.org/bots/api#sendmessage).
type telegramMessage struct {
	ChatID    string              `json:"chat_id"`
	Text      string              `json:"text"`
	ParseMode string              `json:"parse_mode"`
	Preview   telegramLinkPreview `json:"link_preview_options"`
}

type telegramLinkPreview struct {
	IsDisabled bool `json:"is_disabled"`
}

// NewTelegram checks the options; nothing is sent.
func NewTelegram(opt TelegramOptions) (*Chat, error) {
	if opt.URL == "" {
		opt.URL = TelegramURL
	}
	if !telegramToken().MatchString(opt.Token) {
		return nil, badOption("token", "the token is not a bot's: @BotFather gives one like 123456:ABC-DEF")
	}
	chat := strings.TrimSpace(opt.Chat)
	if !telegramChat().MatchString(chat) {
		return nil, badOption("channel", "the channel is not a Telegram chat: give its id (-1001234567890) or @name")
	}
	p, err := newPoster(opt.HTTPOptions, "bot"+opt.Token+"/sendMessage")
	if err != nil {
		return nil, err
	}
	p.secrets = append(p.secrets, opt.Token)
	return &Chat{p: p, template: opt.Template, service: chatService{
		escape: telegramEscape,
		message: func(o *render.Outline) any {
			text := telegramMarkup.write(o, true, true)
			if o.Link != "" {
				text += "\n<a href=\"" + html.EscapeString(o.Link) + "\">More</a>"
			}
			return telegramMessage{ChatID: chat, Text: text, ParseMode: "HTML", Preview: telegramLinkPreview{IsDisabled: true}}
		},
		answer: telegramAnswer,
	}}, nil
}

var (
	telegramToken = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\d{3,20}:[A-Za-z0-9_-]{10,100}$`)
	})
	telegramChat = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(-?\d{1,20}|@[A-Za-z0-9_]{3,64})$`)
	})
	// dotted is what a client would make a link of: a name with a dot before letters.
	dotted = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`([\pL\d])\.(\pL)`)
	})
)

// telegramMarkup is the HTML that Telegram reads
// (core.telegram.org/bots/api#html-style).
var telegramMarkup = markup{
	escape: telegramEscape, newline: "\n",
	bold: func(s string) string { return "<b>" + s + "</b>" },
	code: func(s string) string { return "<code>" + telegramEscape(s) + "</code>" },
}

// telegramEscape makes foreign text safe in Telegram's HTML. Clients make links of
// names with dots, mentions of @, and commands and tags of / and #: these are replaced
// by ones that look the same.
func telegramEscape(s string) string {
	s = dotted().ReplaceAllString(render.Defang(s), "$1\u2024$2")
	s = dotted().ReplaceAllString(s, "$1\u2024$2") // a.b.c: matches do not overlap
	return html.EscapeString(strings.NewReplacer("@", "＠", "#", "＃").Replace(s))
}

// telegramAnswer reads the body of a 200: {"ok": true} or an error.
func telegramAnswer(p *poster, body []byte) error {
	var r struct {
		OK          *bool  `json:"ok"`
		Description string `json:"description"`
	}
	if json.Unmarshal(body, &r) != nil || r.OK == nil {
		return &notify.Unsure{Err: fmt.Errorf("telegram answered 200 but not as its API does: %s", p.excerpt(body))}
	}
	if !*r.OK {
		return &notify.Rejected{Err: fmt.Errorf("telegram answered 200 with the error %q", p.excerpt([]byte(r.Description)))}
	}
	return nil
}
