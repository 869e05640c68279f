package redact

import (
	"regexp"
	"strings"
)

// A phrase is a way to write a secret with no name before it: by its place in a
// command of a protocol, a statement or a file. The first group is the secret. A line
// that holds none of the hints, in lower case, is not looked at.
type phrase struct {
	first string // of its hints
	hint  hint
	re    *regexp.Regexp
}

func form(re string, hints ...string) phrase {
	return phrase{hints[0], hinting(hints...), regexp.MustCompile(re)}
}

// lead is what stands before a command of a protocol in the log of a session.
const lead = `(?:^|[>:\]] ?|[>:\]]\s|\b[CS]: )`

var phrases = []phrase{
	// Protocols.
	form(`(?:`+lead+`|")PASS ([^\s/.:"]+|[^\s/"]*[0-9!@#$%^&*][^\s/"]*)"?\s*$`, "pass "),
	form(`\b(?:USER|NICK) \S+[ ;]+PASS (\S+)`, "pass "),
	form(`\b[A-Za-z]*[0-9]+ LOGIN "?[^\s"]+"? "?([^\s"]+)`, " login "),
	form(lead+`AUTH ([^\s:"]+)\s*$`, "auth "),
	form(lead+`AUTH [^\s:"]+ ([^\s"]+)\s*$`, "auth "),
	form(`\bAUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5|OAUTHBEARER|NTLM|GSSAPI|SCRAM-SHA-[0-9]+) ([A-Za-z0-9+/=]{4,})`, "auth "),
	form(`(?i)AUTH(?:\\r\\n|\r\n)\$[0-9]+(?:\\r\\n|\r\n)(.+?)(?:\\r|\r|$)`, "auth\\r", "auth\r"),
	form(`(?i)"auth"\s+(?:"[^"]*"\s+)?"([^"]*)"`, `"auth"`),
	form(`\bHELLO [0-9] AUTH \S+ (\S+)`, "hello "),
	form(`(?i)\bnickserv:?\s+:?identify (?:\S+ )?(\S+)`, "identify&nickserv"),
	form(lead+`OPER \S+ (\S+)\s*$`, "oper "),
	form(`(?i)\bacl setuser \S+.*?\s>(\S+)`, "setuser"),
	form(`(?i)form-data;[^\r\n]*?name=\\?"([^"\\]+)\\?"`, "form-data"), // a name, of which partOf hides the content
	// SQL.
	form(`(?i)\bidentified\s+(?:with\s+\S+\s+)?by\s+(?:password\s+)?'([^']*)`, "identified"),
	form(`(?i)\bidentified\s+(?:with\s+\S+\s+)?by\s+"([^"]*)`, "identified"),
	form(`(?i)\bpassword(?:\s+for\s+\S+)?(?:\s*=)?\s+(?:password\()?N?'([^']*)`, "password&'"),
	form(`(?i)\b(?:password|old_password|crypt|digest|hmac|encode|sha1|sha2|md5|aes_encrypt|aes_decrypt)\('([^']+)'`, "password(", "crypt('", "_encrypt(", "_decrypt("),
	form(`(?i)\b(?:pgp_sym_(?:de|en)crypt|aes_(?:de|en)crypt|hmac|crypt)\([^()']*,\s*'([^']+)'`, "crypt("),
	form(`(?i)\bpass(?:word|wd)?\s+like\s+'([^']+)'`, " like "),
	// Files.
	form(`(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+(\S+)`, "machine&password"),
	form(`(?i)\b(?:user(?:name)?|login|account)\s+\S+\s+pass(?:word|wd)?\s+(?:[057] )?(\S+)\s*$`, "user&pass", "login&pass", "account&pass"),
	form(`(?:^|\s)(?:[A-Za-z0-9_.\-]+|\*|\[[0-9a-f:]+\]):(?:5432|6432|5433|\*):[A-Za-z0-9_\-*]+:[A-Za-z0-9_\-*]+:([^\s:]+)\s*$`, ":5432:", ":*:", ":6432:", ":5433:"),
	form(`(?i)\b(?:snmp-server )?community ([^\s:=,.;]+) (?:ro|rw)\b`, "community"),
	form(`(?i)\b(?:username \S+ |enable )(?:privilege [0-9]+ )?(?:secret|password) (?:[0-9] )?(\S+)`, "username&secret", "username&password", "enable&secret", "enable&password"),
	form(`(?i)\bcommunity(?:[ _-]?(?:string|name))?\s*[:=]\s*["']?([^\s"',;]+)`, "snmp&community"),
	form(`(?i)\b(?:tacacs|radius)(?:-server)? (?:host \S+ )?key (?:[0-9] )?(\S+)`, "-server&key"),
	form(`(?i)\bPrivate-MAC: ([0-9a-f]+)`, "private-mac"),
	form(`\{(?:S?SHA|SMD5|MD5|S?SHA(?:256|384|512)|CRYPT|PBKDF2[A-Z0-9\-]*|ARGON2|BCRYPT)\}([^\s"',;]+)`, "{s", "{md5}", "{crypt}", "{pbkdf2", "{argon2}", "{bcrypt}"),
	form(`\$(?:2[abxy]|apr1|argon2id?|argon2i|1|5|6|y|7|gy|scrypt|pbkdf2[a-z0-9\-]*)\$([^\s"',;:]{8,})`, "$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$argon", "$scrypt", "$pbkdf"),
	// Data source names of Go's MySQL driver and of Oracle's JDBC driver.
	form(`[A-Za-z0-9_.\-]+:([^\s@/:]+)@(?:tcp[46]?|unix)\(`, "@tcp", "@unix"),
	form(`(?i)(?:jdbc:oracle:[a-z]+:|\b(?:sqlplus|ftp|conn|connect|logon|expdp|impdp|sqlldr) (?:-[a-z]+ )*)[^\s/@]+/([^\s@/]+)@`, "jdbc:oracle", "sqlplus", "ftp &@", "conn &@", "connect &@", "logon", "expdp", "impdp", "sqlldr"),
	// A user and a password before a host, with no scheme.
	form(`(?:^|[\s"'=(\[,/])(?:[A-Za-z0-9_.\-]+):([^\s:@/"'=(]*[0-9!$%^&*#+][^\s:@/"'=(]*)@[A-Za-z0-9][A-Za-z0-9.\-]*(?:[:/][A-Za-z0-9]|\.[a-z]{2,}\b|$)`, "@&:"),
	form(`(?:^|\s)(?:-u|--user|--auth|--creds?|--userpwd|--login|--credentials)[ =]['"]?[^\s:'"]+:([^\s'"]*[0-9!@#$%^&*][^\s'"]*)`, "-u &:", "--user&:", "--auth&:", "--cred&:", "--login&:"),
	// Docker's configuration: user and password in base64.
	form(`\\?"auth\\?"\s*:\s*\\?"([A-Za-z0-9+/=]{8,})\\?"`, `"auth`),
	form(`['"]?auth['"]?\s*[:=]\s*[\[({]\s*(?:username: )?['"][^'"]*['"],\s*(?:password: )?['"]([^'"]+)['"]`, "auth:", "auth=", "auth\"", "auth'", "auth ="),
	// Standard input of a command.
	form(`\b(?:echo|printf)\s+(?:-[neE]+ )*(?:'%s(?:\\n)?'\s+)?["']?([^\s"'|]+)["']?\s*\|\s*(?:\S+ ){0,8}?(?:\S*(?:--password-stdin|--passphrase-fd|passwd --stdin|sudo -S|-pass(?:in|out)? stdin|cryptsetup))`, "-stdin", "sudo -s&echo", "sudo -s&printf", "--passphrase-fd", "cryptsetup"),
	form(`\b(?:echo|printf)\s+["']?[^\s:"']+:([^\s"'|]+)["']?\s*\|\s*(?:sudo )?chpasswd`, "chpasswd"),
	form(`(?:-pass(?:in|out)?|-passphrase)[ =]pass:(\S+)`, "pass:"),
	form(`(?i)--from-literal[= ]['"]?[^=\s]+=([^\s'"]+)`, "--from-literal"),
	form(`(?i)\bnet use .*/user:\S+ ([^\s/*]\S*)`, "net use"),
	form(`(?i)\bnet use (?:[a-z]: )?\\\\\S+ ([^\s/*]\S*)`, "net use"),
	form(`(?i)\bnet user \S+ ([^\s/*]\S*)`, "net user"),
	form(`->__construct\('[a-z]+:[^']*', '[^']*', '([^']*)'`, "__construct"),
	form(`(?i)convertto-securestring\s+(?:-string\s+)?["']?([^\s"'()$-][^"'\s]*)["']?`, "securestring"),
	form(`getpass\(\)? ?-> '([^']+)'`, "getpass"),
	// Prose.
	form(`(?i)\b(?:login|credentials|username/password|user/pass(?:word)?|log in with|zugangsdaten|zugang):?\s+[A-Za-z0-9_.@-]+ ?/ ?([^\s/,;]+)\s*$`, "login", "credential", "username/", "user/pass", "log in with", "zugang"),
	form(`(?i)\b(?:your|ihr|use|votre|tu|su|seu|tuo|enter|dein|the|uw|je) (?:\S+ )?code(?: is| lautet| ist| est| es| é|:)? ?:? ?"?([0-9]{4,8})\b`, "code"),
	form(`(?i)\blogin attempt:? \[?b?'?[^\s/'\]]+'?/b?'?([^'\]\s]+)`, "login attempt"),
	form(`\b(?:login|auth|authenticate|signIn|sign_in|signin|connect)\((?:'[^']*'|"[^"]*"), ?['"]([^'"]+)['"]\)`, "login(", "auth(", "authenticate(", "signin(", "sign_in(", "connect("),
	form(`\{(?:auth|login|plain),"[^"]*","([^"]+)"\}`, "{auth", "{login", "{plain"),
	form(`(?i)\b(?:log|sign) ?in (?:with|as) \S+ and ["']?([^\s"']*[0-9!@#$%^&*][^\s"']*)`, "log in ", "login ", "sign in "),
	form(`(?i)\b(?:created|credentials?|default|login|account)[^/\n]{0,30}\(\s*[A-Za-z0-9_.@\-]+ ?/ ?([^\s/)]+)\)`, "created&/", "credential&/", "default&/", "login&/", "account&/"),
	form(`(?i)\blogged in as [^\s:]+:([^\s,;]+)`, "logged in as"),
	form(`(?i)\bcode "?([0-9]{4,8})"? (?:was )?sent\b`, "sent&code"),
	form(`(?i)\b(?:one-time|verification|security|login|2fa|mfa|sms|authentication) (?:code|password|pin)(?: is|:)? "?([0-9]{4,10})\b`, "code", "one-time"),
	form(`(?i)\bpasswor[dt]\s+(?:dell'utente|del usuario|de l'utilisateur|für \S+):\s+(\S+)`, "passwor&dell", "passwor&del ", "passwor&de l", "passwort f"),
	form(`(?i)smtp_sasl_password_maps = inline:\{[^=}]+=[^:}]+:([^}\s]+)`, "smtp_sasl"),
	form(`(?i)\bexport .*?\bpass(?:word)? (\S+)$`, "export &pass"),
	form(`\[\[? ?'?([^\s'$\[\]]+)'? ==? \S+ ?'?\]\]?'? # pass`, "# pass"),
	form(`(?i)(?:密码|密碼|パスワード|비밀번호|пароль)\s*(?:是|为|為|は|:|：|=)\s*([^\s，。,]+)`, "密码", "密碼", "パスワード", "비밀번호", "парол", "Парол"),
	// Addresses that whoever knows them may post to.
	form(`hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_\-]+)`, "hooks.slack.com/"),
	form(`discord(?:app)?\.com/api/webhooks/([A-Za-z0-9/_\-]+)`, "/api/webhooks/"),
	form(`(?:webhook\.office\.com|outlook\.office(?:365)?\.com/webhook|hooks\.zapier\.com|maker\.ifttt\.com|hc-ping\.com|events\.pagerduty\.com/integration)/([^\s"'<>]+)`,
		".office", "zapier", "ifttt", "hc-ping", "pagerduty"),
	form(`chat\.googleapis\.com/v1/([^\s"'<>]+)`, "chat.googleapis.com"),
	form(`(?i)api\.telegram\.org/bot([^\s"'<>/]+)`, "api.telegram.org"),
	// Tokens that are not one run of letters.
	form(`\b([0-9]{8,10}:AA[A-Za-z0-9_\-]{30,})`, ":aa"),
	form(`\b(1//0[A-Za-z0-9_\-]{20,})`, "1//0"),
	form(`\b([0-9]{15,16}\|[0-9A-Za-z\-_]{27,40})\b`, "|"),
	form(`\b([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34})`, "q~"),
	form(`\bsha256~([A-Za-z0-9_\-]{43})`, "sha256~"),
}

