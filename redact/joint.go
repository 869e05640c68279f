package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// A joint is how a name and its value are joined.
type joint byte

const (
	noJoint joint = iota
	byEquals
	byColon  // "name:value"
	byColons // "name: value": an unquoted value may hold blanks
	byArrow
	byCompare // ==, !=: the value may be code
	byComma   // an element of a list or an argument array
	byTab
	byCell  // a row of a table
	bySpace // an argument behind its flag
)

// closers stand between a name and its joint: the end of a quote, as it is and as it
// is escaped.
var closers = []string{`"`, `'`, "`", `&quot;`, `&#34;`, `&#39;`, `%22`, `%27`, `\u0022`, `\u0027`, `”`, `’`, `»`, `“`}

// joints, the longer before the shorter.
var joints = []struct {
	text string
	is   joint
}{
	{":::=", byEquals}, {"::=", byEquals}, {".=", byEquals}, {"||=", byEquals}, {"??=", byEquals}, {"|=", byEquals}, {"~=", byEquals}, {"-=", byEquals}, {"||", byEquals},
	{"===", byCompare}, {"!==", byCompare}, {"==", byCompare}, {"!=", byCompare}, {"=>", byArrow}, {":=", byEquals}, {"::", byColon},
	{"=", byEquals}, {":", byColon}, {"->", byArrow}, {"<-", byArrow}, {"→", byArrow}, {"：", byColon}, {"＝", byEquals},
	{"%3d", byEquals}, {"%3a", byColon}, {`\u003d`, byEquals}, {`\u003a`, byColon}, {"&#61;", byEquals}, {"+=", byEquals}, {"?=", byEquals},
}

var (
	reTime     = lazyre.New(`^[0-9.:]+[a-z%]{0,2}(?:\s|$)`)
	reUser     = lazyre.New(`\b(?:user(?:name)?|login|email)\s*[:=]\s*\S+\s*$`)
	reNumbered = lazyre.New(`^ #?[0-9]{1,2}[:=]`)
	// What PHP prints behind the name of a property: "password":"App\Db":private]=>.
	reProperty = lazyre.New(`^:(?:"?[A-Za-z0-9_\\]+"?:)?(?:private|protected)\]`)
	reLeader   = lazyre.New(`^(?:\.{3,}|-{4,}|_{4,}) ?(?:[:=] ?)?`)
)

// reMember is what stands before the key of a hash in Perl.
var reMember = lazyre.New(`[$>A-Za-z0-9_\]}]\{["']?$`)

// reDeclared is the type in a declaration: password As String = "x".
var reDeclared = lazyre.New(`^(?:[Aa]s )?[*]?[A-Za-z_][A-Za-z0-9_.\[\]]* :?= ?`)

// prefixOf returns the member of list that s begins with, or "".
func prefixOf(s string, list []string) string {
	for _, p := range list {
		if strings.HasPrefix(s, p) {
			return p
		}
	}
	return ""
}

// closer is the length of the escaped or plain quote that s begins with, or 0.
func closer(s string) int {
	i := 0
	for i < len(s) && i < 16 && s[i] == '\\' {
		i++
	}
	if i < len(s) && i > 0 && s[i] != '"' && s[i] != '\'' && s[i] != 'u' {
		return 0
	}
	if i > 0 && i < len(s) && s[i] == 'u' {
		i--
	}
	if q := prefixOf(s[i:], closers); q != "" {
		return i + len(q)
	}
	return 0
}

