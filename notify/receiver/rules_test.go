package receiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
)

// The rules that each service publishes for what it is sent, and what foreign
// text must not be able to do there. They look at the bytes that went out and
// know nothing of the code that made them.

// safe wants text that is drawn as it is: no control, bidi or invisible character.
func safe(t checker, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s: not UTF-8: %.200q", what, s)
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) || r >= 0xfe00 && r <= 0xfe0f || r == 0x034f || r == 0x3164 || r == 0x2800 {
			t.Errorf("%s: %U in %.200q", what, r, s)
			return
		}
	}
}

func allStrings(v any, each func(key, s string)) {
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case string:
			each(key, v)
		case []any:
			for _, x := range v {
				walk(key, x)
			}
		case map[string]any:
			for k, x := range v {
				each("", k)
				walk(k, x)
			}
		}
	}
	walk("", v)
}

// checker is what a check tells its findings: a test, or one try of a random one.
type checker interface {
	Helper()
	Context() context.Context
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// only refuses keys that the service does not know.
func only(t checker, what string, m map[string]any, keys ...string) {
	t.Helper()
	for k := range m {
		if !slices.Contains(keys, k) {
			t.Errorf("%s: the key %q", what, k)
		}
	}
}

func length(t checker, what string, v any, least, most int) string {
	t.Helper()
	s, ok := v.(string)
	if n := utf8.RuneCountInString(s); !ok || n < least || n > most {
		t.Errorf("%s: %d characters, %d to %d are allowed: %.100q", what, n, least, most, s)
	}
	return s
}

// mrkdwnOurs is what our own words format: labels, the cause's code.
// slackLogLine is the line of the log, which stands in code.
var slackLogLine = regexp.MustCompile("(?m)^\\*Log:\\* `[^`\n]*`$")

// ourLink is the page that an alert with an address leads to.
const ourLink = "https://oomwatch.example.org/incident/d-1"

var mrkdwnOurs = regexp.MustCompile(`\*[A-Z][A-Za-z0-9 ()]*:\*|\*[a-z._]+\* ·`)

// checkMrkdwn holds a text against docs.slack.dev/messaging/formatting-message-text:
// & < > stand for themselves only as entities, and * _ ~ ` format.
func checkMrkdwn(t checker, what, s string) {
	t.Helper()
	safe(t, what, s)
	s = slackLogLine.ReplaceAllString(s, "")
	s = strings.Replace(s, "<"+ourLink+"|More>", "", 1)
	s = mrkdwnOurs.ReplaceAllString(s, "")
	if strings.ContainsAny(s, "<>@*~`") {
		at := strings.IndexAny(s, "<>@*~`")
		t.Errorf("%s: it can mention, link or format: at %d of %d: %.300q", what, at, len(s), s[max(0, at-60):])
	}
	if m := regexp.MustCompile(`&(?:amp;|lt;|gt;)?`).FindAllString(s, -1); slices.Contains(m, "&") {
		t.Errorf("%s: a bare &: %.300q", what, s)
	}
	if m := regexp.MustCompile(`(?:^|[^\pL\d_])_[^_\s](?:[^\n]*[^_\s])?_(?:[^\pL\d_]|$)`).FindString(s); m != "" {
		t.Errorf("%s: italics: %.300q", what, m)
	}
	if m := regexp.MustCompile(`(?:^|[^\pL\d_]):[a-z0-9_'+-]+:`).FindString(s); m != "" {
		t.Errorf("%s: an emoji: %.100q", what, m)
	}
}

// checkBlockKit holds a message against docs.slack.dev/reference/block-kit/blocks
// (header, section, context, and 50 blocks a message) and against the total of
// 10,000 characters that keeps clear of the undocumented msg_blocks_too_long.
func checkBlockKit(t checker, what string, body []byte) {
	t.Helper()
	checkBlocks(t, what, decode(t, what, body))
}

func checkBlocks(t checker, what string, m map[string]any) {
	t.Helper()
	only(t, what, m, "text", "blocks", "mrkdwn", "unfurl_links", "unfurl_media", "channel", "ts", "thread_ts")
	if m["mrkdwn"] != false || m["unfurl_links"] != false || m["unfurl_media"] != false {
		t.Errorf("%s: the fallback can format or unfurl", what)
	}
	checkMrkdwn(t, what+": text", length(t, what+": text", m["text"], 1, 4000))
	blocks, _ := m["blocks"].([]any)
	if len(blocks) == 0 || len(blocks) > 50 {
		t.Errorf("%s: %d blocks", what, len(blocks))
	}
	total := 0
	text := func(what string, v any, kind string, most int) {
		o, _ := v.(map[string]any)
		only(t, what, o, "type", "text", "verbatim")
		if o["type"] != kind || kind == "mrkdwn" && o["verbatim"] != true {
			t.Errorf("%s: %v", what, o)
		}
		s := length(t, what, o["text"], 1, most)
		total += utf8.RuneCountInString(s)
		checkMrkdwn(t, what, s)
	}
	for i, b := range blocks {
		b, _ := b.(map[string]any)
		what := fmt.Sprintf("%s: block %d", what, i)
		switch b["type"] {
		case "header":
			only(t, what, b, "type", "text")
			text(what, b["text"], "plain_text", 150)
		case "section":
			only(t, what, b, "type", "text")
			text(what, b["text"], "mrkdwn", 3000)
		case "context":
			only(t, what, b, "type", "elements")
			elements, _ := b["elements"].([]any)
			if len(elements) == 0 || len(elements) > 10 {
				t.Errorf("%s: %d elements", what, len(elements))
			}
			for _, e := range elements {
				text(what, e, "mrkdwn", 3000)
			}
		default:
			t.Errorf("%s: of type %v", what, b["type"])
		}
	}
	if total >= 10_000 {
		t.Errorf("%s: %d characters in all", what, total)
	}
}

// checkSlackCall is a call of chat.postMessage or chat.update.
func checkSlackCall(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	length(t, what+": channel", m["channel"], 1, 100)
	checkBlocks(t, what, m)
}

var discordOurs = regexp.MustCompile(`\*\*[A-Za-z0-9 ()._\\]+?:?\*\*`)

// checkDiscord holds a message against discord.com/developers/docs/resources/webhook
// and .../message#embed-object-embed-limits.
func checkDiscord(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "content", "embeds", "allowed_mentions")
	if parse, ok := m["allowed_mentions"].(map[string]any)["parse"].([]any); !ok || len(parse) != 0 {
		t.Errorf("%s: allowed_mentions %v", what, m["allowed_mentions"])
	}
	texts := []string{length(t, what+": content", m["content"], 1, 2000)}
	embeds, _ := m["embeds"].([]any)
	if len(embeds) != 1 {
		t.Fatalf("%s: %d embeds", what, len(embeds))
	}
	e, _ := embeds[0].(map[string]any)
	only(t, what, e, "description", "color", "footer", "timestamp")
	text := length(t, what+": description", e["description"], 1, 4096)
	foot := length(t, what+": footer", e["footer"].(map[string]any)["text"], 1, 2048)
	if n := utf8.RuneCountInString(text) + utf8.RuneCountInString(foot); n > 6000 {
		t.Errorf("%s: %d characters in all", what, n)
	}
	safe(t, what, foot)
	for _, s := range append(texts, text) {
		safe(t, what, s)
		if strings.Contains(s, "@") || strings.Count(s, "```")%2 != 0 {
			t.Errorf("%s: it can mention, or a code block is left open: %.300q", what, s)
		}
		// Nothing has a meaning in code but its end.
		s = regexp.MustCompile("(?m)^\\*\\*Log:\\*\\* `[^`\n]*`$").ReplaceAllString(s, "")
		s = strings.Replace(s, "[More](<"+ourLink+">)", "", 1)
		s = discordOurs.ReplaceAllString(s, "")
		s = strings.ReplaceAll(s, `\\`, "")
		if m := regexp.MustCompile("(?:^|[^\\\\])([*_~`|><#\\[\\]()])").FindString(s); m != "" {
			t.Errorf("%s: %q formats: %.300q", what, m, s)
		}
		if m := regexp.MustCompile(`(?:https?|steam|discord)://`).FindString(s); m != "" {
			t.Errorf("%s: a link: %.300q", what, s)
		}
		if m := regexp.MustCompile(`(?m)^(?:[-+] |\d+\. )`).FindString(s); m != "" {
			t.Errorf("%s: a list: %.300q", what, m)
		}
		if m := regexp.MustCompile(`:\w+:`).FindString(strings.ReplaceAll(s, `\:`, "")); m != "" {
			t.Errorf("%s: an emoji: %q", what, m)
		}
	}
}

