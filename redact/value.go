package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// A read is what was understood of the text behind a joint.
type read struct {
	from, to int // the value, without its quotes and brackets
	after    int // behind them
	quoted   bool
	open     byte // the bracket it stands in, or 0
	called   bool // in the brackets of a function that is not known
}

// wrappers are types and functions in whose brackets a value stands as it is.
var wrappers = wordSet(`some ok just optional option right left string str bytes bytearray byte rune uint8 char text literal secret secretstr secretstring secretbytes secretvalue password
	box rc arc cow owned borrowed value redacted sensitive token nsstring new jstring buffer base64 b64 credential zeroizing utf8string sql.nullstring nullstring quote repr to_securestring convertto-securestring pointer
	q qq cstring varchar nvarchar char array chararray sensitivestring guardedstring protectedstring plaintext plain secrettext utf8 valueof uint8array present defined`)

var (
	// A type between a name and "=": password: Option<String> = "x".
	reType = lazyre.New(`^&?(?:'[a-z]+ )?(?:mut )?[A-Za-z_][A-Za-z0-9_.:]*(?:[<\[][A-Za-z0-9_., &<>\[\]|]{0,40}[>\]])?[?*]?(?:\s*\|\s*[A-Za-z]+)?\s+=\s+`)
	// What debug printers put before a string.
	rePrinted = lazyre.New(`^(?:string ?\([0-9]+\) |string (?:')|s:[0-9]+:|\(\*?[a-z.]+\)\((?:0x[0-9a-f]+\)\()?(?:\(len=[0-9]+\) )?|Optional<String> - some : |!!?[a-z]+ |[|>][-+]? |\([a-z]+\) (?:\(len=[0-9]+\) )?|<<|r#+|\[\](?:byte|uint8|rune|string)[({]|\*?&)`)
	// A prefix of a string: b"x", @"x", N'x', $'x'.
	rePrefix = lazyre.New(`^(?:[bBuUrRfFLN@$]{1,2}|u8)["']`)
	// A function, a type or a constructor, and its bracket.
	reCall = lazyre.New(`^(?:new |await |\(\) => )?[*&]?([A-Za-z_][A-Za-z0-9_.:\-]{0,40})(?:[!]?[(\[]| (?:["(']))`)
)

// read finds the value that begins at i.
func (m *masker) read(i int, nm name, l link) read {
	s := m.s
	open, called := byte(0), false
	for range 6 {
		i = blanks(s, i)
		rest := s[i:min(len(s), i+120)]
		if rest == "" {
			return read{from: i, to: i, after: i}
		}
		if c := rest[0]; c == '"' || c == '\'' || c == '`' || c == '\\' {
			break
		}
		if n := len(reType.FindString(rest)); n > 0 && l.is == byColons {
			i += n
			continue
		}
		if n := len(rePrinted.FindString(rest)); n > 0 {
			if strings.IndexByte("'({", rest[n-1]) >= 0 && n > 1 && !strings.HasPrefix(rest, "(") {
				n-- // the quote or the bracket is the value's
			}
			i += n
			continue
		}
		if n := len(rePrefix.FindString(rest)); n > 0 {
			i += n - 1
			break
		}
		if c := reCall.FindStringSubmatchIndex(rest); c != nil {
			word := rest[c[2]:c[3]]
			last := strings.ToLower(word[strings.LastIndexAny(word, ".:")+1:])
			bracket := rest[c[1]-1]
			if !wrappers[last] && !wrappers[strings.ToLower(word)] {
				if bracket != '(' || rest[c[1]-2] == ' ' {
					break
				}
				called = true
				break
			}
			if bracket == '"' || bracket == '\'' || bracket == '(' && rest[c[1]-2] == ' ' {
				if last != "just" && last != "right" && last != "left" && last != "some" && last != "string" {
					break
				}
				i += c[1] - 1
				continue
			}
			open = bracket
			i += c[1]
			continue
		}
		break
	}
	v := m.measure(i, nm, l)
	v.called = called
	if v.open == 0 {
		v.open = open
	}
	return v
}

