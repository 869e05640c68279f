package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"iter"
	mathbits "math/bits"
	"slices"
	"strings"
)

// A phrase is a way to write a secret with no name before it: by its place in a
// command of a protocol, a statement or a file. The first group is the secret. A line
// that holds none of the hints, in lower case, is not looked at.
type phrase struct {
	hint  hint
	re    *lazyre.Regexp
	holds func(m *masker, before, secret string) bool // nil: always
	names bool                                        // the group is the name of a part of a form, whose content is the secret
}

func form(re string, hints ...string) phrase {
	return phrase{hint: hinting(hints...), re: lazyre.New(re)}
}

// when narrows a phrase; before is its text up to the secret, in lower case.
func (p phrase) when(holds func(m *masker, before, secret string) bool) phrase {
	p.holds = holds
	return p
}

func (p phrase) part() phrase {
	p.names = true
	return p
}

// typed is true for what a person types as a password, and no host, file or path.
func typed(_ *masker, _, v string) bool {
	return len(v) >= 6 && looksSecret(v) && strings.ToLower(v) != v && strings.ToUpper(v) != v && !strings.Contains(v, ":")
}

func secretLike(_ *masker, _, v string) bool { return looksSecret(v) }

// lead is what stands before a command of a protocol in the log of a session.
const lead = `(?:^|[<>:\]] ?|(?:<-+|-+>|<<+|>>+) |[>:\]]\s|\b[CS]: |\b(?i:redis|valkey|ftps?|imaps?|pop3s?|smtps?|sent|sends|sending|cmd|command|client)[ :]+)`

