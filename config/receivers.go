package config

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/notify/receiver"
	"github.com/oomwatch/oomwatch/render"
)

// receiverKind is a type of receiver: which keys it takes and how it is made.
type receiverKind struct {
	name string
	// needs are keys of which the receiver has to be given one (of a secret one
	// of its three: url, url_file, url_env), takes those that it may be given.
	// What every receiver takes is in neither.
	needs, takes []string
	make         func(c *Receiver, stdout io.Writer) (notify.Notifier, error)
	// every and burst are the pace that its service allows.
	every time.Duration
	burst int
}

var overHTTP = []string{"url", "allow_http", "ca_file"}

// receiverKinds are all types of receivers.
var receiverKinds = []receiverKind{
	{name: "slack", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: receiver.SlackEvery, burst: receiver.SlackBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, receiver.NewSlack)
		}},
	{name: "slack_bot", needs: []string{"token", "channel"}, takes: append([]string{"template"}, overHTTP...), every: receiver.SlackEvery, burst: receiver.SlackBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.SlackBot, error) {
				return receiver.NewSlackBot(receiver.SlackBotOptions{HTTPOptions: h, Token: string(c.Token), Channel: c.Channel, Template: t})
			})
		}},
	{name: "webhook", needs: []string{"url"}, takes: append([]string{"secret", "cloudevents", "headers", "template"}, overHTTP...),
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Webhook, error) {
				return receiver.NewWebhook(receiver.WebhookOptions{HTTPOptions: h, Secret: string(c.Secret), CloudEvents: c.CloudEvents, Host: host.Facts().Name,
					Template: t, Headers: c.headers()})
			})
		}},
	{name: "pagerduty", needs: []string{"token"}, takes: append([]string{"template"}, overHTTP...), every: time.Second, burst: 10,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.PagerDuty, error) {
				return receiver.NewPagerDuty(receiver.PagerDutyOptions{HTTPOptions: h, Key: string(c.Token), Template: t})
			})
		}},
	{name: "alertmanager", needs: []string{"url"}, takes: append([]string{"token", "resolve_after", "template"}, overHTTP...),
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Alertmanager, error) {
				return receiver.NewAlertmanager(receiver.AlertmanagerOptions{HTTPOptions: h, Token: string(c.Token), ResolveAfter: time.Duration(c.ResolveAfter), Template: t})
			})
		}},
	{name: "discord", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: receiver.DiscordEvery, burst: receiver.DiscordBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, receiver.NewDiscord)
		}},
	{name: "teams", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: receiver.TeamsEvery, burst: receiver.TeamsBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, receiver.NewTeams)
		}},
	{name: "email", needs: []string{"url", "from", "to"}, takes: append([]string{"username", "password", "template"}, overHTTP...), every: 2 * time.Second, burst: 10,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Email, error) {
				return receiver.NewEmail(receiver.EmailOptions{URL: h.URL, From: c.From, To: c.To, Username: c.Username, Password: string(c.Password),
					AllowPlain: h.AllowInsecure, TLS: h.TLS, Version: h.Version, Template: t})
			})
		}},
	{name: "telegram", needs: []string{"token", "channel"}, takes: append([]string{"template"}, overHTTP...), every: receiver.TelegramEvery, burst: receiver.TelegramBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Chat, error) {
				return receiver.NewTelegram(receiver.TelegramOptions{HTTPOptions: h, Token: string(c.Token), Chat: c.Channel, Template: t})
			})
		}},
	{name: "ntfy", needs: []string{"channel"}, takes: append([]string{"token", "template"}, overHTTP...), every: receiver.NtfyEvery, burst: receiver.NtfyBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Chat, error) {
				return receiver.NewNtfy(receiver.NtfyOptions{HTTPOptions: h, Topic: c.Channel, Token: string(c.Token), Template: t})
			})
		}},
	{name: "gotify", needs: []string{"url", "token"}, takes: append([]string{"template"}, overHTTP...),
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Chat, error) {
				return receiver.NewGotify(receiver.GotifyOptions{HTTPOptions: h, Token: string(c.Token), Template: t})
			})
		}},
	{name: "matrix", needs: []string{"url", "token", "channel"}, takes: append([]string{"template"}, overHTTP...), every: receiver.MatrixEvery, burst: receiver.MatrixBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Chat, error) {
				return receiver.NewMatrix(receiver.MatrixOptions{HTTPOptions: h, Token: string(c.Token), Room: c.Channel, Template: t})
			})
		}},
	{name: "mattermost", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: receiver.MattermostEvery, burst: receiver.MattermostBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, receiver.NewMattermost)
		}},
	{name: "google_chat", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: receiver.GoogleChatEvery, burst: receiver.GoogleChatBurst,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, receiver.NewGoogleChat)
		}},
	{name: "opsgenie", needs: []string{"token"}, takes: append([]string{"template"}, overHTTP...), every: time.Second, burst: 10,
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h receiver.HTTPOptions, t *render.Template) (*receiver.Opsgenie, error) {
				return receiver.NewOpsgenie(receiver.OpsgenieOptions{HTTPOptions: h, Key: string(c.Token), Template: t})
			})
		}},
	{name: "kubernetes", takes: append([]string{"token"}, overHTTP...), every: 200 * time.Millisecond, burst: 50, make: newKubernetes},
	{name: "exec", needs: []string{"command"}, takes: []string{"timeout"},
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return receiver.NewExec(receiver.ExecOptions{Command: c.Command, Timeout: time.Duration(c.Timeout)})
		}},
	{name: "syslog", takes: []string{"socket", "template"},
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *render.Template) (*receiver.Syslog, error) {
				return receiver.NewSyslog(receiver.SyslogOptions{Socket: c.Socket, Host: host.Facts().Name, Template: t})
			})
		}},
	{name: "journal", takes: []string{"socket", "template"},
		make: func(c *Receiver, _ io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *render.Template) (*receiver.Journal, error) {
				return receiver.NewJournal(receiver.JournalOptions{Socket: c.Socket, Template: t})
			})
		}},
	{name: "stdout", takes: []string{"template"},
		make: func(c *Receiver, stdout io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *render.Template) (*receiver.Text, error) {
				return receiver.NewText(stdout, render.TextOptions{Width: terminal.Screen(stdout), Color: terminal.Colour(stdout)}, t), nil
			})
		}},
}

