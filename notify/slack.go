package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
)

// SlackOptions are what NewSlack needs.
type SlackOptions struct {
	URL           string // an incoming webhook's
	Version       string // for User-Agent
	AllowInsecure bool   // allows plain http to other machines
	TLS           *tls.Config
}

// Slack posts alerts to an incoming webhook, in Block Kit.
type Slack struct{ p *poster }

// The pace that Slack allows for an incoming webhook: a short burst, then one
// message a second (docs.slack.dev/apis/web-api/rate-limits).
const (
	SlackBurst = 5
	SlackEvery = time.Second
)

// NewSlack checks the options; nothing is sent.
func NewSlack(opt SlackOptions) (*Slack, error) {
	p, err := newPoster(opt.URL, opt.Version, opt.AllowInsecure, opt.TLS)
	if err != nil {
		return nil, fmt.Errorf("slack: %w", err)
	}
	return &Slack{p: p}, nil
}

// Close ends idle connections.
func (s *Slack) Close() { s.p.close() }

// Notify posts the alert.
func (s *Slack) Notify(ctx context.Context, a Alert) error {
	return s.send(ctx, slackAlert(a))
}

// NotifyDigest posts a digest.
func (s *Slack) NotifyDigest(ctx context.Context, _ string, d *Digest) error {
	return s.send(ctx, slackDigest(d))
}

func (s *Slack) send(ctx context.Context, m *slackMessage) error {
	body, err := json.Marshal(m)
	if err != nil {
		return &Rejected{Err: fmt.Errorf("write the message as JSON: %w", err)}
	}
	answer, err := s.p.post(ctx, body, nil)
	if err != nil {
		return err
	}
	return slackAnswer(answer, s.p.now(), s.p.excerpt)
}

// slackAnswer reads the body of a 200: "ok" from an incoming webhook, and JSON
// with "ok" from what speaks like Slack's API; what says no says why.
func slackAnswer(body []byte, now time.Time, excerpt func([]byte) string) error {
	text := strings.TrimSpace(string(body))
	if text == "ok" || text == "" {
		return nil
	}
	var api struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &api) == nil && api.OK != nil {
		switch {
		case *api.OK:
			return nil
		case strings.Contains(api.Error, "ratelimited"), strings.Contains(api.Error, "rate_limited"):
			return &RetryAfter{Err: fmt.Errorf("slack answered 200 with the error %q", excerpt([]byte(api.Error))), At: now.Add(calmDown)}
		case strings.Contains(api.Error, "internal"), strings.Contains(api.Error, "unavailable"):
			return fmt.Errorf("slack answered 200 with the error %q", excerpt([]byte(api.Error)))
		}
		return &Rejected{Err: fmt.Errorf("slack answered 200 with the error %q", excerpt([]byte(api.Error)))}
	}
	// A page of something on the way, or an answer that broke off: it may have arrived.
	return &Unsure{Err: fmt.Errorf("slack answered 200 but not \"ok\": %s", excerpt(body))}
}

// slackMessage is the part of Block Kit that is used.
type slackMessage struct {
	Text        string       `json:"text"` // what notifications and screen readers show
	Blocks      []slackBlock `json:"blocks"`
	Mrkdwn      bool         `json:"mrkdwn"` // false: Text is shown as it is
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
	// Verbatim keeps Slack from making links and mentions of what looks like one.
	Verbatim bool `json:"verbatim,omitempty"`
}

// Slack's limits, in characters. maxSlack bounds the whole message: beyond about
// 13,200 Slack refuses it with the undocumented msg_blocks_too_long.
const (
	maxHeader   = 150
	maxSection  = 3000
	maxSlack    = 9500
	maxFallback = 600
)

func plain(s string) *slackText { return &slackText{Type: "plain_text", Text: s} }
func mrkdwn(s string) slackText { return slackText{Type: "mrkdwn", Text: s, Verbatim: true} }
func section(s string) slackBlock {
	t := mrkdwn(s)
	return slackBlock{Type: "section", Text: &t}
}