var phrases = []phrase{
	// Protocols.
	form(`(?:`+lead+`|")PASS ([^\s/.:"]+|[^\s/"]*[0-9!@#$%^&*][^\s/"]*)"?\s*$`, "pass ").when(func(_ *masker, _, v string) bool { return !strings.HasPrefix(strings.ToLower(v), "test") }),
	form(`(?:[<>] ?|\bC: |(?i:\bftps?|\bpop3s?|client|command)[ :]+)PASS ([^\s/":]+)\s*$`, "pass "),
	form(`(?i)assword:?["' ].*?\bsend (?:-- )?"([^"\\\s]+)`, "send &assword"),
	form(`(?i)\bsend (?:-- )?"([^"\\\s]+)(?:\\r|\\n)?" (?:to|for) (?:the )?\S*passw`, "send &passw"),
	form(`\b(?:USER|NICK) \S+[ ;]+PASS (\S+)`, "pass "),
	form(`\bUSER \S+ .{0,40}?\bPASS (\S+)`, "user &pass "),
	form(`(?:^|[\s>:])PASS (\S+) (?:->|=>|<-|-|\|) [0-9]{3}\b`, "pass "),
	form(`\b[A-Za-z]*[0-9]+ LOGIN "?[^\s"]+"? "?([^\s"]+)`, " login "),
	form(`(?:^|[\s:>])\. LOGIN "?[^\s"]+"? "?([^\s"]+)`, " login "),
	form(`\b334 UGFzc3dvcmQ6\W+(?:C: )?([A-Za-z0-9+/=]{4,})`, "334 ugfz"),
	form(`\bftp> user \S+ (\S+)`, "ftp> user"),
	form(lead+`LOGIN "?[^\s":=]+"? "?([^\s":=]+)"?\s*$`, "login ").when(func(_ *masker, before, _ string) bool {
		f := strings.Fields(before)
		return !said[strings.Trim(f[len(f)-1], `"`)]
	}),
	form(lead+`AUTH ([^\s:"]+)\s*$`, "auth "),
	form(lead+`AUTH [^\s:"]+ ([^\s"]+)\s*$`, "auth "),
	form(`\bAUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5|OAUTHBEARER|NTLM|GSSAPI|SCRAM-SHA-[0-9]+) ([A-Za-z0-9+/=]{4,})`, "auth "),
	form(`(?i)AUTH(?:\\r\\n|\r\n)\$[0-9]+(?:\\r\\n|\r\n)(.+?)(?:\\r|\r|$)`, "auth\\r", "auth\r"),
	form(`(?i)"auth"\s+(?:"[^"]*"\s+)?"([^"]*)"`, `"auth"`),
	form(`\bHELLO [0-9] AUTH \S+ (\S+)`, "hello "),
	form(`(?i)\bnickserv:?\s+:?identify (?:\S+ )?(\S+)`, "identify&nickserv"),
	form(lead+`OPER \S+ (\S+)\s*$`, "oper "),
	form(`(?i)\bsetuser\b.*?[\s"'][>#]([^\s"']{3,})`, "setuser"),
	form(`(?i)\buser \S+ (?:on|off|reset) (?:\S+ )*?["']?[>#]([^\s"']{3,})`, "user&>", "user&#"),
	form(`(?i)form-data;[^\r\n]*?name=\\?"([^"\\]+)\\?"`, "form-data").part(),       // a name, of which partOf hides the content
	form(`\bname=\\?"([^"\\]+)\\?"(?:\r\n\r\n|\\r\\n\\r\\n)`, `name="&\r\n`).part(), // as above, of a body alone
	// SQL.
	form(`(?i)'([^'\s]{4,})'\s*(?:/\*|--|//|#)\s*(?:[a-z]+ )?(?:password|passwd|secret|token)\b`, "password&/*", "passwd&/*", "secret&/*", "token&/*", "password&--", "password&#"),
	form(`(?i)\bidentified\s+(?:with\s+\S+\s+)?by\s+(?:password\s+)?'([^']*)`, "identified"),
	form(`(?i)\bidentified\s+(?:with\s+\S+\s+)?by\s+"([^"]*)`, "identified"),
	form(`(?i)\b(?:user|role|login|to)\s+\S+\s+identified\s+by\s+([^\s'";]+)`, "identified"),
	form(`(?i)\bsp_(?:addlogin|password|addlinkedsrvlogin|setapprole)\s+(?:@\w+\s*=\s*)?N?'[^']*'\s*,\s*(?:@\w+\s*=\s*)?N?'([^']*)'`, "sp_addl", "sp_passw", "sp_setappr"),
	form(`(?i)\bpassword(?:\s+for\s+\S+)?(?:\s*=)?\s+(?:password\()?N?'([^']*)`, "password&'"),
	form(`(?i)\b(?:password|old_password|crypt|digest|hmac|encode|sha1|sha2|md5|aes_encrypt|aes_decrypt)\('([^']+)'`, "password(", "crypt('", "_encrypt(", "_decrypt("),
	form(`(?i)\b(?:pgp_sym_(?:de|en)crypt(?:_bytea)?|aes_(?:de|en)crypt|hmac|crypt|(?:en|de)cryptbypassphrase)\((?:[^()']*|'[^']*'),\s*'([^']+)'`, "crypt("),
	form(`(?i)\bpass(?:word|wd)?\s+like\s+'([^']+)'`, " like "),
	form(`(?i)\b(?:pragma (?:re)?key\s*=\s*|attach (?:database )?\S+ as \S+ key )["']([^"']+)`, "pragma ", "attach "),
	// Files.
	form(`(?i)\b(?:authentication-key|message-digest-key [0-9]+ md5|isakmp key|key-string|pre-shared-key|shared-secret) (?:[0-9] )?["']?([^\s"'=:]+)`, "authentication-key ", "digest-key ", "isakmp key ", "key-string ", "shared-key ", "shared-secret "),
	form(`\bconfig (?:-\S+ )*(?:http-basic|bearer|github-oauth|gitlab-token)\.\S+ (?:\S+ )?(\S+)\s*$`, "http-basic.", "github-oauth.", "gitlab-token."),
	form(`(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+(\S+)`, "machine&password"),
	form(`(?i)\b(?:user(?:name)?|login|account)\s+\S+\s+pass(?:word|wd)?\s+(?:[057] )?(\S+)\s*$`, "user&pass", "login&pass", "account&pass"),
	form(`(?:^|\s)(?:[A-Za-z0-9_.\-]+|\*|\[[0-9a-f:]+\]):(?:5432|6432|5433|\*):[A-Za-z0-9_\-*]+:[A-Za-z0-9_\-*]+:([^\s:]+)\s*$`, ":5432:", ":*:", ":6432:", ":5433:"),
	form(`(?i)\b(?:snmp-server )?community ([^\s:=,.;]+) (?:ro|rw)\b`, "community"),
	form(`(?i)\b(?:username \S+ |enable )(?:privilege [0-9]+ )?(?:secret|password) (?:[0-9] )?(\S+)`, "username&secret", "username&password", "enable&secret", "enable&password"),
	form(`(?i)\bsnmp(?:v[0-9]c?)? (?:read |write |ro |rw )?community (?:string |name )?["']?([^\s:=,.;"']+)`, "snmp&community"),
	form(`(?i)\bcommunity(?:[ _-]?(?:string|name))?\s*[:=]\s*["']?([^\s"',;]+)`, "snmp&community"),
	form(`(?i)\bcommunity[ _-]string\s*[:=]?\s*["']?([^\s"',;]+)`, "community").when(secretLike),
	form(`(?i)\br[ow]community6? ([^\s"',;#]+)`, "ocommunity", "wcommunity"),
	form(`(?i)\b(?:tacacs|radius)(?:-server)? (?:host \S+ )?key (?:[0-9] )?(\S+)`, "-server&key"),
	form(`(?i)\bPrivate-MAC: ([0-9a-f]+)`, "private-mac"),
	form(`\{(?:S?SHA|SMD5|MD5|S?SHA(?:256|384|512)|CRYPT|PBKDF2[A-Z0-9\-]*|ARGON2|BCRYPT)\}([^\s"',;]+)`, "{s", "{md5}", "{crypt}", "{pbkdf2", "{argon2}", "{bcrypt}"),
	form(`\$(?:2[abxy]|apr1|argon2id?|argon2i|1|5|6|y|7|gy|scrypt|pbkdf2[a-z0-9\-]*)\$((?:v=[0-9]+\$)?(?:m=[0-9]+,t=[0-9]+,p=[0-9]+\$|ln=[0-9]+,r=[0-9]+,p=[0-9]+\$)?[^\s"',;:]{8,})`, "$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$argon", "$scrypt", "$pbkdf"),
	// Data source names of Go's MySQL driver and of Oracle's JDBC driver.
	form(`[A-Za-z0-9_.\-]+:([^\s@/:]+)@(?:tcp[46]?|unix)\(`, "@tcp", "@unix"),
	form(`(?i)(?:jdbc:oracle:[a-z]+:|\b(?:sqlplus|ftp|conn|connect|logon|expdp|impdp|sqlldr) (?:-[a-z]+ )*)[^\s/@]+/([^\s@/]+)@`, "jdbc:oracle", "sqlplus", "ftp &@", "conn &@", "connect &@", "logon", "expdp", "impdp", "sqlldr"),
	form(`(?:^|[\s"'=(\[])[A-Za-z0-9_.\-]+/([^\s@/]+)@(?://)?[A-Za-z0-9.\-]+:[0-9]{2,5}/`, "@//", "@&:1521"),
	// A user and a password before a host, with no scheme.
	form(`(?:^|[\s"'=(\[,/])(?:[A-Za-z0-9_.\-]+):([^\s:@/"'=(]*[0-9!$%^&*#+][^\s:@/"'=(]*)@[A-Za-z0-9][A-Za-z0-9.\-]*(?:[:/][A-Za-z0-9]|\.[a-z]{2,}\b|$)`, "@&:").when(func(m *masker, before, v string) bool { return !address(before) && looksSecret(v) }),
	form(`(?:^|\s)(?:-u|--user|--?[a-z-]*auth|--creds?|--userpwd|--login|--credentials)[ =]['"]?[^\s:'"]+:([^\s'"]*[0-9!@#$%^&*][^\s'"]*)`, "-u &:", "--user&:", "auth&:", "--cred&:", "--login&:").when(secretLike),
	form(`(?i)\b(?:user add|adduser|add-user|user create|createuser|create-user) [^\s:]+:([^\s"']+)`, "user add&:", "adduser&:", "add-user&:", "user create&:", "create&user&:").when(secretLike),
	form(`(?:^|[\s"'])[A-Za-z0-9_.\-]+:([^\s:@/"'=(]+)@[A-Za-z0-9][A-Za-z0-9.\-]*(?:\s|$)`, "@&:").when(func(m *masker, before, v string) bool { return !address(before) && mixed(v) }),
	form(`(?:^|\s)-[pP][ =]["']?([^\s"'=/\-][^\s"'=]*)["']? -[uU][ =]?[A-Za-z0-9_.@\-]+`, "-u&-p").when(secretLike),
	form(`(?:^|[\s"'])-[uU][ =]?[A-Za-z0-9_.@\-]+ -[pP][ =]?["']?([^\s"'=/\-][^\s"'=]*)`, "-u&-p").when(func(m *masker, _, v string) bool {
		return !hinted(m.lower, "mysql", "mariadb") && !rePorts.MatchString(v) && !placeholderArg(v)
	}),
	// Docker's configuration: user and password in base64.
	form(`\\?"auth\\?"\s*:\s*\\?"([A-Za-z0-9+/=]{8,})\\?"`, `"auth`),
	form(`['"]?auth['"]?\s*[:=]\s*[\[({]\s*(?:username: )?['"][^'"]*['"],\s*(?:password: )?['"]([^'"]+)['"]`, "auth:", "auth=", "auth\"", "auth'", "auth ="),
	// Standard input of a command.
	form(`\b(?:echo|printf)\s+(?:-[neE]+ )*(?:'%s(?:\\n)?'\s+)?["']?([^\s"'|]+)["']?\s*\|\s*(?:\S+ ){0,8}?(?:\S*(?:--password-stdin|--passphrase-fd|passwd --stdin|sudo -S|-pass(?:in|out)? stdin|cryptsetup|kinit|smbpasswd|vault login -|gh auth login))`, "-stdin", "sudo -s&echo", "sudo -s&printf", "--passphrase-fd", "cryptsetup", "kinit", "smbpasswd", "vault login", "gh auth"),
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
	form(`(?i)\b(?:log ?in|sign ?in|logged in|connect|user|admin|account|credentials?)\b[^/\n]{0,40}?[: ]["']?[A-Za-z0-9_.@\-]+["']? / ["']?([^\s/,;"']*[0-9!@#$%^&*+=~?][^\s/,;"']*)["']?(?: password| credentials)?\s*$`, "login& / ", "log in& / ", "sign in& / ", "logged& / ", "user& / ", "admin& / ", "account& / ", "credential& / "),
	form(`(?i)\b(?:code|c[oó]digo|codice|kod|kode)\b (?:de |di |d'|do |da |per |pour |til )?(?:l'|la |el |o )?(?:v[eé]rif\p{L}+|confirm\p{L}+|s[eé]cur\p{L}+|segur\p{L}+|sicur\p{L}+|acc\p{L}+|acesso|connexion|validation|desbloqueo|activ\p{L}+)\s*(?::|=|is|est|es|è|é)\s*"?([A-Za-z0-9\-]{4,12})\b`, "code d", "código", "codigo", "codice", "kod "),
	form(`(?i)\b(?:your|ihr|use|votre|tu|su|seu|tuo|enter|dein|the|uw|je) (?:\S+ )?code(?: is| lautet| ist| est| es| é|:)? ?:? ?"?([0-9]{4,8})\b`, "code"),
	form(`(?i)\blogin attempt:? \[?b?'?[^\s/'\]]+'?/b?'?([^'\]\s]+)`, "login attempt"),
	form(`\b(?:login|auth|authenticate|signIn|sign_in|signin|connect)\((?:'[^']*'|"[^"]*"), ?['"]([^'"]+)['"]\)`, "login(", "auth(", "authenticate(", "signin(", "sign_in(", "connect("),
	form(`(?i)(?:login|logon|auth|authenticate|sign_?in|bind(?:_s)?|credentials?|passwordauthentication|usernamepassword[a-z]*)\(\s*(?:b?['"][^'"]*['"]|[a-z_][a-z0-9_.]*),\s*b?['"]([^'"]+)['"]`, "login(", "logon(", "auth(", "authenticate(", "signin(", "sign_in(", "bind(", "bind_s(", "credential&(", "authentication(", "usernamepassword"),
	form(`(?i)(?:->|\.|::)(?:auth|login|authenticate)\(\s*['"]([^'"\s]{6,})['"]\s*\)`, "auth(", "login(", "authenticate(").when(secretLike),
	form(`(?i)(?:mysqli?(?:(?:_|::|->)(?:real_)?connect)?|oci_connect|\bpdo|getconnection|plainauth)(?:\(\)[:,]? called with ?)?\(\s*(?:['"][^'"]*['"]\s*,\s*){2}['"]([^'"]+)['"]`, "mysql&(", "oci_connect(", "pdo(", "getconnection(", "plainauth("),
	form(`(?i)\b\w*(?:passwor?d|passwd|pwd)\w*\(\s*['"][^'"]*['"]\s*,\s*['"]([^'"\s]+)['"]\s*[,)]`, "password(", "passwd(", "pwd("),
	form(`(?i)\b(?:passwort|kennwort) (?:von \S+ |für \S+ )?auf ["']?([^\s"']+?)["']? (?:geändert|gesetzt|zurückgesetzt|gestellt)`, "wort & auf "),
	// The secret stands before its name.
	form(`(?i)["'`+"`"+`]([^"'`+"`"+`\s]{4,})["'`+"`"+`][\])]*;? (?:(?:is|was|is used|was used|used|set|stored|accepted|read|taken) )?(?:is|was|as|for|//|#|--|<-|->) (?:(?:the|a|an|my|your|our|new|old|current|initial) )*(?:[a-z]+ )?(?:password|passphrase|passcode|secret|api[ _-]?key|access[ _-]?token|auth[ _-]?token|credentials?)\b`, "password&as", "password&is ", "password&was ", "password&//", "password&#", "password&<-", "password&for ", "passphrase&as", "passphrase&is ", "secret&as", "api key&as", "token&as", "credential&as", "passphrase&for "),
	form(`(?i)(?:^|\s)(\S+) (?:is|was|used as|will be) (?:the|your|my|our|his|her|their)(?: [a-z]+){0,2} (?:password|passphrase|passcode)\s*(?:$|[.,;)]|for )`, "password&is the ", "password&is your ", "password&is my ", "password&is our ", "password&is their ", "password&as the ", "password&was the ", "passphrase&is the ", "passphrase&is your ").when(secretLike),
	// A user and a password.
	form(`(?i)\b(?:log(?:ged|ging)? ?(?:in|on)|login|auth[a-z]*|credentials?|sign(?:ed|ing)? ?in)\b[^:="'/\n]{0,30}? (?:for|as|user|with|using|of) ["']?(?:[a-z0-9_.@\-]+):([^\s:/"'][^\s:"']*)`, "auth&:", "login&:", "logged&:", "log on&:", "log in&:", "sign&:", "credential&:").when(userColon),
	form(`\{(?:auth|login|plain),"[^"]*","([^"]+)"\}`, "{auth", "{login", "{plain"),
	form(`(?i)\b(?:log|sign) ?in (?:with|as) \S+ and ["']?([^\s"']*[0-9!@#$%^&*][^\s"']*)`, "log in ", "login ", "sign in "),
	form(`(?i)\b(?:created|credentials?|default|login|account)[^/\n]{0,30}\(\s*[A-Za-z0-9_.@\-]+ ?/ ?([^\s/)]+)\)`, "created&/", "credential&/", "default&/", "login&/", "account&/"),
	form(`(?i)\blogged in as [^\s:]+:([^\s,;]+)`, "logged in as"),
	form(`(?i)\b(?:auth\w*|log[io]n|credentials?|sasl\w*|digest|basic)\b.{0,40}?[\s"']([A-Za-z0-9_.@\-]+:[^\s:/"']{8,})`, "sasl&:", "digest&:", "auth&:", "login&:", "credential&:").when(func(m *masker, before, v string) bool {
		user, secret, _ := strings.Cut(v, ":")
		return mixed(secret) && userColon(m, strings.ToLower(user)+":", secret)
	}),
	form(`(?i)\bconnect\(\s*['"][a-z]+:[^'"]*['"]\s*,\s*['"][^'"]*['"]\s*,\s*['"]([^'"]+)['"]`, "connect("),
	form(`(?i)\b(?:bad|wrong|invalid|incorrect) (?:password|credentials|login) (?:for|of|from) (?:user )?\S+ ?\(["']?([^\s"')]+)["']?\)`, "password&(", "credential&(", "login&("),
	form(`(?i)\b([0-9]{4,8}) (?:is|as) (?:your|the|ihr|votre|tu) (?:[a-z\-]+ ){0,3}(?:code|pin|otp|passcode|password)\b`, "is your &code", "as your &code", "is the &code", "is your &pin", "is your &otp", "is your &passw"),
	form(`(?i)\b(?:password|passphrase) (?:(?:was|is) )?(?:incorrect|wrong|invalid|bad|rejected|refused|denied|not accepted): ["']?([^\s"',;]+)["']?\s*(?:$|[,;])`, "password&: ", "passphrase&: ").when(typed),
	form(`(?i)\b(?:de|en)crypt[a-z]* .{0,30}?\bkey ["']([^\s"']{12,})["']`, "crypt&key \"", "crypt&key '").when(secretLike),
	form(`(?i)\bidentifiants [a-z]+ ?: ?[A-Za-z0-9_.@\-]+ / ([^\s/,;]+)`, "identifiants").when(secretLike),
	form(`(?i)\bpass(?:code|key) ([0-9]{4,10})\b`, "passcode ", "passkey "),
	form(`(?i)(?:код|kód|kod) (?:подтвержд\p{L}+|доступа|безопасност\p{L}+|активации|підтвердження|weryfikacyjny|potwierdzenia|ověření|onay|güvenlik)\s*[:=-]?\s*([0-9]{4,8})\b`, "код ", "Код ", "kód ", "kod "),
	form(`(?i)\bcode "?([0-9]{4,8})"? (?:was )?sent\b`, "sent&code"),
	form(`(?i)\b(?:one-time|verification|security|login|2fa|mfa|sms|authentication) (?:code|password|pin)(?: is|:)? "?([0-9]{4,10})\b`, "code", "one-time"),
	form(`(?i)\bpasswor[dt]\s+(?:dell'utente|del usuario|de l'utilisateur|für \S+):\s+(\S+)`, "passwor&dell", "passwor&del ", "passwor&de l", "passwort f"),
	form(`(?i)smtp_sasl_password_maps = inline:\{[^=}]+=[^:}]+:([^}\s]+)`, "smtp_sasl"),
	form(`(?i)\bexport .*?\bpass(?:word)? (\S+)$`, "export &pass"),
	form(`\[\[? ?'?([^\s'$\[\]]+)'? ==? \S+ ?'?\]\]?'? # pass`, "# pass"),
	form(`(?i)(?:密码|密碼|パスワード|비밀번호|пароль)\s*(?:是|为|為|は|:|：|=)\s*([^\s，。,]+)`, "密码", "密碼", "パスワード", "비밀번호", "парол", "Парол"),
	// Words, codes and keys that are no one run of letters.
	form(`(?i)\b(?:(?:backup|recovery|seed|wallet|mnemonic|secret)[ _-]?(?:phrase|words?)|mnemonic)(?: is| are)?\s*[:=]?\s*["']?((?:[a-z]{3,8} ){11,23}[a-z]{3,8})\b`, "phrase", "seed&word", "mnemonic"),
	form(`(?i)\b(?:recovery|backup|scratch|rescue) codes?\s*[:=]\s*((?:[a-z0-9\-]*[0-9][a-z0-9\-]*,? +)+[a-z0-9\-]*[0-9][a-z0-9\-]*)`, "codes"),
	form(`(?i)\b(?:(?:unlock|sim|card|device|door)[ _-])(?:pin|puk)(?: code)?(?: is| was|:)? "?([0-9]{4,10}#?)`, " pin", " puk"),
	form(`(?i)\b(?:door|gate|alarm|setup|pairing|unlock|entry) code(?: is| was|:)? "?([0-9][0-9\-]{2,10}[0-9]#?)`, "door code", "gate code", "alarm code", "setup code", "pairing code", "unlock code", "entry code"),
	form(`(?i)\bsms\b.{0,40}\bcode:? "?([0-9]{4,8})\b`, "sms&code"),
	form(`(?i)\b(?:network|link|transport)[ _-]?key\s*[:=]\s*["'\[{]?((?:(?:0x)?[0-9a-f]{2}[:, ]+){15}(?:0x)?[0-9a-f]{2})\b`, "network_key", "network key", "networkkey", "link_key", "link key", "linkkey", "transport_key", "transport key"),
	form(`(?i)\bstream[ _-]?key:? ["']?((?:[a-z0-9]{4}-){3,}[a-z0-9]{4})`, "stream&key"),
	// Directives and commands.
	form(`(?i)\b[a-z]+_password ["']([^"'\s]+)["']`, "_password").when(secretLike),
	form(`(?i)\bpassword (?:level|slot|number|no\.) ?[0-9]+\s*[:=]\s*["']?([^\s"']+)`, "password level", "password slot", "password n"),
	form(`(?i)\bpass(?:word|phrase|code) (?:given|entered|typed|supplied|received)\s*[:=]\s*["']?([^\s"']+)`, "pass&given", "pass&entered", "pass&typed", "pass&supplied", "pass&received"),
	form(`(?i)\b[a-z]*passwd: set to (\S+)`, "passwd: set"),
	form(`(?i)\bconnect to \S+ user \S+ using (\S+)`, "connect to& using "),
	form(`\[admins\]\s+\S+ ?= ?(\S+)`, "[admins]"),
	form(`\bAUTH LOGIN [A-Za-z0-9+/=]+ ([A-Za-z0-9+/=]{4,})`, "auth login"),
	form(`(?i)\bsasl_passw\S*.*?[\s:]\[?[a-z0-9.\-]+\]?:[0-9]+ [^\s:]+:(\S+)\s*$`, "sasl_passw"),
	form(`\{(?:PLAIN|CLEARTEXT|CLEAR)\}([^\s"',;:]+)`, "{plain}", "{clear"),
	form(`\biwconfig \S+ (?:key|enc) (s:\S+|[0-9A-Fa-f\-]{10,})`, "iwconfig"),
	form(`(?i)\bascii-text ["']?([^\s"']+)`, "ascii-text"),
	// Addresses that whoever knows them may post to.
	form(`hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_\-]+)`, "hooks.slack.com/"),
	form(`discord(?:app)?\.com/api/webhooks/([A-Za-z0-9/_\-]+)`, "/api/webhooks/"),
	form(`(?:webhook\.office\.com|outlook\.office(?:365)?\.com/webhook|hooks\.zapier\.com|maker\.ifttt\.com|hc-ping\.com|events\.pagerduty\.com/integration)/([^\s"'<>]+)`,
		".office", "zapier", "ifttt", "hc-ping", "pagerduty"),
	form(`chat\.googleapis\.com/v1/([^\s"'<>]+)`, "chat.googleapis.com"),
	form(`(?i)api\.telegram\.org/bot([^\s"'<>/]+)`, "api.telegram.org"),
	// Tokens that are not one run of letters.
	form(`(?:\b|bot)([0-9]{8,10}:AA[A-Za-z0-9_\-]{30,})`, ":aa"),
	form(`\b(1//0[A-Za-z0-9_\-]{20,})`, "1//0"),
	form(`\b([0-9]{15,16}\|[0-9A-Za-z\-_]{27,40})\b`, "|"),
	form(`\b([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34})`, "q~"),
	form(`\bAC[0-9a-f]{32}[:/, ]+([0-9a-f]{32})\b`, "ac&:"),
	form(`\b((?:live|test)_[0-9a-f]{35})\b`, "live_", "test_"),
	form(`\b(access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32})\b`, "access_token$"),
	form(`\b(sec-c-[0-9A-Za-z\-]{36,})\b`, "sec-c-"),
	form(`\b(pk_[0-9]{6,9}_[0-9A-Z]{32})\b`, "pk_"),
	form(`\b(pat-(?:na|eu)[0-9]-[0-9a-fA-F\-]{36})\b`, "pat-"),
	form(`\b([0-9a-f]{32}-us[0-9]{1,2})\b`, "-us"),
	form(`\b(pat[A-Za-z0-9]{14}\.[0-9a-f]{64})\b`, "pat"),
	form(`\b(K10[0-9a-f]{16,}::(?:[a-z]+:)?[0-9A-Za-z.]{16,})`, "::server:", "::node:"),
	form(`\bsha256~([A-Za-z0-9_\-]{43})`, "sha256~"),
}

