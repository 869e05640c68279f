package redact

import (
	"regexp"
	"strings"
)

// hinted is true when a line, in lower case, holds one of the words.
func hinted(lower string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}

// keyHints are words of which each name that promises a secret holds one.
var keyHints = []string{"pass", "pwd", "pw", "secret", "token", "key", "cred", "sess", "signature", "csrf", "nonce", "otp", "pin", "webhook", "dsn", "connect.sid", "mnemonic", "phrase"}

// pattern is a form in which secrets are written. A line that holds none of the
// hints, in lower case, is not looked at.
type pattern struct {
	hints []string
	re    *regexp.Regexp
}

func form(re string, hints ...string) pattern { return pattern{hints, regexp.MustCompile(re)} }

// redactPhrases are ways in which a secret is written with no key before it: by
// its place in a command or a statement. The first group stays before it, the
// second (where there is one) behind it.
var redactPhrases = []pattern{
	// SQL.
	form(`(?i)(\b(?:identified\s+(?:with\s+\S+\s+)?by|password(?:\s+for\s+\S+)?(?:\s*=)?)\s+)'[^']*'?`, "identified", "password"),
	// Redis: its configuration, and what MONITOR prints.
	form(`(?i)(\b(?:requirepass|masterauth)\s+)\S+`, "requirepass", "masterauth"),
	form(`(?i)("auth"\s+(?:"[^"]*"\s+)?)"[^"]*"`, `"auth"`),
	// .netrc.
	form(`(?i)(\blogin\s+\S+\s+password\s+)\S+`, "login"),
	// Commands that take a secret by a short flag.
	form(`(\bsshpass\s+-p\s*)\S+`, "sshpass"),
	form(`(\b(?:mysql|mariadb)[a-z-]*\s(?:[^|;&]*\s)?-p)[^\s'"]+`, "mysql", "mariadb"),
	form(`(\bredis-cli\s(?:[^|;&]*\s)?(?:-a|--pass)\s+)\S+`, "redis-cli"),
	form(`(\bcurl\s(?:[^|;&]*\s)?(?:-u|--user)[ =]['"]?[^\s:'"]+:)[^\s'"]+`, "curl"),
	// Data source names of Go's MySQL driver and of Oracle's JDBC driver.
	form(`([A-Za-z0-9_.\-]+:)[^\s@/:]+(@(?:tcp[46]?|unix)\()`, "@tcp", "@unix"),
	form(`(?i)(jdbc:oracle:[a-z]+:[^\s/@]+/)[^\s@]+(@)`, "jdbc:oracle"),
	// Docker's configuration: user and password in base64.
	form(`("auth"\s*:\s*")[A-Za-z0-9+/=]{8,}(")`, `"auth"`),
}

// redactShapes are tokens that are known by their shape, and addresses that
// whoever knows them may post to.
var redactShapes = []pattern{
	form(`(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|AGPA|ANPA)[A-Z0-9]{16}`, "akia", "asia", "aroa", "aida", "abia", "acca", "agpa", "anpa"),
	form(`gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
	form(`gl[a-z]{2,5}-[A-Za-z0-9_\-]{16,}|glsa_[A-Za-z0-9]{20,}(?:_[0-9a-f]{8})?`, "gl"),
	form(`xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9\-]{8,}|xapp-[A-Za-z0-9\-]{8,}`, "xox", "xapp-"),
	form(`[srp]k_(?:live|test)_[A-Za-z0-9]{8,}`, "k_live_", "k_test_"),
	form(`whsec_[A-Za-z0-9+/=]{8,}`, "whsec_"),
	form(`sk-[A-Za-z0-9_\-]{16,}`, "sk-"),
	form(`AIza[A-Za-z0-9_\-]{30,}|ya29\.[A-Za-z0-9_\-]{8,}|1//0[A-Za-z0-9_\-]{20,}|GOCSPX-[A-Za-z0-9_\-]{20,}`, "aiza", "ya29.", "1//0", "gocspx-"),
	form(`npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_\-]{16,}|hf_[A-Za-z0-9]{16,}|dckr_pat_[A-Za-z0-9_\-]{8,}`, "npm_", "pypi-", "hf_", "dckr_pat_"),
	form(`do[opr]_v1_[a-f0-9]{16,}|dapi[0-9a-f]{32}|sbp_[0-9a-f]{32,}|lin_api_[A-Za-z0-9]{20,}`, "_v1_", "dapi", "sbp_", "lin_api_"),
	form(`SG\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}|hv[sbr]\.[A-Za-z0-9_\-]{8,}`, "sg.", "hvs.", "hvb.", "hvr."),
	form(`AGE-SECRET-KEY-1[A-Z0-9]+|tskey-[a-z]+-[A-Za-z0-9\-]{16,}`, "age-secret-key-", "tskey-"),
	form(`[0-9]{8,10}:AA[A-Za-z0-9_\-]{30,}`, ":aa"),
	form(`SK[0-9a-f]{32}|key-[0-9a-f]{32}|sq0[a-z]{3}-[A-Za-z0-9_\-]{20,}|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}|ATATT3[A-Za-z0-9_\-=]{20,}`, "sk", "key-", "sq0", "shp", "atatt3"),
	form(`eyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)*`, "eyj"),
	form(`\$(?:2[abxy]|argon2id?|argon2i|5|6|y|scrypt|pbkdf2[a-z0-9\-]*)\$[^\s"',;]+`, "$"),
	form(`hooks\.slack\.com/[A-Za-z0-9/_\-]+`, "hooks.slack.com/"),
	form(`discord(?:app)?\.com/api/webhooks/[A-Za-z0-9/_\-]+`, "/api/webhooks/"),
	form(`(?:webhook\.office\.com|outlook\.office(?:365)?\.com/webhook|hooks\.zapier\.com|maker\.ifttt\.com|hc-ping\.com|events\.pagerduty\.com/integration)/[^\s"'<>]+`,
		"office", "zapier", "ifttt", "hc-ping", "pagerduty"),
	form(`chat\.googleapis\.com/v1/[^\s"'<>]+|api\.telegram\.org/bot[^\s"'<>/]+`, "chat.googleapis.com", "api.telegram.org"),
}