// measure finds the end of the value that begins at i.
func (m *masker) measure(i int, nm name, l link) read {
	s := m.s
	if n := closer(s[i:]); n > 0 && !strings.HasPrefix(s[i:], "%2") || n > 0 && strings.HasPrefix(s[i:], "%22") {
		q := s[i : i+n]
		if n == 1 && strings.HasPrefix(s[i+1:], q+q) && strings.Contains(s[i+3:], q+q+q) {
			q = q + q + q // Python and TOML
		}
		from := i + len(q)
		if q == "„" || q == "“" {
			q = "”"
		}
		if q == "»" {
			q = "«"
		}
		to := from + quotedEnd(s[from:], q)
		return read{from: from, to: to, after: min(len(s), to+len(q)), quoted: true}
	}
	if strings.HasPrefix(s[i:], "„") {
		from := i + len("„")
		if j := strings.IndexAny(s[from:], "“”\""); j >= 0 {
			return read{from: from, to: from + j, after: from + j + 1, quoted: true}
		}
	}
	if strings.HasPrefix(s[i:], "<![CDATA[") {
		from := i + len("<![CDATA[")
		if j := strings.Index(s[from:], "]]>"); j >= 0 {
			return read{from: from, to: from + j, after: from + j + 3, quoted: true}
		}
	}
	if c := s[i]; strings.IndexByte("[({<", c) >= 0 && !strings.HasPrefix(s[i:], Redacted) {
		if n := bracketEnd(s[i:]); n > 0 {
			for c == '{' && l.is == byEquals && i+n+2 < len(s) && s[i+n+1] == '}' && (wordByte(s[i+n+2]) || s[i+n+2] == ';') {
				j := strings.IndexByte(s[i+n+2:], '}') // ODBC doubles a brace in a value
				if j < 0 {
					break
				}
				n += j + 2
			}
			v := read{from: i + 1, to: i + n, after: i + n + 1, open: c}
			if t := s[v.from:v.to]; len(t) > 1 && (t[0] == '"' || t[0] == '\'') && strings.IndexByte(t[1:], t[0]) == len(t)-2 {
				v.from, v.to, v.quoted = v.from+1, v.to-1, true
			}
			return v
		}
	}
	to := i + bareEnd(m.lower[i:], l.is, m.parameter(nm))
	return read{from: i, to: to, after: to}
}

// quotedEnd is the length of s up to the closing quote q. A plain quote is escaped by
// an odd number of backslashes.
func quotedEnd(s, q string) int {
	if len(q) > 1 {
		if j := strings.Index(s, q); j >= 0 {
			return j
		}
		return len(s)
	}
	slashes := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			slashes++
			continue
		case s[i] == q[0] && slashes%2 == 0:
			return i
		}
		slashes = 0
	}
	return len(s)
}

// maxBracket is how far the end of a bracket is looked for.
const maxBracket = 1024

// bracketEnd is the index of the bracket that closes the one s begins with, or 0.
func bracketEnd(s string) int {
	open := s[0]
	closing := map[byte]byte{'[': ']', '(': ')', '{': '}', '<': '>'}[open]
	depth := 0
	quote := byte(0)
	for i := 0; i < len(s) && i < maxBracket; i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"':
			quote = c
		case c == open:
			depth++
		case c == closing:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	if quote != 0 {
		if i := strings.IndexByte(s[:min(len(s), maxBracket)], closing); i > 0 {
			return i
		}
	}
	return 0
}

