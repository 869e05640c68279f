package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

var (
	reNumber = lazyre.New(`^(?:-?[0-9][0-9.,_]*[a-zA-Z%]{0,3}|[0-9]+/[0-9]+|true|false|null|nil|none)$`)
	// What is said of a test that passes.
	reResult = lazyre.New(`(?i)^(?:[0-9]+(?:[./%][0-9]*)?|ok|yes|no|y|n|on|off|pass|passed|fail|failed|skip|skipped|success|error|all|any|undefined|true|false|null|none)[,;|]?$`)
	// A variable, a template, a verb of a format: the value stands elsewhere.
	reReference = lazyre.New(`^(?:\$[A-Za-z_{(\[]|\$\$?$|\$[0-9]{1,2}$|%[svqdr+#@(]|%\{|\{\{|\{[a-z_.]+\}$|#\{|<%|@@|ENC\[|env\(|os\.|process\.env|self\.|this\.|config\.|settings\.|request\.|req\.|ctx\.|args\.|vault:|ssm:|arn:|secretsmanager|\*\*|file:|/(?:run|var|etc|root|home|opt|tmp|srv|usr|mnt|app|secrets|data|dev|proc)/|\./|~/|[a-z]+(?:\.[A-Za-z0-9_$]+)+@[0-9a-f]{4,16}$|[A-Z]:\\)`)
	// A file by its path.
	reFilePath = lazyre.New(`^/[A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-]+)*/?[A-Za-z0-9_\-]+\.[a-z0-9]{2,5}$`)
	// A version, as behind an image: token:1.2.
	reVersion = lazyre.New(`^v?[0-9]+(?:\.[0-9]+)+(?:-[a-z0-9.]+)?$`)
	// An address in memory.
	rePointer = lazyre.New(`^0x[0-9a-fA-F]{6,16}$`)
	// A call: getPassword(), and so on.
	reCalled = lazyre.New(`^[A-Za-z_][A-Za-z0-9_.:>\-]*\(`)
	// An object of Kubernetes: namespace/name.
	reObject = lazyre.New(`^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*$`)
	// Hidden already.
	reMasked = lazyre.New(`(?i)^[\[(<{*"' ]*(?:redacted|filtered|hidden|masked|removed|omitted|protected|sensitive|private|secret|sanitized|censored|not shown|sensitive value|known after apply|\*+|x{3,}|•+|\.{3,}|-+|#+|_+|…|\?+|empty|none|nil|null|unset|not set|undefined|set)[\])>}*"' ]*$`)
)

