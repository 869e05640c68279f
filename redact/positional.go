package redact

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// A connection is often printed by position, with no name before its password:
// DbConf("db1", "app", "x"), {smtp, "mail", 587, "bot", "x"}. Its head says what it is,
// and its last text is the password where it looks like one.

// connections are words of a head that say so.
var connections = wordSet(`db database conf config connection conn connect connector datasource credential credentials cred creds login logon account auth authenticate
	mysql mariadb postgres postgresql postgrex epgsql pgsql pg redis eredis mongo mongodb odbc jdbc sql mssql oracle tds myxql ecto repo
	smtp imap pop3 mailer mail ldap eldap amqp rabbit rabbitmq mqtt ftp sftp ssh broker jms kafka sasl proxy sequelize knex gorm hikari doctrine typeorm peewee endpoint options opts params settings session client`)

var positionHints = hinting("db&,", "conf&,", "conn&,", "datasource&,", "cred&,", "login&,", "logon&,", "auth&,", "sql&,", "postgre&,", "redis&,", "mongo&,", "odbc&,", "jdbc&,", "oracle&,",
	"smtp&,", "imap&,", "pop3&,", "mail&,", "ldap&,", "amqp&,", "rabbit&,", "mqtt&,", "ftp&,", "ssh&,", "broker&,", "sasl&,", "proxy&,", "sequelize&,", "knex&,", "gorm&,", "hikari&,", "doctrine&,", "typeorm&,", "peewee&,", "options&,", "params&,", "settings&,", "client&,")

// maxLists is how many lists of a window are read by position, maxElements how many
// elements of each.
const (
	maxLists    = 32
	maxElements = 16
)

// positions hides the last text of lists whose head says that they are a connection.
func (m *masker) positions() {
	if !positionHints.met(m.found) {
		return
	}
	lists := 0
	for i := 0; i < len(m.s) && lists < maxLists; i++ {
		if c := m.s[i]; c != '(' && c != '{' && c != '[' {
			continue
		}
		lists++
		m.position(i)
	}
}

// position reads the list whose bracket stands at i.
func (m *masker) position(i int) {
	var buf [maxElements][2]int
	es, ok := m.elements(i, buf[:0])
	if !ok {
		return
	}
	head := m.headBefore(i)
	if call := reArguments.FindStringSubmatch(m.s[max(0, i-80):i]); call != nil && head == "" && m.s[i] == '[' {
		head = call[1]
	}
	first := m.s[es[0][0]:es[0][1]]
	switch {
	case head != "":
	case closer(first) == 0:
		head, es = strings.TrimLeft(first, ":"), es[1:]
	case m.hasPort(es):
		head = "connection"
	default:
		head, es = strings.Trim(first, `'"`), es[1:]
	}
	if len(es) < 2 || !isConnection(head) {
		return
	}
	// What stands behind the last text may be numbers, atoms and lists.
	for k := len(es) - 1; k >= 1; k-- {
		from, to := es[k][0], es[k][1]
		quoted := closer(m.s[from:to]) == 1 && to-from > 2 && m.s[to-1] == m.s[from]
		if quoted {
			from, to = from+1, to-1
		}
		v := m.s[from:to]
		switch {
		case positionSecret(v, quoted, len(es)):
			m.hide(from, to)
			return
		case quoted:
			return
		}
	}
}

// reArguments is what stands before a call's arguments in Erlang: {emysql,init,[...]}.
var reArguments = lazyre.New(`\{([a-z][A-Za-z0-9_]*), ?[a-z][A-Za-z0-9_]*, ?$`)

// hasPort is true where a host, a port, a user and one more stand in a row.
func (m *masker) hasPort(es [][2]int) bool {
	if len(es) < 4 {
		return false
	}
	port := m.s[es[1][0]:es[1][1]]
	return len(port) >= 2 && len(port) <= 5 && digits(port) && closer(m.s[es[2][0]:]) == 1
}