var insertHint = hinting("insert into ")

// phrases hides what the table finds.
func (m *masker) phrases() {
	for _, p := range phrases {
		if !p.hint.met(m.found) {
			continue
		}
		for _, at := range p.re.FindAllStringSubmatchIndex(m.s, -1) {
			if at[2] < 0 {
				continue
			}
			v := m.s[at[2]:at[3]]
			if p.first == "form-data" {
				m.multipart(at[1], v)
				continue
			}
			w := strings.ToLower(v)
			if strings.HasPrefix(p.first, "@&") && (address(m.lower[at[0]:at[2]]) || !looksSecret(v)) || p.first == "-u &:" && !looksSecret(v) {
				continue
			}
			if said[w] || protocolWord[w] || nothing[w] && w != "basic" || reReference.MatchString(v) || maskWord(v) || strings.HasPrefix(v, Redacted) || strings.HasPrefix(w, "test") && strings.HasPrefix(p.first, "pass ") || strings.HasPrefix(v, "(") {
				continue
			}
			m.hide(at[2], at[3])
		}
	}
	if insertHint.met(m.found) {
		m.insert()
	}
}

// protocolWord are answers and mechanisms of protocols, and commands of mail and SQL.
var protocolWord = wordSet(`login plain cram-md5 xoauth2 failed required ok completed successful success digest-md5 ntlm gssapi external user anonymous command accepted rejected bad no unknown
	tests test all passed using yes add /add /delete password hash null chdir`)

