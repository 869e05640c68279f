package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A promise is what a name says of its value.
type promise byte

const (
	noPromise  promise = iota
	isPassword         // any value is one
	isSecret           // a key, a token, a signature: a word of prose is none
	isToken            // as isSecret; a number may count language tokens
	isPin              // four digits or more
	isSession          // a session id
	isWeak             // pass, pw, key: needs "=", or quotes
	isMaybe            // auth, session: only what looks like one
)

// stems are parts of a word that promise a secret wherever they stand in it.
var stems = []struct {
	text string
	is   promise
}{
	{"passw", isPassword}, {"motdepasse", isPassword}, {"geheimschlüssel", isSecret}, {"zugangsschlüssel", isSecret}, {"zugriffsschlüssel", isSecret}, {"schlüsselwort", isPassword}, {"passphrase", isPassword}, {"passcode", isPassword}, {"pwd", isPassword},
	{"passwort", isPassword}, {"kennwort", isPassword}, {"contrase", isPassword}, {"wachtwoord", isPassword},
	{"secret", isSecret}, {"credential", isSecret}, {"token", isToken},
	{"apikey", isSecret}, {"accesskey", isSecret}, {"privatekey", isSecret}, {"authkey", isSecret}, {"accountkey", isSecret},
	{"signingkey", isSecret}, {"encryptionkey", isSecret}, {"masterkey", isSecret}, {"licensekey", isSecret}, {"presharedkey", isSecret},
	// Languages that put endings on a word, or no blank behind it.
	{"parola", isPassword}, {"şifre", isPassword}, {"sifre", isPassword}, {"비밀번호", isPassword}, {"암호", isPassword}, {"パスワード", isPassword}, {"密码", isPassword}, {"密碼", isPassword}, {"口令", isPassword}, {"รหัสผ่าน", isPassword},
	{"пароль", isPassword}, {"парол", isPassword}, {"jelszó", isPassword}, {"jelszav", isPassword}, {"hasł", isPassword}, {"lösenord", isPassword}, {"passord", isPassword}, {"salasan", isPassword}, {"κωδικ", isPassword}, {"lozink", isPassword}, {"سيسم", isPassword}, {"סיסמ", isPassword},
	{"sessionid", isSession}, {"sessid", isSession},
}

