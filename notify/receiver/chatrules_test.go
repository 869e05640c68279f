package receiver

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// The published rules of the services that take one message of JSON, as in rules_test.go.

// checkTemplated: whatever an incident holds, the user's body stays JSON of its shape.
func checkTemplated(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "msg", "id")
	safe(t, what, length(t, what, m["msg"], 0, 1<<20))
}

// noMention wants nothing that mentions somebody or that a client makes a link of.
func noMention(t checker, what, s string) {
	t.Helper()
	safe(t, what, s)
	if strings.Contains(s, "@") || strings.Contains(s, "://") {
		t.Errorf("%s: it can mention or link: %.300q", what, s)
	}
}

// checkTelegram holds sendMessage against core.telegram.org/bots/api#sendmessage and
// #html-style: 1 to 4,096 characters after the entities are read, and no tag but ours.
func checkTelegram(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "chat_id", "text", "parse_mode", "link_preview_options")
	if m["chat_id"] != "-1001234567890" || m["parse_mode"] != "HTML" || m["link_preview_options"].(map[string]any)["is_disabled"] != true {
		t.Errorf("%s: %v", what, m)
	}
	s, _ := m["text"].(string)
	s = strings.Replace(s, `<a href="`+ourLink+`">More</a>`, "", 1)
	tags := regexp.MustCompile(`</?(b|code)>`)
	if strings.Count(s, "<b>") != strings.Count(s, "</b>") || strings.Count(s, "<code>") != strings.Count(s, "</code>") {
		t.Errorf("%s: a tag is left open: %.300q", what, s)
	}
	s = tags.ReplaceAllString(s, "")
	if strings.ContainsAny(s, "<>") || regexp.MustCompile(`&(?:amp;|lt;|gt;|#34;|#39;)?`).FindString(s) == "&" {
		t.Errorf("%s: a tag or a bare &: %.300q", what, s)
	}
	s = html.UnescapeString(s)
	length(t, what, s, 1, 4096)
	noMention(t, what, s)
	if m := regexp.MustCompile(`(?:^|[^\pL\d])#\pL|[\pL\d]\.\pL`).FindString(s); m != "" {
		t.Errorf("%s: a tag or a name that becomes a link: %q in %.300q", what, m, s)
	}
}

// checkNtfy holds a message against docs.ntfy.sh/publish/#publish-as-json and the 4,096
// bytes beyond which it becomes an attachment.
func checkNtfy(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "topic", "title", "message", "priority", "click", "tags")
	if u, ok := m["click"]; ok && u != ourLink || m["topic"] != "ops" {
		t.Errorf("%s: topic %v, click %v", what, m["topic"], m["click"])
	}
	if p, _ := m["priority"].(float64); p < 1 || p > 5 {
		t.Errorf("%s: priority %v", what, m["priority"])
	}
	text := length(t, what, m["message"], 1, 4096)
	if len(text) > 4096 {
		t.Errorf("%s: %d bytes", what, len(text))
	}
	for _, s := range []string{text, length(t, what+": title", m["title"], 1, 250)} {
		safe(t, what, s)
		if strings.Contains(s, "://") {
			t.Errorf("%s: a link: %.200q", what, s)
		}
	}
}

// checkGotify holds a message against gotify.net/api-docs and gotify.net/docs/msgextras.
func checkGotify(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "title", "message", "priority", "extras")
	extras, _ := m["extras"].(map[string]any)
	only(t, what, extras, "client::display", "client::notification")
	if extras["client::display"].(map[string]any)["contentType"] != "text/plain" {
		t.Errorf("%s: %v", what, extras)
	}
	if p, _ := m["priority"].(float64); p < 0 || p > 10 {
		t.Errorf("%s: priority %v", what, m["priority"])
	}
	safe(t, what, length(t, what, m["message"], 1, 8000))
	safe(t, what, length(t, what, m["title"], 1, 250))
}