// headBefore is the identifier right before the bracket at i, or "".
func (m *masker) headBefore(i int) string {
	if i > 1 && m.s[i-1] == ' ' && m.s[i] == '{' {
		i-- // DbConf { "db1", "app", "x" }
	}
	from := i
	for from > 0 && i-from < maxName && (wordByte(m.s[from-1]) || strings.IndexByte("!:.>-", m.s[from-1]) >= 0) {
		from--
	}
	head := strings.TrimRight(m.s[from:i], "!")
	// Of DbOptions::new the type is the head; of redis.set there is none.
	at := strings.LastIndexAny(head, ":.>")
	if at < 0 || !makers[strings.ToLower(head[at+1:])] {
		return head[at+1:]
	}
	head = strings.TrimRight(head[:at], ":.>-")
	return head[strings.LastIndexAny(head, ":.>")+1:]
}

// makers are functions of a type that make a connection.
var makers = wordSet("new create make build of from init initialize connect open start start_link dial __construct construct auth login instance")

func isConnection(head string) bool {
	if head == "" || len(head) > 40 || strings.ContainsAny(head, " \"/=") {
		return false
	}
	for _, w := range splitName(head, make([]string, 0, 8)) {
		if connections[w] || connections[strings.TrimSuffix(w, "s")] || hinted(w, "mysql", "pgsql", "redis", "mongo", "ldap", "smtp", "amqp") {
			return true
		}
	}
	return false
}

// positionSecret is true for what is no host, name, path, number or id.
func positionSecret(v string, quoted bool, elements int) bool {
	if len(v) < 6 || len(v) > 64 || !looksSecret(v) || strings.ContainsAny(v, " =:,<>\\") || uuid(v) || hexadecimal(v) || reNumber.MatchString(v) ||
		reVersion.MatchString(v) || maskWord(v) || algorithm[strings.ToLower(v)] || strings.HasPrefix(v, "0x") || reReference.MatchString(v) {
		return false
	}
	if strings.Contains(v, ".") && !strings.ContainsAny(v, "!#$%^&*+~?") || strings.Contains(v, "@") && strings.Contains(v, ".") {
		return false // a host, a file, an address
	}
	if strings.ContainsAny(v, "!#$%^*+~") || strings.ContainsAny(v, "&?@") && quoted {
		return quoted || hasDigit(v)
	}
	// A digit within a word is no number of a host: wr3nfeather, not db1 and not web-01-a.
	inside := false
	for i := 1; i+1 < len(v); i++ {
		inside = inside || v[i] >= '0' && v[i] <= '9' && letterByte(v[i-1]) && letterByte(v[i+1])
	}
	long := quoted && len(v) >= 10 && !strings.ContainsAny(v, "-_")
	if !inside && !mixed(v) && !long && !(elements >= 4 && quoted && mixed(strings.ReplaceAll(v, "-", ""))) {
		return false
	}
	return (quoted || mixed(v)) && !strings.HasPrefix(strings.ToLower(v), "utf")
}

func letterByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// elements appends where the elements of the list at i stand, without blanks. It is
// false where an element has a name, or the list has no end or too many.
func (m *masker) elements(i int, es [][2]int) ([][2]int, bool) {
	n := bracketEnd(m.s[i:])
	if n < 8 {
		return nil, false
	}
	end := i + n
	add := func(from, to int) {
		for from < to && m.s[from] == ' ' {
			from++
		}
		for to > from && m.s[to-1] == ' ' {
			to--
		}
		es = append(es, [2]int{from, to})
	}
	from, depth := i+1, 0
	for j := i + 1; j < end; j++ {
		switch c := m.s[j]; c {
		case '"', '\'':
			if k := quotedEnd(m.s[j+1:end], m.s[j:j+1]); j+1+k < end {
				j += 1 + k
			}
		case '(', '{', '[':
			depth++
		case ')', '}', ']':
			depth--
		case '=', ':':
			// {:smtp, ...} holds an atom; "host: x" and "host=x" hold names.
			if depth == 0 && (c == '=' || j > from && m.s[j-1] != ' ' && m.s[j-1] != ',') {
				return nil, false
			}
		case ',':
			if depth == 0 {
				if len(es) == maxElements {
					return nil, false
				}
				add(from, j)
				from = j + 1
			}
		}
	}
	add(from, end)
	return es, len(es) >= 3
}
