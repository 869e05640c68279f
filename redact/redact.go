// Package redact masks secrets in foreign text and makes it safe to print.
package redact

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Sanitize makes foreign text (names, labels, comms, log lines) safe to show on
// one line of a terminal or in a message: control bytes, ESC, newlines, bidi
// and other invisible characters are written as escapes (\n, \x1b, \u202e),
// bytes that are not UTF-8 as \xNN. Sanitizing twice changes nothing more.
func Sanitize(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case visible(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// printable is true for text of printable ASCII alone. It looks at 8 bytes at a time.
func printable(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		// The high bit of a byte is set where it is not ASCII, below a blank, or
		// DEL; a carry or borrow comes only from a byte that has it set, too.
		w := eight(s)
		if (w|(w-ones*' ')|(w+ones))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// visible is true for what a reader sees and what cannot move other text:
// printable by Unicode, and none of the letters that are drawn as nothing.
func visible(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return false
	}
	if r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef {
		return false // variation selectors can carry hidden text
	}
	return unicode.IsPrint(r)
}

var (
	// ANSI sequences split names from values, so they go first.
	reANSI = regexp.MustCompile(`\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[()][0-9A-Za-z])`)
	rePEM  = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)`)

	reHeader = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie2?|x-[a-z0-9-]*(?:token|key|secret|auth)[a-z0-9-]*)(\\*["']?\s*[:=]\s*\\*["']?)`)
	reScheme = regexp.MustCompile(`(?i)^(basic|bearer|token|negotiate|apikey|api-key|key|ntlm)\s+[^\s"'\\,;]+`)
	reBearer = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{6,})`)

	// The end of a name that promises a secret, as in logfmt, JSON, YAML, query
	// strings, Go's %+v and environment dumps, and what stands between it and its
	// value. The second group are words that promise one only as a part of a name.
	reKey = regexp.MustCompile(`(?i)(?:(passw(?:or)?d|passphrase|passcode|pwd|secret|token|api[_.\-]?key|access[_.\-]?key|account[_.\-]?key|private[_.\-]?key|signing[_.\-]?key|encryption[_.\-]?key|master[_.\-]?key|auth[_.\-]?key|ssh[_.\-]?key|license[_.\-]?key|routing[_.\-]?key|integration[_.\-]?key|credential|session[_.\-]?id|sessid|signature|csrf|nonce|otp|pin[_.\-]?code|pgpass|webhook[_.\-]?url|dsn|connect\.sid|mnemonic|seed[ _]phrase)[a-z0-9_.\-]*|(pass|pw|creds?))((?:\\*["'\]]+)?\s*(?:=>|:=|[:=])\s*)`)
	// Signatures of signed links have very short names.
	reShortKey = regexp.MustCompile(`(?i)([?&;](?:sig|key|code|auth|sas|se|pass|pw)=)[^\s&"'<>]+`)
	// A flag whose value is the next word.
	reFlag = regexp.MustCompile(`(?i)(--?[a-z0-9\-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|access-?key|private-?key|credential)[a-z0-9\-]*)(\s+)([^\s-]\S*)`)
	// "A temporary password is generated for root@localhost: ...".
	reLast = regexp.MustCompile(`(?i)(\bpass(?:word|phrase|code)?\b[^:=]{1,80}[:=]\s*)(\S+)\s*$`)
	// Numbers about secrets are no secrets.
	reHarmless = regexp.MustCompile(`(?i)(?:tokens|count|len|length|size|bytes|limit|ttl|expiry|expires|expires_in|age|ms|seconds|used|total|type|status|name|valid|enabled|required)$`)
	reNumber   = regexp.MustCompile(`^\\*["']?(?:-?[0-9][0-9.,]*[a-zA-Z%]{0,3}|true|false|null|nil|none)\\*["']?$`)

	reURL = regexp.MustCompile(`(?i)([a-z][a-z0-9+.\-]{1,30}://)([^\s"'<>\\` + "`" + `]+)`)
)

// Line hides what looks like a secret in one line of a container's log: values
// of keys that promise one, Authorization and cookie headers, user and password
// of URLs, well-known token shapes, PEM blocks and strings too random to be words.
// Colour sequences are dropped. It takes time linear in the line. It cannot know
// every secret; what must never leave the host should not be logged.
func Line(line string) string {
	if line == "" {
		return line
	}
	s := line
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = reANSI.ReplaceAllString(s, "")
	}
	if strings.Contains(s, "-----BEGIN ") {
		s = rePEM.ReplaceAllString(s, Redacted)
	}
	s = redactURLs(s)
	// Most lines hold none of these words, and a search for them costs little.
	lower := strings.ToLower(s)
	if hinted(lower, "authorization", "cookie", "x-") {
		s = redactHeaders(s)
	}
	if hinted(lower, keyHints...) {
		s = redactForms(redactKeys(s), lower)
		s = reFlag.ReplaceAllString(s, "${1}${2}"+Redacted)
		s = reLast.ReplaceAllString(s, "${1}"+Redacted)
	}
	if strings.IndexByte(s, '=') >= 0 {
		s = reShortKey.ReplaceAllString(s, "${1}"+Redacted)
	}
	if hinted(lower, "bearer", "basic") {
		s = reBearer.ReplaceAllStringFunc(s, func(m string) string {
			p := reBearer.FindStringSubmatch(m)
			if len(p[3]) < 16 && !strings.ContainsAny(p[3], "0123456789") {
				return m // "bearer authentication"
			}
			return p[1] + p[2] + Redacted
		})
	}
	for _, p := range redactPhrases {
		if hinted(lower, p.hints...) {
			s = p.re.ReplaceAllString(s, "${1}"+Redacted+"${2}")
		}
	}
	for _, p := range redactShapes {
		if hinted(lower, p.hints...) {
			s = p.re.ReplaceAllString(s, Redacted)
		}
	}
	return redactRandom(s)
}

// Lines redacts consecutive lines of one log, so that a PEM block that
// spans several of them is hidden whole.
func Lines(lines []string) []string {
	out := make([]string, 0, len(lines))
	inPEM := false
	for i, l := range lines {
		switch {
		case inPEM:
			if strings.Contains(l, "-----END ") {
				inPEM = false
			}
			continue
		case strings.Contains(l, "-----BEGIN ") && !strings.Contains(l, "-----END "):
			inPEM = endsLater(lines[i+1:])
		case strings.Contains(l, "-----END "):
			// The block began before the first line that was kept.
			out = out[:0]
			l = Redacted
		}
		out = append(out, Line(l))
	}
	return out
}

func endsLater(lines []string) bool {
	for _, l := range lines {
		if strings.Contains(l, "-----END ") {
			return true
		}
	}
	return len(lines) > 0
}

// URL keeps scheme and host of a URL; a path, a query or a user in it may
// be the secret (webhook URLs are). What is no URL is hidden whole.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return Redacted
	}
	s := u.Scheme + "://" + u.Host
	if u.Path == "" && u.RawQuery == "" && u.User == nil {
		return s
	}
	return s + "/" + Redacted
}

