package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// slackChannel is a channel as Slack's API keeps it.
type slackChannel struct {
	*httptest.Server
	mu       sync.Mutex
	messages []slackPosted
	calls    []string
	fail     map[string]string // method → error of its next call
}

type slackPosted struct {
	ts, thread, header string
	edits              int
}

func newSlackChannel(t *testing.T) *slackChannel {
	c := &slackChannel{fail: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		method := strings.TrimPrefix(r.URL.Path, "/api/")
		c.calls = append(c.calls, method)
		var in struct {
			Channel  string `json:"channel"`
			TS       string `json:"ts"`
			ThreadTS string `json:"thread_ts"`
			Blocks   []struct {
				Text struct{ Text string }
			}
		}
		answer := map[string]any{"ok": true, "channel": "C42"}
		refuse := func(code string) { answer = map[string]any{"ok": false, "error": code} }
		find := func(ts string) int {
			return slices.IndexFunc(c.messages, func(m slackPosted) bool { return m.ts == ts })
		}
		switch err := json.NewDecoder(r.Body).Decode(&in); {
		case err != nil:
			refuse("invalid_json")
		case r.Header.Get("Authorization") != "Bearer xoxb-"+canary:
			refuse("invalid_auth")
		case c.fail[method] != "":
			refuse(c.fail[method])
			delete(c.fail, method)
		case method == "chat.postMessage":
			if in.ThreadTS != "" && find(in.ThreadTS) < 0 {
				refuse("thread_not_found")
				break
			}
			ts := fmt.Sprintf("1700000000.%06d", len(c.messages)+1)
			c.messages = append(c.messages, slackPosted{ts: ts, thread: in.ThreadTS, header: in.Blocks[0].Text.Text})
			answer["ts"] = ts
		case method == "chat.update":
			i := find(in.TS)
			if i < 0 {
				refuse("message_not_found")
				break
			}
			c.messages[i].header, c.messages[i].edits = in.Blocks[0].Text.Text, c.messages[i].edits+1
			answer["ts"] = in.TS
		default:
			refuse("unknown_method")
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *slackChannel) bot(t *testing.T) *SlackBot {
	t.Helper()
	b, err := NewSlackBot(SlackBotOptions{HTTPOptions: HTTPOptions{URL: c.URL + "/api"}, Token: "xoxb-" + canary, Channel: "#ops"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Traits().Close)
	return b
}

// thread tells the alert in a thread, and returns what comes back.
func thread(t *testing.T, b *SlackBot, a incident.Alert, in string) string {
	t.Helper()
	a.Thread = in
	out, err := b.NotifyThread(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSlackThread: what comes again goes into the thread, and the first message
// counts it.
func TestSlackThread(t *testing.T) {
	c := newSlackChannel(t)
	b := c.bot(t)
	at := thread(t, b, alertOf("i-1"), "")
	at = thread(t, b, alertOf("i-2"), at)
	several := alertOf("i-3")
	several.Incident.Count = 4
	at = thread(t, b, several, at)
	final := alertOf("i-3")
	final.Update = true
	final.Incident.Cause = incident.OOMAncestor
	at = thread(t, b, final, at)
	if want := "C42 1700000000.000001 6 #ops"; at != want {
		t.Errorf("thread %q, want %q", at, want)
	}
	var got []string
	for _, m := range c.messages {
		got = append(got, fmt.Sprintf("%s in %q, %d edits", m.header, m.thread, m.edits))
	}
	first := c.messages[0].ts
	want := []string{
		`🔴 web was OOM-killed (x6) in "", 3 edits`,
		`🔴 web was OOM-killed in "` + first + `", 0 edits`,
		`🔴 web was OOM-killed (x4) in "` + first + `", 0 edits`,
		`🔴 web was OOM-killed (update) in "` + first + `", 0 edits`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the channel shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSlackWarningOver: the first message says that it is over.
func TestSlackWarningOver(t *testing.T) {
	c := newSlackChannel(t)
	b := c.bot(t)
	a := alertOf("w")
	a.Incident.Kind, a.Incident.Severity = incident.KindWarning, incident.Warning
	a.Incident.Time = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	a.Incident.Warning = &incident.WarningFacts{What: "forecast"}
	at := thread(t, b, a, "")
	over := a
	inc := *a.Incident
	inc.ResolvedAt = inc.Time.Add(5 * time.Minute)
	over.Incident, over.Update = &inc, true
	thread(t, b, over, at)
	if got := c.messages[0].header; got != "🟢 Resolved after 5 min: host is no longer heading for its memory limit" || c.messages[0].edits != 1 || len(c.messages) != 2 {
		t.Errorf("%q, %d edits, %d messages", got, c.messages[0].edits, len(c.messages))
	}
}

// TestSlackThreadIsGone: somebody deleted the first message, or it cannot be
// edited any more; the alert is told all the same.
func TestSlackThreadIsGone(t *testing.T) {
	for _, tt := range []struct {
		name, method, code string
		messages           int
		same               bool
	}{
		{"deleted", "chat.update", "message_not_found", 2, false},
		{"deleted in between", "chat.postMessage", "thread_not_found", 2, false},
		{"too old to edit", "chat.update", "edit_window_closed", 2, true},
		{"another's", "chat.update", "cant_update_message", 2, true},
		{"too long to edit", "chat.update", "msg_too_long", 2, true},
		{"an error of tomorrow", "chat.update", "unheard_of", 2, true},
		{"its channel is archived", "chat.update", "is_archived", 2, false},
		{"archived in between", "chat.postMessage", "is_archived", 2, false},
		{"its channel is gone", "chat.update", "channel_not_found", 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newSlackChannel(t)
			b := c.bot(t)
			at := thread(t, b, alertOf("i-1"), "")
			c.fail[tt.method] = tt.code
			again := thread(t, b, alertOf("i-2"), at)
			if len(c.messages) != tt.messages || (c.messages[1].thread == c.messages[0].ts) != tt.same || strings.Contains(again, c.messages[0].ts) != tt.same {
				t.Errorf("%d messages, thread %q, then %q: %v", len(c.messages), at, again, c.messages)
			}
		})
	}
	// What is no thread of ours is none.
	c := newSlackChannel(t)
	thread(t, c.bot(t), alertOf("i-1"), "nonsense")
	if len(c.messages) != 1 || c.messages[0].thread != "" {
		t.Errorf("%v", c.messages)
	}
}

// TestSlackChannelChanges: a thread in a channel that is not the configured one any
// more is left alone.
func TestSlackChannelChanges(t *testing.T) {
	for _, tt := range []struct {
		name, thread, channel string
		goesOn                bool
	}{
		{"the same", "C42 TS 1 #ops", "#ops", true},
		{"another name", "C42 TS 1 #ops", "#pager", false},
		{"an id in place of the name", "C42 TS 1 #ops", "C43", false},
		{"of before it was kept", "C42 TS 1", "#ops", true},
		{"of before, the same id", "C42 TS 1", "C42", true},
		{"of before, another id", "C42 TS 1", "C43", false},
	} {
		c := newSlackChannel(t)
		b := c.bot(t)
		thread(t, b, alertOf("i-1"), "")
		b.channel = tt.channel
		again := thread(t, b, alertOf("i-2"), strings.Replace(tt.thread, "TS", c.messages[0].ts, 1))
		if goesOn := c.messages[1].thread != ""; goesOn != tt.goesOn || (c.messages[0].edits > 0) != tt.goesOn || !strings.HasSuffix(again, " "+tt.channel) {
			t.Errorf("%s: goes on %t, thread %q, %v", tt.name, goesOn, again, c.messages)
		}
	}
}

// TestSlackThreadRetry: what failed half-way comes again without a second reply.
func TestSlackThreadRetry(t *testing.T) {
	c := newSlackChannel(t)
	b := c.bot(t)
	at := thread(t, b, alertOf("i-1"), "")
	for _, method := range []string{"chat.update", "chat.postMessage"} {
		c.fail[method] = "internal_error"
		a := alertOf("i-2")
		a.Thread = at
		kept, err := b.NotifyThread(t.Context(), a)
		if verdict(err) != "again" || kept != at {
			t.Errorf("%s: %v, thread %q", method, err, kept)
		}
	}
	thread(t, b, alertOf("i-2"), at)
	if len(c.messages) != 2 || c.messages[0].header != "🔴 web was OOM-killed (x2)" {
		t.Errorf("%v", c.messages)
	}
}

// TestSlackErrors: what each of the API's errors asks for, and that its step is said.
func TestSlackErrors(t *testing.T) {
	for code, want := range map[string]string{
		"ratelimited": "later", "rate_limited": "later", "message_limit_exceeded": "later",
		"internal_error": "again", "fatal_error": "again", "service_unavailable": "again", "request_timeout": "again",
		"channel_not_found": "never", "not_in_channel": "never", "invalid_auth": "never", "not_authed": "never", "missing_scope": "never",
		"msg_too_long": "never", "invalid_blocks": "never", "restricted_action": "never", "an_error_of_tomorrow": "never",
		"is_archived": "gone", "account_inactive": "gone", "token_revoked": "gone",
	} {
		c := newSlackChannel(t)
		c.fail["chat.postMessage"] = code
		err := c.bot(t).Notify(t.Context(), alertOf("i-1"))
		hide(t, err)
		if got := verdict(err); got != want || !strings.Contains(err.Error(), code) || slackHints[code] != "" && !strings.Contains(err.Error(), slackHints[code]) {
			t.Errorf("%s: %s (%v), want %s", code, got, err, want)
		}
	}
}

func TestSlackBotOptions(t *testing.T) {
	for _, o := range []SlackBotOptions{{Channel: "C1"}, {Token: "xoxb-1"}, {Token: "two words" + canary, Channel: "C1"}, {Token: "x", Channel: "C1", HTTPOptions: HTTPOptions{URL: "http://slack.example"}}} {
		_, err := NewSlackBot(o)
		if err == nil {
			t.Errorf("%+v was taken", o)
		}
		hide(t, err)
	}
	b, err := NewSlackBot(SlackBotOptions{Token: "xoxb-1", Channel: "C1"})
	if err != nil || b.post.url != "https://slack.com/api/chat.postMessage" || b.update.url != "https://slack.com/api/chat.update" {
		t.Errorf("%v %v", b, err)
	}
}