// checkMatrix holds an event against spec.matrix.org/latest/client-server-api/#mtext, the
// tags of #mroommessage-msgtypes and the 65,536 bytes of an event.
func checkMatrix(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "msgtype", "body", "format", "formatted_body", "m.mentions")
	if mentions, ok := m["m.mentions"].(map[string]any); !ok || len(mentions) != 0 || m["msgtype"] != "m.text" || m["format"] != "org.matrix.custom.html" || len(body) > 60_000 {
		t.Errorf("%s: %v, %d bytes", what, m["m.mentions"], len(body))
	}
	noMention(t, what, strings.Replace(length(t, what, m["body"], 1, 20_000), ourLink, "", 1))
	s, _ := m["formatted_body"].(string)
	s = strings.Replace(s, `<a href="`+ourLink+`">More</a>`, "", 1)
	s = regexp.MustCompile(`</?(strong|code)>|<br>`).ReplaceAllString(s, "")
	if strings.ContainsAny(s, "<>") {
		t.Errorf("%s: a tag: %.300q", what, s)
	}
	noMention(t, what, html.UnescapeString(s))
}

// checkMattermost holds a message against the 16,383 characters of a post and the markdown
// of docs.mattermost.com/end-user-guide/collaborate/format-messages.html.
func checkMattermost(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "text")
	s := length(t, what, m["text"], 1, 16383)
	s = strings.Replace(s, "[More]("+ourLink+")", "", 1)
	noMention(t, what, s)
	s = regexp.MustCompile("(?m)^\\*\\*Log:\\*\\* `[^`\n]*` *$").ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^\*\*(.*?)\*\*`).ReplaceAllString(s, "$1")
	s = strings.ReplaceAll(s, `\\`, "")
	if m := regexp.MustCompile("(?:^|[^\\\\])([*_~`|><#\\[\\]()])").FindString(s); m != "" {
		t.Errorf("%s: %q formats: %.300q", what, m, s)
	}
}

// checkGoogleChat holds a message against
// developers.google.com/workspace/chat/format-messages and the 32,000 bytes of a text.
func checkGoogleChat(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "text")
	s := length(t, what, m["text"], 1, 30_000)
	if len(s) > 32_000 {
		t.Errorf("%s: %d bytes", what, len(s))
	}
	s = strings.Replace(s, "<"+ourLink+"|More>", "", 1)
	noMention(t, what, s)
	s = regexp.MustCompile("(?m)^\\*Log:\\* `[^`\n]*`$").ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^\*([^*\n]*)\*`).ReplaceAllString(s, "$1")
	if strings.ContainsAny(s, "*_~`<>") {
		t.Errorf("%s: it formats, links or mentions: %.300q", what, s)
	}
}

// checkOpsgenie holds a body against docs.opsgenie.com/docs/alert-api#create-alert.
func checkOpsgenie(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	only(t, what, m, "message", "alias", "description", "entity", "source", "priority", "tags", "details")
	length(t, what+": source", m["source"], 1, 100)
	if m["message"] == nil { // it closes one
		only(t, what, m, "source")
		return
	}
	length(t, what+": message", m["message"], 1, 130)
	length(t, what+": alias", m["alias"], 1, 512)
	length(t, what+": description", m["description"], 1, 15_000)
	if e, ok := m["entity"]; ok {
		length(t, what+": entity", e, 1, 512)
	}
	if !slices.Contains([]any{"P1", "P2", "P3", "P4", "P5"}, m["priority"]) {
		t.Errorf("%s: priority %v", what, m["priority"])
	}
	if d, ok := m["details"].(map[string]any); ok && d["url"] != ourLink {
		t.Errorf("%s: details %v", what, d)
	}
	delete(m, "details")
	allStrings(m, func(key, s string) {
		safe(t, what+": "+key, s)
		if strings.Contains(s, "://") {
			t.Errorf("%s: a link in %s: %.200q", what, key, s)
		}
	})
}
