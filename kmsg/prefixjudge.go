package kmsg

import (
	"net/netip"
	"strings"
	"unicode"
)

// relays are programs that log a kernel's own lines with their stamps: the
// virtual machine of Docker Desktop, a hypervisor its guest's console.
func isRelay(name string) bool {
	return name == "Guest" || strings.HasPrefix(name, "com.docker.")
}

// trust says whether a prefix lets the text behind it be the kernel's.
type trust uint8

const (
	trusted trust = iota
	written       // a program or a container wrote the line
	unclear       // the prefix is not understood
)

// judge says whose word the text behind the prefix is. whole tells that the
// text is one line of the kernel's to its last field.
func (p *prefixScan) judge(whole bool) trust {
	if p.program != "" {
		return written
	}
	if p.l.rec.Facility > 0 {
		return written
	}
	count, host, prose, most := 0, false, false, 1
	if p.named {
		most = 2
	}
	words := p.words[:min(p.n, len(p.words))]
	for i, w := range words {
		if i == 0 {
			w.text = behindFile(w.text)
			if in, ok := strings.CutPrefix(w.text, "["); ok && w.text != words[0].text && strings.HasSuffix(in, "]") {
				w.text, w.sep = strings.TrimSuffix(in, "]"), ']' // a column right behind the file
			}
		}
		if w.text == "stdout" || w.text == "stderr" {
			p.program = "container"
			return written
		}
		if w.sep == ':' && isRelay(w.text) && p.l.rec.HasUptime {
			most = len(p.words)
			continue
		}
		if i+1 < len(words) && isRelay(words[i+1].text) && len(w.text) == 4 && digitsOnly(w.text[1:]) {
			continue // vmware.log's level, I005
		}
		if i == 1 && w.text == "login" && w.sep == ':' && p.l.rec.HasUptime {
			continue // a console's prompt stands before the line
		}
		name, pid := cutPID(w.text)
		if w.sep == ':' && (pid || isNginx(w.text) || w.after || w.dated && !isAddress(w.text)) {
			p.program = name
			return written
		}
		if w.after || p.dated && !w.dated && w.sep == ' ' && !hostLike(w.text) || isProcess(w.text) {
			return unclear
		}
		if w.sep == ']' && strings.Contains(w.text, "/") || strings.HasPrefix(w.text, "[pod/") || w.sep == '|' && (w.far && !p.named || (w.far || !p.closed) && composeName(w.text) || instanceName(w.text)) || w.sep == ']' && instanceName(w.text) || isStream(w.text) {
			p.program = "container"
			return written
		}
		if isFileName(w.text) && w.sep != ' ' {
			continue
		}
		count++
		_, facility := facilityNames[w.text]
		prose = prose || !facility && !hostLike(w.text)
		host = host || hostLike(w.text) && w.sep != ' '
	}
	if p.n > len(p.words) {
		return unclear
	}
	if p.leveled && p.dated && prose && !p.named {
		return unclear // a logger's name stands beside its level
	}
	if (p.leveled || p.column) && !p.closed && !p.named {
		return unclear // a program's line: the kernel prints no level of its own there
	}
	if count > most || count > 0 && !p.closed && !p.dated && !(host && whole) {
		return unclear
	}
	return trusted
}

// cutPID takes the pid off a program's name as syslog writes it, "sshd[12]", or the
// instance, "app[web.1]".
func cutPID(s string) (name string, ok bool) {
	i := strings.IndexByte(s, '[')
	if i <= 0 || !strings.HasSuffix(s, "]") || !digitsOnly(s[i+1:len(s)-1]) && !instanceName(s[i+1:len(s)-1]) {
		return s, false
	}
	return s[:i], true
}

// behindFile takes off the file (and number) that grep has put before a word.
func behindFile(s string) string {
	for i := 1; i < len(s)-1; i++ {
		if s[i] != ':' && s[i] != '-' {
			continue
		}
		file, tail := s[:i], s[i+1:]
		if s[i] == ':' && isFileName(file) || s[i] == '-' && hasLogEnding(file) {
			if j := strings.IndexAny(tail, ":-"); j > 0 && digitsOnly(tail[:j]) {
				tail = tail[j+1:]
			}
			if tail == "" || digitsOnly(tail) {
				return s
			}
			return tail
		}
	}
	return s
}

func hasLogEnding(file string) bool {
	for _, end := range []string{".log", ".txt", ".gz", ".zst", ".xz", ".bz2", ".out", "dmesg", "messages", "syslog"} {
		if strings.HasSuffix(file, end) {
			return true
		}
	}
	i := strings.LastIndexByte(file, '.')
	return i > 0 && digitsOnly(file[i+1:]) && hasLogEnding(file[:i])
}

// isFileName tells the name of a log, as grep puts it before each line.
func isFileName(s string) bool {
	if len(s) > 2 && s[1] == ':' && s[2] == '\\' {
		s = s[2:]
	}
	if _, tail, ok := strings.Cut(s, ":"); ok && !digitsOnly(tail) {
		return false // something stands behind the file
	}
	if strings.ContainsAny(s, `/\`) || s == "(standard" || s == "-" {
		return true
	}
	for _, part := range []string{".log", ".txt", ".gz", ".zst", ".xz", ".bz2", ".out", "dmesg", "messages", "syslog"} {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// isNginx tells the process and thread that nginx names: 7#7.
func isNginx(s string) bool {
	pid, tid, ok := strings.Cut(s, "#")
	return ok && digitsOnly(pid) && digitsOnly(tid)
}

// hostLike tells a name that is more likely a machine's than a program's.
func hostLike(s string) bool {
	return isAddress(s) || isFileName(s) || s != "" && len(s) <= 253 && strings.ContainsAny(s, "0123456789.-_") && !strings.ContainsAny(s, "()[]{}<>$%&;!?'\"")
}

func isAddress(s string) bool {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// composeName tells a container as docker compose names it before its output: web-1.
func composeName(s string) bool {
	i := strings.LastIndexAny(s, "-_")
	return i > 0 && digitsOnly(s[i+1:]) && len(s)-i <= 4
}

// instanceName tells a process as foreman names it before its output, web.1, or a task as
// docker service logs does, web.1.x2k9@node: no machine's name ends in a number so.
func instanceName(s string) bool {
	s, _, task := strings.Cut(s, "@")
	if task {
		i := strings.LastIndexByte(s, '.')
		s = s[:max(i, 0)]
	}
	i := strings.LastIndexByte(s, '.')
	return i > 0 && digitsOnly(s[i+1:]) && len(s)-i <= 4 && unicode.IsLetter(rune(s[0])) && !strings.ContainsAny(s, ":/")
}

// isProcess tells an Erlang process, <0.123.0>.
func isProcess(s string) bool {
	return len(s) > 2 && s[0] == '<' && s[len(s)-1] == '>' && strings.Trim(s[1:len(s)-1], "0123456789.") == ""
}

// isStream tells a log stream of a container's output, as clouds name it by the task: ecs/web/0123….
func isStream(s string) bool {
	i := strings.LastIndexByte(s, '/')
	id := s[i+1:]
	return i > 0 && len(id) >= 12 && strings.Trim(id, "0123456789abcdef-") == ""
}

// host is the machine that the prefix names outside of what parseLine reads.
func (p *prefixScan) host() string {
	for i := range p.words[:min(p.n, len(p.words))] {
		if w := &p.words[i]; !isFileName(w.text) && w.sep != '-' && !(w.sep == ':' && isRelay(w.text)) {
			return w.text
		}
	}
	return ""
}