// bareEnd is the length of a value without quotes. After a colon and a blank it may
// hold blanks. An ampersand ends it where another pair follows, unless what it stands in
// parts its pairs by semicolons. lower is in lower case.
func bareEnd(lower string, is joint, semicolons bool) int {
	s := lower
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\n', '\r', '"', '`':
			return i
		case '&':
			if i == 0 || closer(s[i:]) > 0 || !semicolons && (i+1 == len(s) || pairBegins(s[i+1:]) || reEntity.MatchString(s[i:])) {
				return i
			}
		case '<', '>', '\'', '|', '\t':
			if i > 0 {
				return i
			}
		case '\\':
			if n := closer(s[i:]); n > 0 || strings.HasPrefix(s[i:], `\n`) || strings.HasPrefix(s[i:], `\r`) {
				return i
			}
		case '%':
			if strings.HasPrefix(s[i:], "%26") || strings.HasPrefix(s[i:], "%22") || strings.HasPrefix(s[i:], "%27") {
				return i
			}
		case ' ':
			if is != byColons || endsValue(s[i+1:]) {
				return i
			}
		case ',', ';', ')', ']', '}':
			if strings.HasPrefix(s, Redacted) && i < len(Redacted) {
				continue
			}
			if c == '}' || c == ')' || c == ']' || i+1 == len(s) || s[i+1] == ' ' || pairBegins(s[i+1:]) {
				return i
			}
		}
	}
	return len(s)
}

// reEntity is what HTML writes for a sign, before another pair or at an end.
var reEntity = lazyre.New(`^&(?:amp|lt|gt);`)

// parameter is true where a name stands in a connection string: host=x;pwd=y.
func (m *masker) parameter(nm name) bool {
	before := strings.TrimRight(m.s[max(0, nm.from-200):nm.from], " ")
	return strings.HasSuffix(before, ";") && !hinted(before, "?", "&")
}

// endsValue is true where behind a blank something else begins: another pair, a
// remark in brackets, a comment.
func endsValue(s string) bool {
	if s == "" || strings.IndexByte(" (|-#;[\t", s[0]) >= 0 {
		return true
	}
	return pairBegins(s)
}

// pairBegins is true where s begins with a name and "=" or ":".
func pairBegins(s string) bool {
	i := 0
	for i < len(s) && i < 40 && (wordByte(s[i]) || s[i] == '.' || s[i] == '-' || s[i] == '"' || s[i] == '\'') {
		i++
	}
	return i > 0 && i < len(s) && (s[i] == '=' || s[i] == ':')
}

// reOption is an option between a directive and its value: rootpw --plaintext x.
var reOption = lazyre.New(`^\s*--[a-z]+ +`)

// hideValue hides what a name promises. It returns where that ends, or 0.
func (m *masker) hideValue(nm name, l link) int {
	if n := len(reOption.FindString(m.s[l.at:min(len(m.s), l.at+40)])); n > 0 && l.is == bySpace && !nm.flag {
		l.at += n
	}
	if l.is == byEquals && hinted(strings.ToLower(nm.text), "mnemonic", "phrase") {
		l.is = byColons // several words
	}
	v := m.read(l.at, nm, l)
	if v.to <= v.from {
		return 0
	}
	text := m.s[v.from:v.to]
	if strings.HasPrefix(m.s[v.from:], Redacted) {
		return 0
	}
	if v.called {
		return m.literal(l.at) // password = getPassword()
	}
	switch v.open {
	case '{':
		if n := m.object(nm, v); n >= 0 {
			return n
		}
	case '<':
		if placeholder(text, nm) {
			return 0
		}
	case '[', '(':
		if v.open == '(' && l.is == byColon && m.s[l.at] == '(' && m.fields(nm, v) {
			return v.to
		}
		if maskWord(text) || l.is == byColon && fetching[strings.ToLower(nm.text[strings.LastIndexByte(nm.text, '.')+1:])] || l.at < len(m.s) && m.s[l.at] == '(' && l.is == byColon && !callOfName(text, nm, v) {
			return 0
		}
	}
	if m.harmless(nm, l, v, text) && !seedWords(nm, text) {
		return 0
	}
	m.hide(v.from, v.to)
	if n := m.changed(v.after); n > 0 && nm.is != isWeak {
		return n
	}
	// Postfix's "password: relay user:x" holds a user and a password.
	if p := reUserPair.FindStringSubmatchIndex(m.s[v.to:min(len(m.s), v.to+100)]); p != nil && l.is == byColons && !v.quoted && mixed(m.s[v.to+p[2]:v.to+p[3]]) {
		m.hide(v.to+p[2], v.to+p[3])
	}
	return v.to
}

