package redact

import (
	"strings"

	"github.com/oomwatch/oomwatch/internal/lazyre"
)

// A tool is a command that takes a secret by an option that does not say so, or by
// the place of an argument.
type tool struct {
	names string // parted by blanks; a "*" at the end stands for any letters
	// flags whose value is the secret; "=" behind one: only attached to it; ":" or "%"
	// behind one: what follows that sign in the value.
	flags string
	needs string // an argument without which the flags mean something else
	// place is the number of the secret among the arguments that are no options,
	// counted behind the word needs; -1 is the last.
	place int
}

var tools = []tool{
	{names: "docker podman nerdctl buildah skopeo crane oras helm az oc cf ibmcloud", flags: "-p --password", needs: "login"},
	{names: "mysql* mariadb*", flags: "-p="},
	{names: "mysqladmin", needs: "password", place: 1},
	{names: "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop cqlsh rdesktop sshpass useradd usermod twine poetry psexec nodetool", flags: "-p"},
	{names: "7z 7za 7zr rar unrar", flags: "-p= -hp="},
	{names: "htpasswd", flags: "", needs: "-b", place: -1},
	{names: "ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami ldapcompare ldapmodrdn", flags: "-w"},
	{names: "ldappasswd", flags: "-s -a"},
	{names: "mosquitto_pub mosquitto_sub mosquitto_rr sqlcmd bcp isql zip unzip ipmitool", flags: "-P"},
	{names: "curl", flags: "-u: -U: --user: --proxy-user:"},
	{names: "http https xh", flags: "-a: --auth:"},
	{names: "redis-cli keydb-cli valkey-cli", flags: "-a --pass"},
	{names: "openssl", flags: "-k -K", needs: "enc"},
	{names: "smbclient rpcclient smbget smbmap", flags: "-U% --user%"},
	{names: "snmpget snmpwalk snmpset snmpbulkwalk snmpbulkget snmptable snmptrap", flags: "-c -A -X"},
	{names: "xfreerdp wfreerdp mstsc", flags: "/p:="},
	{names: "lftp", flags: "-u,"},
	{names: "rabbitmqctl", needs: "add_user", place: 2},
	{names: "rabbitmqctl", needs: "change_password", place: 2},
	{names: "rabbitmqctl", needs: "authenticate_user", place: 2},
	{names: "vault", needs: "login", place: 1},
	{names: "vault", needs: "unseal", place: 1},
	{names: "mc", needs: "set", place: 4},
	{names: "mc", needs: "add", place: 4},
	{names: "wpa_passphrase", place: 2},
	{names: "nmcli", needs: "password", place: 1},
	{names: "wg", needs: "private-key", place: 1},
	{names: "wg", needs: "preshared-key", place: 1},
	{names: "ssh-keygen", flags: "-N -P"},
	{names: "etcdctl", flags: "--user:"},
	{names: "dotnet", needs: "user-secrets", place: 3},
	{names: "slappasswd", flags: "-s"},
	{names: "mosquitto_passwd", needs: "-b", place: -1},
	{names: "doctl", needs: "init", flags: "-t"},
	{names: "schtasks", flags: "/rp"},
	{names: "mssql-cli tsql osql", flags: "-P"},
	{names: "gh glab", needs: "secret", flags: "--body -b"},
	{names: "rclone", needs: "obscure", place: 1},
	{names: "radtest", place: 2},
	{names: "radtest", place: 5},
	{names: "virt-customize virt-sysprep", flags: "--root-password: --password:"},
	{names: "impacket-* evil-winrm crackmapexec netexec nxc winexe", flags: "-p"},
}

