package receiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/render"
)

func TestSlackDigestGolden(t *testing.T) {
	var ds []incident.Delivery
	for i := range 40 {
		for _, name := range []string{"oom_container", "kill_stop_timeout"} {
			inc := *cases()[name]
			inc.ID = fmt.Sprintf("%s-%d", name, i)
			inc.Time = inc.Time.Add(time.Duration(i) * time.Second)
			ds = append(ds, incident.Delivery{Incident: &inc})
		}
	}
	ds[3].Incident = hostile()
	m := slackDigest(incident.NewDigest(ds, "hook", 0))
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		t.Fatal(err)
	}
	golden(t, "digest.slack.json", b.Bytes())
	checkSlack(t, "digest", m)
}

// TestMessagesAreShort: whatever is known of an incident, no message has more than 12
// lines, and what matters most is among them.
func TestMessagesAreShort(t *testing.T) {
	inc := cases()["oom_container"]
	inc.Summary = strings.Repeat("long words ", 60)
	inc.Advice = []string{strings.Repeat("advice ", 200)}
	inc.LogTail = []string{"one", "panic: the reason " + strings.Repeat("x", 300)}
	for range 50 {
		inc.Gaps = append(inc.Gaps, incident.Gap{Source: "kmsg", Reason: strings.Repeat("blind ", 20)})
	}
	all := cases()
	all["long"] = inc
	for name, inc := range all {
		inc.URL = "https://oomwatch.example.org/incident/" + inc.ID
		for _, width := range []int{0, 60, 120} {
			var b bytes.Buffer
			if err := render.WriteAlert(&b, incident.Alert{Incident: inc}, render.TextOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(b.String(), "\n"); n > render.MaxLines || !strings.Contains(b.String(), inc.URL) {
				t.Errorf("%s at %d: %d lines:\n%s", name, width, n, b.String())
			}
		}
		o := render.OutlineOf(incident.Alert{Incident: inc}, true)
		n := 3 // the headline, the cause, the foot
		for _, l := range o.Lines {
			n += (len([]rune(l.Label+": "+l.Text)) + 79) / 80
		}
		if n += (len([]rune(o.Lead)) + 79) / 80; n > render.MaxLines {
			t.Errorf("%s: %d lines in a chat: %+v", name, n, o)
		}
		if m := slackMessageOf(o); len(m.Blocks) > 3 || !strings.Contains(m.Blocks[len(m.Blocks)-1].Elements[0].Text, "<"+inc.URL+"|More>") {
			t.Errorf("%s: %d blocks: %+v", name, len(m.Blocks), m.Blocks)
		}
	}
}

// TestAnswersOf200 meets receivers that say 200 and then something odd.
func TestAnswersOf200(t *testing.T) {
	for _, c := range []struct{ name, body, slack string }{
		{"ok", "ok", "told"},
		{"a login page", "<html>please log in to /services/" + canary + "</html>", "unsure"},
		{"an error of the API", `{"ok":false,"error":"channel_not_found ` + canary + `"}`, "never"},
		{"without end", strings.Repeat("z", 1<<20), "unsure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			meet200(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) }, c.slack)
		})
	}
	t.Run("a byte now and then", func(t *testing.T) {
		meet200(t, func(w http.ResponseWriter, r *http.Request) {
			for {
				fmt.Fprint(w, "o")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, "unsure")
	})
}

// meet200 wants a webhook to be told, for the status says so, and Slack as given.
func meet200(t *testing.T, h http.HandlerFunc, want string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h(w, r)
	}))
	defer srv.Close()
	defer srv.CloseClientConnections()
	hook := hookTo(t, srv.URL, nil)
	shorten(hook.p)
	if err := hook.Notify(t.Context(), alertOf("i-1")); err != nil {
		t.Errorf("webhook: %v", err)
	}
	slack, err := NewSlack(HTTPOptions{URL: srv.URL + "/services/" + canary, Version: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slack.Traits().Close()
	shorten(slack.p)
	err = slack.Notify(t.Context(), alertOf("i-1"))
	hide(t, err)
	if got := verdict(err); got != want {
		t.Errorf("slack: %s (%v), want %s", got, err, want)
	}
}