// slackAlert lays an incident out for somebody who was woken by it: what died,
// why, how sure; the numbers; what to do; the last log lines; where to look further.
func slackAlert(a Alert) *slackMessage {
	inc := a.Incident
	m := &slackMessage{Text: clipEscaped(slackMark(inc.Severity)+" "+slackEscape(inc.Summary+" ("+string(inc.Confidence)+")"), maxFallback)}
	title := who(inc)
	if title == "-" {
		title = "host"
		if inc.Host != nil && inc.Host.Name != "" {
			title = inc.Host.Name
		}
	}
	title = clip(title, 80) + ": " + inc.Cause.Info().Title
	if inc.Count > 1 {
		title = fmt.Sprintf("%s (x%d)", title, inc.Count)
	}
	if a.Repeat {
		title += " (repeat)"
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "header", Text: plain(clipEscaped(slackMark(inc.Severity)+" "+slackEscape(title), maxHeader))})
	m.Blocks = append(m.Blocks, section(clipEscaped(slackEscape(inc.Summary)+"\n*"+string(inc.Cause)+"* · "+slackEscape(confidenceWords(inc)), maxSection)))
	if f := slackNumbers(inc); f != "" {
		m.Blocks = append(m.Blocks, section(clipEscaped(f, maxSection)))
	}
	if len(inc.Advice) > 0 {
		var lines []string
		for _, s := range inc.Advice {
			lines = append(lines, slackEscape(s))
		}
		m.Blocks = append(m.Blocks, section(clipEscaped("*Do next:* "+strings.Join(lines, "\n"), 1500)))
	}
	if inc.NotStored != "" {
		m.Blocks = append(m.Blocks, section(clipEscaped("*Not stored:* "+slackEscape(inc.NotStored), 500)))
	}
	if len(inc.Gaps) > 0 {
		m.Blocks = append(m.Blocks, section(clipEscaped("*Not seen:* "+slackEscape(gapsLine(inc.Gaps)), 500)))
	}
	var foot []string
	if inc.ID != "" {
		foot = append(foot, "oomwatch explain "+inc.ID)
	}
	foot = append(foot, when(inc))
	if h := hostLine(inc.Host); h != "" {
		foot = append(foot, h)
	}
	context := slackBlock{Type: "context", Elements: []slackText{mrkdwn(clipEscaped(slackEscape(strings.Join(foot, " · ")), 1000))}}

	// The log has what room is left, then the processes, then the evidence.
	room := maxSlack - utf8.RuneCountInString(m.Text) - context.size()
	for i := range m.Blocks {
		room -= m.Blocks[i].size()
	}
	for _, part := range []struct {
		title  string
		lines  []string
		most   int
		newest bool
	}{
		{"Last log lines", inc.LogTail, maxSection, true},
		{"Largest processes", slackProcesses(inc), 1000, false},
		{"Evidence", slackEvidence(inc), 2000, false},
	} {
		if s := slackCode(part.title, part.lines, min(part.most, room), part.newest); s != "" {
			m.Blocks = append(m.Blocks, section(s))
			room -= utf8.RuneCountInString(s)
		}
	}
	m.Blocks = append(m.Blocks, context)
	return m
}

// size counts the block's characters.
func (b *slackBlock) size() int {
	n := 0
	if b.Text != nil {
		n += utf8.RuneCountInString(b.Text.Text)
	}
	for _, t := range b.Fields {
		n += utf8.RuneCountInString(t.Text)
	}
	for _, t := range b.Elements {
		n += utf8.RuneCountInString(t.Text)
	}
	return n
}

func slackMark(s incident.Severity) string {
	switch s {
	case incident.Critical:
		return "🔴"
	case incident.Warning:
		return "🟠"
	}
	return "🔵"
}

// slackNumbers are the numbers with their units, a line each; what is not known
// has no line.
func slackNumbers(inc *incident.Incident) string {
	var lines []string
	add := func(label, value string) {
		if value != "" {
			lines = append(lines, "*"+label+":* "+clipEscaped(slackEscape(value), 400))
		}
	}
	t := &page{opt: TextOptions{Width: 80}}
	add("Container", containerLine(inc.Container))
	if inc.Container == nil {
		add("Unit", inc.Unit)
	}
	add("Ended", endLine(inc))
	add("Limit", t.limitLine(inc))
	add("Limit of", limitOwner(inc))
	add("Memory", memoryLine(inc.Memory))
	add("Victim", victimLine(inc.Victim))
	add("Held most", hogLine(inc))
	add("Killer", killerLine(inc.Killer))
	add("History", historyLine(inc.History))
	add("Pressure", pressureLine(inc.Pressure))
	if !inc.FirstTime.IsZero() {
		add("Count", countLine(inc))
	}
	return strings.Join(lines, "\n")
}

// slackCode puts the lines that fit into a code block: the newest, which are the
// last, or the first. It returns "" when none fits.
func slackCode(title string, lines []string, room int, newest bool) string {
	head, foot := "*"+title+":*\n```\n", "\n```"
	room -= utf8.RuneCountInString(head) + len(foot)
	lines = slices.Clone(lines)
	if newest {
		slices.Reverse(lines)
	}
	var kept []string
	for _, l := range lines {
		l = clipEscaped(slackEscape(l), 300)
		if room -= utf8.RuneCountInString(l) + 1; room < 0 {
			break
		}
		kept = append(kept, l)
	}
	if len(kept) == 0 {
		return ""
	}
	if newest {
		slices.Reverse(kept)
	}
	return head + strings.Join(kept, "\n") + foot
}