// redactURLs hides user and password of every URL.
func redactURLs(s string) string {
	if !strings.Contains(s, "://") || !strings.Contains(s, "@") {
		return s
	}
	return reURL.ReplaceAllStringFunc(s, func(m string) string {
		at := strings.Index(m, "://") + 3
		scheme, rest := m[:at], m[at:]
		authority := rest
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority = rest[:i]
		}
		end := strings.LastIndexByte(authority, '@')
		if end < 0 {
			// A password may hold a slash: then what follows the colon is no port.
			i := strings.IndexByte(authority, ':')
			if i < 0 || digits(authority[i+1:]) {
				return m
			}
			if end = strings.LastIndexByte(rest, '@'); end < 0 {
				return m
			}
		}
		return scheme + Redacted + rest[end:]
	})
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// redactHeaders hides the value of HTTP headers that carry credentials; of
// Authorization the scheme stays.
func redactHeaders(s string) string {
	var b strings.Builder
	from := 0
	for from < len(s) {
		m := reHeader.FindStringSubmatchIndex(s[from:])
		if m == nil {
			break
		}
		vs := from + m[1]
		sep := s[from+m[4] : vs]
		b.WriteString(s[from:vs])
		var ve int
		if q := lastQuote(sep); q != 0 {
			ve = vs + quoted(s[vs:], q)
		} else if w := reScheme.FindString(s[vs:]); w != "" {
			ve = vs + len(w)
		} else {
			ve = len(s)
		}
		if w := reScheme.FindStringSubmatch(s[vs:ve]); w != nil {
			b.WriteString(w[1] + " ")
		}
		if ve > vs {
			b.WriteString(Redacted)
		}
		from = ve
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

// lastQuote is the quote that a separator ends with, or 0.
func lastQuote(sep string) byte {
	if n := len(sep); n > 0 && (sep[n-1] == '"' || sep[n-1] == '\'') {
		return sep[n-1]
	}
	return 0
}

// quoted is the length of s up to the closing quote q. A quote is escaped by an
// odd number of backslashes, unless the opening one was escaped, too (JSON in JSON).
func quoted(s string, q byte) int {
	slashes := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			slashes++
			continue
		case s[i] == q && slashes%2 == 0:
			return i
		}
		slashes = 0
	}
	return len(s)
}