// reChange is what stands between what a secret was and what it is, or is not.
var reChange = lazyre.New(`^\s*(?:->|=>|→|!=|<>|vs\.?|changed to|instead of)\s*["']([^"'\s]+)["']`)

// changed hides the other of two secrets, where i is behind the first: "a" -> "b". It
// returns where that ends, or 0.
func (m *masker) changed(i int) int {
	i = min(i, len(m.s))
	p := reChange.FindStringSubmatchIndex(m.s[i:min(len(m.s), i+400)])
	if p == nil || nothing[m.lower[i+p[2]:i+p[3]]] || maskWord(m.s[i+p[2]:i+p[3]]) {
		return 0
	}
	m.hide(i+p[2], i+p[3])
	return i + p[3]
}

// reSeed is a seed phrase of a wallet: twelve words and more, of one case.
var reSeed = lazyre.New(`^(?:[a-z]{3,8} ){11,23}[a-z]{3,8}$`)

func seedWords(nm name, text string) bool {
	return hinted(strings.ToLower(nm.text), "mnemonic", "phrase", "seed") && reSeed.MatchString(text)
}

var reUserPair = lazyre.New(`^ [A-Za-z0-9_.@\-]+:([^\s:/"']+)(?:\s|$)`)

// reDefault is what stands in for a variable that is not set: os.getenv("X", "y").
var reDefault = lazyre.New(`^[^("']{0,60}(?i:getenv|environ\.get|env|getproperty|fetch|lookup)\(\s*["'][^"']*["']\s*,\s*["']([^"']+)["']\s*\)`)

var reLiteral = lazyre.New(`^[^("']{1,60}\(\s*["']([^"']+)["']\s*\)`)

var reOfObject = lazyre.New(`^[A-Za-z_.]{1,40}\(\{`)

// literal hides the only argument of a function that is not known, where it is a literal
// that is no word. It returns where what it hid ends, or 0.
func (m *masker) literal(i int) int {
	p := reLiteral.FindStringSubmatchIndex(m.s[i:min(len(m.s), i+400)])
	if d := reDefault.FindStringSubmatchIndex(m.s[i:min(len(m.s), i+400)]); d != nil {
		if v := m.s[i+d[2] : i+d[3]]; !reReference.MatchString(v) && !maskWord(v) && !nothing[strings.ToLower(v)] {
			m.hide(i+d[2], i+d[3])
			return i + d[3]
		}
	}
	if p == nil {
		if n := len(reOfObject.FindString(m.s[i:min(len(m.s), i+60)])); n > 0 { // jsonencode({...})
			if end := bracketEnd(m.s[i+n-1:]); end > 0 {
				m.object(name{text: "secrets", is: isSecret}, read{from: i + n, to: i + n - 1 + end})
			}
		}
		return 0
	}
	v := m.s[i+p[2] : i+p[3]]
	if !looksSecret(v) || v == strings.ToUpper(v) || reReference.MatchString(v) || maskWord(v) {
		return 0 // os.getenv("DB_PASSWORD2")
	}
	m.hide(i+p[2], i+p[3])
	return i + p[3]
}