// slackProcesses are the largest rows of the kernel's table, the victim marked.
func slackProcesses(inc *incident.Incident) []string {
	const rows = 5
	if len(inc.Processes) < 2 {
		return nil
	}
	var lines []string
	for _, p := range inc.Processes[:min(len(inc.Processes), rows)] {
		mark := " "
		if inc.Victim != nil && p.PID == inc.Victim.PID {
			mark = "×"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %10s  %-15s  %7d  %s", mark, bytesOr(p.RSS), incident.Sanitize(p.Comm), p.PID, incident.Sanitize(p.Container)), " "))
	}
	if n := len(inc.Processes) - rows; n > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", n))
	}
	return lines
}

// slackEvidence is what each source said and what it means.
func slackEvidence(inc *incident.Incident) []string {
	const most = 6
	var lines []string
	for i, e := range inc.Evidence {
		if i == most {
			return append(lines, fmt.Sprintf("and %d more", len(inc.Evidence)-i))
		}
		lines = append(lines, e.Source+": "+clip(e.Text, 240))
		if e.Means != "" {
			lines = append(lines, "  = "+clip(e.Means, 160))
		}
	}
	return lines
}

func gapsLine(gaps []incident.Gap) string {
	var s []string
	for _, g := range gaps {
		one := g.Source
		if g.Lost > 0 {
			one += fmt.Sprintf(" lost %d records", g.Lost)
		}
		if g.Reason != "" {
			one += " (" + g.Reason + ")"
		}
		s = append(s, one)
	}
	return strings.Join(s, ", ")
}

// slackDigest lists a storm.
func slackDigest(d *Digest) *slackMessage {
	m := &slackMessage{Text: clipEscaped("🔴 "+slackEscape(d.Summary), maxFallback)}
	m.Blocks = append(m.Blocks,
		slackBlock{Type: "header", Text: plain(clip(fmt.Sprintf("🔴 %d incidents at once", d.Count), maxHeader))},
		section(clipEscaped(slackEscape(d.Summary), maxSection)))
	room := maxSlack - utf8.RuneCountInString(m.Text) - 1000
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			m.Blocks = append(m.Blocks, section(strings.TrimRight(b.String(), "\n")))
			b.Reset()
		}
	}
	for i, e := range d.Incidents {
		line := clipEscaped("• "+slackEscape(e.Summary)+" ("+slackEscape(string(e.Cause))+")", 300) + "\n"
		n := utf8.RuneCountInString(line)
		if n > room || len(m.Blocks) > 40 {
			fmt.Fprintf(&b, "… and %d more: oomwatch history", len(d.Incidents)-i)
			break
		}
		if utf8.RuneCountInString(b.String())+n > maxSection-100 {
			flush()
		}
		room -= n
		b.WriteString(line)
	}
	flush()
	return m
}

// slackEscape makes foreign text safe in mrkdwn: nothing in it can mention, link,
// format or leave a code block. Slack decodes &, < and > only and has no escape for
// the characters that format: these are replaced by ones that look the same.
func slackEscape(s string) string {
	s = incident.Sanitize(s)
	var b strings.Builder
	b.Grow(len(s) + 16)
	before := ' '
	for i, r := range s {
		switch r {
		case '_':
			// It formats only at the edge of a word; inside names it stays.
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if wordRune(before) && wordRune(after) {
				b.WriteRune(r)
			} else {
				b.WriteRune('ˍ') // U+02CD modifier letter low macron
			}
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		default:
			if look, ok := slackLookalike[r]; ok {
				b.WriteRune(look)
			} else {
				b.WriteRune(r)
			}
		}
		before = r
	}
	return b.String()
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// slackLookalike replaces the characters that format, and the @ that some clients
// make a mention of.
var slackLookalike = map[rune]rune{
	'*': '∗', // U+2217 asterisk operator
	'~': '∼', // U+223C tilde operator
	'`': 'ˋ', // U+02CB modifier letter grave accent
	'@': '＠', // U+FF20 fullwidth commercial at
}

// clipEscaped shortens text without leaving half an &amp;.
func clipEscaped(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = s[:runeIndex(s, n-1)]
	if i := strings.LastIndexByte(s, '&'); i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return s + "…"
}
