package receiver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"path/filepath"
	"strconv"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// DefaultJournalSocket is where systemd-journald listens for its own protocol.
const DefaultJournalSocket = "/run/systemd/journal/socket"

// JournalMessageID marks our entries: journalctl MESSAGE_ID=...
const JournalMessageID = "6f6f6d77617463680a1c0e5d3b7e4f21"

// JournalOptions are what NewJournal needs.
type JournalOptions struct {
	Socket   string // DefaultJournalSocket where it is ""
	Template *render.Template
}

// Journal writes an entry for each alert to the systemd journal, with its parts
// as fields, in the journal's native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL).
type Journal struct {
	socket   string
	template *render.Template
}

// NewJournal checks the options; nothing is sent.
func NewJournal(opt JournalOptions) (*Journal, error) {
	j := &Journal{socket: cmp.Or(opt.Socket, DefaultJournalSocket), template: opt.Template}
	if !filepath.IsAbs(j.socket) {
		return nil, badOption("socket", "%q is not the full path of a socket", j.socket)
	}
	return j, nil
}

// Traits implements notify.Notifier.
func (j *Journal) Traits() notify.Traits {
	return notify.Traits{Digest: j.NotifyDigest}
}

// Notify writes the alert.
func (j *Journal) Notify(ctx context.Context, a incident.Alert) error {
	inc := a.Incident
	text := j.template.Text(a, redact.Sanitize)
	if text == "" {
		text = render.LineOf(a)
	}
	var e journalEntry
	e.begin(gravity(inc), text)
	e.add("OOMWATCH_ID", inc.ID)
	e.add("OOMWATCH_DELIVERY", a.DeliveryID)
	e.add("OOMWATCH_KIND", string(inc.Kind))
	e.add("OOMWATCH_CAUSE", string(inc.Cause))
	e.add("OOMWATCH_CONFIDENCE", string(inc.Confidence))
	e.add("OOMWATCH_SEVERITY", string(inc.Severity))
	e.add("OOMWATCH_COUNT", strconv.Itoa(max(inc.Count, 1)))
	e.add("OOMWATCH_UNIT", inc.Unit)
	if !inc.ResolvedAt.IsZero() {
		e.add("OOMWATCH_RESOLVED_AT", inc.ResolvedAt.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if c := inc.Container; c != nil {
		// The names that Docker's own journald log driver gives them.
		e.add("CONTAINER_NAME", c.Name)
		e.add("CONTAINER_ID", render.Short(c.ID))
		e.add("CONTAINER_ID_FULL", c.ID)
		e.add("IMAGE_NAME", c.Image)
	}
	return datagram(ctx, j.socket, e.Bytes())
}

// NotifyDigest writes a digest.
func (j *Journal) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	var e journalEntry
	e.begin(d.Severity(), redact.Sanitize(d.Summary)+"; see: oomwatch history")
	e.add("OOMWATCH_DELIVERY", id)
	e.add("OOMWATCH_KIND", "digest")
	e.add("OOMWATCH_COUNT", strconv.Itoa(d.Count))
	return datagram(ctx, j.socket, e.Bytes())
}

// journalEntry is an entry being written. Every value has its length before it,
// so that nothing in it can begin another field.
type journalEntry struct{ bytes.Buffer }

func (e *journalEntry) begin(s incident.Severity, text string) {
	e.field("MESSAGE", render.Clip(text, 16_000))
	e.add("MESSAGE_ID", JournalMessageID)
	e.add("PRIORITY", strconv.Itoa(priorities[s]))
	e.add("SYSLOG_IDENTIFIER", "oomwatch")
}

// add adds a field of foreign text, made safe for a terminal too; an empty one
// is left out.
func (e *journalEntry) add(name, value string) {
	e.field(name, render.Clip(redact.Sanitize(value), 1000))
}

func (e *journalEntry) field(name, value string) {
	if value == "" {
		return
	}
	e.WriteString(name + "\n")
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(value)))
	e.Write(n[:])
	e.WriteString(value + "\n")
}
