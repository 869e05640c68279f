package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// EmailOptions are what NewEmail needs.
type EmailOptions struct {
	// URL is the server: smtp://HOST:587 (STARTTLS, which it must offer), smtps://HOST:465
	// (TLS from the first byte), or smtp://localhost:25, which may be plain.
	URL string
	// From and To are addresses, with or without a name.
	From string
	To   []string
	// Username and Password log in; both "" where the server asks for none.
	Username, Password string
	// AllowPlain allows an unencrypted connection to another machine.
	AllowPlain bool
	// TLS is nil for the system's roots.
	TLS      *tls.Config
	Version  string
	Template *render.Template
}

// Email sends each alert as one mail (RFC 5321, RFC 5322), and a digest as one.
type Email struct {
	opt    EmailOptions
	domain string // of the sender, for Message-ID
	host   string
	client []mail.Option
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NewEmail checks the options; nothing is sent.
func NewEmail(opt EmailOptions) (*Email, error) {
	u, err := url.Parse(strings.TrimSpace(opt.URL))
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, badOption("url", "the URL is not a mail server's: write smtp://HOST:587 (STARTTLS) or smtps://HOST:465; username and password have keys of their own")
	}
	from, err := stdmail.ParseAddress(opt.From)
	if err != nil {
		return nil, badOption("from", "%q is not an address: write oomwatch@example.org", opt.From)
	}
	for _, to := range opt.To {
		if _, err := stdmail.ParseAddress(to); err != nil {
			return nil, badOption("to", "%q is not an address: write ops@example.org", to)
		}
	}
	if (opt.Username == "") != (opt.Password == "") {
		return nil, badOption("username", "give both a username and a password, or neither")
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	e := &Email{opt: opt, domain: domain, host: u.Hostname()}
	e.client, err = e.options(u)
	return e, err
}

// options are those of the connection.
func (e *Email) options(u *url.URL) ([]mail.Option, error) {
	conf := tlsConfig(e.opt.TLS)
	conf.ServerName = e.host
	dialer := &net.Dialer{Timeout: headerTimeout}
	e.dial = dialer.DialContext
	out := []mail.Option{mail.WithTLSConfig(conf), mail.WithTimeout(totalTimeout), mail.WithoutNoop()}
	port := 587
	plain := e.opt.AllowPlain || loopback(e.host)
	switch {
	case u.Scheme == "smtps":
		port = 465
		out = append(out, mail.WithSSL())
		e.dial = (&tls.Dialer{NetDialer: dialer, Config: conf}).DialContext
	case plain:
		out = append(out, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		out = append(out, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s := u.Port(); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return nil, badOption("url", "the URL's port is %q; 25, 465 and 587 are usual", s)
		}
		port = int(n)
	}
	out = append(out, mail.WithPort(port))
	if e.opt.Username != "" {
		out = append(out, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(e.opt.Username), mail.WithPassword(e.opt.Password))
	}
	return out, nil
}

// Traits implements notify.Notifier.
func (e *Email) Traits() notify.Traits { return notify.Traits{Digest: e.NotifyDigest} }

// Notify sends the alert. What follows of the same incident answers the first mail.
func (e *Email) Notify(ctx context.Context, a incident.Alert) error {
	o := e.opt.Template.Apply(render.OutlineOf(a, true), a, redact.Sanitize)
	return e.send(ctx, a.DeliveryID, a.Incident.ID, o)
}

// NotifyDigest sends a digest.
func (e *Email) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	return e.send(ctx, id, "", render.OutlineOfDigest(d))
}

func (e *Email) send(ctx context.Context, delivery, thread string, o *render.Outline) error {
	m, err := e.message(delivery, thread, o)
	if err != nil {
		return &notify.Rejected{Err: fmt.Errorf("write the mail: %w", e.scrub(err))}
	}
	var conn net.Conn
	client, err := mail.NewClient(e.host, append(slices.Clip(e.client), mail.WithDialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
		var err error
		conn, err = e.dial(ctx, network, addr)
		return conn, err
	}))...)
	if err != nil {
		return fmt.Errorf("send mail by %s: %w", e.host, e.scrub(err))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*totalTimeout)
	defer cancel()
	defer func() {
		if conn != nil {
			conn.Close() // after a failed login the library leaves it open
		}
	}()
	if err := client.DialAndSendWithContext(ctx, m); err != nil {
		return e.judge(err)
	}
	return nil
}

// message writes the mail as plain text, in the lines of an alert on a terminal.
func (e *Email) message(delivery, thread string, o *render.Outline) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(e.opt.From); err != nil {
		return nil, err
	}
	if err := m.To(e.opt.To...); err != nil {
		return nil, err
	}
	m.Subject(render.Clip(redact.Sanitize(o.Mark()+" "+o.Title), 200))
	m.SetDate()
	m.SetMessageIDWithValue(word(delivery) + "@" + e.domain) // a repeat is the same mail
	if thread != "" {
		m.SetGenHeader(mail.HeaderReferences, "<"+word(thread)+"@"+e.domain+">")
	}
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers it
	m.SetUserAgent("oomwatch/" + e.opt.Version)
	var b bytes.Buffer
	if err := render.WriteOutline(&b, o, render.TextOptions{}); err != nil {
		return nil, err
	}
	m.SetBodyString(mail.TypeTextPlain, b.String())
	return m, nil
}

// word keeps of an id what may stand in a Message-ID.
func word(s string) string {
	return render.Clip(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, s), 120)
}

// judge reads a failure: 5yz is never, 4yz and what broke off before the mail was handed
// over is again, what broke off after it may have arrived (RFC 5321, section 4.2.1).
func (e *Email) judge(err error) error {
	clean := fmt.Errorf("send mail by %s: %w", e.host, e.scrub(err))
	var said *mail.SendError
	if !errors.As(err, &said) {
		return clean // it could not be reached, or refused the login: that can be mended
	}
	switch code := said.ErrorCode(); {
	case code >= 500 && code < 600:
		return &notify.Rejected{Err: clean}
	case code >= 400:
		return clean
	case said.Reason == mail.ErrSMTPDataClose || said.Reason == mail.ErrWriteContent:
		return &notify.Unsure{Err: clean}
	}
	return clean
}

// scrub takes the secrets out of an error, and makes what a server said safe.
func (e *Email) scrub(err error) error {
	s := err.Error()
	for _, secret := range []string{e.opt.Password, e.opt.Username} {
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, redact.Redacted)
		}
	}
	if net.ParseIP(e.host) == nil {
		s = strings.ReplaceAll(s, e.opt.URL, e.host)
	}
	return errors.New(render.Clip(redact.Sanitize(redact.Line(s)), 300))
}
