package receiver

import (
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/render"
)

// The pace that Synapse allows by default: 0.2 messages a second after a burst of 10
// (rc_message in element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html).
const (
	MatrixBurst = 10
	MatrixEvery = 5 * time.Second
)

// MatrixOptions are what NewMatrix needs.
type MatrixOptions struct {
	HTTPOptions        // URL is the homeserver's
	Token       string // the account's access token
	Room        string // the room's id: !opaque:example.org, or !opaque
	Template    *render.Template
}

// matrixMessage is an m.room.message event with HTML beside the plain text
// (spec.matrix.org/latest/client-server-api/#mtext). Empty mentions notify nobody.
type matrixMessage struct {
	MsgType       string         `json:"msgtype"`
	Body          string         `json:"body"`
	Format        string         `json:"format"`
	FormattedBody string         `json:"formatted_body"`
	Mentions      matrixMentions `json:"m.mentions"`
}

type matrixMentions struct{}

var matrixRoom = lazyre.New(`^![!-~]{1,254}$`)

// NewMatrix checks the options; nothing is sent.
func NewMatrix(opt MatrixOptions) (*Chat, error) {
	if err := checkSecret("token", opt.Token, "access token"); err != nil {
		return nil, err
	}
	if !matrixRoom.MatchString(opt.Room) {
		return nil, badOption("channel", "the channel is not a room's id: it begins with ! (in Element: the room's settings, Advanced)")
	}
	p, err := newPoster(opt.HTTPOptions, "_matrix/client/v3/rooms")
	if err != nil {
		return nil, err
	}
	p.bearer(opt.Token)
	return &Chat{p: p, template: opt.Template, service: chatService{
		escape: matrixEscape,
		message: func(o *render.Outline) any {
			rich := matrixMarkup.write(o, true, true)
			plain := strings.ReplaceAll(plainMarkup.write(o, true, true), "@", "＠")
			if o.Link != "" {
				rich += "<br>\n<a href=\"" + html.EscapeString(o.Link) + "\">More</a>"
				plain += "\nMore: " + o.Link
			}
			return matrixMessage{MsgType: "m.text", Body: plain, Format: "org.matrix.custom.html", FormattedBody: rich}
		},
		// The transaction's id makes a repeat harmless
		// (spec.matrix.org/latest/client-server-api/#transaction-identifiers).
		put: func(p *poster, delivery string) string {
			return p.url + "/" + url.PathEscape(opt.Room) + "/send/m.room.message/" + url.PathEscape(delivery)
		},
	}}, nil
}

var matrixMarkup = markup{
	escape: matrixEscape, newline: "<br>\n",
	bold: func(s string) string { return "<strong>" + s + "</strong>" },
	code: func(s string) string { return "<code>" + matrixEscape(s) + "</code>" },
}

// matrixEscape makes foreign text safe in the HTML that clients show, where @room and
// addresses have a meaning too.
func matrixEscape(s string) string {
	return html.EscapeString(strings.ReplaceAll(render.Defang(s), "@", "＠"))
}