// redactKeys hides the values of keys that promise a secret.
func redactKeys(s string) string {
	var b strings.Builder
	from := 0
	for from < len(s) {
		m := reKey.FindStringSubmatchIndex(s[from:])
		if m == nil {
			break
		}
		start, sepAt, vs := from+m[0], from+m[6], from+m[1]
		b.WriteString(s[from:vs])
		from = vs
		if m[2] < 0 && !partOfName(s, start) && !passAlone(s, start, sepAt, vs) {
			continue
		}
		key, sep := s[start:sepAt], s[sepAt:vs]
		n, open, end := value(s[vs:], sep)
		v := s[vs : vs+n]
		word := v
		if i := strings.IndexAny(v, " \t"); i >= 0 {
			word = v[:i]
		}
		if v == "" || v == Redacted {
			b.WriteString(v)
		} else if reHarmless.MatchString(key) && reNumber.MatchString(word) {
			b.WriteString(word)
			n = len(word)
		} else {
			b.WriteString(open + Redacted + end)
		}
		from = vs + n
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

// partOfName is true where a short word at i ends a longer name: DB_PASS, dbPass,
// git-creds; creds alone is one, too. Of pass and pw alone passAlone judges.
func partOfName(s string, i int) bool {
	if i == 0 {
		return s[i] == 'c' || s[i] == 'C'
	}
	before := s[i-1]
	switch {
	case before == '_' || before == '-' || before == '.':
		return true
	case s[i] == 'P':
		return before >= 'a' && before <= 'z'
	}
	return (s[i] == 'c' || s[i] == 'C') && !(before >= 'a' && before <= 'z' || before >= 'A' && before <= 'Z' || before >= '0' && before <= '9')
}

// value measures the value at the start of s and returns the quotes around it.
// After a colon an unquoted value may hold spaces, after "=" it may not.
func value(s, sep string) (n int, open, end string) {
	i := 0
	for i < len(s) && s[i] == '\\' {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'' || s[i] == '`') {
		open = s[:i+1]
		if i > 0 { // \"value\": it ends at the same sequence
			if j := strings.Index(s[i+1:], open); j >= 0 {
				return i + 1 + j + len(open), open, open
			}
			return len(s), open, ""
		}
		j := quoted(s[1:], s[0])
		if 1+j < len(s) {
			return j + 2, open, open
		}
		return len(s), open, ""
	}
	spaces := strings.HasSuffix(sep, ": ")
	for i = 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '&' || c == '"' || c == '<':
			return i, "", ""
		case c == ' ' || c == '\t':
			if !spaces {
				return i, "", ""
			}
		case c == ',' || c == ';' || c == '}' || c == ')' || c == ']':
			if strings.HasPrefix(s, Redacted) && i < len(Redacted) {
				continue
			}
			if i+1 == len(s) || s[i+1] == ' ' || c == '}' {
				return i, "", ""
			}
		}
	}
	return len(s), "", ""
}

// Strings shorter than these are too short to be told from words and ids.
const (
	minRandom = 20
	minHex    = 32
)

// redactRandom hides runs of letters and digits that no person wrote: mixed
// cases and digits that change at nearly every step, and long hexadecimal
// strings that are not named as an id or a digest.
func redactRandom(s string) string {
	var b strings.Builder
	last := 0
	for i := 0; i < len(s); {
		if !tokenByte(s[i]) {
			i++
			continue
		}
		j := i
		for j < len(s) && tokenByte(s[j]) {
			j++
		}
		if j-i >= minRandom && random(s[i:j], s[:i]) {
			b.WriteString(s[last:i])
			b.WriteString(Redacted)
			last = j
		}
		i = j
	}
	if last == 0 {
		return s
	}
	b.WriteString(s[last:])
	return b.String()
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '_' || c == '-'
}

// random judges a token; before is what stands in front of it.
func random(t, before string) bool {
	// Lower case words and ids are joined by dashes and slashes: each part is judged.
	if !strings.ContainsFunc(t, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		for part := range strings.FieldsFuncSeq(t, func(r rune) bool { return r == '-' || r == '_' || r == '/' || r == '+' }) {
			if hexadecimal(part) {
				if len(part) >= minHex && !namedID(before) {
					return true
				}
				continue
			}
			if len(part) >= 24 && shuffled(part, 0.3) {
				return true
			}
		}
		return false
	}
	if hexadecimal(t) {
		return len(t) >= minHex && !namedID(before)
	}
	return shuffled(t, 0.4)
}

// namedID is true when the text just before a hexadecimal string names it as
// an id, a digest or a path of one: those are not secret and help.
func namedID(before string) bool {
	const look = 24
	if len(before) > look {
		before = before[len(before)-look:]
	}
	before = strings.ToLower(before)
	for _, w := range [...]string{"sha256:", "sha1:", "sha512:", "md5:", "trace", "span", "request", "correlation", "container", "commit", "digest", "image", "docker-", "build", "revision", "etag"} {
		if strings.Contains(before, w) {
			return true
		}
	}
	return false
}

func hexadecimal(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// shuffled is true when digits and letters (and cases) change at more than the
// given share of the steps, and a fifth of the string at least is not lower
// case. Words and paths change rarely, random text at every second step.
func shuffled(s string, share float64) bool {
	var changes, digit, upper, lower int
	prev := -1
	for i := 0; i < len(s); i++ {
		class := 3
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			class, digit = 0, digit+1
		case c >= 'A' && c <= 'Z':
			class, upper = 1, upper+1
		case c >= 'a' && c <= 'z':
			class, lower = 2, lower+1
		}
		if prev >= 0 && class != prev {
			changes++
		}
		prev = class
	}
	// Base64 of random bytes has at least some digits nearly always; a name
	// in CamelCase has none or one or two.
	if digit == 0 || (upper+digit)*5 < len(s) {
		return false
	}
	return float64(changes) >= share*float64(len(s)-1)
}

// eight is the first 8 bytes of s as a little-endian number.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