var toolHints = hinting("docker&login", "podman&login", "nerdctl&login", "buildah&login", "skopeo&login", "crane&login", "oras&login", "helm&login", "az login", "mysql&-p", "mysql&password", "mariadb&-p", "mongo&-p",
	"cqlsh&-p", "rdesktop&-p", "sshpass", "useradd&-p", "usermod&-p", "twine&-p", "poetry&-p", "psexec&-p", "nodetool&-p", "7z&-p", "7za&-p", "rar &-p", "htpasswd&-", "ldap&-w", "ldappasswd", "mosquitto&-p",
	"sqlcmd&-p", "bcp&-p", "isql&-p", "zip&-p", "ipmitool&-p", "curl&-", "http &-", "https &-", "xh &-", "-cli&-a", "-cli&--pass", "openssl&-k", "smb&-u", "rpcclient&-u", "snmp&-", "freerdp", "mstsc", "lftp&-u",
	"rabbitmqctl", "vault&login", "vault&unseal", "mc&set", "mc&add", "wpa_", "nmcli", "wg&-key", "ssh-keygen", "dotnet&user-secrets", "slappasswd", "mosquitto_passwd", "doctl&-t", "schtasks&/rp", "rar &-hp", "oc login", "cf login", "ibmcloud", "etcdctl&--user", "mssql-cli", "tsql&-p", "osql&-p", "gh secret&-b", "rclone&obscure", "radtest", "virt-&password", "winrm&-p", "mapexec&-p", "netexec&-p", "nxc&-p", "winexe&-p", "impacket&-p")

var toolsByName = func() map[string][]tool {
	byName := map[string][]tool{}
	for _, t := range tools {
		for n := range strings.FieldsSeq(t.names) {
			byName[strings.TrimSuffix(n, "*")] = append(byName[strings.TrimSuffix(n, "*")], t)
		}
	}
	return byName
}()

// An arg is one argument of a command, without its quotes.
type arg struct{ from, to int }

// maxArgs is how many arguments of a command are looked at.
const maxArgs = 64

// commands hides the secrets in the arguments of well-known commands.
func (m *masker) commands() {
	if !toolHints.met(m.found) {
		return
	}
	s := m.lower
	for i := 0; i < len(s); {
		if !wordByte(s[i]) || i > 0 && (wordByte(s[i-1]) || s[i-1] == '-' || s[i-1] == '.') {
			i++
			continue
		}
		j := i
		for j < len(s) && (wordByte(s[j]) || s[j] == '-') {
			j++
		}
		if strings.HasPrefix(s[j:], ": ") {
			i = j // vault: 3 of 5 unseal keys
			continue
		}
		for _, t := range toolsFor(s[i:j]) {
			m.tool(t, j)
		}
		i = j
	}
}

func toolsFor(word string) []tool {
	switch {
	case strings.HasPrefix(word, "mysqladmin"):
		return append(toolsByName["mysqladmin"], toolsByName["mysql"]...)
	case strings.HasPrefix(word, "mysql"):
		return toolsByName["mysql"]
	case strings.HasPrefix(word, "mariadb"):
		return toolsByName["mariadb"]
	}
	return toolsByName[word]
}

// args reads the arguments behind i, of a command line or of an array in JSON.
func (m *masker) args(i int) []arg {
	s := m.s
	var out []arg
	for len(out) < maxArgs {
		for i < len(s) && strings.IndexByte(" \t\"',\\", s[i]) >= 0 && !(s[i] == '\'' || s[i] == '"') {
			i++
		}
		i += len(reAuditArg.FindString(s[i:min(len(s), i+6)]))
		if i >= len(s) || strings.IndexByte("|;&>\n)]", s[i]) >= 0 {
			break
		}
		if q := s[i]; q == '"' || q == '\'' {
			if n := len(out); n > 0 && out[n-1].to == i && s[i-1] != '=' && s[i-1] != q {
				break // the quote that the whole command stands in
			}
			if i+1 < len(s) && (s[i+1] == ',' || s[i+1] == ' ') && len(out) == 0 { // the quote behind the command
				i++
				continue
			}
			end := i + 1 + quotedEnd(s[i+1:], string(q))
			out = append(out, arg{i + 1, end})
			i = min(len(s), end+1)
			continue
		}
		from := i
		for i < len(s) && strings.IndexByte(" \t|;&\n\"", s[i]) < 0 {
			if s[i] == '\'' {
				i = min(len(s)-1, i+1+quotedEnd(s[i+1:], "'"))
			}
			i++
		}
		out = append(out, arg{from, i})
	}
	return out
}

