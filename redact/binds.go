package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strconv"
	"strings"
)

// Statements are logged apart from their values: "... set password=$2 where id=$1"
// beside params=["7","x"], or "$2 = 'x'".
var (
	reBound  = lazyre.New("([A-Za-z_][A-Za-z0-9_.]*)[\"`\\]]?\\s*=\\s*(?:[a-z_0-9]+\\()?(\\$[0-9]{1,3}|\\?|%s)")
	reValues = lazyre.New(`\b(?i:param(?:eter)?s?|args?|arguments|bind(?:s|ings?|ing_params)?|values)\\*["']?\s*[:=]?\s*[\[(]|[;)]\s+\[`)
	reHolder = lazyre.New(`\$[0-9]{1,3}|\?|%s`)

	bindHints = hinting("param&$", "param&?", "param&%s", "args&$", "args&?", "args&%s", "bind&$", "bind&?", "arguments&?", "arguments&$", "values&$1", "values&?")
)

// binds hides the values that are bound to columns with a promising name.
func (m *masker) binds() {
	if !bindHints.met(m.found) {
		return
	}
	for _, p := range reBound.FindAllStringSubmatchIndex(m.s, 32) {
		if classify(m.s[p[2]:p[3]]) != noPromise {
			m.bound(p[4], m.s[p[4]:p[5]])
		}
	}
	for _, p := range reInsert.FindAllStringSubmatchIndex(m.s, 4) {
		if p[2] < 0 {
			continue
		}
		holders := reHolder.FindAllStringIndex(m.s[p[1]:], 64)
		k := 0
		for c := range strings.SplitSeq(m.s[p[2]:p[3]], ",") {
			if k < len(holders) && classify(strings.Trim(c, " \"`[]'\\")) != noPromise {
				m.bound(p[1]+holders[k][0], m.s[p[1]+holders[k][0]:p[1]+holders[k][1]])
			}
			k++
		}
	}
}

// bound hides what is bound to the placeholder that stands at a place.
func (m *masker) bound(at int, holder string) {
	n := 0
	if holder[0] == '$' {
		n, _ = strconv.Atoi(holder[1:])
		for i := 0; ; { // $2 = 'x'
			j := strings.Index(m.s[i:], holder+" = ")
			if j < 0 {
				break
			}
			i += j + len(holder) + 3
			if i < len(m.s) && m.s[i] == '\'' {
				m.hide(i+1, i+1+quotedEnd(m.s[i+1:], "'"))
			}
		}
	} else {
		n = strings.Count(m.s[:at], holder) + 1
	}
	list := reValues.FindAllStringIndex(m.s, 8)
	for _, l := range list {
		if i, j := element(m.s, l[1], n); i < j && !reHolder.MatchString(m.s[i:j]) {
			m.hide(i, j)
		}
	}
}

// element is where the nth element of the list stands whose first begins at i.
func element(s string, i, n int) (from, to int) {
	for k := 1; i < len(s); k++ {
		i = blanks(s, i)
		if c := closer(s[min(i, len(s)):]); c > 0 {
			from, to = i+c, i+c+quotedEnd(s[i+c:], s[i:i+c])
			i = min(len(s), to+c)
		} else {
			from = i
			for i < len(s) && strings.IndexByte(",])", s[i]) < 0 {
				i++
			}
			to = i
		}
		if k == n {
			return from, to
		}
		for i < len(s) && s[i] != ',' {
			if s[i] == ']' || s[i] == ')' {
				return 0, 0
			}
			i++
		}
		i++
	}
	return 0, 0
}
