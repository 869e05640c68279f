package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

var (
	// Words before a name behind which its value is the next argument.
	reSetting = lazyre.New(`(?i)(?:\b(?:setenv|export|ENV|ARG|set|setq|echo|config set|configure set|set -(?:x|gx|Ux))|//[a-z0-9./-]+:)\s+$|//[a-z0-9./-]+:$`)
	// Verbs behind a name.
	reVerb = lazyre.New(`^["']?(?:\s+(?:temporal|temporaire|temporanea|provisoire|provisional|tempor[aá]ria|now|actuel|actual|currently|ta|mea|dumneavoastră|của bạn|σας|σου|שלך|الخاصة بك|anda|saya|kamu|siz))?(?:,?\s*(?:for|of|de|di|do|da|del|des|du|von|für|voor|pour|para|per|för|til) (?:(?:the |l'|el |la )?(?:user|usuario|utente|usuário|utilisateur|benutzer|gebruiker) )?[^\s"':=]{1,40})?\s+(?:(?:is |was |has been |have been |will be |now |successfully )*(?:set|changed|reset|updated|rotated|generated|created)(?: to| as|:)|(?:(?:is |was |has been )?(?:changed|rotated|updated)) from|(?:wurde |is |werd |est |a été |ha sido |fue |è stata |foi |se ha )\p{L}+ (?:auf|zu|in|naar|à|en|a|como|por|para)|wurde (?:auf|zu)|is now|will be|is|was|are|je|este|adalah|là|είναι|это|lautet|ist|est|es|é|è|e'|er|är|to|jest|equals|being)\s*:?\s+`)
	reIs   = lazyre.New(`^ (?:is|was|set to|changed to) `)
	reTo   = lazyre.New(`^["']?\s+to\s+`)
	// A secret of these is no object of Kubernetes.
	reSecretOf = lazyre.New(`\b(?:jwt|client|shared|radius|webhook|signing|app|totp|session|cookie) $`)
	reBase32   = lazyre.New(`^[A-Z2-7]{16,}$`)
	// A secret that was not the right one, behind a name.
	reMismatch = lazyre.New(`^ (?:mismatch|differs|does not match|is wrong|was wrong|rejected|refused|not accepted|incorrect|invalid|wrong|expected): ["']?([^\s"']+)(?:["']? (?:!=|<>|vs\.?|and|got) ["']?([^\s"']+))?`)
	// What a password was, and what it is.
	reFromTo = lazyre.New(`^ (?:of \S+ )?from ["']?([^\s"']+)["']? to ["']?([^\s"']*[^\s"'.,;])`)
	reOfWhom = lazyre.New(`^["']?,?\s*(?:for|of|de|di|do|da|del|des|du|von|für|voor|pour|para|per|för|til) `)
	// Words before a name.
	reWith = lazyre.New(`(?:^|[^a-z])(with|using|wrong|bad|invalid|incorrect|generated|new|temporary|temp|random|initial|old|mit|avec|con|com|rejected|login|user \S+|usuario \S+|usuário \S+|utente \S+|utilisateur \S+|benutzer \S+|gebruiker \S+|username \S+|login \S+|bob \S+|connect \S+|account \S+)(?: the| a| an| this| admin| root| default| random)*\s+$`)
	// "password is generated for root@localhost: x", at the end of a line.
	reLast   = lazyre.New(`^[^:=]{0,80}(?:\b(?:for|to|of)\b|\b(?:dell'|del|de|di|du|des|do|da|della|dello|von|für|för|til|uživatele|používateľa|temporaire|tempor[aá]ri[ao]|temporanea|baru|nuev[ao]|current|zu|voor|pour|para|per|por|di|till|dla|для|nuev[ao]|temporal|provisoire|temporanea|nova|nouveau|nuova|inicial|initiale|iniziale|generated|created|incorrect[aeo]?|errat[ao]|errad[ao]|sbagliata|falsch|invalide|inv[aá]lid[ao]|verkeerd|onjuist|salah|felaktigt|пользователя|користувача|użytkownika)\b|для|nouă|mới|của bạn|σας|σου|שלך|\bta|\bsiz|установлен|изменён|изменен|новый|новий|dell'|\))[^:=]{0,60}:\s+(\S+)\s*$`)
	reLastOf = lazyre.New(`^ for ["'][^"']{1,120}["']:\s+(\S+)\s*$`)
	// The same for what has several words.
	reLastWords = lazyre.New(`^ (?:for|to|of) [^:=]{1,40}: ([a-z]+(?: [a-z]+){2,24})\s*$`)
	reFail      = lazyre.New(`fail|error|invalid|unable|cannot|denied|missing|refus|warn|exception|could not|authentication|mismatch|without| no `)
)

