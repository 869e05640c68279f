package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

var (
	reHeader = lazyre.New(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie2?|x-[a-z0-9-]*(?:token|key|secret|auth|password|signature)|api-?key|private-token|job-token|[a-z-]*subscription-key|access-?token)((?:\\*["']|&quot;)?\s*(?::\s*|=\s*|,\s*(?:\\*["']?val(?:ue)?\\*["']?\s*[:=]\s*)?|=>\s*|\s+)(?:b?\\*["'\x60]|\[\s*(?:\\*["'])?|&quot;)*)`)
	reScheme = lazyre.New(`(?i)^(basic|bearer|(?:api-?)?token|negotiate|api-?key|key|ntlm|splunk|oauth|genie-?key|hawk|ssws|pve[a-z]*)\s+`)
	reParam  = lazyre.New(`^[a-z_]+=`)
	// A scheme and its credentials, wherever they stand.
	reBearer = lazyre.New(`(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{6,})`)
	reDigest = lazyre.New(`(?i)^(?:digest|aws4-hmac-sha256|hmac[a-z0-9-]*|signature|oauth)\s`)
)

var (
	headerHints = hinting("authorization", "cookie", "x-&token", "x-&key", "x-&secret", "x-&auth", "x-&passw", "x-&signature", "apikey", "api-key", "-token", "subscription-key", "accesstoken", "access-token")
	bearerHints = hinting("bearer ", "basic ")
)

// headers hides the values of HTTP headers that carry credentials; of Authorization
// the scheme stays.
func (m *masker) headers() {
	if headerHints.met(m.found) {
		for from := 0; from < len(m.s); {
			p := reHeader.FindStringSubmatchIndex(m.s[from:])
			if p == nil {
				break
			}
			from += m.header(from+p[2], from+p[3], from+p[4], from+p[1])
		}
	}
	if !bearerHints.met(m.found) {
		return
	}
	for _, p := range reBearer.FindAllStringSubmatchIndex(m.s, -1) {
		v := m.s[p[2]:p[3]]
		if reParam.MatchString(v) {
			continue
		}
		if hasDigit(v) && !strings.HasSuffix(v, "=") || len(v) >= 16 && !strings.Contains(v, "-") || strings.HasSuffix(v, "=") && changes(v) > 0 {
			m.hide(p[2], p[3])
		}
	}
}

// header hides the value of one header, of which name, joint and value begin at the
// given places. It returns how far it is done, from the name on.
func (m *masker) header(name, joint, joint2, value int) int {
	s := m.s
	sep := s[joint2:value]
	done := value - name
	if done == 0 {
		done = 1
	}
	_ = joint
	head := m.lower[name:joint]
	auth := strings.HasSuffix(head, "authorization")
	bare := strings.TrimSpace(sep) == "" // no joint: a word of prose, or nginx's proxy_set_header
	quotedList := strings.HasPrefix(strings.TrimSpace(strings.TrimLeft(sep, `\"'`)), ",")
	switch {
	case value >= len(s), strings.HasPrefix(s[value:], Redacted):
		return done
	case !auth && !strings.Contains(head, "cookie") && classify(head) == noPromise && !strings.HasSuffix(head, "auth"):
		return done
	case bare && !strings.HasSuffix(sep, `"`) && !reScheme.MatchString(s[value:min(len(s), value+20)]) && !(strings.Contains(sep, `"`)):
		return done
	case bare && !auth, quotedList && lastQuote(sep) == "":
		return done
	}
	from := value
	if w := reScheme.FindString(s[value:min(len(s), value+40)]); w != "" {
		from += len(w)
	}
	var to int
	switch q := lastQuote(sep); {
	case strings.HasSuffix(sep, "&quot;"):
		to = from + quotedEnd(s[from:], "&quot;")
	case q != "":
		to = from + quotedEnd(s[from:], q)
	case from > value || !reDigest.MatchString(s[value:]) && (auth || !strings.Contains(head, "cookie")):
		to = from
		for to < len(s) && strings.IndexByte(" \t\"',;]})&", s[to]) < 0 && !strings.HasPrefix(s[to:], `\n`) && !strings.HasPrefix(s[to:], `\r`) {
			to++
		}
	default:
		to = len(s)
	}
	text := s[from:to]
	w := strings.ToLower(strings.TrimRight(firstWord(text), ".,;"))
	if harmlessValue(text, isSecret, true) || said[w] && (from == value || len(w) == len(text)) || strings.Contains(head, "cookie") && !strings.Contains(text, "=") && lastQuote(sep) == "" ||
		reNumber.MatchString(text) && len(text) < 4 || isPath(text) {
		return done
	}
	m.hide(from, to)
	return max(done, to-name)
}

func isPath(s string) bool { return strings.HasPrefix(s, "/") }

// lastQuote is the quote that a joint ends with, with the backslashes before it.
func lastQuote(sep string) string {
	n := len(sep)
	if n == 0 || sep[n-1] != '"' && sep[n-1] != '\'' && sep[n-1] != '`' {
		return ""
	}
	i := n - 1
	for i > 0 && sep[i-1] == '\\' {
		i--
	}
	return sep[i:]
}