// headers are a webhook's own headers, "NAME: VALUE" each.
func (r *Receiver) headers() map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		name, value, _ := strings.Cut(string(h), ":")
		out[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return out
}

// templated makes a receiver with the template that the configuration gives it.
func templated[N notify.Notifier](c *Receiver, make func(*render.Template) (N, error)) (notify.Notifier, error) {
	var t *render.Template
	if c.Template != "" {
		var err error
		if t, err = render.NewTemplate(c.Template); err != nil {
			return nil, &receiver.BadOption{Key: "template", Err: err}
		}
	}
	n, err := make(t)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// httpReceiver makes a receiver that is told over HTTP.
func httpReceiver[N notify.Notifier](c *Receiver, make func(receiver.HTTPOptions, *render.Template) (N, error)) (notify.Notifier, error) {
	h := receiver.HTTPOptions{URL: string(c.URL), Version: build.Version(), AllowInsecure: c.AllowHTTP}
	if c.CAFile != "" {
		pool, err := rootsWith(c.CAFile)
		if err != nil {
			return nil, &receiver.BadOption{Key: "ca_file", Err: err}
		}
		h.TLS = &tls.Config{RootCAs: pool}
	}
	return templated(c, func(t *render.Template) (N, error) { return make(h, t) })
}

// newKubernetes makes the receiver that writes events. Where nothing else is given it is
// that of the pod's own service account.
func newKubernetes(c *Receiver, _ io.Writer) (notify.Notifier, error) {
	c = new(*c)
	if c.URL == "" {
		c.CAFile = cmp.Or(c.CAFile, receiver.KubernetesCAFile)
	}
	return httpReceiver(c, func(h receiver.HTTPOptions, _ *render.Template) (*receiver.Kubernetes, error) {
		return receiver.NewKubernetes(receiver.KubernetesOptions{HTTPOptions: h, Token: string(c.Token), TokenFile: receiver.KubernetesTokenFile})
	})
}

func receiverTypes() []string {
	var out []string
	for _, k := range receiverKinds {
		out = append(out, k.name)
	}
	return out
}

// kind is the receiver's type, which has been checked.
func (r *Receiver) kind() *receiverKind {
	i := slices.IndexFunc(receiverKinds, func(k receiverKind) bool { return k.name == string(r.Type) })
	return &receiverKinds[i]
}

// newReceiver makes the sender of a receiver.
func newReceiver(c *Receiver, stdout io.Writer) (notify.Receiver, error) {
	k := c.kind()
	n, err := k.make(c, stdout)
	return notify.Receiver{Name: string(c.Name), Notifier: n, Every: k.every, Burst: k.burst, Settings: c.settings()}, err
}

// settings stand for all that the receiver is made with, and tell none of it: who is
// told is the same receiver where only what it is told of was changed.
func (r *Receiver) settings() string {
	h := sha256.New()
	for _, s := range []string{string(r.Type), string(r.URL), string(r.Secret), string(r.Token), r.Channel, r.Socket, r.Template, r.CAFile} {
		fmt.Fprintf(h, "%q ", s)
	}
	fmt.Fprintf(h, "%q %q %q %q %q ", r.From, r.To, r.Username, string(r.Password), r.headers())
	fmt.Fprintf(h, "%q %t %t %d %d ", r.Command, r.AllowHTTP, r.CloudEvents, r.ResolveAfter, r.Timeout)
	if r.CAFile != "" {
		pem, _ := readFile(r.CAFile, maxRoots) // where it cannot be read the receiver is refused
		h.Write(pem)
	}
	return hex.EncodeToString(h.Sum(nil))
}
