package redact

import (
	_ "embed"
	"strconv"
	"strings"
)

// A shape is a token that is known by how it begins. testdata is not needed to make
// one: shapes.txt has a row for each.
type shape struct {
	prefix string
	least  int    // letters behind the prefix
	of     string // kind of letters: hex, upper, any
}

//go:embed shapes.txt
var shapesText string

// shapesBy are the shapes by their first two letters.
var shapesBy = func() map[string][]shape {
	by := map[string][]shape{}
	for l := range strings.Lines(shapesText) {
		f := strings.Fields(l)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		least, _ := strconv.Atoi(f[1])
		by[f[0][:2]] = append(by[f[0][:2]], shape{f[0], least, f[2]})
	}
	return by
}()

// shaped is the length of the token of a known shape that s begins with, or 0.
func shaped(s string) int {
	if len(s) < 8 {
		return 0
	}
	for _, sh := range shapesBy[s[:2]] {
		if !strings.HasPrefix(s, sh.prefix) {
			continue
		}
		i := len(sh.prefix)
		for i < len(s) && sh.letter(s[i]) {
			i++
		}
		if i-len(sh.prefix) >= sh.least && (sh.of != "upper" || i == len(s) || !wordByte(s[i])) {
			return i
		}
	}
	return 0
}

func (sh shape) letter(c byte) bool {
	switch sh.of {
	case "hex":
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	case "upper":
		return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
	case "word":
		return wordByte(c) && c != '_'
	case "dots":
		return wordByte(c) || c == '-' || c == '.'
	}
	return wordByte(c) || c == '-' || c == '+' || c == '/' || c == '='
}