// callOfName is true where brackets right behind a name hold a literal: token(abc-1).
func callOfName(text string, nm name, v read) bool {
	t := strings.Trim(text, `"'`)
	if v.quoted || len(t) < len(text) && !strings.ContainsAny(t, `"'`) {
		return true // set_password("x")
	}
	if nm.is == isPassword { // Password(x7!), a type and not a function
		ws := splitName(nm.text, make([]string, 0, 8))
		return nm.text[0] >= 'A' && nm.text[0] <= 'Z' && !doing[ws[0]] && looksSecret(t) && hasDigit(t) && !strings.ContainsAny(t, " ,()=.*[]")
	}
	return hasDigit(t) && hasLetter(t) && !strings.ContainsAny(t, " ,()=.*&[]") && len(t) >= 6
}

// fetching are methods of what keeps secrets: secrets.get("db").
var fetching = wordSet("get read load fetch lookup find has delete remove exists list")

// doing are verbs that begin the names of functions.
var doing = wordSet("set get check verify validate reset change update new hash make compare encode encrypt decrypt generate has is with read load parse prompt ask forgot confirm match test use need require")

// reField is a field of a printed object whose value a wrapper may hold: value: Some("x").
var reField = lazyre.New(`(?:^|[,;(] ?)([A-Za-z_][A-Za-z0-9_]*)(?:: |:|=)(?:(?:[Oo]ptional|[Ss]ome|[Jj]ust|[Oo]k|String|Box)[(\[])?["']?([^"',;()\[\]{}]{3,})`)

// fields hides the values in the object of a type that promises a secret:
// UserSecret(id: 4, value: "x"). It is false where it found none.
func (m *masker) fields(nm name, v read) bool {
	if nm.text[0] < 'A' || nm.text[0] > 'Z' {
		return false // a function
	}
	found := false
	for _, p := range reField.FindAllStringSubmatchIndex(m.s[v.from:v.to], 32) {
		key := strings.ToLower(m.s[v.from+p[2] : v.from+p[3]])
		val := m.s[v.from+p[4] : v.from+p[5]]
		quoted := strings.IndexByte(`"'`, m.s[v.from+p[4]-1]) >= 0
		if inSecret[key] && !besideSecret[key] && !harmlessValue(val, nm.is, quoted) && !rePointer.MatchString(val) && (quoted || looksSecret(val)) {
			m.hide(v.from+p[4], v.from+p[5])
			found = true
		}
	}
	return found
}

// object hides the values in the JSON object of a name. It returns -1 where it is
// none: a value in braces.
func (m *masker) object(nm name, v read) int {
	text := m.s[v.from:v.to]
	if !strings.ContainsAny(text, ":=") {
		if strings.Contains(text, "}}") && !strings.Contains(text, "{") {
			return -1 // a doubled brace of ODBC
		}
		if strings.ContainsAny(text, " {}") && strings.Trim(text, "0123456789abcdefx, ") != "" {
			return 0
		}
		return -1
	}
	many := strings.HasSuffix(strings.ToLower(nm.text), "s")
	for _, p := range rePair.FindAllStringSubmatchIndex(text, 64) {
		key := strings.ToLower(text[p[2]:p[3]])
		if inSecret[key] || many && !besideSecret[key] {
			from, to := v.from+p[4], v.from+p[5]
			if in := m.read(from, nm, link{is: byColons, at: from}); reCall.MatchString(m.s[from:to]) && !in.called && in.to <= v.to {
				from, to = in.from, in.to // Optional("y")
			}
			if !harmlessValue(m.s[from:to], nm.is, true) {
				m.hide(from, to)
			}
		}
	}
	return 0
}

var (
	rePair       = lazyre.New(`\\*["']?([A-Za-z0-9_\-]+)\\*["']?\s*(?::|=>?)\s*\\*["']?([^"'\\,{}\[\]\s][^"'\\,{}\[\]]*)`)
	inSecret     = wordSet("inner 0 _0 secret password token value val data default text content plain plaintext raw string current")
	besideSecret = wordSet("user username name id type email host url realm kind namespace key account role region provider status message error created updated")
)
