package receiver

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// DefaultSyslogSocket is where a syslog daemon listens.
const DefaultSyslogSocket = "/dev/log"

// SyslogOptions are what NewSyslog needs.
type SyslogOptions struct {
	Socket   string // DefaultSyslogSocket where it is ""
	Host     string // this machine's name
	Template *render.Template
}

// Syslog writes a line for each alert to a syslog daemon on this machine, in the
// form of RFC 5424.
type Syslog struct {
	socket, host string
	template     *render.Template
	now          func() time.Time
}

// NewSyslog checks the options; nothing is sent.
func NewSyslog(opt SyslogOptions) (*Syslog, error) {
	s := &Syslog{socket: cmp.Or(opt.Socket, DefaultSyslogSocket), host: opt.Host, template: opt.Template, now: time.Now}
	if !filepath.IsAbs(s.socket) {
		return nil, badOption("socket", "%q is not the full path of a socket", s.socket)
	}
	return s, nil
}

// JournalBehind says whether the journal listens on a syslog socket. It reads the
// older form of RFC 3164 only, and would show the header of ours as text.
func JournalBehind(socket string) bool {
	path, err := filepath.EvalSymlinks(cmp.Or(socket, DefaultSyslogSocket))
	return err == nil && strings.HasPrefix(path, "/run/systemd/journal/")
}

// maxSyslog bounds a message, in bytes: a receiver must take 480 and should take
// 2,048 (RFC 5424, section 6.1); rsyslog cuts at 8 KiB.
const maxSyslog = 8000

// syslogSD is the id of our structured data: a name with the number that IANA
// sets aside for documents and the like, until there is one of our own.
const syslogSD = "oomwatch@32473"

// priorities are the severities of syslog and the journal.
var priorities = map[incident.Severity]int{incident.Critical: 2, incident.Warning: 4, incident.Info: 6}

// gravity is an incident's severity; what is over is no trouble any more.
func gravity(inc *incident.Incident) incident.Severity {
	if !inc.ResolvedAt.IsZero() {
		return incident.Info
	}
	return inc.Severity
}

// Traits implements notify.Notifier.
func (s *Syslog) Traits() notify.Traits {
	return notify.Traits{Digest: s.NotifyDigest}
}

// Notify writes the alert.
func (s *Syslog) Notify(ctx context.Context, a incident.Alert) error {
	inc := a.Incident
	sd := [][2]string{{"id", inc.ID}, {"cause", string(inc.Cause)}, {"confidence", string(inc.Confidence)}, {"severity", string(inc.Severity)}, {"count", strconv.Itoa(max(inc.Count, 1))}}
	if c := inc.Container; c != nil {
		sd = append(sd, [2]string{"container", c.Name}, [2]string{"container_id", c.ID}, [2]string{"image", c.Image})
	}
	if inc.Unit != "" {
		sd = append(sd, [2]string{"unit", inc.Unit})
	}
	text := s.template.Text(a, redact.Sanitize)
	if text == "" {
		text = render.LineOf(a)
	}
	return s.send(ctx, gravity(inc), string(inc.Kind), sd, text)
}

// NotifyDigest writes a digest.
func (s *Syslog) NotifyDigest(ctx context.Context, _ string, d *incident.Digest) error {
	return s.send(ctx, d.Severity(), "digest", [][2]string{{"count", strconv.Itoa(d.Count)}}, redact.Sanitize(d.Summary)+"; see: oomwatch history")
}

// send writes one message: <PRI>1 TIME HOST APP PROCID MSGID [SD] MSG.
func (s *Syslog) send(ctx context.Context, severity incident.Severity, msgID string, sd [][2]string, text string) error {
	const daemon = 3 << 3
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s oomwatch %d %s [%s", daemon|priorities[severity], s.now().UTC().Format("2006-01-02T15:04:05.000000Z"),
		syslogName(s.host, 255), os.Getpid(), syslogName(msgID, 32), syslogSD)
	for _, p := range sd {
		if p[1] != "" {
			fmt.Fprintf(&b, ` %s="%s"`, p[0], syslogValue(render.Clip(redact.Sanitize(p[1]), 256)))
		}
	}
	// The mark says that the text is UTF-8.
	b.WriteString("] \ufeff")
	// A daemon ends a message at a newline, or shows it as it likes.
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	msg := b.String() + redact.Sanitize(strings.Join(lines, " | "))
	return datagram(ctx, s.socket, []byte(render.ClipBytes(msg, maxSyslog)))
}

// syslogName is a field of the header: printable ASCII without blanks, or "-".
func syslogName(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return cmp.Or(s[:min(len(s), most)], "-")
}

// syslogValue escapes a value of structured data (RFC 5424, section 6.3.3).
func syslogValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(s)
}

// datagram sends one message to a socket of this machine. Those who listen there
// are local, and there is no answer: what was sent is told.
func datagram(ctx context.Context, socket string, msg []byte) error {
	ctx, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("send to %s: %w", socket, err)
	}
	defer c.Close()
	// A full socket blocks: the one who reads it is stuck, and we must not be.
	if at, ok := ctx.Deadline(); ok {
		if err := c.SetWriteDeadline(at); err != nil {
			return fmt.Errorf("send to %s: %w", socket, err)
		}
	}
	if _, err := c.Write(msg); err != nil {
		return fmt.Errorf("send to %s: %w", socket, err)
	}
	return nil
}
