package receiver

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// mailbox is a mail server on this machine (RFC 5321) with STARTTLS and AUTH PLAIN.
// says replaces its answer to a command.
type mailbox struct {
	addr string
	conf *tls.Config
	says map[string]string

	mu     sync.Mutex
	mails  []string
	logins []string
	plain  int // mails that came without TLS
}

func newMailbox(t *testing.T, conf *tls.Config, says map[string]string) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{addr: l.Addr().String(), conf: conf, says: says}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return m
}

func (m *mailbox) serve(c net.Conn) {
	defer func() { c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	in, safe := bufio.NewReader(c), false
	say := func(format string, a ...any) { fmt.Fprintf(c, format+"\r\n", a...) }
	say("220 mail.example.org ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		verb = strings.ToUpper(verb)
		if s := m.says[verb]; s != "" {
			say("%s", s)
			continue
		}
		switch verb {
		case "EHLO":
			if m.conf != nil && !safe {
				say("250-mail.example.org\r\n250 STARTTLS")
			} else {
				say("250-mail.example.org\r\n250-8BITMIME\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			s := tls.Server(c, m.conf)
			if s.Handshake() != nil {
				return
			}
			c, in, safe = s, bufio.NewReader(s), true
		case "AUTH":
			_, token, _ := strings.Cut(rest, " ")
			b, _ := base64.StdEncoding.DecodeString(token)
			m.mu.Lock()
			m.logins = append(m.logins, strings.ReplaceAll(string(b), "\x00", "/"))
			m.mu.Unlock()
			say("235 ok")
		case "DATA":
			say("354 go on")
			var body strings.Builder
			for {
				l, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				body.WriteString(strings.TrimPrefix(l, "."))
			}
			if m.says["."] == "gone" {
				return // it has the mail, and nobody hears of that
			}
			if s := m.says["."]; s != "" {
				say("%s", s)
				continue
			}
			m.mu.Lock()
			m.mails = append(m.mails, body.String())
			if !safe {
				m.plain++
			}
			m.mu.Unlock()
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (m *mailbox) email(t *testing.T, conf *tls.Config) *Email {
	t.Helper()
	_, port, _ := net.SplitHostPort(m.addr)
	e, err := NewEmail(EmailOptions{URL: "smtp://127.0.0.1:" + port, From: "oomwatch <oomwatch@example.org>", To: []string{"ops@example.org", "Night <night@example.org>"},
		Username: "user-" + canary, Password: canary + "-password", TLS: conf, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// authority is a certificate for 127.0.0.1, and what trusts it.
func authority(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	return &tls.Config{Certificates: web.TLS.Certificates}, web.Client().Transport.(*http.Transport).TLSClientConfig
}

// TestEmail sends an alert over STARTTLS with a login, and reads the mail back.
func TestEmail(t *testing.T) {
	server, client := authority(t)
	m := newMailbox(t, server, nil)
	e := m.email(t, client)
	a := incident.Alert{DeliveryID: "delivery-1", Incident: cases()["oom_container"]}
	if err := e.Notify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := e.NotifyDigest(t.Context(), "delivery-2", hostileDigest("a\r\nBcc: evil@example.org\r\n\r\n.\r\n")); err != nil {
		t.Fatal(err)
	}
	if len(m.mails) != 2 || m.plain != 0 || len(m.logins) != 2 || m.logins[0] != "/user-"+canary+"/"+canary+"-password" {
		t.Fatalf("%d mails, %d of them without TLS, logins %q", len(m.mails), m.plain, m.logins)
	}
	head, body := readMail(t, m.mails[0])
	for k, want := range map[string]string{"From": `"oomwatch" <oomwatch@example.org>`, "Message-Id": "<delivery-1@example.org>", "Auto-Submitted": "auto-generated",
		"Subject": "🔴 web was OOM-killed at its own 32 MiB limit: tail held 31.6 MiB of anonymous memory"} {
		if got := head.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	if !strings.Contains(body, "Limit    32 MiB, in use 32 MiB\n") || strings.Count(body, "\n") > 12 {
		t.Errorf("body:\n%s", body)
	}
	head, body = readMail(t, m.mails[1])
	if head.Get("Bcc") != "" || strings.Contains(head.Get("Subject"), "\n") || strings.Count(body, "\n") > 12 {
		t.Errorf("a header was smuggled in, or it is long: %v\n%s", head, body)
	}
}

// readMail returns the headers, decoded, and the text.
func readMail(t *testing.T, raw string) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v:\n%s", err, raw)
	}
	for k, vs := range m.Header {
		for i, v := range vs {
			if d, err := new(mime.WordDecoder).DecodeHeader(v); err == nil {
				m.Header[k][i] = d
			}
		}
	}
	var r io.Reader = m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, strings.ReplaceAll(string(b), "\r\n", "\n")
}

// TestEmailAnswers: what each answer of a server means for the delivery; no error holds a
// secret.
func TestEmailAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		says map[string]string
		want string
	}{
		"taken":               {nil, "told"},
		"no such recipient":   {map[string]string{"RCPT": "550 5.1.1 no such user " + canary + "-password"}, "never"},
		"greylisted":          {map[string]string{"RCPT": "451 4.7.1 try again later"}, "again"},
		"full":                {map[string]string{"DATA": "452 4.3.1 no space"}, "again"},
		"refused as spam":     {map[string]string{".": "554 5.7.1 refused"}, "never"},
		"busy after the data": {map[string]string{".": "451 4.3.0 try again"}, "again"},
		"gone after the data": {map[string]string{".": "gone"}, "unsure"},
		"sender refused":      {map[string]string{"MAIL": "553 5.7.1 not yours"}, "never"},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := authority(t)
			e := newMailbox(t, server, tt.says).email(t, client)
			err := e.Notify(t.Context(), alertOf("i-1"))
			hide(t, err)
			if got := verdict(err); got != tt.want {
				t.Errorf("%s (%v), want %s", got, err, tt.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		e, err := NewEmail(EmailOptions{URL: "smtp://127.0.0.1:1", From: "a@b.c", To: []string{"a@b.c"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := verdict(e.Notify(t.Context(), alertOf("i-1"))); got != "again" {
			t.Error(got)
		}
	})
}

// TestEmailNeedsTLS: to another machine nothing goes out in plain.
func TestEmailNeedsTLS(t *testing.T) {
	for _, bad := range []EmailOptions{
		{URL: "https://mail.example.org", From: "a@b.c", To: []string{"a@b.c"}}, {URL: "smtp://user:pw@h", From: "a@b.c", To: []string{"a@b.c"}},
		{URL: "smtp://h", From: "nobody", To: []string{"a@b.c"}}, {URL: "smtp://h", From: "a@b.c", To: []string{"a@b.c, b"}},
		{URL: "smtp://h", From: "a@b.c", To: []string{"a@b.c"}, Username: "u"}, {URL: "smtp://h:0", From: "a@b.c", To: []string{"a@b.c"}},
	} {
		if _, err := NewEmail(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	m := newMailbox(t, nil, nil) // offers no STARTTLS
	e, err := NewEmail(EmailOptions{URL: "smtp://mail.example.org", From: "a@b.c", To: []string{"a@b.c"}})
	if err != nil {
		t.Fatal(err)
	}
	e.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", m.addr)
	}
	if err := e.Notify(t.Context(), alertOf("i-1")); err == nil || len(m.mails) != 0 {
		t.Errorf("%v, %d mails", err, len(m.mails))
	}
}