// words promise a secret as one whole word of a name.
var words = map[string]promise{
	"pass": isWeak, "pw": isWeak, "psw": isPassword, "pswd": isPassword, "pword": isPassword, "passwrd": isPassword, "passwords": isPassword,
	"cred": isSecret, "creds": isSecret, "psk": isSecret, "mnemonic": isSecret, "jwt": isSecret, "signature": isSecret, "salt": isSecret,
	"xsrf": isSecret, "csrf": isSecret, "nonce": isSession, "otp": isPin, "totp": isPin, "pin": isPin, "pincode": isPin, "mfacode": isPin,
	"dsn": noPromise, "requirepass": isPassword, "masterauth": isPassword, "masteruser": noPromise,
	"bindpw": isPassword, "rootpw": isPassword, "olcrootpw": isPassword, "secrettext": isSecret, "rootdnpw": isPassword,
	"auth": isMaybe, "session": isMaybe, "cookie": isMaybe, "sig": isMaybe, "hmac": isMaybe, "bearer": isMaybe, "samlresponse": isMaybe, "assertion": isMaybe,
	// Other languages.
	"passe": isPassword, "clave": isPassword, "senha": isPassword, "parola": isPassword, "hasło": isPassword, "hasło:": isPassword, "haslo": isPassword,
	"пароль": isPassword, "пароля": isPassword, "пароли": isPassword, "heslo": isPassword, "lösenord": isPassword, "losenord": isPassword,
	"adgangskode": isPassword, "khẩu": isPassword, "laluan": isPassword, "المرور": isPassword, "السر": isPassword, "عبور": isPassword, "adgangskoden": isPassword, "passord": isPassword, "passordet": isPassword, "salasana": isPassword, "şifre": isPassword, "sifre": isPassword,
	"密码": isPassword, "密碼": isPassword, "口令": isPassword, "パスワード": isPassword, "暗証番号": isPin, "비밀번호": isPassword, "암호": isPassword,
	"jelszó": isPassword, "jelszo": isPassword, "lozinka": isPassword, "geslo": isPassword, "parolă": isPassword, "κωδικός": isPassword,
	"mdp": isPassword, "jeton": isToken, "anmeldedaten": isSecret, "credenciales": isSecret, "credenziali": isSecret, "credenciais": isSecret, "identifiants": isSecret, "inloggegevens": isSecret,
	"geheim": isSecret, "sleutel": isSecret, "segreto": isSecret, "segredo": isSecret, "secreto": isSecret, "hemlighet": isSecret, "geheimwort": isPassword, "losungswort": isPassword, "pwort": isPassword,
	"验证码": isPin, "驗證碼": isPin, "認証コード": isPin, "確認コード": isPin, "인증번호": isPin, "인증코드": isPin, "лозинка": isPassword, "парола": isPassword, "συνθηματικό": isPassword, "패스워드": isPassword, "비번": isPassword, "סיסמה": isPassword, "ססמה": isPassword, "पासवर्ड": isPassword, "कूटशब्द": isPassword, "รหัสผ่าน": isPassword,
	"löyniorð": isPassword, "lykilorð": isPassword, "pasahitza": isPassword, "wagwoord": isPassword, "fjalëkalimi": isPassword, "salasõna": isPassword, "løsenord": isPassword, "şifrə": isPassword, "parol": isPassword, "contrasinal": isPassword, "contrasenya": isPassword, "nenosiri": isPassword,
	"პაროლი": isPassword, "գաղտնաբառ": isPassword, "পাসওয়ার্ড": isPassword, "கடவுச்சொல்": isPassword, "құпиясөз": isPassword, "गोपनीयशब्द": isPassword, "گذرواژه": isPassword, "parole": isMaybe, "wagwort": isPassword, "codeword": isPassword, "kodord": isPassword, "kodeordet": isPassword, "lösenordet": isPassword,
	"секрет": isSecret, "токен": isToken, "秘钥": isSecret, "密钥": isSecret, "密鑰": isSecret, "令牌": isToken, "トークン": isToken, "秘密鍵": isSecret, "토큰": isToken, "비밀키": isSecret, "secretul": isSecret, "tajemství": isSecret, "salaisuus": isSecret,
	"toegangscode": isPin, "sicherheitscode": isPin, "bestätigungscode": isPin, "verificatiecode": isPin, "einmalcode": isPin, "freischaltcode": isPin,
	"zugangsdaten": isSecret, "zugangscode": isPin, "geheimnis": isSecret, "kodeord": isPassword, "sandi": isPassword, "slaptažodis": isPassword, "parool": isPassword, "kennung": noPromise,
}