// nothing are words that stand for a missing value, types are those of programs and
// said are what prose says of a secret.
var (
	nothing = wordSet(`null nil none undefined true false yes no on off empty unset default n/a na nan void ok required optional present identifier string str text varchar char bytes byte int bool boolean integer number
		object optional.empty any unknown never basic`)
	said = wordSet(`a an the in on at by for from to with of as no not now only also being already never still too very same different weak strong short long unsafe secure insecure valid
		requires needs expects takes wants invalid correct incorrect wrong bad empty blank missing absent mandatory necessary set unset known unknown hidden visible plain yours your case-sensitive one there here stale old new about
		where what how longer shorter less more out must cannot can't could should may might can will would was were is are has have had does doesn't did didn't isn't wasn't won't don't do be been
		and or but if when while because please enter use using via per than that this these those it its both either neither each every all some any another other
		expired failed denied rejected refused revoked found unexpected malformed mismatch error errors failure failing ok success successful successfully enabled disabled required needed optional
		reset changed updated created deleted removed generated rotated refreshed issued verified accepted expires expiring unavailable unsupported available exists exist match matches matched does-not-match
		field fields value type length check checks policy hash hashing hashes authentication auth authorization login logins manager management protected protection prompt input file files path
		expiration expiry rotation refresh validation verification update change recovery request requests requested response header parameter option argument provided supplied given specified
		command must-change hashed encrypted stored logged forbidden unauthorized timeout permission bucket cache count usage limit stream bearer store service server provider endpoint url name id ids secret secrets password passwords
		token tokens key keys credentials used sent received storage based only-once history strength complexity attempts attempt entry user username usernames algorithm format
		last line complete done expire pending loading loaded reading read decode decoded parse parsed parsing processing ring vault backend plugin module handler filter callback function method class object
		falsch ungültig ungueltig fehlt abgelaufen geändert incorrecta incorrecto inválida inválido invalide incorrect incorrecte expiré expirado expirada requerida requis obligatoire vergessen
		obligatorio obligatoria obligatoire obrigatório obrigatória obbligatorio obbligatoria obligatorie verplicht vereist verlopen gewijzigd gewist povinné povinný změněno změněn neplatné nastaveno endret utløpt udløbet ændret ändrat utgånget fel ugyldig ogiltig vanhentunut vaihdettu wymagane wymagany zmienione nieprawidłowe wygasło
		fehlgeschlagen erfolgreich geändert abgelehnt korrekt richtig notwendig nötig leer gesetzt zurückgesetzt geschickt requis expirée modifié vide incorrects correcte correct caducada caducado cambiada actualizada vacía válida correcta alterada vazia correta cambiata aggiornata vuota corretta yanlış değiştirildi gerekli hatalı zorunlu
		обязателен изменен изменён установлен устарел обновлён обновлен нужен пуст задан необходим kötelező lejárt megváltozott schimbată expirată greșită pair pairs combination
		oublié olvidada erforderlich zurücksetzen non nicht no ne errata scaduta неверный неверен истек`)
)

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f })
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t,;|"); i >= 0 {
		return s[:i]
	}
	return s
}

// maskWord is true for what stands in the place of a secret: ****, FILTERED.
func maskWord(s string) bool { return len(s) < 40 && reMasked.MatchString(s) }

// placeholder is true for what stands in angle brackets and names what belongs there.
func placeholder(text string, nm name) bool {
	l := strings.ToLower(text)
	return maskWord(text) || nothing[l] || strings.ContainsAny(l, " ") || l == strings.ToLower(nm.text) ||
		hinted(l, "password", "token", "secret", "your", "key", "pass", "redact", "value", "nil", "none", "null", "object", "insert", "string") || strings.HasPrefix(l, "/")
}

