package cgroup

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// unescapeUnit undoes systemd's \xNN ("\x2d" is "-"). A name that would decode
// to control characters or broken UTF-8 stays as it is.
func unescapeUnit(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' && isHex(s[i+2:i+4]) {
			b = append(b, unhex(s[i+2])<<4|unhex(s[i+3]))
			i += 3
			continue
		}
		b = append(b, s[i])
	}
	if !utf8.Valid(b) {
		return s
	}
	out := string(b)
	if strings.ContainsFunc(out, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return out
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// foreign is true for a component that holds a comma or a control character.
func foreign(c string) bool {
	for i := range len(c) {
		if c[i] == ',' || c[i] < ' ' || c[i] == 0x7f {
			return true
		}
	}
	return false
}

// isID is true for the id of an OCI container: 64 lower-case hex digits.
func isID(s string) bool { return len(s) == 64 && isHex(s) }

// damagedID is true for what is left of an id that was shortened (hex digits)
// or masked (x, *, or anything that cannot be in a unit's name).
func damagedID(s string) bool {
	masked := strings.Trim(s, "xX*.") == ""
	for i := 0; !masked && i < len(s); i++ {
		c := s[i]
		masked = c >= utf8.RuneSelf || strings.IndexByte("*<>[]{}#?$ ", c) >= 0
	}
	return masked || isHex(s)
}

// shortestID is how many digits engines print of an id at least.
const shortestID = 12

// shortenedID is the beginning of an id, where enough of it is left to find it by; else "".
func shortenedID(s string) string {
	if len(s) >= shortestID && len(s) < 64 && isHex(s) {
		return s
	}
	return ""
}

// SameID is true for two ids of one container, of which one may be shortened.
func SameID(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || len(a) >= shortestID && strings.HasPrefix(b, a)
}

// isBuildStep is true for BuildKit's 25 base-36 digits.
func isBuildStep(s string) bool {
	if len(s) != 25 || isHex(s) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// isPodUID is true for a UUID with the given separator, or the 32 hex digits of
// a static pod.
func isPodUID(s string, sep byte) bool {
	if len(s) == 32 {
		return isHex(s)
	}
	if len(s) != 36 {
		return false
	}
	return s[8] == sep && s[13] == sep && s[18] == sep && s[23] == sep &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
