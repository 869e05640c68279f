package redact

import (
	"regexp"
	"strings"
)

// A name that promises a secret where no ":" or "=" parts it from its value.
const secretName = `(?:[a-z0-9_.\-]*(?:passw(?:or)?d|passphrase|passcode|pwd|secret|token|credential|(?:api|access|account|private|signing|encryption|master|auth)[_.\-]?key|dsn|[_.\-](?:pass|pw))[a-z0-9_.\-]*|pass|pw)`

var (
	rePass = regexp.MustCompile(`(?i)^(?:pass|pw)$`)

	// Ways to write a name and its value: the groups are what stands before, with
	// the name in it as the second, the value, and what stands behind.
	secretForms = []struct {
		hint string
		re   *regexp.Regexp
	}{
		// Kubernetes, ECS, .NET: {"name":"X","value":"Y"}, - name: X value: Y, key="X" value="Y".
		{"value", regexp.MustCompile(`(?i)(\b(?:name|key)(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?(` + secretName + `)(?:\\*["'])?\s*,?\s*(?:\\*["'])?value(?:\\*["'])?\s*[:=]\s*)(\\*"[^"]*"?|'[^']*'?|[^\s"',}<>]+)()`)},
		// A pair in a list: ["X", "Y"], ('X', 'Y').
		{",", regexp.MustCompile(`(?i)([\[(]\s*\\*["'](` + secretName + `)\\*["']\s*,\s*)(\\*"[^"]*"|'[^']*')(\s*[\])])`)},
		// XML.
		{"</", regexp.MustCompile(`(?i)(<(` + secretName + `)(?:\s[^<>]*)?>)([^<]+)(</)`)},
		// In words.
		{" is ", regexp.MustCompile(`(?i)(\b(pass(?:word|phrase|code)|pwd)\s+is\s+)("[^"]*"?|'[^']*'?|\S+)()`)},
	}

	// What is said of a secret, and is none.
	reSaid = regexp.MustCompile(`^(?:[a-z]+(?:ed|ing)|a|an|the|in|on|at|by|for|from|to|with|of|as|no|not|now|only|also|being|already|never|still|too|very|same|different|weak|strong|short|long|unsafe|secure|insecure|valid|invalid|correct|incorrect|wrong|bad|empty|blank|missing|absent|optional|mandatory|necessary|set|unset|known|unknown|hidden|secret|visible|plain|yours?|case-sensitive|your|one|there|here|stale|old|new|about|where|what|how|longer|shorter|less|more|out)[.,;:!]?$`)
	// What is said of a test that passes.
	reResult = regexp.MustCompile(`(?i)^(?:[0-9]+/[0-9]+|ok|yes|no|y|n|on|off|pass|passed|fail|failed|skip|skipped|success|error|all|any|undefined)$`)
)

// redactForms hides secrets that are named in another way than key: value. lower is
// the line in lower case.
func redactForms(s, lower string) string {
	for _, f := range secretForms {
		if !strings.Contains(lower, f.hint) {
			continue
		}
		s = f.re.ReplaceAllStringFunc(s, func(m string) string {
			p := f.re.FindStringSubmatch(m)
			before, name, value, behind := p[1], p[2], p[3], p[4]
			bare := strings.Trim(value, `\"'`)
			switch {
			case bare == "" || bare == Redacted,
				reHarmless.MatchString(name) && reNumber.MatchString(bare),
				rePass.MatchString(name) && harmlessPass(value),
				f.hint == " is " && (reSaid.MatchString(bare) || reNumber.MatchString(bare) || reResult.MatchString(bare)):
				return m
			}
			return before + mask(value) + behind
		})
	}
	return s
}

// mask hides a value and leaves the quotes around it.
func mask(value string) string {
	open := value[:len(value)-len(strings.TrimLeft(value, `\"'`))]
	end := value[len(strings.TrimRight(value, `\"'`)):]
	return open + Redacted + end
}

// passAlone is true where the pass or pw at s[start:sepAt] is a name by itself and its
// value, from vs on, can be a secret. It is a result as well: pass=3, PASS: TestWeb.
func passAlone(s string, start, sepAt, vs int) bool {
	name, sep := s[start:sepAt], s[sepAt:vs]
	if !rePass.MatchString(name) || start > 0 && wordByte(s[start-1]) {
		return false
	}
	switch {
	case strings.Contains(sep, "="), lastQuote(strings.TrimRight(sep, ": \t")) != 0, strings.EqualFold(name, "pw"):
	case name == "pass" && strings.TrimLeft(s[:start], " \t-") == "": // a line of YAML
		if strings.ContainsAny(strings.TrimSpace(s[vs:]), " \t") {
			return false
		}
	default:
		return false
	}
	if vs < len(s) && s[vs] == '=' {
		return false // a comparison
	}
	const most = 100 // a result is short, and a line of many is not to be read for each
	v := s[vs:min(len(s), vs+most)]
	n, _, _ := value(v, sep)
	return !harmlessPass(v[:n])
}

// harmlessPass is true for the value of a pass that is a number or a result.
func harmlessPass(v string) bool {
	v = strings.Trim(v, "\\\"'`")
	if i := strings.IndexAny(v, " \t,;|"); i >= 0 {
		v = v[:i]
	}
	return v == "" || reNumber.MatchString(v) || reResult.MatchString(v)
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