// address is true where what stands before an "@" is a part of somebody's address.
func address(before string) bool {
	return mailWord[strings.Trim(before, " \"'=([,/:")]
}

var mailWord = wordSet("mailto email e-mail mail from to cc bcc sip sips acct xmpp user username login author jid git id by owner contact reply-to sender recipient rcpt uid name account principal ctladdr src dst npm")

// multipart hides the content of a part of a form; i is behind its name.
func (m *masker) multipart(i int, name string) {
	if is := classify(name); is == noPromise {
		return
	}
	rest := m.s[i:]
	for _, gap := range []string{"\r\n\r\n", "\n\n", `\r\n\r\n`, `\n\n`} {
		j := strings.Index(rest[:min(len(rest), 300)], gap)
		if j < 0 {
			continue
		}
		from := i + j + len(gap)
		to := len(m.s)
		for _, end := range []string{"\r", "\n", `\r`, `\n`} {
			if k := strings.Index(m.s[from:to], end); k >= 0 {
				to = from + k
			}
		}
		m.hide(from, to)
		return
	}
}

var (
	reInsert = regexp.MustCompile("(?i)\\binsert into\\s+[\\w.\"`\\[\\]]+\\s*(?:\\(([^()]*)\\))?\\s*(?:output [^()]*)?values\\s*")
	reTable  = regexp.MustCompile("(?i)into\\s+[\\w.\"`\\[\\]]*(?:passw|secret|token|credential)")
)

