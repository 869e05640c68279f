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

// TestSlackKeepsTheLogFirst: when there is no room for all, the newest log lines
// go along and the evidence stays behind.
func TestSlackKeepsTheLogFirst(t *testing.T) {
	inc := cases()["oom_container"]
	inc.Summary = strings.Repeat("s", maxSection)
	inc.Advice = []string{strings.Repeat("a", 2000)}
	inc.LogTail = nil
	for i := range 100 {
		inc.LogTail = append(inc.LogTail, fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100)))
	}
	for range 50 {
		inc.Evidence = append(inc.Evidence, inc.Evidence[0])
	}
	m := slackAlert(incident.Alert{Incident: inc})
	checkSlack(t, "full", m)
	all, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(all, []byte("line 99 ")) || bytes.Contains(all, []byte("line 0 ")) || bytes.Contains(all, []byte("and 46 more")) || !bytes.Contains(all, []byte("oomwatch explain "+inc.ID)) {
		t.Errorf("message: %s", all)
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
