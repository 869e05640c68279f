package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

const (
	// sessionFor is how long a browser stays signed in, sessionCookie its cookie.
	sessionFor    = 12 * time.Hour
	sessionCookie = "oomwatch"
	// wrongToken is how long a wrong token is answered late: one at a time, so that
	// guessing takes for ever.
	wrongToken = time.Second
)

// actions are what a person who is signed in may do on the page; nil where the
// configuration gives no token. A browser sends the cookie with requests of this site
// only (SameSite=Strict), and what another site makes it send is refused beside that, by
// Sec-Fetch-Site or Origin.
func (s *Server) actions() http.Handler {
	if s.opt.Token == "" || s.opt.Control == nil {
		return nil
	}
	c := s.opt.Control
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.bounded(s.signIn))
	do := func(path string, act func(r *http.Request) (done string, err error)) {
		mux.HandleFunc("POST "+path, s.bounded(func(w http.ResponseWriter, r *http.Request) {
			if !s.signedIn(r) {
				http.Error(w, "sign in first, on the page of the receivers", http.StatusForbidden)
				return
			}
			done, err := act(r)
			if err != nil {
				http.Error(w, "not done: "+err.Error(), http.StatusUnprocessableEntity)
				return
			}
			http.Redirect(w, r, "/receivers?done="+done, http.StatusSeeOther)
		}))
	}
	do("/do/silence", func(r *http.Request) (string, error) {
		d, ok := silenceFor[r.PostFormValue("for")]
		if !ok {
			return "", fmt.Errorf("silence for %q: choose 1h, 8h, 24h or 7d", r.PostFormValue("for"))
		}
		x := incident.Silence{Until: time.Now().Add(d), Reason: r.PostFormValue("reason"), By: "the page"}
		x.Match.Containers = given(r.PostFormValue("container"))
		x.Match.Causes = given(r.PostFormValue("cause"))
		_, err := c.AddSilence(r.Context(), x)
		return "silenced", err
	})
	do("/do/expire", func(r *http.Request) (string, error) {
		_, err := c.ExpireSilence(r.Context(), r.PostFormValue("id"))
		return "expired", err
	})
	do("/do/retry", func(r *http.Request) (string, error) {
		_, err := c.Retry(r.Context(), r.PostFormValue("receiver"))
		return "retried", err
	})
	do("/do/test", func(r *http.Request) (string, error) {
		return "tested", c.Test(r.Context(), r.PostFormValue("receiver"))
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		s.setSession(w, r, "", -1)
		http.Redirect(w, r, "/receivers", http.StatusSeeOther)
	})
	bounded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		mux.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(bounded)
}

// silenceFor are the spans that the page offers, as it writes them.
var silenceFor = map[string]time.Duration{"1h": time.Hour, "8h": 8 * time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// doneWords say what an action did.
var doneWords = map[string]string{
	"silenced": "The silence begins now.", "expired": "The silence has ended.",
	"retried": "The receiver's pending and given up alerts are sent now.", "tested": "The receiver took a sample alert.",
}

func given(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return []string{s}
}

// signIn trades the token for a session.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	got, want := sha256.Sum256([]byte(r.PostFormValue("token"))), sha256.Sum256([]byte(s.opt.Token))
	if !hmac.Equal(got[:], want[:]) {
		s.guess.Lock()
		defer s.guess.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(wrongToken):
		}
		http.Error(w, "wrong token: it is in the file that web.token_file names", http.StatusForbidden)
		return
	}
	until := strconv.FormatInt(time.Now().Add(sessionFor).Unix(), 10)
	s.setSession(w, r, until+"."+s.sign(until), int(sessionFor.Seconds()))
	http.Redirect(w, r, "/receivers", http.StatusSeeOther)
}

func (s *Server) setSession(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: r.Header.Get("X-Forwarded-Proto") == "https"})
}

// sign proves that a session was given by who holds the token: another token ends it.
func (s *Server) sign(until string) string {
	m := hmac.New(sha256.New, []byte(s.opt.Token))
	m.Write([]byte("oomwatch page until " + until)) //nolint:errcheck // a hash takes everything
	return hex.EncodeToString(m.Sum(nil))
}

// signedIn is true for a request with a session that lasts.
func (s *Server) signedIn(r *http.Request) bool {
	c, err := r.Cookie(sessionCookie)
	if err != nil || s.opt.Token == "" {
		return false
	}
	until, sum, ok := strings.Cut(c.Value, ".")
	end, err := strconv.ParseInt(until, 10, 64)
	return ok && err == nil && hmac.Equal([]byte(sum), []byte(s.sign(until))) && time.Now().Unix() < end
}

// may is what a page offers its reader: "" where the page changes nothing, else whether
// to sign in or to act.
func (s *Server) may(r *http.Request) string {
	switch {
	case s.opt.Token == "" || s.opt.Control == nil:
		return ""
	case s.signedIn(r):
		return "act"
	}
	return "sign in"
}