// insert hides the values of an INSERT whose columns promise a secret.
func (m *masker) insert() {
	for _, p := range reInsert.FindAllStringSubmatchIndex(m.s, 16) {
		var hide []bool
		if p[2] >= 0 {
			any := false
			for c := range strings.SplitSeq(m.s[p[2]:p[3]], ",") {
				is := classify(strings.Trim(c, " \"`[]'\\"))
				hide = append(hide, is != noPromise)
				any = any || is != noPromise
			}
			if !any {
				continue
			}
		} else if !reTable.MatchString(m.s[p[0]:p[1]]) {
			continue
		}
		m.tuples(p[1], hide)
	}
}

// tuples hides the elements of (…), (…) that are marked; where hide is nil, every text.
func (m *masker) tuples(i int, hide []bool) {
	s := m.s
	column := 0
	for depth := 0; i < len(s); {
		switch c := s[i]; {
		case c == '(':
			if depth++; depth == 1 {
				column = 0
			}
			i++
		case c == ')':
			if depth--; depth < 0 {
				return
			}
			i++
		case c == ',' && depth == 1:
			column++
			i++
		case c == ';' && depth == 0:
			return
		case depth == 0 && c != ',' && c != ' ':
			return
		case c == '\'' || c == '"':
			end := i + 1 + quotedEnd(s[i+1:], string(c))
			if hide == nil || column < len(hide) && hide[column] {
				if !harmlessValue(s[i+1:end], isPassword, true) {
					m.hide(i+1, end)
				}
			}
			i = end + 1
		default:
			i++
		}
	}
}
