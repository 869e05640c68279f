package redact

import "strings"

// Strings shorter than these are too short to be told from words and ids.
const (
	minShape  = 12
	minRandom = 20
	minHex    = 32
)

// tokens hides tokens of known shapes, and runs of letters and digits that no person
// wrote: mixed cases and digits that change at nearly every step, and hexadecimal
// strings that the words before them call a key.
func (m *masker) tokens() {
	s := m.s
	for i := 0; i < len(s); {
		if !tokenByte(s[i]) {
			i++
			continue
		}
		j := i + 1
		for j < len(s) && (tokenByte(s[j]) || s[j] == '.') {
			j++
		}
		if j-i >= minShape {
			m.token(i, j)
		}
		i = j
	}
}

// token judges the run s[from:to].
func (m *masker) token(from, to int) {
	s := m.s[from:to]
	// A token begins where the run does, or behind one of the signs within it.
	for i := 0; i < len(s); {
		if n := shaped(s[i:]); n > 0 {
			m.hide(from+i, from+i+n)
			if i+n < len(s) && strings.HasPrefix(s[i+n:], ".") {
				n++
			}
			i += n
		} else if n := jwt(s[i:]); n > 0 {
			m.hide(from+i, from+i+n)
			i += n
		}
		next := strings.IndexAny(s[min(len(s), i):], "/+.-_")
		if next < 0 {
			break
		}
		i += next + 1
	}
	if newRelic(s) {
		m.hide(from, to)
		return
	}
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] != '.' {
			j++
		}
		if j-i >= minRandom && random(s[i:j], m.lower[:from+i], to < len(m.s) && m.s[to] == '=' && j == len(s)) {
			m.hide(from+i, from+j)
		}
		i = j + 1
	}
}

// jwt is the length of the JSON web token that s begins with, or 0.
func jwt(s string) int {
	if !strings.HasPrefix(s, "eyJ") {
		return 0
	}
	i := strings.IndexByte(s, '.')
	if i < 9 || len(s)-i < 5 {
		return 0
	}
	return len(strings.TrimRight(s, "."))
}

func newRelic(s string) bool {
	return len(s) == 40 && strings.HasSuffix(s, "NRAL") && hexadecimal(s[:36])
}

func tokenByte(c byte) bool {
	return wordByte(c) || c == '+' || c == '/' || c == '-'
}

// random judges a token; before is what stands in front of it, in lower case.
func random(t, before string, padded bool) bool {
	if namedDigest(before, t) {
		return false
	}
	if hexadecimal(t) {
		return len(t) >= minHex && namedKey(before)
	}
	// A path is judged by its parts: base64 has a slash at every 64th letter.
	if strings.Count(t, "/") > 1+len(t)/24 || strings.HasPrefix(t, "/") {
		for part := range strings.SplitSeq(t, "/") {
			if len(part) >= minRandom && random(part, before, false) {
				return true
			}
		}
		return false
	}
	if uuid(t) {
		return false
	}
	return shuffled(t, padded)
}

// uuid is true where a token is groups of hexadecimal letters and dashes.
func uuid(t string) bool {
	return strings.Contains(t, "-") && strings.Trim(t, "0123456789abcdefABCDEF-") == ""
}

// namedDigest is true when the text just before a string names it as a digest or an
// id: those are not secret and help.
func namedDigest(before, t string) bool {
	const look = 24
	if len(before) > look {
		before = before[len(before)-look:]
	}
	if strings.HasPrefix(t, "sha256-") || strings.HasPrefix(t, "sha384-") || strings.HasPrefix(t, "sha512-") {
		return true
	}
	return strings.HasSuffix(before, "h1:") || hinted(before, "sha256:", "sha1:", "sha512:", "md5:", "digest", "etag", "integrity", "fingerprint", "checksum")
}

// namedKey is true when the words before a hexadecimal string call it a key.
func namedKey(before string) bool {
	const look = 16
	if len(before) > look {
		before = before[len(before)-look:]
	}
	if hinted(before, "key id", "cache key", "public", "keyid", "fingerprint", "s3 key", "object key", "token id") {
		return false
	}
	return hinted(before, "key", "secret", "token", "hmac", "seed", "salt", "passw", "apikey", "credential")
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

// shuffled is true when digits, capitals and small letters take turns at more than
// a third of the steps, and each of them is there. Words and paths change rarely,
// random text at every second step. Signs between words do not count.
func shuffled(s string, padded bool) bool {
	var turns, steps, digit, upper, lower, signs int
	prev := -1
	for i := 0; i < len(s); i++ {
		class := -1
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			class, digit = 0, digit+1
		case c >= 'A' && c <= 'Z':
			class, upper = 1, upper+1
		case c >= 'a' && c <= 'z':
			class, lower = 2, lower+1
		default:
			signs++
		}
		if prev >= 0 && class >= 0 {
			steps++
			if class != prev {
				turns++
			}
		}
		prev = class
	}
	if upper == 0 && lower >= 24 && signs == 0 && digit >= 6 {
		return float64(turns) >= 0.3*float64(steps) // base36
	}
	if digit < 2 && !padded || upper < 3 || lower < 3 || signs > 1+len(s)/10 {
		return false
	}
	return float64(turns) >= 0.4*float64(steps)
}