// checkTeams holds a message against the 28 KB of Teams and the Adaptive Card
// schema 1.4 (adaptivecards.io/explorer): all text in TextRuns, which know no markdown.
func checkTeams(t checker, what string, body []byte) {
	t.Helper()
	if len(body) > 28_000-2000 {
		t.Errorf("%s: %d bytes", what, len(body))
	}
	m := decode(t, what, body)
	only(t, what, m, "type", "summary", "attachments")
	at, _ := m["attachments"].([]any)
	if m["type"] != "message" || len(at) != 1 {
		t.Fatalf("%s: %.200s", what, body)
	}
	a := at[0].(map[string]any)
	only(t, what, a, "contentType", "content")
	card := a["content"].(map[string]any)
	only(t, what, card, "$schema", "type", "version", "msteams", "body", "actions")
	if acts, ok := card["actions"].([]any); ok {
		if a := acts[0].(map[string]any); len(acts) != 1 || a["type"] != "Action.OpenUrl" || a["url"] != ourLink {
			t.Errorf("%s: actions %v", what, acts)
		}
	}
	if a["contentType"] != "application/vnd.microsoft.card.adaptive" || card["type"] != "AdaptiveCard" || card["version"] != "1.4" {
		t.Errorf("%s: %v", what, card["type"])
	}
	texts := []string{length(t, what+": summary", m["summary"], 1, 1000)}
	lines, _ := card["body"].([]any)
	if len(lines) < 2 {
		t.Errorf("%s: %d lines", what, len(lines))
	}
	for _, l := range lines {
		l := l.(map[string]any)
		only(t, what, l, "type", "spacing", "inlines")
		runs, _ := l["inlines"].([]any)
		if l["type"] != "RichTextBlock" || len(runs) == 0 {
			t.Errorf("%s: %v", what, l)
		}
		for _, r := range runs {
			r := r.(map[string]any)
			only(t, what, r, "type", "text", "size", "weight", "color", "fontType", "isSubtle")
			if r["type"] != "TextRun" {
				t.Errorf("%s: an inline of type %v", what, r["type"])
			}
			texts = append(texts, length(t, what+": run", r["text"], 1, 2000))
		}
	}
	for _, s := range texts {
		safe(t, what, s)
		if regexp.MustCompile(`\{\{|\$\{|@|<at>|://`).MatchString(s) {
			t.Errorf("%s: a function, a template, a mention or a link: %.300q", what, s)
		}
	}
}