// harmless is true where a value is none: a reference, a type, a word of prose.
func (m *masker) harmless(nm name, l link, v read, text string) bool {
	s := m.s
	if nm.is != isPassword && l.is == byColon && !l.quoted && !v.quoted && len(text) > 0 && (isPort(text) || reVersion.MatchString(text)) {
		return true // token:8443
	}
	if nm.from >= 2 && l.is == byComma && !nm.flag && nothing[strings.ToLower(text)] {
		return true
	}
	base := strings.ToLower(nm.text)
	blank := strings.ContainsAny(text, " \t")
	switch {
	case nm.is == isMaybe:
		if v.open != 0 || blank || !looksSecret(text) || uuid(text) || len(text) < 8 || strings.Contains(text, ":") && !v.quoted {
			return true
		}
	case base == "jwt" && blank:
		return true // its message
	case l.is == byColons && !l.quoted && !v.quoted && blank && (strings.Contains(nm.text, "-") || base == "passwd" || base == "pwd" || nm.is == isToken || nm.is == isSecret && base != "mnemonic" && base != "phrase") && prosaic(text):
		return true // a component of a program, and its message
	case strings.HasSuffix(s[:nm.from], "::"), nm.from > 1 && strings.HasPrefix(s[nm.to:], "::") && (s[nm.from-1] == ':' || s[nm.from-1] == '.'):
		return true // a path of Rust or C++
	}
	if l.is == byColon && nm.from > 0 && s[nm.from-1] == ':' && strings.Contains(s[max(0, nm.from-80):nm.from], "arn:") {
		return true
	}
	if l.is == byColons && !l.quoted && !v.quoted && blank && !hasDigit(text) && reRefused.MatchString(m.lower[max(0, nm.from-24):nm.from]) && nm.is != isPassword {
		return true // invalid token: signature mismatch
	}
	if l.is == byColons && !v.quoted && blank && strings.Contains(nm.text, ".") && !hasDigit(text) && strings.HasSuffix(firstWord(text), "ing") {
		return true // random_password.db: Refreshing state
	}
	if l.is == byColons && !l.quoted && !v.quoted && strings.ContainsAny(nm.text, ".-") && reReport.MatchString(text) {
		return true // tokens-3: generation 41
	}
	if l.is == byColons && !v.quoted && v.open == 0 && pairBegins(text) && reCompactPair.MatchString(s[max(0, nm.from-60):nm.from]) {
		return true // {User:x Password: DB:0}, of which the value is empty
	}
	if l.is == byColons && !v.quoted && nm.is != isPassword && reNested.MatchString(s[v.from:min(len(s), v.from+60)]) {
		return true // serviceAccountToken: expirationSeconds: 3607
	}
	if (base == "pwd" || base == "oldpwd") && !v.quoted && (strings.HasPrefix(text, "/") || strings.HasPrefix(text, "~") || len(text) > 2 && text[1:3] == `:\`) {
		return true
	}
	if l.is == byCompare && !v.quoted {
		after := strings.TrimSpace(s[v.after:])
		if after != "" && strings.IndexByte("{:)", after[0]) >= 0 || strings.HasSuffix(s, "{") || strings.HasSuffix(s, ":") || strings.EqualFold(text, "password") {
			return true
		}
	}
	if l.is == bySpace && nm.flag && !v.quoted {
		if l.at-nm.to >= 2 || upperPlaceholder(text) || strings.HasPrefix(text, "-") || strings.HasPrefix(text, "[") {
			return true
		}
	}
	if !v.quoted && strings.Contains(base, "token") && !l.quoted && unexpectedToken(m.lower[:nm.from]) {
		return true
	}
	if !v.quoted && (nm.is == isSecret || nm.is == isToken || base == "passwords" || base == "passphrases") && strings.HasSuffix(base, "s") && reNumber.MatchString(firstWord(text)) {
		return true
	}
	if nm.text == "Secret" && !v.quoted && reObject.MatchString(text) {
		return true
	}
	if !v.quoted && len(text) > 2 && strings.HasSuffix(text, "[") && identifier(text[:len(text)-1]) {
		return true // config["secret"]
	}
	if (v.open == '[' || v.open == 0) && nm.is == isToken && strings.HasSuffix(base, "s") && !hasDigit(text) && strings.ToUpper(text) == text {
		return true // special tokens: [CLS]
	}
	if !v.quoted && (nm.is != isPassword || v.open != 0) && rePointer.MatchString(text) {
		return true
	}
	if strings.HasSuffix(base, "header") && reHeaderName.MatchString(text) {
		return true // API_KEY_HEADER=X-Api-Key
	}
	if !v.quoted && isCall(text, s[v.after:]) {
		return true
	}
	if !v.quoted && v.open == 0 && codeValue(s, nm, l, v, text) {
		return true
	}
	return harmlessValue(text, nm.is, v.quoted)
}

// reCountOf is how many of a kind there are: tokens: prompt=812.
var reCountOf = lazyre.New(`^[a-z_]+=[0-9]{1,7}$`)

var reRefused = lazyre.New(`(?:invalid|bad|expired|malformed|illegal|unknown|missing|wrong|revoked|rejected|no|without) (?:\w+ )?$`)

// reReport is what a component says, a number in it: Creation complete after 0s.
var reReport = lazyre.New(`^[A-Za-z][a-z]+(?: [a-z]+)* [0-9]+(?:\.[0-9]+)?(?:[a-z]{1,2}|%)?$`)

// reCompactPair is the pair before another where no blank stands behind a colon.
var reCompactPair = lazyre.New(`(?:^|[{ ])[A-Z][A-Za-z0-9]*:[^\s:]* $`)

// reHeaderName is the name of an HTTP header.
var reHeaderName = lazyre.New(`^(?:[A-Z][a-z]*-)*[A-Z][a-z]+$|^(?:[a-z]+-)+[a-z]+$`)

// reNested is another name, and its value.
var reNested = lazyre.New(`^[A-Za-z_]+: `)

// isCall is true for get("x") and getPassword(; rest is what follows.
func isCall(text, rest string) bool {
	return reCalled.MatchString(text) && (!hasDigit(text) || strings.Contains(text, ")") || strings.HasPrefix(rest, ")"))
}

// prosaic is true for three words and more that hold no digit.
func prosaic(text string) bool {
	return strings.Count(text, " ") >= 2 && !hasDigit(text) && strings.ToLower(text[1:]) == text[1:]
}

func unexpectedToken(before string) bool {
	before = strings.TrimRight(before, " ")
	return strings.HasSuffix(before, "unexpected") || strings.HasSuffix(before, "illegal") || strings.HasSuffix(before, "near")
}

// codeValue is true where a value is an expression of a program: password = pw.get,
// token: Token, secret: &str.
func codeValue(s string, nm name, l link, v read, text string) bool {
	if strings.HasPrefix(text, "&") || strings.HasPrefix(text, "*") && len(text) > 1 && hasLetter(text) && !hasDigit(text) {
		return true
	}
	if strings.HasPrefix(text, "await ") || strings.HasPrefix(text, "new ") {
		return true
	}
	// A field of an object: config.password, user->token.
	if i := strings.LastIndexByte(text, '.'); i > 0 && !hasDigit(text) && strings.Contains(strings.ToLower(text[i:]), "pass") {
		return true
	}
	return strings.EqualFold(text, nm.text)
}

func isPort(s string) bool {
	w := s
	if i := strings.IndexAny(s, "/ ,;:"); i >= 0 {
		w = s[:i]
	}
	return w != "" && len(w) <= 5 && digits(w)
}

// identifier is true for the name of a variable or of a field of one.
func identifier(s string) bool {
	for i := range len(s) {
		if !wordByte(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != ""
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// tokenKinds are the words that name a kind of token in front of "token".
var tokenKinds = map[string]bool{"": true, "access": true, "refresh": true, "csrf": true, "xsrf": true, "bearer": true, "id": true,
	"auth": true, "user": true, "api": true, "session": true, "device": true, "push": true, "invalid": true, "expired": true, "missing": true, "jwt": true, "oauth": true}

// kindOfToken is true for what says which token is meant: access_token, no token itself.
func kindOfToken(w string) bool {
	kind, ok := strings.CutSuffix(w, "token")
	return ok && (!hasDigit(kind) && !strings.ContainsAny(kind, "-_") || tokenKinds[strings.Trim(kind, "_-")])
}

// harmlessValue is true for text that is no secret whatever its name promises.
func harmlessValue(text string, is promise, quoted bool) bool {
	t := strings.TrimSpace(text)
	if t == "" || maskWord(t) || strings.Contains(t, Redacted) {
		return true
	}
	if !hasDigit(t) && !hasLetter(t) && len(t) <= 3 {
		return true // ';'
	}
	if reReference.MatchString(t) || reFilePath.MatchString(t) {
		return true
	}
	w := strings.ToLower(strings.TrimRight(firstWord(t), ".!:?)"))
	if nothing[w] && len(firstWord(t)) == len(t) {
		return true
	}
	switch is {
	case isPin:
		if digits(w) {
			return len(w) < 4
		}
		return !hasDigit(w) && (strings.ToLower(t) == t || strings.ToUpper(t) == t)
	case isSession:
		return strings.HasPrefix(w, "0x") || len(w) < 6 || said[w] || reNumber.MatchString(w) && len(w) < 10
	}
	if quoted && is != isPassword {
		return said[w] && strings.Contains(t, " ") || w == "secret" && len(t) == 6
	}
	if quoted {
		return said[w] && strings.Contains(t, " ") && !hasDigit(t)
	}
	if said[w] {
		return true
	}
	if is == isToken && (digits(w) && len(w) < 8 || kindOfToken(w) || reCountOf.MatchString(w)) {
		return true
	}
	// The class of an error, a type: words with blanks between, and no digit.
	return len(t) > 60 && strings.Count(t, " ") > 6
}