var insertHint = hinting("insert into ")

// hintedPhrases are the phrases by the hints that bring them up: alone, or with another.
var hintedPhrases = func() (by struct {
	alone [hintBits][]*phrase
	with  [hintBits][]withHint
}) {
	for i := range phrases {
		p := &phrases[i]
		for n := range hintBits {
			if p.hint.any.has(n) {
				by.alone[n] = append(by.alone[n], p)
			}
		}
		for _, b := range p.hint.both {
			by.with[b[0]] = append(by.with[b[0]], withHint{b[1], p})
		}
	}
	return by
}()

type withHint struct {
	other int
	p     *phrase
}

// phrasesOf are the phrases that a line with these hints may hold, each once.
func phrasesOf(found hintSet) iter.Seq[*phrase] {
	return func(yield func(*phrase) bool) {
		var buf [16]*phrase
		seen := buf[:0]
		once := func(p *phrase) bool {
			if slices.Contains(seen, p) {
				return true
			}
			seen = append(seen, p)
			return yield(p)
		}
		for k, bits := range found {
			for ; bits != 0; bits &= bits - 1 {
				n := k*64 + mathbits.TrailingZeros64(bits)
				for _, p := range hintedPhrases.alone[n] {
					if !once(p) {
						return
					}
				}
				for _, w := range hintedPhrases.with[n] {
					if found.has(w.other) && !once(w.p) {
						return
					}
				}
			}
		}
	}
}

