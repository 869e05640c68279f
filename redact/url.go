package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// slashes are "://" as it is and as it is escaped.
var slashes = []string{"://", `:\/\/`, "%3a%2f%2f", `:\u002f\u002f`}

var (
	// Secrets of signed links and of sign-ins have very short names.
	reShortKey = lazyre.New(`(?i)(?:[?&;#]|&amp;|%26|%3f)(sig|key|code|auth|sas|se|pass|pw|pwd|state|ticket|hash|hmac|samlresponse|assertion|k)(?:=|%3d)((?:[^\s&"'<>;#%\\]|%[013-9a-f][0-9a-f]|%2[0-57-9a-f])+)`)
	// A path that ends with a secret: /reset-password/x.
	rePath   = lazyre.New(`(?i)/(?:[a-z_\-]*(?:reset|confirm|activat|verif|magic|invit|unsubscribe|recover|accept|unlock|setup|token|webhook|hooks?|passwd|forgot|sso|autologin)[a-z_\-]*)((?:/[A-Za-z0-9_\-.~=%]+)*)(\?[^\s"'<>]*)?`)
	reParams = lazyre.New(`[?&][A-Za-z_]+=([A-Za-z0-9_\-.~%]+)`)
	rePage   = lazyre.New(`\.(?:js|css|html?|php|png|jpg|svg|go|py|java|rb|ts|json|ya?ml|txt|md|gz|log|so|tar|zip|map|sh|conf|pem|crt)(?:$|[:?])`)
)

var (
	shortWords = []string{"key=", "code=", "auth=", "sas=", "se=", "pass=", "pw=", "pwd=", "state=", "ticket=", "hash=", "hmac=", "samlresponse=", "assertion=", "?k=", "%3d", "sig="}
	pathWords  = []string{"reset", "confirm", "activat", "verif", "magic", "invit", "unsubscribe", "recover", "accept/", "unlock", "setup/", "token/", "tokens/", "hook", "/passw", "forgot", "/sso", "autologin"}
	slashHints = []hint{hinting("://&@"), hinting(`:\/\/`), hinting("%3a%2f%2f"), hinting(`:\u002f\u002f`)}
	shortHints = hinting(shortWords...)
	pathHints  = hinting(pathWords...)
	urlHints   = hinting(append([]string{"://", `:\/\/`, "%3a%2f%2f", `:\u002f\u002f`}, append(shortWords, pathWords...)...)...)
)

// urls hides user and password of every URL, and the parts of path and query that
// are secrets by their place.
func (m *masker) urls() {
	if !urlHints.met(m.found) {
		return
	}
	for n, sl := range slashes {
		if !slashHints[n].met(m.found) {
			continue
		}
		for i := 0; ; {
			j := strings.Index(m.lower[i:], sl)
			if j < 0 {
				break
			}
			i += j + len(sl)
			m.userinfo(i, sl)
		}
	}
	if shortHints.met(m.found) {
		for _, p := range reShortKey.FindAllStringSubmatchIndex(m.s, -1) {
			if v := m.s[p[4]:p[5]]; !harmlessParam(m.lower[p[2]:p[3]], v) {
				m.hide(p[4], p[5])
			}
		}
	}
	if !pathHints.met(m.found) {
		return
	}
	for _, p := range rePath.FindAllStringSubmatchIndex(m.s, -1) {
		if p[4] >= 0 {
			for _, q := range reParams.FindAllStringSubmatchIndex(m.s[p[4]:p[5]], 16) {
				if v := m.s[p[4]+q[2] : p[4]+q[3]]; tokenLike(v) {
					m.hide(p[4]+q[2], p[4]+q[3])
				}
			}
		}
		path := m.s[p[2]:p[3]]
		if path == "" {
			continue
		}
		if rePage.MatchString(path) || !hinted(m.s[p[0]:p[2]], "/") {
			continue
		}
		at := p[2]
		for part := range strings.SplitSeq(path[1:], "/") {
			at++
			if tokenLike(part) && !hinted(m.lower[p[0]:p[2]], "github", "stripe") {
				m.hide(at, at+len(part))
			}
			at += len(part)
		}
	}
}