// reAuditArg is the number that auditd puts before an argument.
var reAuditArg = lazyre.New(`^a[0-9]{1,3}=`)

// tool hides the secret among the arguments behind i.
func (m *masker) tool(t tool, i int) {
	args := m.args(i)
	behind := 0
	if t.needs != "" {
		behind = -1
		for k, a := range args {
			if w := m.s[a.from:a.to]; w == t.needs || t.needs == "-b" && len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.Contains(w, "b") {
				behind = k + 1
				break
			}
		}
		if behind < 0 {
			return
		}
	}
	if t.place != 0 {
		m.placed(t.place, args[behind:])
	}
	for flag := range strings.FieldsSeq(t.flags) {
		m.flagged(flag, args)
	}
}

// placed hides the argument at a place among those that are no options.
func (m *masker) placed(place int, args []arg) {
	n := 0
	for k, a := range args {
		w := m.s[a.from:a.to]
		if strings.HasPrefix(w, "-") {
			continue
		}
		if n++; n == place || place < 0 && k == len(args)-1 && n > 1 {
			m.hideArg(a.from, a.to)
			return
		}
	}
}

// flagged hides the values of one flag.
func (m *masker) flagged(flag string, args []arg) {
	last := flag[len(flag)-1]
	after := ""
	attached := last == '='
	if strings.IndexByte("=:%,", last) >= 0 {
		flag = flag[:len(flag)-1]
		if last != '=' {
			after = string(last)
		}
	}
	for k, a := range args {
		w := m.s[a.from:a.to]
		rest, ok := strings.CutPrefix(w, flag)
		if !ok && len(flag) == 2 && after != "" && len(w) > 2 && w[0] == '-' && w[1] != '-' && w[len(w)-1] == flag[1] {
			rest, ok = "", true // -su
		}
		switch {
		case !ok, rest != "" && strings.HasPrefix(flag, "--") && rest[0] != '=', rest != "" && (rest[0] == '-' || len(flag) == 2 && after != ""):
			continue
		case rest == "" && (attached || k+1 >= len(args)):
			continue
		case rest == "":
			a = args[k+1]
			if strings.HasPrefix(m.s[a.from:a.to], "-") {
				continue
			}
		default:
			a.from += len(w) - len(rest)
			for a.from < a.to && strings.IndexByte(`='"`, m.s[a.from]) >= 0 {
				a.from++
			}
		}
		if after != "" {
			v := m.s[a.from:a.to]
			c := strings.Index(v, after)
			if c < 0 {
				continue
			}
			if c+1 < len(v) {
				a.from += c + 1 // else the user is the token: curl -u token:
			}
		}
		m.hideArg(a.from, a.to)
	}
}

var rePorts = lazyre.New(`^(?:[0-9.]*[.:])?[0-9]{1,5}(?:/(?:tcp|udp))?$`)

// hideArg hides an argument, unless it is a port, a placeholder or a reference.
func (m *masker) hideArg(from, to int) {
	for from < to && (m.s[from] == '"' || m.s[from] == '\'' || m.s[from] == '\\') {
		from++
	}
	for from < to && (m.s[to-1] == '"' || m.s[to-1] == '\'' || m.s[to-1] == '\\' || m.s[to-1] == ']' || m.s[to-1] == ',') {
		to--
	}
	if v := m.s[from:to]; v == "" || rePorts.MatchString(v) || reReference.MatchString(v) || maskWord(v) || placeholderArg(v) || strings.HasPrefix(v, Redacted) {
		return
	}
	m.hide(from, to)
}

func placeholderArg(v string) bool {
	return strings.HasPrefix(v, "<") && strings.HasSuffix(v, ">") || upperPlaceholder(v)
}

// upperPlaceholder is true for PASSWORD, YOUR_TOKEN and the like, as a usage has them.
func upperPlaceholder(v string) bool {
	return v == strings.ToUpper(v) && !hasDigit(v) && hinted(strings.ToLower(v), "pass", "token", "secret", "key", "user", "value", "your", "pw", "cred", "string", "xxx")
}
