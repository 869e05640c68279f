package receiver

import (
	"github.com/oomwatch/oomwatch/render"
)

// GotifyOptions are what NewGotify needs.
type GotifyOptions struct {
	HTTPOptions        // URL is the server's, without /message
	Token       string // the application's
	Template    *render.Template
}

// gotifyMessage is what POST /message takes (gotify.net/api-docs#/message/createMessage);
// the extras are those of gotify.net/docs/msgextras.
type gotifyMessage struct {
	Title    string       `json:"title"`
	Message  string       `json:"message"`
	Priority int          `json:"priority"`
	Extras   gotifyExtras `json:"extras"`
}

type gotifyExtras struct {
	Display      gotifyDisplay       `json:"client::display"`
	Notification *gotifyNotification `json:"client::notification,omitempty"`
}

type gotifyDisplay struct {
	ContentType string `json:"contentType"`
}

type gotifyNotification struct {
	Click gotifyClick `json:"click"`
}

type gotifyClick struct {
	URL string `json:"url"`
}

// gotifyPriority is by level: from 4 on a phone makes a sound, from 8 on it is loud
// (github.com/gotify/android#message-priorities).
var gotifyPriority = [...]int{1, 2, 5, 8}

// NewGotify checks the options; nothing is sent.
func NewGotify(opt GotifyOptions) (*Chat, error) {
	if err := checkSecret("token", opt.Token, "application's token"); err != nil {
		return nil, err
	}
	p, err := newPoster(opt.HTTPOptions, "message")
	if err != nil {
		return nil, err
	}
	p.header.Set("X-Gotify-Key", opt.Token)
	p.secrets = append(p.secrets, opt.Token)
	return &Chat{p: p, template: opt.Template, service: chatService{
		escape: render.Defang,
		message: func(o *render.Outline) any {
			m := gotifyMessage{Title: plainTitle(o), Message: plainText(o), Priority: gotifyPriority[o.Level()], Extras: gotifyExtras{Display: gotifyDisplay{"text/plain"}}}
			if o.Link != "" {
				m.Extras.Notification = &gotifyNotification{gotifyClick{o.Link}}
			}
			return m
		},
	}}, nil
}