// nameHints are the parts of which each name that promises a secret holds one.
var nameHints = hinting("pass", "pwd", "pw", "psw", "secret", "token", "key", "cred", "sess", "signature", "csrf", "xsrf", "nonce", "otp", "pin", "webhook",
	"mnemonic", "phrase", "kennwort", "contrase", "wachtwoord", "pword", "psk", "jwt", "salt", "code", "_pat", "auth", "cookie", "sig", "hmac", "bearer", "saml", "assertion", "session", "connect.sid",
	"clave", "senha", "parola", "parolă", "hasło", "haslo", "парол", "Парол", "heslo", "lösenord", "losenord", "adgangskode", "salasana", "şifre", "Şifre", "sifre",
	"密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호", "jelsz", "lozinka", "geslo", "κωδικός", "Κωδικός", "zugang", "geheimnis", "kodeord", "mdp", "motdep", "jeton", "anmeldedaten", "credenc", "credenz", "identifiants", "inloggeg", "geheim", "sleutel", "segret", "segred", "hemlighet", "losungswort", "pwort", "chiave", "chave", "schlüssel", "cle ", "clé", "sandi", "slaptažodis", "parool", "лозинка", "Лозинка", "συνθηματικό", "Συνθηματικό", "패스워드", "비번", "סיסמה", "ססמה", "पासवर्ड", "कूटशब्द", "รหัสผ่าน",
	"orð", "pasahitza", "wagwo", "fjalëkalimi", "salasõna", "løsenord", "şifrə", "parol", "contrasinal", "nenosiri", "პაროლი", "գաղտնաբառ", "পাসওয়ার্ড", "கடவுச்சொல்", "құпиясөз", "گذرواژه", "codeword", "kodord", "секрет", "Секрет", "токен", "Токен",
	"验证码", "驗證碼", "認証コード", "確認コード", "인증번호", "인증코드", "κωδικ", "klucz", "klíč", "ключ", "nyckel", "nøkkel", "nøgle", "avain", "秘钥", "密钥", "密鑰", "令牌", "トークン", "秘密鍵", "토큰", "비밀키", "tajemstv", "salaisuus", "khẩu", "laluan", "المرور", "السر", "عبور")

// secretKeys are words before "key" that make it a secret; harmlessKeys make it none.
var secretKeys = wordSet(`api access secret private auth authorization signing sign encryption encrypt crypt crypto decryption master account ssh license licence
	fernet hmac aes des rsa ed25519 jwt admin shared preshared psk integration routing subscription app application storage webhook deploy consumer recovery backup
	security session cipher wallet ingest ingestion ingress instrumentation functions function rails django write service server tls ssl client user write cookie
	serial product activation registration stripe sendgrid datadog algolia mailgun twilio openai anthropic cohere mistral groq sentry pagerduty heroku azure aws gcp google firebase newrelic honeycomb github gitlab dd maps base`)

// twoKeys are words that make one of "key" when they are words of their own: prose.
var twoKeys = wordSet("serial product activation registration node host root admin shared preshared hmac aes fernet jwt deploy webhook subscription wallet stripe sendgrid datadog algolia mailgun twilio openai anthropic azure aws routing integration account recovery signing")

var harmlessKeys = wordSet(`cache sort primary foreign partition shard public pub unique message row group object map hash index lookup natural composite candidate dict json
	order idempotency translation i18n event registry config record item entity bucket path file host dedup dedupe correlation trace limit lock queue topic document doc
	redis field property prop feature flag setting label annotation arrow short modifier num tab enter escape space shift control ctrl alt meta resource state lang locale
	duplicate missing invalid wrong bad unknown the a this each any no some`)

// aboutSecrets are words behind the promise that make the name one of a thing about
// the secret: its file, its length, the class that handles it.
var aboutSecrets = wordSet(`file files path paths dir directory folder name names url uri urls endpoint host port type types kind ref refs policy policies length len min max count counts size limit ttl
	expiry expires expiration expired expire age days hours minutes seconds ms at required enabled disabled valid invalid changed updated created format algorithm alg algo method mode strength
	field fields column label prompt placeholder hint error errors err message status state store stores manager managers provider providers service services svc server authority version cache bucket rate usage used total
	index position offset exception filter factory encoder encoders decoder handler validator util utils controller repository test tests spec specs interceptor resolver generator helper
	builder module page view event events listener request requests response dto entity model parser reader writer client mismatch failure authenticator authentication processor impl bean
	source java kt go py rs js ts tsx jsx rb php cs cpp cc c h hpp scala yaml yml json xml html css txt log md sql sh conf cfg toml crt pem pub so dll jar class
	required optional missing supported allowed rotation interval timeout retries window bytes chars column table link email form input present set attempts attempt history change
	lifetime duration duration_seconds per secs sec bucket buckets limiter ring identifier idle active match check checks refresh_interval mgr ctx context schema scope scopes review accessor
	stdin reset mailer mailers controllers operator rejects refresher syncer injector exporter webhook driver
	authn authz encryption hashing hasher hashers rounds cost iterations complexity protection dialog screen prefix suffix separator delimiter regex pattern family introspection leeway clock keyring`)

