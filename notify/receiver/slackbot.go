package receiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// SlackBotURL is where Slack's Web API answers; GovSlack has another.
const SlackBotURL = "https://slack.com/api"

// SlackBotOptions are what NewSlackBot needs.
type SlackBotOptions struct {
	HTTPOptions // URL is SlackBotURL where it is ""
	Token       string
	Channel     string           // an id or a name
	Template    *render.Template // nil for the built-in message
}

// SlackBot posts alerts with a bot's token. What follows of the same container
// and cause goes into the thread of the first message, and that message is
// brought up to date.
type SlackBot struct {
	post, update *poster
	channel      string
	template     *render.Template
}

// NewSlackBot checks the options; nothing is sent.
func NewSlackBot(opt SlackBotOptions) (*SlackBot, error) {
	if opt.URL == "" {
		opt.URL = SlackBotURL
	}
	if err := checkSecret("token", opt.Token, "bot's token (xoxb-)"); err != nil {
		return nil, err
	}
	if strings.TrimSpace(opt.Channel) == "" {
		return nil, badOption("channel", "no channel: give its id (C0123456789) or its #name")
	}
	b := &SlackBot{channel: strings.TrimSpace(opt.Channel), template: opt.Template}
	for _, m := range []struct {
		p    **poster
		path string
	}{{&b.post, "chat.postMessage"}, {&b.update, "chat.update"}} {
		p, err := newPoster(opt.HTTPOptions, m.path)
		if err != nil {
			return nil, err
		}
		p.bearer(opt.Token)
		// Without the charset Slack answers with a warning.
		p.header.Set("Content-Type", "application/json; charset=utf-8")
		*m.p = p
	}
	b.update.client = b.post.client
	return b, nil
}

// Traits implements notify.Notifier. The first message shows how things stand.
func (b *SlackBot) Traits() notify.Traits {
	return notify.Traits{Digest: b.NotifyDigest, Thread: b.NotifyThread, KeepsOpen: true, Close: b.post.close}
}

// Notify posts the alert.
func (b *SlackBot) Notify(ctx context.Context, a incident.Alert) error {
	_, err := b.NotifyThread(ctx, a)
	return err
}

// NotifyDigest posts a digest.
func (b *SlackBot) NotifyDigest(ctx context.Context, _ string, d *incident.Digest) error {
	_, err := b.call(ctx, b.post, slackCall{Channel: b.channel, slackMessage: slackMessageOf(render.OutlineOfDigest(d))})
	return err
}

// slackThread is the first message about a container and cause: where it is, how
// many incidents its thread tells of, and which channel was configured then.
type slackThread struct {
	channel, ts string
	count       int
	configured  string // "" for one of before this was kept
}

func (t slackThread) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %s", t.channel, t.ts, t.count, t.configured))
}

func parseSlackThread(s string) (t slackThread, ok bool) {
	f := strings.SplitN(s, " ", 4)
	if len(f) < 3 {
		return t, false
	}
	n, err := strconv.Atoi(f[2])
	t = slackThread{channel: f[0], ts: f[1], count: n}
	if len(f) == 4 {
		t.configured = f[3]
	}
	return t, err == nil
}

// slackID is the id of a channel, a direct message or a group.
var slackID = lazyre.New(`^[CDG][0-9A-Z]{2,}$`)

// isAt says whether the thread is in the channel that is configured now.
func (t slackThread) isAt(channel string) bool {
	if t.configured == "" {
		return t.channel == channel || !slackID.MatchString(channel) // a name tells no id
	}
	return t.configured == channel
}

// NotifyThread posts the alert, or, where there is a thread already, brings its
// first message up to date and adds to it.
func (b *SlackBot) NotifyThread(ctx context.Context, a incident.Alert) (string, error) {
	t, follows := parseSlackThread(a.Thread)
	if follows && t.isAt(b.channel) {
		if !a.Update {
			t.count += max(a.Incident.Count, 1)
		}
		// The edit first: made twice it does no harm, and a reply would.
		err := b.edit(ctx, t, a)
		if err == nil {
			err = b.reply(ctx, t, a)
		}
		switch {
		case err == nil:
			t.configured = b.channel
			return t.String(), nil
		case !gone(err):
			return a.Thread, err
		}
		// Somebody took the first message away, or its channel: this one begins
		// anew, where the configuration says now.
	}
	m := slackMessageOf(b.template.Apply(render.OutlineOf(a, true), a, slackEscape))
	at, err := b.call(ctx, b.post, slackCall{Channel: b.channel, slackMessage: m})
	if err != nil || at.TS == "" {
		return "", err
	}
	return slackThread{at.Channel, at.TS, max(a.Incident.Count, 1), b.channel}.String(), nil
}