// spaced is true where a value stands behind its name with a blank between.
func (m *masker) spaced(nm name, l link) bool {
	if nm.flag {
		return true
	}
	s := m.s
	before := s[max(0, nm.from-60):nm.from]
	if nm.is != isWeak && m.bracketed(nm, blanks(s, l.at)) {
		return true // password <x1>
	}
	q := l.at < len(s) && closer(s[l.at:]) > 0 && strings.IndexByte("\"'\\", s[l.at]) >= 0
	lineStart := strings.Trim(s[:nm.from], " \t") == ""
	only := !strings.ContainsAny(strings.TrimRight(s[l.at:], " \t;"), " \t")
	switch {
	case l.quoted:
		// A name in quotes, and then a word: 'password' is.
		return strings.HasSuffix(before, `:"`) || q && strings.HasSuffix(strings.ToLower(before), `"set" "`) || strings.HasSuffix(before, "((\"")
	case reSetting.MatchString(before) && nm.is != isWeak && !m.fails(nm):
		return s[l.at] != '=' && (nm.text == strings.ToUpper(nm.text) || only || q || strings.Contains(nm.text, "_"))
	case strings.HasSuffix(before, ":") && q, strings.HasSuffix(before, "(setq "):
		return true // :password "x"
	case lineStart && only && strings.Contains(nm.text, ".") && !strings.HasSuffix(s, ".") && hasLetter(s[l.at:]):
		return true // db.password x
	case lineStart && only && strings.HasSuffix(s, ";"):
		return true
	}
	if named := nm.text == strings.ToUpper(nm.text) && strings.Contains(nm.text, "_"); named && only && nm.is == isPassword {
		w := strings.TrimRight(s[blanks(s, l.at):], " \t;")
		return len(w) > 5 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" && w != strings.ToUpper(w) && !strings.Contains(w, "_") && !m.fails(nm)
	}
	if strings.HasPrefix(s[blanks(s, l.at):], "{ ") && nm.text[0] >= 'A' && nm.text[0] <= 'Z' {
		return true // Password { inner: "x" }
	}
	switch strings.ToLower(nm.text) {
	case "requirepass", "masterauth", "bindpw", "rootpw", "_authtoken":
		return true
	}
	return false
}

// bracketed is true where a value that is no word stands in brackets at i.
func (m *masker) bracketed(nm name, i int) bool {
	if i >= len(m.s) || strings.IndexByte("<([{", m.s[i]) < 0 {
		return false
	}
	n := bracketEnd(m.s[i:])
	if n < 2 {
		return false
	}
	v := m.s[i+1 : i+n]
	if m.s[i] == '<' && nm.is == isPassword && reJudged.MatchString(m.lower[i+n+1:]) && !placeholder(v, nm) {
		return true // password <x> accepted
	}
	return looksSecret(v) && hasDigit(v) && !strings.ContainsAny(v, " =:,") && !reNumber.MatchString(v) && !algorithm[strings.ToLower(v)]
}

// reJudged is what is said of a password.
var reJudged = lazyre.New(`^ (?:was |is |has been )?(?:accepted|rejected|refused|denied|tried|failed|set|changed|used|expired|stored|invalid|wrong|not accepted)\b`)