// questions begin names that are answered by yes or no, or by a number.
var questions = wordSet(`has is use uses using require requires allow show enable disable need needs no num max min count total prompt completion input output used remaining missing invalid expired generate supports skip forgot change update reset validate verify check public pull existing`)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

func nameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	return unicode.IsLetter(r) || unicode.IsMark(r)
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// A name is a run of letters, digits, dots, dashes and underscores in a line.
type name struct {
	from, to int
	text     string // as it stands, but for dashes before it and dots behind it
	flag     bool   // it begins with a dash
	is       promise
}

// maxName is the longest name that is read; of a longer run its end is.
const maxName = 80

// maxNames is how many names that promise a secret are looked at in one window.
const maxNames = 64

// names hides the values of names that promise a secret.
func (m *masker) names() {
	if !nameHints.met(m.found) {
		return
	}
	before, promising := name{}, 0
	for i := 0; i < len(m.s); {
		r, n := utf8.DecodeRuneInString(m.s[i:])
		if !nameRune(r) {
			i += n
			continue
		}
		from := i
		for i += n; i < len(m.s) && !strings.HasPrefix(m.s[i:], "..."); {
			if r, n = utf8.DecodeRuneInString(m.s[i:]); !nameRune(r) {
				break
			}
			i += n
		}
		nm := m.nameAt(from, i, before)
		before = nm
		if nm.is == noPromise {
			continue
		}
		if promising++; promising > maxNames {
			m.hide(i, len(m.s)) // no program writes that many in one window
			return
		}
		if end := m.valueOf(nm); end > i {
			i = end // what is hidden names nothing
		}
	}
}

// nameAt reads the name at s[from:to]; before is the one in front of it.
func (m *masker) nameAt(from, to int, before name) name {
	if to-from > maxName {
		from = to - maxName
		for from < to && !utf8.RuneStart(m.s[from]) {
			from++
		}
	}
	nm := name{from: from, to: to, flag: m.s[from] == '-'}
	for nm.to > nm.from && (m.s[nm.to-1] == '.' || m.s[nm.to-1] == '-') {
		nm.to--
	}
	start := nm.from
	for start < nm.to && (m.s[start] == '-' || m.s[start] == '.') {
		start++
	}
	nm.text = m.s[start:nm.to]
	if len(nm.text) < 2 {
		return nm
	}
	nm.is = classify(nm.text)
	if nm.is == noPromise || nm.is == isWeak {
		if is := twoWords(m.s, before, nm); is != noPromise {
			nm.is = is
		}
	}
	return nm
}

// twoWords finds names that are written as two words: "api key", "mot de passe".
func twoWords(s string, before, nm name) promise {
	gap := ""
	if before.text != "" && before.to < nm.from {
		gap = s[before.to:nm.from]
	}
	if gap != " " && gap != "-" && gap != "'" {
		return noPromise
	}
	b := strings.ToLower(before.text)
	switch strings.ToLower(nm.text) {
	case "key", "keys":
		switch {
		case b == "api", b == "access", b == "secret", b == "private", b == "license", b == "encryption", b == "signing", b == "master", b == "unseal":
			return isSecret
		case twoKeys[b] && nm.to < len(s) && (s[nm.to] == ':' || s[nm.to] == '=' || strings.HasPrefix(s[nm.to:], ` "`)):
			return isSecret
		}
	case "phrase":
		switch b {
		case "seed", "recovery", "pass", "mnemonic":
			return isSecret
		}
	case "code", "codes":
		switch b {
		case "verification", "one-time", "otp", "2fa", "mfa", "security", "login", "authentication", "confirmation", "sms", "pin", "recovery", "backup", "reset", "time", "auth", "access", "zugangs":
			return isPin
		}
	case "ordine":
		return isPassword
	case "accès", "acces", "accesso", "acceso", "acesso", "api", "secrète", "secrete", "secreta", "segreta", "privée", "privee", "privada", "privata":
		switch b {
		case "clé", "cle", "klucz", "klíč", "ключ", "nyckel", "nøkkel", "nøgle", "avain", "phrase", "d", "chiave", "chave", "llave", "di", "de", "clave":
			return keyOf(s[:nm.from])
		}
	case "schlüssel":
		if b == "api" || b == "geheimer" || b == "privater" || b == "geheime" {
			return isSecret
		}
	case "chiave":
		if b == "parola" {
			return isPassword
		}
	}
	return noPromise
}