// phrases hides what the table finds.
func (m *masker) phrases() {
	for p := range phrasesOf(m.found) {
		for _, at := range p.re.FindAllStringSubmatchIndex(m.s, -1) {
			if at[2] < 0 {
				continue
			}
			v := m.s[at[2]:at[3]]
			if p.names {
				m.multipart(at[1], v)
				continue
			}
			if p.holds != nil && !p.holds(m, m.lower[at[0]:at[2]], v) {
				continue
			}
			w := strings.ToLower(v)
			if said[w] || protocolWord[w] || nothing[w] && w != "basic" || reReference.MatchString(v) || maskWord(v) || strings.HasPrefix(v, Redacted) || strings.HasPrefix(v, "(") {
				continue
			}
			m.hide(at[2], at[3])
		}
	}
	if insertHint.met(m.found) {
		m.insert()
	}
}

// userColon is true where what stands before a colon may be a user, and v its password.
func userColon(_ *masker, before, v string) bool {
	user := before[strings.LastIndexAny(strings.TrimSuffix(before, ":"), " \"'")+1:]
	return !noUser[strings.Trim(user, ": \"'")] && !digits(strings.Trim(v, ".,;)]")) && !rePorts.MatchString(v)
}

// mixed is true for small letters, capitals and digits in one word of no file or host.
func mixed(v string) bool {
	return hasDigit(v) && strings.ToLower(v) != v && strings.ToUpper(v) != v && looksSecret(v) && !strings.ContainsAny(v, ".,") && !uuid(v)
}