// prose hides a secret that words tell: the password is x, with password x, password
// for bob: x. It returns where what it hid ends, or 0.
func (m *masker) prose(nm name, l link) int {
	if nm.is == isWeak {
		if v := reIs.FindString(m.lower[nm.to:]); v != "" {
			at := nm.to + len(v)
			if from, to := m.told0(at), m.told(at); from < to && looksSecret(m.s[from:to]) {
				m.hide(from, to)
				return to
			}
		}
		return 0
	}
	if nm.is == isSession || nm.is == isMaybe {
		return 0
	}
	named := strings.ContainsAny(nm.text, "._") // it is not a word
	lower := m.lower[nm.to:]
	head := lower[:min(len(lower), 160)]
	if v := reVerb.FindString(head); v != "" && (!named || strings.TrimSpace(strings.TrimLeft(v, "'\"")) == "to" || looksSecret(m.s[m.told0(nm.to+len(v)):max(m.told(nm.to+len(v)), m.told0(nm.to+len(v)))])) {
		at := nm.to + len(v)
		to := m.told(at)
		told := m.s[at:to]
		of := reOfWhom.MatchString(v) && nm.is != isPassword && nm.is != isPin && !looksSecret(m.s[m.told0(at):to]) // the secret of success is
		if told == "" || of || harmlessTold(told, nm.is, closer(m.s[at:]) > 0, strings.HasSuffix(strings.TrimSpace(v), "to") && nm.is == isPassword) {
			return m.last(nm)
		}
		m.hide(m.told0(at), to)
		if strings.Contains(v, " from") {
			if t := reTo.FindString(m.lower[to:min(len(m.s), to+20)]); t != "" {
				next := to + len(t)
				m.hide(m.told0(next), m.told(next))
			}
		}
		return to
	}
	if p := reFromTo.FindStringSubmatchIndex(m.s[nm.to:min(len(m.s), nm.to+300)]); p != nil && nm.is == isPassword && !said[m.lower[nm.to+p[2]:nm.to+p[3]]] {
		m.hide(nm.to+p[2], nm.to+p[3])
		m.hide(nm.to+p[4], nm.to+p[5])
		return nm.to + p[5]
	}
	if p := reMismatch.FindStringSubmatchIndex(m.s[nm.to:min(len(m.s), nm.to+200)]); p != nil && nm.is == isPassword {
		if v := m.s[nm.to+p[2] : nm.to+p[3]]; looksSecret(v) && !uuid(v) {
			m.hide(nm.to+p[2], nm.to+p[3])
			if p[4] >= 0 {
				m.hide(nm.to+p[4], nm.to+p[5])
			}
			return nm.to + p[1]
		}
	}
	at := blanks(m.s, nm.to)
	if at == nm.to || at >= len(m.s) {
		return 0
	}
	before := m.lower[max(0, nm.from-60):nm.from]
	with := reWith.FindString(before)
	quoted := closer(m.s[at:]) > 0
	to := m.told(at)
	from := m.told0(at)
	told := m.s[from:to]
	if from < to && !(nm.is == isToken && unexpectedToken(before)) {
		switch {
		case nm.is == isPassword && !quoted && looksSecret(told) && hasDigit(told) && !algorithm[strings.ToLower(told)] && !harmlessTold(told, nm.is, false, true),
			nm.is == isToken && !quoted && !named && looksSecret(told) && !strings.Contains(strings.TrimRight(told, "="), "=") && len(told) >= 8 && !algorithm[strings.ToLower(told)] && !uuid(told) && !hexadecimal(told) && len(strings.Trim(told, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")) > 0 && strings.IndexByte(told, ':') < 0 && hasDigit(told):
			m.hide(from, to)
			return to
		case named && (nm.is == isSecret || nm.is == isToken) && !quoted && looksSecret(told) && hasDigit(told) && len(told) >= 8 && !strings.ContainsAny(told, "=:.,/_") && !uuid(told) && !algorithm[strings.ToLower(told)]:
			m.hide(from, to)
			return to
		case named:
		case quoted && nm.is == isPassword && !harmlessTold(told, nm.is, true, true),
			quoted && nm.is != isPassword && len(told) >= 8 && hasDigit(told) && hasLetter(told) && !strings.ContainsAny(told, " /:") && (!strings.HasSuffix(nm.text, "ecret") || reSecretOf.MatchString(before)),
			with != "" && !harmlessTold(told, nm.is, quoted, false) && (looksSecret(told) || nm.is == isPassword && sentenceGoesOn(m.lower[to:])),
			nm.is == isSecret && !quoted && reSecretOf.MatchString(before) && (mixed(told) || hexadecimal(told) && len(told) >= 24 || reBase32.MatchString(told)),
			nm.is == isSecret && (looksSecret(told) || told[0] != '/' && mixed(strings.ReplaceAll(told, "/", ""))) && len(told) >= 8 && strings.HasSuffix(strings.ToLower(nm.text), "key"):
			m.hide(from, to)
			return to
		}
		if nm.is == isPin && digits(told) && len(told) >= 4 && len(told) <= 8 && strings.EqualFold(nm.text, "code") {
			m.hide(from, to)
			return to
		}
	}
	// openvpn's "password Auth x": whose it is stands between.
	if nm.is == isPassword && from < to && strings.Trim(m.lower[from:to], "abcdefghijklmnopqrstuvwxyz") == "" && to < len(m.s) && m.s[to] == ' ' {
		if end := m.told(to + 1); mixed(m.s[to+1:end]) && strings.Trim(m.s[end:], `"'`) == "" {
			m.hide(to+1, end)
			return end
		}
	}
	// "Default credentials: admin/x" is a joint; "credentials bob:x" is not.
	if strings.HasPrefix(strings.ToLower(nm.text), "credential") {
		if i := strings.IndexByte(told, ':'); i > 0 && i+1 < len(told) && !strings.Contains(told, "/") {
			m.hide(from+i+1, to)
			return to
		}
	}
	return m.last(nm)
}

// last hides the last word of a line that says at length whose secret it is.
func (m *masker) last(nm name) int {
	if strings.ContainsAny(nm.text, "._") {
		return 0
	}
	rest := m.s[nm.to:]
	if strings.IndexByte(rest[:min(len(rest), 400)], ':') < 1 {
		return 0
	}
	if p := reLastOf.FindStringSubmatchIndex(rest[:min(len(rest), 400)]); p != nil && nm.is == isPassword && !harmlessTold(rest[p[2]:p[3]], nm.is, false, true) {
		m.hide(nm.to+p[2], nm.to+p[3])
		return nm.to + p[3]
	}
	if p := reLast.FindStringSubmatchIndex(rest[:min(len(rest), 400)]); p != nil && len(rest) <= 400 && !m.fails(nm) {
		if v := rest[p[2]:p[3]]; v[0] != '/' && !harmlessTold(v, nm.is, false, nm.is == isPassword) && !isCall(v, "") {
			m.hide(nm.to+p[2], nm.to+p[3])
			return nm.to + p[3]
		}
	}
	if p := reLastWords.FindStringSubmatchIndex(rest[:min(len(rest), 400)]); p != nil && hinted(strings.ToLower(nm.text), "phrase", "mnemonic") && !m.fails(nm) {
		m.hide(nm.to+p[2], nm.to+p[3])
		return nm.to + p[3]
	}
	return 0
}

// told is where the word ends, or what stands in quotes, that is told at i; told0 is
// where it begins.
func (m *masker) told(i int) int {
	if i >= len(m.s) {
		return len(m.s)
	}
	if n := closer(m.s[i:]); n > 0 {
		return i + n + quotedEnd(m.s[i+n:], m.s[i:i+n])
	}
	end := i
	for end < len(m.s) && !strings.ContainsRune(" \t\n\r\"<", rune(m.s[end])) && !strings.HasPrefix(m.s[end:], "\\n") && !strings.HasPrefix(m.s[end:], "\\r") {
		end++
	}
	for end > i && strings.IndexByte(".,;:)'", m.s[end-1]) >= 0 {
		end--
	}
	return end
}

func (m *masker) told0(i int) int {
	if i >= len(m.s) {
		return len(m.s)
	}
	return i + closer(m.s[i:])
}

// harmlessTold is true where what is told of a secret is not the secret.
func harmlessTold(told string, is promise, quoted, sure bool) bool {
	t := strings.Trim(told, "\\\"'`")
	if is == isToken && !sure && !quoted && !looksSecret(t) {
		return true
	}
	if is == isSecret && !quoted && !looksSecret(t) && !sure && len(t) < 5 {
		return true
	}
	w := strings.ToLower(strings.TrimRight(t, ".,!:;?"))
	return said[w] || !quoted && !hasDigit(w) && !strings.ContainsAny(w, "_-") && (strings.HasSuffix(w, "ing") || strings.HasSuffix(w, "ed")) || reNumber.MatchString(t) && is != isPassword && is != isPin || harmlessValue(t, is, quoted)
}

// fails is true where the words around a name tell of a failure.
func (m *masker) fails(nm name) bool {
	const look = 200
	return reFail.MatchString(m.lower[max(0, nm.from-look):min(len(m.lower), nm.to+look)])
}

var algorithm = wordSet("sha1 sha224 sha256 sha384 sha512 sha-256 sha-512 md5 md4 bcrypt argon2 argon2i argon2id pbkdf2 scrypt base64 base32 oauth2 oauth1 utf8 utf-8 rs256 hs256 es256 aes256 http2 openid2 v1 v2 v3 tls1.2 mysql_native_password caching_sha2_password")

// looksSecret is true for what is no word: it holds a digit or a sign.
func looksSecret(s string) bool {
	return len(s) >= 4 && (hasDigit(s) && hasLetter(s) || hasLetter(s) && strings.ContainsAny(s, "!@#$%^&*+=~?")) && !strings.ContainsAny(s, "/()[]{}")
}

// sentenceGoesOn is true where a sentence ends, or goes on as it does behind a secret.
func sentenceGoesOn(rest string) bool {
	rest = strings.TrimLeft(rest, "'\"")
	if rest == "" {
		return true
	}
	for _, p := range []string{" for ", " on ", " at ", " and ", " to ", ",", ".", ";", " from ", ")", "\n", " was ", " is ", " failed", " rejected", " refused", " denied", " fehlgeschlagen", " abgelehnt", " ungültig", " échou", " a échou", " refus", " rechaz", " fall", " errat", " non ", " recusad", " mislukt", " geweigerd"} {
		if strings.HasPrefix(rest, p) {
			return true
		}
	}
	return false
}

var (
	// {"name":"X","value":"Y"}, - name: X value: Y, key="X" value="Y", and the other way round.
	reNameBefore  = lazyre.New(`(?i)(?:\b|_|[a-z])(?:name|key|field|variable|param|property|header|setting|option|env)\\*["']?\s*[:=]?\s*\\*["']?$`)
	reValueBehind = lazyre.New(`(?i)^\\*["']?(?:\s|\\[nrt])*[,;{]?(?:\s|\\[nrt])*\\*["']?(?:[a-z]{0,12}value|val|data|content|default)\\*["']?\s*[:=]\s*`)
	reValueBefore = lazyre.New(`(?i)\bvalue\\*["']?\s*[:=]\s*\\*["']([^"'\\]+)\\*["']\s*(?:,|where|and)?\s*\\*["']?(?:name|key|field)\\*["']?\s*[:=]\s*\\*["']?$`)
)

// namedValue hides the value of a name that is itself a value, as Kubernetes writes
// variables of the environment.
func (m *masker) namedValue(nm name) bool {
	if !strings.Contains(m.lower, "val") && !strings.Contains(m.lower, "default") && !strings.Contains(m.lower, "data") && !strings.Contains(m.lower, "content") {
		return false
	}
	const look = 200
	before := m.s[max(0, nm.from-look):nm.from]
	if p := reValueBefore.FindStringSubmatchIndex(before); p != nil && !harmlessValue(before[p[2]:p[3]], nm.is, true) {
		m.hide(nm.from-len(before)+p[2], nm.from-len(before)+p[3])
		return true
	}
	n := len(reValueBehind.FindString(m.s[nm.to:min(len(m.s), nm.to+look)]))
	if n == 0 || !reNameBefore.MatchString(before) && !strings.HasSuffix(strings.TrimRight(before, `"'`), "variable ") {
		return false
	}
	l := link{is: byEquals, quoted: true, at: nm.to + n}
	if l.at >= len(m.s) || nm.is == isWeak && reResult.MatchString(strings.Trim(firstWord(m.s[l.at:]), `\"'}`)) {
		return false
	}
	return m.hideValue(nm, l) > 0
}