// checkPagerDuty holds an event against developer.pagerduty.com/docs/send-alert-event
// and the 512 KB of an event.
func checkPagerDuty(t checker, what string, body []byte) {
	t.Helper()
	if len(body) > 512<<10 {
		t.Errorf("%s: %d bytes", what, len(body))
	}
	m := decode(t, what, body)
	only(t, what, m, "routing_key", "event_action", "dedup_key", "client", "client_url", "payload")
	if u, ok := m["client_url"]; ok && u != ourLink {
		t.Errorf("%s: client_url %v", what, u)
	}
	delete(m, "client_url")
	length(t, what+": dedup_key", m["dedup_key"], 1, 255)
	if m["routing_key"] != canaryKey {
		t.Errorf("%s: routing_key %v", what, m["routing_key"])
	}
	delete(m, "routing_key")
	if m["event_action"] == "resolve" {
		return
	}
	p, _ := m["payload"].(map[string]any)
	only(t, what, p, "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details")
	length(t, what+": summary", p["summary"], 1, 1024)
	length(t, what+": source", p["source"], 1, 1024)
	if !slices.Contains([]string{"critical", "error", "warning", "info"}, fmt.Sprint(p["severity"])) || m["event_action"] != "trigger" {
		t.Errorf("%s: %v, severity %v", what, m["event_action"], p["severity"])
	}
	allStrings(m, func(key, s string) {
		safe(t, what+": "+key, s)
		if strings.Contains(s, "://") {
			t.Errorf("%s: a link in %s: %.200q", what, key, s)
		}
	})
}

// checkAlertmanager holds alerts against api/v2/openapi.yaml of Alertmanager and
// the names that Prometheus allows for labels.
func checkAlertmanager(t checker, what string, body []byte) {
	t.Helper()
	var alerts []map[string]any
	if err := json.Unmarshal(body, &alerts); err != nil || len(alerts) == 0 {
		t.Fatalf("%s: %v: %.200s", what, err, body)
	}
	name := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	for _, a := range alerts {
		only(t, what, a, "labels", "annotations", "startsAt", "endsAt", "generatorURL")
		if u, ok := a["generatorURL"]; ok {
			if u != ourLink || a["annotations"].(map[string]any)["url"] != ourLink {
				t.Errorf("%s: links to %v", what, u)
			}
			delete(a["annotations"].(map[string]any), "url")
		}
		labels, _ := a["labels"].(map[string]any)
		if labels["alertname"] == nil || labels["alertname"] == "" {
			t.Errorf("%s: no alertname", what)
		}
		for _, part := range []string{"labels", "annotations"} {
			for k, v := range a[part].(map[string]any) {
				s := length(t, what+": "+k, v, 1, 40_000)
				safe(t, what+": "+k, s)
				if !name.MatchString(k) || strings.Contains(s, "://") {
					t.Errorf("%s: %s %q", what, k, s)
				}
			}
		}
		start, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(a["startsAt"]))
		end, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(a["endsAt"]))
		if err1 != nil || err2 != nil || end.Before(start) {
			t.Errorf("%s: from %v to %v", what, a["startsAt"], a["endsAt"])
		}
	}
}