func blanks(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

// A link is a joint as it was found behind a name.
type link struct {
	is     joint
	quoted bool // the name stands in quotes
	at     int  // where the value begins, after blanks
}

// link reads what stands behind the name that ends at i.
func (m *masker) link(nm name) link {
	s := m.s
	i := nm.to
	l := link{at: i}
	for range 4 {
		if n := closer(s[i:]); n > 0 {
			l.quoted = true
			i += n
			continue
		}
		if i+1 < len(s) && (s[i] == '!' || s[i] == '?') && s[i+1] == ':' {
			i++ // password!: string
			continue
		}
		if i < len(s) && s[i] == '}' && reMember.MatchString(s[max(0, nm.from-24):nm.from]) {
			i++ // $ENV{DB_PASSWORD} = "x"
			continue
		}
		if i < len(s) && (s[i] == ']' || s[i] == ')') && i+1 < len(s) && (l.quoted || strings.IndexByte(" =:]", s[i+1]) >= 0) {
			i++
			continue
		}
		break
	}
	if l.quoted || nm.from > 0 && m.s[nm.from-1] == '[' {
		i += len(reProperty.FindString(s[i:min(len(s), i+100)]))
	}
	if nm.from > 0 && s[nm.from-1] == '$' && strings.HasPrefix(s[i:], ` [1] "`) { // R
		l.is, l.at = byEquals, i+len(" [1] ")
		return l
	}
	if n := len(reNumbered.FindString(s[i:min(len(s), i+8)])); n > 0 {
		i += n - 1 // Unseal Key 1: x
	}
	if n := len(reLeader.FindString(s[i:])); n > 0 {
		l.is, l.at = byEquals, i+n // password.......x
		return l
	}
	sep := blanks(s, i)
	if rest := m.lower[sep:min(len(s), sep+8)]; rest != "" {
		for _, j := range joints {
			if !strings.HasPrefix(rest, j.text) {
				continue
			}
			l.is, l.at = j.is, blanks(s, sep+len(j.text))
			if j.is == byColon && (l.at > sep+len(j.text) || j.text == "：") {
				l.is = byColons
			}
			return l
		}
		switch {
		case rest[0] == ';' && l.quoted && phpLength(s[sep+1:]) > 0: // s:8:"password";s:7:"..."
			l.is, l.at = byArrow, sep+1+phpLength(s[sep+1:])
			return l
		case rest[0] == ',':
			l.is, l.at = byComma, blanks(s, sep+1)
			return l
		case rest[0] == '|':
			l.is, l.at = byCell, blanks(s, sep+1)
			return l
		case rest[0] == '.' && blanks(s, sep+1) > sep+1 && sep > i: // (password . "x")
			l.is, l.at = byArrow, blanks(s, sep+1)
			return l
		}
	}
	if sep > i && sep < len(s) {
		if n := len(reDeclared.FindString(s[sep:min(len(s), sep+60)])); n > 0 {
			l.is, l.at = byEquals, sep+n
			return l
		}
		l.is, l.at = bySpace, sep
		if strings.IndexByte(s[i:sep], '\t') >= 0 && !l.quoted {
			l.is = byTab
		}
	}
	if sep == i && i < len(s) && (s[i] == '(' || s[i] == '[' && i+1 < len(s) && closer(s[i+1:]) == 0) && !l.quoted {
		l.is, l.at = byColon, i // token(...), judged as a value in brackets
	}
	return l
}

// phpLength is the length of PHP's "s:9:" that s begins with, or 0.
func phpLength(s string) int {
	if !strings.HasPrefix(s, "s:") {
		return 0
	}
	i := 2
	for i < len(s) && i < 12 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i > 2 && i < len(s) && s[i] == ':' {
		return i + 1
	}
	return 0
}

// valueOf hides the value of a name. It returns where what it hid ends, or 0.
func (m *masker) valueOf(nm name) int {
	if m.xmlText(nm) || m.namedValue(nm) {
		return 0
	}
	l := m.link(nm)
	if l.at >= len(m.s) {
		return 0
	}
	switch l.is {
	case byComma:
		if !m.pairs(nm, l) {
			return 0
		}
	case byCell:
		if !m.cells(nm, l) {
			return 0
		}
	case bySpace:
		if !m.spaced(nm, l) {
			return m.prose(nm, l)
		}
	case byTab:
		if nm.is == isWeak || nm.from > 0 && m.s[nm.from-1] == '/' || reTime.MatchString(m.s[l.at:]) {
			return 0
		}
	case noJoint:
		return 0
	}
	if nm.is == isWeak && !m.weak(nm, l) {
		return 0
	}
	return m.hideValue(nm, l)
}

// pairs is true where name and value are two elements that belong together: the
// only two of a list, or a flag and its argument.
func (m *masker) pairs(nm name, l link) bool {
	if l.quoted && nm.flag {
		return true
	}
	open := nm.from
	if l.quoted {
		for open > 0 && (strings.IndexByte(`"'\`+"`", m.s[open-1]) >= 0 || strings.HasSuffix(m.s[:open], "b'") || strings.HasSuffix(m.s[:open], "<<\"")) {
			open--
		}
		if open >= 6 && m.s[open-6:open] == "&quot;" {
			open -= 6
		}
	}
	for open > 0 && m.s[open-1] == ' ' {
		open--
	}
	if open == 0 || strings.IndexByte("[({", m.s[open-1]) < 0 {
		return false
	}
	v := m.read(l.at, nm, l)
	end := blanks(m.s, v.after)
	for end < len(m.s) && m.s[end] == '>' {
		end++
	}
	return v.to > v.from && end < len(m.s) && strings.IndexByte("])}", m.s[end]) >= 0 && (v.quoted == l.quoted || !l.quoted)
}

// cells is true where a row of a table has two cells, the name and its value.
func (m *masker) cells(nm name, l link) bool {
	if strings.Trim(m.s[:nm.from], " |\t") != "" || nm.is == isWeak {
		return false
	}
	rest := strings.TrimRight(m.s[l.at:], " |\t")
	return rest != "" && !strings.ContainsAny(rest, "| ")
}

// weak is true where a short name such as pass stands for a secret and not for the
// result of a test.
func (m *masker) weak(nm name, l link) bool {
	if nm.flag {
		return true
	}
	v := m.s[l.at:min(len(m.s), l.at+100)]
	switch {
	case l.is == byEquals, l.is == byArrow, l.quoted && l.is != bySpace, strings.EqualFold(nm.text, "pw"):
	case (l.is == byColons || l.is == byColon) && closer(v) > 0:
	case (l.is == byColons || l.is == byColon) && closer(v[len(reType.FindString(v)):]) > 0: // pass: String = "x"
	case l.is == byColon && strings.ContainsAny(m.s[max(0, nm.from-100):nm.from], "{[("): // Go's %+v
	case l.is == byColons && nm.text == strings.ToLower(nm.text) && reUser.MatchString(m.lower[max(0, nm.from-60):nm.from]):
	case nm.text == "pass" && l.is == byColons && strings.Trim(m.s[:nm.from], " \t-") == "" && !strings.ContainsAny(strings.TrimSpace(m.s[l.at:]), " \t"):
	default:
		return false
	}
	if strings.HasSuffix(strings.ToLower(nm.text), "key") {
		w := firstWord(v)
		return len(w) >= 8 && hasDigit(w) && hasLetter(w)
	}
	w := strings.TrimRight(firstWord(strings.TrimLeft(v, "\\\"'`")), "\\\"'`}])")
	if len(w) >= 6 && digits(w) && (closer(v) > 0 || reUser.MatchString(m.lower[max(0, nm.from-60):nm.from])) {
		return true // a number of tests has no quotes, and no user beside it
	}
	return !reResult.MatchString(w)
}

// xmlText hides the text of an XML element with a promising name, or with a
// promising attribute name: <password>x</password>, <entry key="password">x</entry>.
func (m *masker) xmlText(nm name) bool {
	s := m.s
	open, end := "<", ">"
	i := nm.to
	before := s[max(0, nm.from-40):nm.from]
	if at := strings.LastIndexAny(before, "<;"); at < 0 {
		return false
	} else if strings.HasSuffix(before[:at+1], "&lt;") {
		open, end = "&lt;", "&gt;"
		before = before[at+1:]
	} else if before[at] == '<' {
		before = before[at+1:]
	} else {
		return false
	}
	element := before == "" || strings.HasSuffix(before, ":") && !strings.ContainsAny(before, " \"=")
	attribute := hinted(strings.ToLower(before), `name="`, `key="`, `name='`, `key='`, `id="`)
	plist := strings.EqualFold(before, "key>") || strings.EqualFold(before, "name>")
	if !element && !attribute && !plist {
		return false
	}
	const look = 200
	stop := min(len(s), i+look)
	if plist { // <key>password</key><string>x</string>
		i = nextText(s, i, stop)
		if i == 0 {
			return false
		}
	} else {
		j := strings.Index(s[i:stop], end)
		if j < 0 || strings.HasSuffix(s[i:i+j], "/") || strings.Contains(s[i:i+j], open) || attribute && hinted(strings.ToLower(s[i:i+j]), "value=") {
			return false
		}
		i += j + len(end)
		// <setting name="Token"><value>x</value></setting>
		if n := len(reElement.FindString(s[i:min(len(s), i+60)])); n > 0 && attribute {
			i += n
		}
	}
	text, closing := s[i:], open
	if rest, ok := strings.CutPrefix(text, "<![CDATA["); ok {
		i, text, closing = i+len(text)-len(rest), rest, "]]>"
	}
	j := strings.Index(text, closing)
	if j <= 0 || strings.TrimSpace(text[:j]) == "" || harmlessValue(text[:j], nm.is, true) || nm.is == isWeak && reResult.MatchString(text[:j]) ||
		strings.HasSuffix(strings.ToLower(nm.text), "s") && digits(text[:j]) {
		return false
	}
	m.hide(i, i+j)
	return true
}

var reElement = lazyre.New(`^\s*<[A-Za-z][A-Za-z0-9:]*(?: [^<>]*)?>`)

// nextText is where the text of the next element begins, or 0: behind </key><string>.
func nextText(s string, i, stop int) int {
	for range 2 {
		if i >= stop || s[blanks(s, i):][:min(1, len(s)-blanks(s, i))] != "<" {
			return 0
		}
		j := strings.IndexByte(s[i:stop], '>')
		if j < 0 {
			return 0
		}
		i += j + 1
	}
	return i
}