// tokenLike is true for a part of a path that no person would name anything.
func tokenLike(s string) bool {
	if len(s) < 7 || strings.Contains(s, ".") || looksID(s) {
		return false
	}
	upper, lower := 0, 0
	for i := range len(s) {
		switch {
		case s[i] >= 'A' && s[i] <= 'Z':
			upper++
		case s[i] >= 'a' && s[i] <= 'z':
			lower++
		}
	}
	return hasDigit(s) && upper+lower >= 2 && (len(s) >= 8) || upper > 1 && lower > 1 && len(s) >= 8 && changes(s) > 2
}

// changes counts where capitals and small letters take turns.
func changes(s string) int {
	n := 0
	for i := 1; i < len(s); i++ {
		a, b := s[i-1], s[i]
		if a >= 'a' && a <= 'z' && b >= 'A' && b <= 'Z' || a >= 'A' && a <= 'Z' && b >= 'a' && b <= 'z' {
			n++
		}
	}
	return n
}

// looksID is true for v1, 2026-11-21, order-42.
func looksID(s string) bool {
	return strings.Trim(s, "0123456789-_:TZ") == "" || strings.HasPrefix(s, "v") && digits(s[1:])
}

func harmlessParam(name, v string) bool {
	if strings.HasPrefix(v, Redacted) || strings.HasPrefix(v, "[") {
		return true
	}
	switch name {
	case "code":
		return len(v) <= 3 || digits(v) && len(v) < 6
	case "state", "hash", "k", "key", "auth":
		if len(v) < 4 || !hasDigit(v) && strings.ToLower(v) == v && len(v) < 16 && (name != "key" && name != "auth" || len(v) < 8) {
			return true
		}
	case "se":
		return !strings.Contains(v, "-")
	}
	return reNumber.MatchString(v) && len(v) < 4 || reReference.MatchString(v) || reMasked.MatchString(v)
}

// reAuthority is a host, or several, each with or without a port.
var reAuthority = lazyre.New(`^(?:[A-Za-z0-9._\-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?)(?:,[A-Za-z0-9._\-]+(?::[0-9]{1,5})?)*$`)

func hostOf(s string) string {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return s[:i]
	}
	return s
}

// userinfo hides user and password of the URL whose authority begins at i.
func (m *masker) userinfo(i int, sl string) {
	s := m.s
	j := i
	for j < len(s) && strings.IndexByte(" \t\n\r\"'<>`", s[j]) < 0 && !(s[j] == '\\' && !strings.HasPrefix(s[j:], `\/`)) && !strings.HasPrefix(s[j:], "://") {
		j++
	}
	rest := s[i:j]
	if strings.HasPrefix(rest, Redacted) {
		return
	}
	at, colon := "@", ":"
	authority := rest
	if k := strings.IndexAny(rest, "/?#"); k >= 0 {
		authority = rest[:k]
	}
	if strings.HasPrefix(sl, "%") {
		at, colon = "%40", "%3a"
		authority = rest
		if k := strings.Index(asciiLower(rest), "%2f"); k >= 0 {
			authority = rest[:k]
		}
	}
	end := strings.LastIndex(authority, at)
	c := strings.Index(asciiLower(authority), colon)
	if end < 0 {
		// A password may hold a slash: then what follows the colon is no port.
		if c < 0 || digits(authority[c+len(colon):]) || strings.HasPrefix(authority, "[") {
			return
		}
		if end = strings.LastIndex(rest, at); end < 0 {
			return
		}
	}
	// user:p@ss:w/rd@host: what follows the first "@" is no host.
	if at == "@" && c >= 0 && c < end && end < len(authority) && len(authority) < len(rest) && !reAuthority.MatchString(authority[end+1:]) {
		if later := strings.LastIndex(rest, at); later > end && reAuthority.MatchString(hostOf(rest[later+1:])) {
			end = later
		}
	}
	user := rest[:end]
	if c < 0 || c > end {
		// A user alone is none, unless it is a token.
		if !hasDigit(user) || len(user) < 8 || strings.ContainsAny(user, ".") {
			return
		}
	} else if v := user[c+len(colon):]; reReference.MatchString(v) || maskWord(v) || v == "" && !hasDigit(user) {
		return
	}
	m.hide(i, i+end)
}