// keyOf is true where the words before name a key or a token in a Romance language:
// clé d'accès, chave de acesso.
func keyOf(before string) promise {
	before = strings.ToLower(before[max(0, len(before)-24):])
	if hinted(before, "clé", "cle ", "chiave", "chave", "llave", "clave", "jeton", "parola", "klucz", "klíč", "ключ", "nyckel", "nøkkel", "nøgle", "avain", "phrase ") {
		return isSecret
	}
	return noPromise
}

// classify says what a name promises. The last word that promises something counts,
// and what stands behind it can take that back.
func classify(text string) promise {
	var buf [24]string
	ws := splitName(text, buf[:0])
	for k := len(ws) - 1; k >= 0; k-- {
		is := wordPromise(ws, k, text)
		if is == noPromise {
			if aboutSecrets[ws[k]] && !(k+1 < len(ws) && files[ws[k]] && contents[ws[k+1]]) {
				return noPromise // password_file, tokenCount
			}
			continue
		}
		if k > 0 && questions[ws[k-1]] && (is == isToken || is == isSecret || k == 1 && yesNo[ws[0]]) && ws[k-1] != "reset" && ws[k-1] != "verify" && ws[k-1] != "public" {
			return noPromise
		}
		if k < len(ws)-1 && (is == isMaybe || is == isToken && ws[len(ws)-1] == "id") {
			return noPromise
		}
		return is
	}
	return noPromise
}

// files are things that hold a secret, contents what a name calls the secret in one:
// PASSWORD_FILE_CONTENT.
var (
	files    = wordSet("file files path pem crt")
	contents = wordSet("content contents body value values data text plaintext base64 b64 raw string")
)

var yesNo = wordSet("has is use uses using require requires allow show enable disable need needs no without skip")

