package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

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
		if j-i >= minRandom {
			m.random(from+i, from+j)
		}
		i = j + 1
	}
}

// random hides s[from:to], or the parts of it where it is a path, if it is random.
func (m *masker) random(from, to int) {
	t := m.s[from:to]
	// Base64 has a slash at every 64th letter, a path has more.
	if strings.Count(t, "/") > 1+len(t)/24 || strings.HasPrefix(t, "/") {
		for i := from; i < to; {
			j := i
			for j < to && m.s[j] != '/' {
				j++
			}
			if j-i >= minRandom {
				m.random(i, j)
			}
			i = j + 1
		}
		return
	}
	padded := to < len(m.s) && m.s[to] == '='
	if random(t, asciiLower(m.s[max(0, from-40):from]), padded) {
		m.hide(from, to)
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
	if namedDigest(before, t) || rePublicKey.MatchString(before) {
		return false
	}
	if hexadecimal(t) {
		return len(t) >= minHex && namedKey(before) && !(len(t) == 40 && reSigner.MatchString(before))
	}
	if uuid(t) || strings.HasPrefix(t, "_ZN") || strings.HasPrefix(t, "_R") || plain(t) {
		return false
	}
	return shuffled(t, padded)
}

// rePublicKey is the name of a key that everybody may know, and its joint.
var rePublicKey = lazyre.New(`(?:public[ _-]?key|pubkey|\bpeer)["']?(?:\s*[:=]\s*|\s+)["']?$`)

// reSigner stands before the fingerprint of an OpenPGP key.
var reSigner = lazyre.New(`\b(?:rsa|dsa|eddsa|ecdsa|openpgp|pgp|gpg) key $`)

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
	if reNamedID.MatchString(before) && !hinted(before, "sess", "sid", "token", "secret", "key", "auth") {
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
	if hinted(before, "key id", "cache key", "public", "keyid", "fingerprint", "s3 key", "object key", "token id", "kernel key") {
		return false
	}
	return hinted(before, "key", "secret", "token", "hmac", "seed", "salt", "passw", "apikey", "credential")
}

// reNamedID is the name of an id and its joint: "cluster id: ", "topicId=".
var reNamedID = lazyre.New(`(?:\b|_|[a-z])(?:id|uuid|ulid|guid)["']?(?:\s*[:=]\s*|\s+)["']?$`)

func hexadecimal(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// plain is true where the parts of a name, but for its words and numbers, are short.
func plain(t string) bool {
	left := 0
	for part := range strings.FieldsFuncSeq(t, func(r rune) bool { return r == '-' || r == '_' }) {
		if reWordOrNumber.MatchString(part) || hexadecimal(part) {
			continue
		}
		left += len(part)
	}
	return left < minRandom*3/4
}

var reWordOrNumber = lazyre.New(`^(?:[A-Z]?[a-z]+|[A-Z]+|[0-9TZv]+|(?:[A-Z]?[a-z]{2,})+)$`)

// shuffled is true when digits, capitals and small letters take turns at more than
// a third of the steps, and each of them is there. Words and paths change rarely,
// random text at every second step. Signs between words do not count.
func shuffled(s string, padded bool) bool {
	var turns, steps, digit, upper, lower, signs, run, inWords int
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
		if class != 2 {
			run = 0
		} else if run++; run == 2 {
			inWords += 2
		} else if run > 2 {
			inWords++
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
	return float64(turns) >= 0.4*float64(steps) && inWords*20 < 9*len(s)
}
