// Package redact masks secrets in foreign text and makes it safe to print.
//
// Line looks for secrets by what announces them: a name ("password", "API_KEY", in
// twenty languages) and one of the ways in which programs join it to its value
// (names.go, joint.go, value.go), the arguments of common commands (command.go), the
// words of protocols, SQL and prose (phrases.go, prose.go), URLs (url.go), HTTP
// headers (header.go), the prefixes of vendors' tokens (shapes.go), and at last
// strings too random to be words (random.go). Each of them only marks a part of the
// line; render hides what is marked.
//
// testdata holds the corpus that it is measured by, secrets and harmless lines.
// testdata/README.md has the figures, and why no foreign rule set is used.
package redact

import (
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/oomwatch/oomwatch/internal/lazyre"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Bounds of Line. A line that would break one of them, or a rule, is hidden whole.
const (
	maxPasses = 8  // until another pass changes nothing
	maxGrowth = 4  // times the length of the line ...
	maxExtra  = 64 // ... and so many bytes
)

var (
	// ANSI sequences split names from values, so they go first.
	reANSI = lazyre.New(`\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[()][0-9A-Za-z])`)
	rePEM  = lazyre.New(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)`)
)

// Line hides what looks like a secret in one line of a container's log: values
// that a name, a command or a protocol promises to be one, Authorization and cookie
// headers, user and password of URLs, well-known token shapes, PEM blocks and
// strings too random to be words. Colour sequences are dropped. It takes time linear
// in the line; its answer is at most 4 times as long as the line and 64 bytes, and
// masking it again changes nothing. It cannot know every secret; what must never
// leave the host should not be logged.
func Line(line string) string { return repeated(line, pass) }

var faults atomic.Int64

// Faults counts the lines that were hidden whole because a rule panicked. Anyone may write
// a line: it must neither end the program nor be shown unmasked.
func Faults() int64 { return faults.Load() }

// repeated masks a line by pass again and again, until that changes nothing.
func repeated(line string, pass func(string) string) (out string) {
	defer func() {
		if recover() != nil {
			faults.Add(1)
			out = Redacted
		}
	}()
	s := line
	for range maxPasses {
		next := pass(s)
		if next == s {
			if len(s) > maxGrowth*len(line)+maxExtra {
				break
			}
			return s
		}
		s = next
	}
	return Redacted
}

// pass masks what is found by looking at s once.
func pass(s string) string {
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = reANSI.ReplaceAllString(s, "")
	}
	m := masker{s: s}
	if strings.Contains(s, "-----BEGIN ") {
		for _, p := range rePEM.FindAllStringIndex(s, -1) {
			m.hide(p[0], p[1])
		}
	}
	for at := 0; at < len(s); {
		at = m.window(at)
	}
	return m.render()
}

// A line is looked at in windows, which makes the work for a long one linear. A
// window reaches into the next one, so that a name and its value are seen together.
const (
	windowBytes  = 2048
	overlapBytes = 256
)

// window looks at one window, from a given place on. It returns where the next begins.
func (m *masker) window(at int) int {
	s := m.s
	end, next := len(s), len(s)
	if at+windowBytes+overlapBytes < len(s) {
		end, next = at+windowBytes+overlapBytes, at+windowBytes
		if i := strings.IndexByte(s[next:end], ' '); i >= 0 {
			next += i
		}
	}
	w := masker{s: s[at:end], lower: s[at:end], found: hintFinder().find(s[at:end])}
	if w.found != (hintSet{}) {
		w.lower = asciiLower(w.s)
	}
	w.urls()
	w.headers()
	w.names()
	w.commands()
	w.phrases()
	w.binds()
	w.positions()
	w.tokens()
	w.copies()
	for _, p := range w.spans {
		from, to := at+p[0], at+p[1]
		if to == end && end < len(s) { // a secret that is longer than the window
			if i := strings.IndexAny(s[end:], " \t\n\"'"); i >= 0 {
				to += i
			} else {
				to = len(s)
			}
			next = max(next, to)
		}
		m.hide(from, to)
	}
	return next
}

// A masker collects the parts of one line that are to be hidden.
type masker struct {
	s     string // the line
	lower string // the line with its ASCII letters in lower case
	found hintSet
	spans [][2]int
}

// hide marks s[from:to], unless it is empty or hidden already.
func (m *masker) hide(from, to int) {
	if from < to && m.s[from:to] != Redacted {
		m.spans = append(m.spans, [2]int{from, to})
	}
}

// maxCopies is of how many secrets of a window copies are looked for.
const maxCopies = 8

// copies hides what is hidden already wherever else it stands: a statement and its
// arguments, a password and its confirmation.
func (m *masker) copies() {
	for _, p := range m.spans[:min(len(m.spans), maxCopies)] {
		v := m.s[p[0]:p[1]]
		if len(v) < 6 || !looksSecret(v) && !hinted(v, "$") || strings.Count(m.s, v) == 1 {
			continue
		}
		for i := 0; ; {
			j := strings.Index(m.s[i:], v)
			if j < 0 {
				break
			}
			m.hide(i+j, i+j+len(v))
			i += j + len(v)
		}
	}
}

// render returns the line with Redacted in place of each marked part. Marks that
// overlap are one.
func (m *masker) render() string {
	if len(m.spans) == 0 {
		return m.s
	}
	slices.SortFunc(m.spans, func(a, b [2]int) int { return a[0] - b[0] })
	var b strings.Builder
	b.Grow(len(m.s) + len(Redacted)*len(m.spans))
	at := 0
	for i := 0; i < len(m.spans); {
		from, to := m.spans[i][0], m.spans[i][1]
		for i++; i < len(m.spans) && m.spans[i][0] < to; i++ {
			to = max(to, m.spans[i][1])
		}
		b.WriteString(m.s[at:from])
		b.WriteString(Redacted)
		at = to
	}
	b.WriteString(m.s[at:])
	return b.String()
}

// asciiLower keeps the length of the text, which strings.ToLower does not.
func asciiLower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// hinted is true when a line, in lower case, holds one of the words.
func hinted(lower string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
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