// noUser are what else is written before a colon: a kind of thing, a scheme.
var noUser = wordSet("system user users uid gid group role id tenant org team host ip addr address client server service account realm domain port tcp udp http https arn urn sha256 sha1 sha512 md5 ns namespace node method provider type scope url uri path file error reason code status v1 v2 api key token session request req email mail name username spiffe did oauth2 oidc ldap saml")

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
	// The form's groups end behind the blank line, or behind the name.
	i = strings.LastIndexByte(m.s[:i], '"') + 1
	rest := m.s[i:]
	if strings.HasPrefix(rest, " ") { // lines that were joined
		end := blanks(m.s, i)
		for to := end; ; to++ {
			if to == len(m.s) || m.s[to] == ' ' {
				m.hide(end, to)
				return
			}
		}
	}
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
	reInsert = lazyre.New("(?i)\\binsert into\\s+[\\w.\"`\\[\\]]+\\s*(?:\\(([^()]*)\\))?\\s*(?:output [^()]*)?values\\s*")
	reTable  = lazyre.New("(?i)into\\s+[\\w.\"`\\[\\]]*(?:passw|secret|token|credential)")
)

// reUsers is a table that keeps a password in each row.
var reUsers = lazyre.New("(?i)into\\s+[\\w.\"`\\[\\]]*\\b(?:[a-z]+_)?(?:users?|accounts?|logins?|members?|customers?)[\"`\\]]?\\s")

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
		} else if table := m.s[p[0]:p[1]]; reUsers.MatchString(table) {
			hide = slices.Repeat([]bool{true}, 16)
			hide[0] = false // who it is
		} else if !reTable.MatchString(table) {
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