// edit shows in the first message how things stand now.
func (b *SlackBot) edit(ctx context.Context, t slackThread, a incident.Alert) error {
	inc := *a.Incident
	inc.Count = t.count
	a.Incident, a.Repeat, a.Update = &inc, false, false
	m := slackMessageOf(b.template.Apply(render.OutlineOf(a, false), a, slackEscape))
	_, err := b.call(ctx, b.update, slackCall{Channel: t.channel, TS: t.ts, slackMessage: m})
	var said *slackError
	var refused *notify.Rejected
	if errors.As(err, &said) && errors.As(err, &refused) && !refused.Gone && !gone(err) {
		return nil // too old to be edited, or too long: the reply says it
	}
	return err
}

// reply adds a message to the thread: of a repeat all of it, of an update what is new.
func (b *SlackBot) reply(ctx context.Context, t slackThread, a incident.Alert) error {
	m := slackMessageOf(b.template.Apply(render.OutlineOf(a, true), a, slackEscape))
	_, err := b.call(ctx, b.post, slackCall{Channel: t.channel, ThreadTS: t.ts, slackMessage: m})
	return err
}

// slackCall are the arguments of chat.postMessage and chat.update.
type slackCall struct {
	Channel  string `json:"channel"`
	TS       string `json:"ts,omitempty"`
	ThreadTS string `json:"thread_ts,omitempty"`
	*slackMessage
}

// slackReply is what the Web API answers, with a 200 also where it refuses.
type slackReply struct {
	OK      *bool  `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

func (b *SlackBot) call(ctx context.Context, p *poster, c slackCall) (slackReply, error) {
	answer, err := p.postJSON(ctx, c)
	if err != nil {
		return slackReply{}, err
	}
	var r slackReply
	if json.Unmarshal(answer, &r) != nil || r.OK == nil {
		return slackReply{}, &notify.Unsure{Err: fmt.Errorf("slack answered 200 but not as its API does: %s", p.excerpt(answer))}
	}
	return r, r.err(p)
}

// slackError is an error that Slack's API gave, by its code.
type slackError struct {
	code string
	text string
}

func (e *slackError) Error() string {
	s := fmt.Sprintf("slack answered 200 with the error %q", e.text)
	if hint := slackHints[e.code]; hint != "" {
		s += ": " + hint
	}
	return s
}

// The errors of chat.postMessage and chat.update by what they ask for
// (docs.slack.dev/reference/methods/chat.postmessage#errors). What is in no list
// is an error of this message, and comes again as often as it is sent.
var (
	slackLater   = []string{"ratelimited", "rate_limited", "message_limit_exceeded"}
	slackAgain   = []string{"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "ekm_access_denied"}
	slackForGood = []string{"is_archived", "account_inactive", "token_revoked"}
	slackTaken   = []string{"message_not_found", "thread_not_found", "channel_not_found", "is_archived"}
	slackHints   = map[string]string{
		"not_in_channel":    "invite the bot: /invite @NAME in the channel",
		"channel_not_found": "the channel's id is in its details; a private channel must have invited the bot",
		"is_archived":       "the channel is archived: name another",
		"invalid_auth":      "the token is wrong: copy the Bot User OAuth Token (xoxb-)",
		"not_authed":        "the token is wrong: copy the Bot User OAuth Token (xoxb-)",
		"token_revoked":     "make a new token",
		"token_expired":     "make a new token, without rotation",
		"account_inactive":  "the bot was removed: install the app again",
		"missing_scope":     "give the app the scope chat:write and install it again",
	}
)

// err reads an answer of Slack's API as a Notifier's.
func (r *slackReply) err(p *poster) error {
	if *r.OK {
		return nil
	}
	err := &slackError{code: r.Error, text: p.excerpt([]byte(r.Error))}
	switch {
	case slices.Contains(slackLater, r.Error):
		return &notify.RetryAfter{Err: err, At: p.now().Add(calmDown)}
	case slices.Contains(slackAgain, r.Error):
		return err
	}
	return &notify.Rejected{Err: err, Gone: slices.Contains(slackForGood, r.Error)}
}

// gone is true when the message to edit or to answer is no more, or its channel.
func gone(err error) bool {
	var said *slackError
	return errors.As(err, &said) && slices.Contains(slackTaken, said.code)
}
