package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func (c *control) Test(_ context.Context, r string) error {
	c.asked = append(c.asked, "test "+r)
	if r == "broken" {
		return errors.New("502 Bad Gateway")
	}
	return nil
}

const testToken = "a-token-of-some-length"

// browser is a client that keeps cookies, as a browser does.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second}
}

// send posts a form, with headers "NAME: VALUE".
func send(t *testing.T, c *http.Client, to string, form url.Values, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestActions(t *testing.T) {
	c := &control{}
	_, at := start(t, newBackend(), Options{Control: c, Token: testToken})
	p := browser(t)
	silence := url.Values{"container": {"web"}, "cause": {"oom.container"}, "for": {"1h"}, "reason": {"deploy"}}
	if code, _ := send(t, p, at+"/do/silence", silence); code != http.StatusForbidden {
		t.Errorf("without a session: %d", code)
	}
	began := time.Now()
	if code, body := send(t, p, at+"/login", url.Values{"token": {"wrong"}}); code != http.StatusForbidden || time.Since(began) < wrongToken || strings.Contains(body, testToken) {
		t.Errorf("a wrong token: %d after %s: %s", code, time.Since(began), body)
	}
	if code, body := send(t, p, at+"/login", url.Values{"token": {testToken}}); code != http.StatusOK || !strings.Contains(body, "Sign out") {
		t.Fatalf("sign in: %d\n%s", code, body)
	}
	for _, h := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		if code, _ := send(t, p, at+"/do/silence", silence, h); code != http.StatusForbidden {
			t.Errorf("%s: %d", h, code)
		}
	}
	if len(c.asked) != 0 {
		t.Fatalf("asked for: %q", c.asked)
	}
	for _, do := range []struct {
		path string
		form url.Values
		says string
	}{
		{"/do/silence", silence, "The silence begins now."},
		{"/do/retry", url.Values{"receiver": {"team"}}, "are sent now"},
		{"/do/test", url.Values{"receiver": {"team"}}, "took a sample alert"},
	} {
		if code, body := send(t, p, at+do.path, do.form, "Sec-Fetch-Site: same-origin", "Origin: "+at); code != http.StatusOK || !strings.Contains(body, do.says) {
			t.Errorf("%s: %d\n%s", do.path, code, body)
		}
	}
	for path, form := range map[string]url.Values{"/do/test": {"receiver": {"broken"}}, "/do/expire": {"id": {"x"}}, "/do/silence": {"for": {"99y"}}} {
		if code, body := send(t, p, at+path, form); code != http.StatusUnprocessableEntity || !strings.HasPrefix(body, "not done: ") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if got := strings.Join(c.asked, "; "); !strings.HasPrefix(got, "add deploy the page; retry team; test team") {
		t.Errorf("asked for: %s", got)
	}
	if code, _ := send(t, p, at+"/logout", nil); code != http.StatusOK {
		t.Errorf("sign out: %d", code)
	}
	if code, _ := send(t, p, at+"/do/test", url.Values{"receiver": {"team"}}); code != http.StatusForbidden {
		t.Errorf("after signing out: %d", code)
	}
}

// TestNoActionsWithoutToken: a page without a token takes no request but to read.
func TestNoActionsWithoutToken(t *testing.T) {
	c := &control{}
	_, at := start(t, newBackend(), Options{Control: c})
	for _, path := range []string{"/login", "/do/test", "/do/silence"} {
		if code, _ := send(t, browser(t), at+path, url.Values{"token": {""}}); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", path, code)
		}
	}
}

// TestForgedSessions: only a session that was signed with the token, and lasts, counts.
func TestForgedSessions(t *testing.T) {
	s := New(Options{Control: &control{}, Token: testToken})
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	soon, past := at(time.Hour), at(-time.Hour)
	other := New(Options{Control: &control{}, Token: "another-token-entirely"})
	for value, want := range map[string]bool{soon + "." + s.sign(soon): true, past + "." + s.sign(past): false, at(2*time.Hour) + "." + s.sign(soon): false,
		soon + "." + other.sign(soon): false, soon + ".": false, "": false, ".": false, "x." + s.sign("x"): false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value})
		if got := s.signedIn(r); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
