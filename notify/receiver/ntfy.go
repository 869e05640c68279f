package receiver

import (
	"time"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/render"
)

// NtfyURL is the public server of ntfy; one's own has another.
const NtfyURL = "https://ntfy.sh"

// The pace that ntfy.sh allows: 60 requests, then one in 5 seconds
// (docs.ntfy.sh/publish/#limitations).
const (
	NtfyBurst = 30
	NtfyEvery = 5 * time.Second
)

// NtfyOptions are what NewNtfy needs.
type NtfyOptions struct {
	HTTPOptions // URL is NtfyURL where it is ""
	Topic       string
	Token       string // "" for a topic that asks for none
	Template    *render.Template
}

// ntfyMessage is a message as JSON, posted to the server's root. A message of more than
// 4,096 bytes becomes an attachment (docs.ntfy.sh/publish/#publish-as-json).
type ntfyMessage struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"`
	Tags     []string `json:"tags,omitempty"`
	Click    string   `json:"click,omitempty"`
}

var ntfyTopic = lazyre.New(`^[-_A-Za-z0-9]{1,64}$`)

// ntfyPriority is by level: 5 vibrates and stays, 2 makes no sound
// (docs.ntfy.sh/publish/#message-priority).
var ntfyPriority = [...]int{2, 3, 4, 5}

// NewNtfy checks the options; nothing is sent.
func NewNtfy(opt NtfyOptions) (*Chat, error) {
	if opt.URL == "" {
		opt.URL = NtfyURL
	}
	if !ntfyTopic.MatchString(opt.Topic) {
		return nil, badOption("channel", "the channel is not an ntfy topic: up to 64 letters, digits, '-' and '_'")
	}
	if opt.Token != "" {
		if err := checkSecret("token", opt.Token, "token"); err != nil {
			return nil, err
		}
	}
	p, err := newPoster(opt.HTTPOptions, "")
	if err != nil {
		return nil, err
	}
	p.bearer(opt.Token)
	return &Chat{p: p, template: opt.Template, service: chatService{
		escape: render.Defang,
		message: func(o *render.Outline) any {
			return ntfyMessage{Topic: opt.Topic, Title: plainTitle(o), Message: render.ClipBytes(plainText(o), 4000), Priority: ntfyPriority[o.Level()], Click: o.Link}
		},
	}}, nil
}
