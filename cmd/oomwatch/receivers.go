package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/notify"
)

// receiverKind is a type of receiver: which keys it takes and how it is made.
type receiverKind struct {
	name string
	// needs are keys of which the receiver has to be given one (of a secret one
	// of its three: url, url_file, url_env), takes those that it may be given.
	// What every receiver takes is in neither.
	needs, takes []string
	make         func(c *ReceiverConfig, stdout io.Writer) (notify.Notifier, error)
	// every and burst are the pace that its service allows.
	every time.Duration
	burst int
}

var overHTTP = []string{"url", "allow_http", "ca_file"}

// receiverKinds are all types of receivers.
var receiverKinds = []receiverKind{
	{name: "slack", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: notify.SlackEvery, burst: notify.SlackBurst,
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, notify.NewSlack)
		}},
	{name: "slack_bot", needs: []string{"token", "channel"}, takes: append([]string{"template"}, overHTTP...), every: notify.SlackEvery, burst: notify.SlackBurst,
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h notify.HTTPOptions, t *notify.Template) (*notify.SlackBot, error) {
				return notify.NewSlackBot(notify.SlackBotOptions{HTTPOptions: h, Token: string(c.Token), Channel: c.Channel, Template: t})
			})
		}},
	{name: "webhook", needs: []string{"url"}, takes: append([]string{"secret", "cloudevents"}, overHTTP...),
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h notify.HTTPOptions, _ *notify.Template) (*notify.Webhook, error) {
				return notify.NewWebhook(notify.WebhookOptions{HTTPOptions: h, Secret: string(c.Secret), CloudEvents: c.CloudEvents, Host: hostFacts().Name})
			})
		}},
	{name: "pagerduty", needs: []string{"token"}, takes: append([]string{"template"}, overHTTP...), every: time.Second, burst: 10,
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h notify.HTTPOptions, t *notify.Template) (*notify.PagerDuty, error) {
				return notify.NewPagerDuty(notify.PagerDutyOptions{HTTPOptions: h, Key: string(c.Token), Template: t})
			})
		}},
	{name: "alertmanager", needs: []string{"url"}, takes: append([]string{"token", "resolve_after", "template"}, overHTTP...),
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, func(h notify.HTTPOptions, t *notify.Template) (*notify.Alertmanager, error) {
				return notify.NewAlertmanager(notify.AlertmanagerOptions{HTTPOptions: h, Token: string(c.Token), ResolveAfter: time.Duration(c.ResolveAfter), Template: t})
			})
		}},
	{name: "discord", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: notify.DiscordEvery, burst: notify.DiscordBurst,
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, notify.NewDiscord)
		}},
	{name: "teams", needs: []string{"url"}, takes: append([]string{"template"}, overHTTP...), every: notify.TeamsEvery, burst: notify.TeamsBurst,
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return httpReceiver(c, notify.NewTeams)
		}},
	{name: "exec", needs: []string{"command"}, takes: []string{"timeout"},
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return notify.NewExec(notify.ExecOptions{Command: c.Command, Timeout: time.Duration(c.Timeout)})
		}},
	{name: "syslog", takes: []string{"socket", "template"},
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *notify.Template) (*notify.Syslog, error) {
				return notify.NewSyslog(notify.SyslogOptions{Socket: c.Socket, Host: hostFacts().Name, Template: t})
			})
		}},
	{name: "journal", takes: []string{"socket", "template"},
		make: func(c *ReceiverConfig, _ io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *notify.Template) (*notify.Journal, error) {
				return notify.NewJournal(notify.JournalOptions{Socket: c.Socket, Template: t})
			})
		}},
	{name: "stdout", takes: []string{"template"},
		make: func(c *ReceiverConfig, stdout io.Writer) (notify.Notifier, error) {
			return templated(c, func(t *notify.Template) (*notify.Text, error) {
				return notify.NewText(stdout, notify.TextOptions{Width: textWidth(stdout), Color: useColour(stdout)}, t), nil
			})
		}},
}

