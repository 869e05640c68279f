package render

import (
	"strings"
	"unicode/utf8"
)

// wrap breaks text at blanks into lines of at most first and then rest columns.
func wrap(text string, first, rest int) []string {
	first, rest = max(first, 10), max(rest, 10)
	var lines []string
	line, width := "", first
	flush := func() {
		lines = append(lines, line)
		line, width = "", rest
	}
	for _, word := range strings.Fields(text) {
		for {
			have := utf8.RuneCountInString(line)
			n := utf8.RuneCountInString(word)
			space := 0
			if have > 0 {
				space = 1
			}
			if have+space+n <= width {
				if space == 1 {
					line += " "
				}
				line += word
				break
			}
			if n > width && width-have-space > width/3 {
				// Longer than any line: fill this one and go on.
				cut := RuneIndex(word, width-have-space)
				// After a comma where there is one near: the kernel's lists read better.
				if c := strings.LastIndexByte(word[:cut], ',') + 1; c > cut/3 {
					cut = c
				}
				if space == 1 {
					line += " "
				}
				line += word[:cut]
				word = word[cut:]
			}
			flush()
			if word == "" {
				break
			}
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// RuneIndex is the byte offset of the n-th rune of s.
func RuneIndex(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// Clip shortens s to at most width characters.
func Clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return s[:RuneIndex(s, width-1)] + "…"
}

// ClipBytes is Clip for limits that count bytes. s is UTF-8.
func ClipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// Pieces cuts a text of at most whole characters into pieces of at most each, at
// ends of lines where there are any.
func Pieces(text string, whole, each int) []string {
	text = ClipEscaped(strings.TrimRight(text, "\n"), max(whole, 1))
	var out []string
	for utf8.RuneCountInString(text) > each {
		cut := RuneIndex(text, each)
		if i := strings.LastIndexByte(text[:cut], '\n'); i > 0 {
			cut = i
		} else if i := strings.LastIndexByte(text[:cut], '&'); i > 0 && cut-i < 6 {
			cut = i // not through an &amp;
		}
		out = append(out, text[:cut])
		text = strings.TrimPrefix(text[cut:], "\n")
	}
	if strings.TrimSpace(text) != "" {
		out = append(out, text)
	}
	return out
}

// ClipEscaped shortens text without leaving half an &amp;.
func ClipEscaped(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = s[:RuneIndex(s, n-1)]
	if i := strings.LastIndexByte(s, '&'); i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return s + "…"
}