// checkWebhook: the JSON is an incident or a digest, whole.
func checkWebhook(t checker, what string, body []byte) {
	t.Helper()
	checkData(t, what, decode(t, what, body))
}

func checkData(t checker, what string, v any) {
	t.Helper()
	m, _ := v.(map[string]any)
	if s := m["schema"]; s != incident.Schema && s != incident.DigestSchema {
		t.Errorf("%s: schema %v", what, s)
	}
}

// checkCloudEvent holds an event against CloudEvents 1.0, sections "REQUIRED
// attributes" and "OPTIONAL attributes".
func checkCloudEvent(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data")
	if m["specversion"] != "1.0" || m["source"] != "/oomwatch/node%201" || m["datacontenttype"] != "application/json" {
		t.Errorf("%s: %v %v", what, m["specversion"], m["source"])
	}
	for _, k := range []string{"id", "type"} {
		length(t, what+": "+k, m[k], 1, 200)
	}
	if s, ok := m["subject"]; ok {
		safe(t, what, length(t, what+": subject", s, 1, 1<<20))
	}
	checkData(t, what, m["data"])
}

// syslogLine is a message by the grammar of RFC 5424, section 6.
var syslogLine = regexp.MustCompile(`^<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ([!-~]{1,255}) oomwatch \d+ ([!-~]{1,32}) (\[oomwatch@32473(?: [a-z_]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\]) (.*)$`)

func checkSyslog(t checker, what string, msg []byte) {
	t.Helper()
	m := syslogLine.FindStringSubmatch(string(msg))
	if m == nil || len(msg) > maxSyslog {
		t.Fatalf("%s: no message of RFC 5424 (%d bytes): %.300q", what, len(msg), msg)
	}
	if !slices.Contains([]string{"26", "28", "30"}, m[1]) {
		t.Errorf("%s: priority %s, data %.300q", what, m[1], m[4])
	}
	text, ok := strings.CutPrefix(m[5], "\ufeff")
	if !ok || text == "" {
		t.Errorf("%s: text %.100q", what, m[5])
	}
	safe(t, what, text)
	safe(t, what, m[4])
	if strings.ContainsAny(string(msg), "\n\r\x00") {
		t.Errorf("%s: more than a line: %.300q", what, msg)
	}
}

// journalFields are all fields that an entry may have.
var journalFields = []string{"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "OOMWATCH_ID", "OOMWATCH_DELIVERY", "OOMWATCH_KIND", "OOMWATCH_CAUSE",
	"OOMWATCH_CONFIDENCE", "OOMWATCH_SEVERITY", "OOMWATCH_COUNT", "OOMWATCH_UNIT", "OOMWATCH_RESOLVED_AT", "CONTAINER_NAME", "CONTAINER_ID", "CONTAINER_ID_FULL", "IMAGE_NAME"}

// checkJournal reads an entry as systemd.io/JOURNAL_NATIVE_PROTOCOL says.
func checkJournal(t checker, what string, msg []byte) {
	t.Helper()
	seen := map[string]string{}
	for len(msg) > 0 {
		line, rest, ok := bytes.Cut(msg, []byte("\n"))
		if !ok {
			t.Fatalf("%s: broken off: %.100q", what, msg)
		}
		name, value, short := bytes.Cut(line, []byte("="))
		if short {
			msg = rest
		} else {
			if len(rest) < 8 {
				t.Fatalf("%s: no length after %q", what, name)
			}
			n := binary.LittleEndian.Uint64(rest)
			if uint64(len(rest)) < 8+n+1 || rest[8+n] != '\n' {
				t.Fatalf("%s: %s of %d bytes in %d", what, name, n, len(rest))
			}
			value, msg = rest[8:8+n], rest[8+n+1:]
		}
		if _, twice := seen[string(name)]; twice || !slices.Contains(journalFields, string(name)) {
			t.Errorf("%s: the field %q", what, name)
		}
		seen[string(name)] = string(value)
		safe(t, what+": "+string(name), string(value))
	}
	for _, need := range []string{"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "OOMWATCH_KIND"} {
		if seen[need] == "" {
			t.Errorf("%s: no %s", what, need)
		}
	}
	if p := seen["PRIORITY"]; p != "2" && p != "4" && p != "6" {
		t.Errorf("%s: PRIORITY %q", what, p)
	}
}

// checkScreen: nothing but what is drawn reaches the terminal.
func checkScreen(t checker, what string, body []byte) {
	t.Helper()
	if strings.TrimSpace(string(body)) == "" {
		t.Errorf("%s: nothing", what)
	}
	safe(t, what, string(body))
}