// templated makes a receiver with the template that the configuration gives it.
func templated[N notify.Notifier](c *ReceiverConfig, make func(*notify.Template) (N, error)) (notify.Notifier, error) {
	var t *notify.Template
	if c.Template != "" {
		var err error
		if t, err = notify.NewTemplate(c.Template); err != nil {
			return nil, &notify.BadOption{Key: "template", Err: err}
		}
	}
	n, err := make(t)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// httpReceiver makes a receiver that is told over HTTP.
func httpReceiver[N notify.Notifier](c *ReceiverConfig, make func(notify.HTTPOptions, *notify.Template) (N, error)) (notify.Notifier, error) {
	h := notify.HTTPOptions{URL: string(c.URL), Version: programVersion(), AllowInsecure: c.AllowHTTP}
	if c.CAFile != "" {
		pool, err := rootsWith(c.CAFile)
		if err != nil {
			return nil, &notify.BadOption{Key: "ca_file", Err: err}
		}
		h.TLS = &tls.Config{RootCAs: pool}
	}
	return templated(c, func(t *notify.Template) (N, error) { return make(h, t) })
}

// rootsWith are the system's certificate authorities and those of a file.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any: the file's alone
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

func receiverTypes() []string {
	var out []string
	for _, k := range receiverKinds {
		out = append(out, k.name)
	}
	return out
}

// kind is the receiver's type, which has been checked.
func (r *ReceiverConfig) kind() *receiverKind {
	i := slices.IndexFunc(receiverKinds, func(k receiverKind) bool { return k.name == string(r.Type) })
	return &receiverKinds[i]
}

// newReceiver makes the sender of a receiver.
func newReceiver(c *ReceiverConfig, stdout io.Writer) (notify.Receiver, error) {
	k := c.kind()
	n, err := k.make(c, stdout)
	return notify.Receiver{Name: string(c.Name), Notifier: n, Every: k.every, Burst: k.burst, Settings: c.settings()}, err
}

// settings stand for all that the receiver is made with, and tell none of it: who is
// told is the same receiver where only what it is told of was changed.
func (r *ReceiverConfig) settings() string {
	h := sha256.New()
	for _, s := range []string{string(r.Type), string(r.URL), string(r.Secret), string(r.Token), r.Channel, r.Socket, r.Template, r.CAFile} {
		fmt.Fprintf(h, "%q ", s)
	}
	fmt.Fprintf(h, "%q %t %t %d %d ", r.Command, r.AllowHTTP, r.CloudEvents, r.ResolveAfter, r.Timeout)
	if r.CAFile != "" {
		pem, _ := os.ReadFile(r.CAFile) // where it cannot be read the receiver is refused
		h.Write(pem)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// source is one of the ways in which a value can be given: by itself, in a file,
// or in the environment.
type source struct {
	key       string
	value     *secret
	file, env string
}

func (r *ReceiverConfig) sources() []source {
	return []source{{"url", &r.URL, r.URLFile, r.URLEnv}, {"secret", &r.Secret, r.SecretFile, r.SecretEnv}, {"token", &r.Token, r.TokenFile, r.TokenEnv}}
}

// by is the key that the value was given by, "" for none.
func (s source) by() string {
	switch {
	case s.file != "":
		return s.key + "_file"
	case s.env != "":
		return s.key + "_env"
	case *s.value != "":
		return s.key
	}
	return ""
}

// given are the keys of a receiver that have a value, each with its base: url_env's
// is url.
func (r *ReceiverConfig) given() (keys, bases []string) {
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			key := keyOf(v.Type().Field(i))
			base := key
			for _, way := range []string{"_file", "_env"} {
				if b, ok := strings.CutSuffix(key, way); ok && key != "ca_file" {
					base = b
				}
			}
			keys, bases = append(keys, key), append(bases, base)
		}
	}
	return keys, bases
}

// checkReceiver judges a receiver's keys together, reads what stands in files and
// in the environment, and makes it once.
func (d *document) checkReceiver(at string, r *ReceiverConfig) (warnings []string) {
	k := r.kind()
	keys, bases := r.given()
	good := true
	bad := func(at, text string) { good = false; d.problem(at, text) }
	mine := append(slices.Clone(k.needs), k.takes...)
	for i, key := range keys {
		if takenBySome(bases[i]) && !slices.Contains(mine, bases[i]) {
			bad(at+"."+key, fmt.Sprintf("a receiver of type %s takes no %s; of its own it takes %s", k.name, bases[i], orNothing(mine)))
		}
	}
	for _, s := range r.sources() {
		n := 0
		for _, b := range bases {
			if b == s.key {
				n++
			}
		}
		ways := fmt.Sprintf("%s, %s_file and %s_env", s.key, s.key, s.key)
		switch needed := slices.Contains(k.needs, s.key); {
		case needed && n != 1:
			bad(at, "give exactly one of "+ways)
		case n > 1:
			bad(at, "give at most one of "+ways)
		}
	}
	for _, need := range k.needs {
		if !slices.Contains(bases, need) && !slices.Contains([]string{"url", "secret", "token"}, need) {
			bad(at, fmt.Sprintf("a receiver of type %s needs a %s", k.name, need))
		}
	}
	if r.Template != "" && r.TemplateFile != "" {
		bad(at, "give at most one of template and template_file")
	}
	if !good {
		return nil
	}
	for _, s := range r.sources() {
		v, warning, err := readSecret(*s.value, s.file, s.env)
		if err != nil {
			bad(at+"."+s.by(), err.Error())
			continue
		}
		*s.value = v
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if r.TemplateFile != "" {
		b, err := os.ReadFile(r.TemplateFile)
		if err != nil {
			bad(at+".template_file", err.Error())
		}
		r.Template = string(b)
	}
	if !good {
		return warnings
	}
	if _, err := newReceiver(r, io.Discard); err != nil {
		d.problem(r.blame(at, err), err.Error())
	}
	if w := insideWarning(fmt.Sprintf("receiver %q", string(r.Name)), string(r.URL)); w != "" {
		warnings = append(warnings, w)
	}
	if r.Type == "syslog" && notify.JournalBehind(r.Socket) {
		warnings = append(warnings, fmt.Sprintf("receiver %q: the systemd journal listens there and does not read RFC 5424: take the type journal", string(r.Name)))
	}
	return warnings
}

// blame is the place of the key that an error is about.
func (r *ReceiverConfig) blame(at string, err error) string {
	var option *notify.BadOption
	if !errors.As(err, &option) {
		return at
	}
	for _, s := range r.sources() {
		if s.key == option.Key && s.by() != "" {
			return at + "." + s.by()
		}
	}
	if option.Key == "template" && r.TemplateFile != "" {
		return at + ".template_file"
	}
	return at + "." + option.Key
}

// takenBySome is true for a key that some types take and others do not.
func takenBySome(key string) bool {
	return slices.ContainsFunc(receiverKinds, func(k receiverKind) bool { return slices.Contains(k.needs, key) || slices.Contains(k.takes, key) })
}

func orNothing(keys []string) string {
	if len(keys) == 0 {
		return "nothing"
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return list(slices.Compact(keys))
}