// wordPromise says what the word ws[k] of a name promises.
func wordPromise(ws []string, k int, text string) promise {
	w := ws[k]
	if is, ok := words[w]; ok {
		switch {
		case w == "session" && k > 0 && k == len(ws)-1 && frameworks[ws[k-1]]:
			return isSession
		case w == "salt" && k < len(ws)-1:
			return noPromise // salt-minion
		case w == "pass" && k > 0 && (ws[k-1] == "first" || ws[k-1] == "second" || ws[k-1] == "by" || ws[k-1] == "render"):
			return noPromise
		case is == isWeak && k > 0:
			return isPassword // DB_PASS, dbPass
		case is == isPin && w == "pin" && k > 0 && (ws[k-1] == "gpio" || ws[k-1] == "to"):
			return noPromise
		}
		return is
	}
	if w == "key" || w == "keys" {
		return keyPromise(ws, k, text)
	}
	if (w == "id" || w == "sid") && k > 0 && (ws[k-1] == "session" || ws[k-1] == "sess" || ws[k-1] == "connect") {
		return isSession
	}
	if (w == "code") && k > 0 && (ws[k-1] == "verification" || ws[k-1] == "pin" || ws[k-1] == "otp" || ws[k-1] == "mfa" || ws[k-1] == "2fa" || ws[k-1] == "recovery") {
		return isPin
	}
	if w == "code" && k > 0 && (ws[k-1] == "authorization" || ws[k-1] == "device" || ws[k-1] == "invite" || ws[k-1] == "activation") {
		return isMaybe
	}
	switch {
	case w == "pat" && k > 0 && k == len(ws)-1, w == "auth" && k == len(ws)-1 && strings.HasPrefix(text, "_"):
		return isSecret
	case w == "url" && k > 0 && ws[k-1] == "webhook":
		return isSecret
	case len(w) > 3 && len(w) < 11 && strings.HasSuffix(w, "pw"), len(w) > 4 && len(w) < 20 && strings.HasSuffix(w, "pass") && !wordSetPass[w]:
		return isPassword
	}
	for _, st := range stems {
		if !strings.Contains(w, st.text) {
			continue
		}
		if i := strings.Index(w, st.text) + len(st.text); st.is != isPassword && i < len(w) && !strings.HasPrefix(w[i:], "key") && !strings.HasPrefix(w[i:], "id") {
			if _, more := words[w[i:]]; w[i:] != "s" && !more && !hinted(w[i:], "token", "secret", "value", "data", "string") {
				return noPromise // tokenizer, secretary
			}
		}
		if prefixOf(strings.TrimPrefix(w[strings.Index(w, st.text)+len(st.text):], "s"), compounds) != "" {
			return noPromise
		}
		if strings.Contains(w, "less") || strings.Contains(w, "passwd.") {
			return noPromise
		}
		return st.is
	}
	return noPromise
}

// compounds follow a stem in languages that write a thing about a secret as one word:
// Kennwortrichtlinie, wachtwoordbeleid. Those that passw ends before begin with "ort".
var compounds = strings.Fields(`richtlinie ortrichtlinie länge ortlänge ablauf ortablauf änderung ortänderung stärke ortstärke regel ortregel schutz ortschutz feld ortfeld abfrage ortabfrage
	verlauf ortverlauf beleid lengte veld längd fält lengde felt policy politik regler`)

var frameworks = wordSet("laravel gitlab rails django rack flask express symfony ci")

var wordSetPass = wordSet("bypass compass trespass underpass overpass encompass surpass subpass multipass singlepass firstpass onepass lastpass keepass renderpass byepass repass")

// keyPromise judges "key" by the word before it.
func keyPromise(ws []string, k int, text string) promise {
	if k == 0 {
		return noPromise
	}
	if k+1 < len(ws) && ws[k+1] == "id" {
		return noPromise
	}
	b := ws[k-1]
	switch {
	case b == "secret" || secretKeys[b]:
		return isSecret
	case harmlessKeys[b]:
		return noPromise
	case text == strings.ToUpper(text) && strings.Contains(text, "_"):
		return isWeak // SOME_KEY
	}
	return noPromise
}

// splitName appends the words of a name, in lower case: parted by dots, dashes and
// underscores, and where a capital follows a small letter.
func splitName(text string, ws []string) []string {
	from := 0
	add := func(to int) {
		if from < to && len(ws) < cap(ws) {
			ws = append(ws, strings.ToLower(text[from:to]))
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '_' || c == '-' || c == '.':
			add(i)
			from = i + 1
		case c >= 'A' && c <= 'Z' && i > from:
			p := text[i-1]
			if p >= 'a' && p <= 'z' || p >= '0' && p <= '9' || p >= 'A' && p <= 'Z' && i+1 < len(text) && text[i+1] >= 'a' && text[i+1] <= 'z' {
				add(i)
				from = i
			}
		case c >= '0' && c <= '9' && i > from && !(text[i-1] >= '0' && text[i-1] <= '9') && i == len(text)-1:
			add(i) // password1
			from = i
		}
	}
	add(len(text))
	return ws
}
