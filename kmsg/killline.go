package kmsg

import "strings"

// killLine is what a "Killed process" line, or the announcement before it, says.
type killLine struct {
	kill       Kill
	constraint Constraint
	announce   bool // "Kill process N (c) score S": not yet done
	shared     bool // "Kill process N (c) sharing same memory"
	sized      bool // total-vm was printed
	fields     int  // how many fields were read, to judge a joined line by
	end        int  // where in the text the line's own fields end
}

// parseKill reads the lines "Killed process ..." of all kernels, with or
// without the words before it.
func parseKill(t string, escaped bool) (k killLine, ok bool) {
	k.kill.UID = -1
	k.end = len(t)
	s := t
	switch {
	case strings.HasPrefix(s, "Memory cgroup out of memory"):
		k.constraint = ConstraintMemcg
	case strings.HasPrefix(s, "Out of memory"):
		k.constraint = ConstraintNone
	}
	if k.constraint != "" {
		colon := strings.Index(s, ": ")
		if colon < 0 || colon > 64 {
			return k, false
		}
		s = trimBlanks(s[colon+2:])
	}
	switch {
	case strings.HasPrefix(s, "Killed process "):
		s = s[len("Killed process "):]
	case strings.HasPrefix(s, "Kill process "), strings.HasPrefix(s, "kill process "):
		s = s[len("Kill process "):]
		k.announce = true
	default:
		return k, false
	}
	pid, s, ok := leadingInt(s)
	if !ok || pid <= 0 || pid > 1<<31 {
		return k, false
	}
	k.kill.PID = int(pid)
	if rest, is := strings.CutPrefix(s, ", UID "); is { // EL6
		uid, rest, ok := leadingInt(rest)
		if !ok || !strings.HasPrefix(rest, ", (") {
			return k, false
		}
		k.kill.UID = int(uid)
		s = rest[1:]
	}
	if !strings.HasPrefix(s, " (") {
		return k, false
	}
	s = s[2:]
	if k.announce {
		left, ok := k.announced(s, escaped)
		k.end = len(t) - len(left)
		return k, ok
	}
	end := commEnd(s)
	if end < 0 {
		return k, false
	}
	k.kill.Comm = decode(s[:end], escaped)
	rest := s[end+1:]
	if after, is := strings.CutPrefix(rest, ", UID "); is { // late EL7
		if uid, after, ok := leadingInt(after); ok {
			k.kill.UID = int(uid)
			rest = after
		}
	}
	left := k.sizes(rest)
	k.end = len(t) - len(left)
	return k, true
}

// announced reads the rest of "Kill process N (comm) score S or sacrifice child"
// and returns what follows.
func (k *killLine) announced(s string, escaped bool) (rest string, ok bool) {
	name := s[:min(len(s), maxName+len(") sharing same memory"))]
	for _, tail := range []string{") score ", ") sharing same memory"} {
		if i := strings.LastIndex(name, tail); i >= 0 {
			k.shared = tail == ") sharing same memory"
			k.kill.Comm = decode(s[:i], escaped)
			rest = s[i+len(tail):]
			for _, end := range []string{" or sacrifice child", " or a child"} {
				if j := strings.Index(rest[:min(len(rest), 48)], end); j >= 0 {
					return rest[j+len(end):], true
				}
			}
			return "", true
		}
	}
	// The line is cut or wrapped behind the name.
	if i := strings.LastIndexByte(s, ')'); i >= 0 && i <= maxName && strings.TrimSpace(s[i+1:]) == "" {
		k.kill.Comm = decode(s[:i], escaped)
		return "", true
	}
	return "", false
}

// commEnd finds the bracket that closes the victim's name. The name may hold
// any byte, ") total-vm:" too, so that the last one that fits counts.
func commEnd(s string) int {
	// Nearly always there is one bracket.
	if i := strings.IndexByte(s, ')'); i >= 0 && i <= maxName && strings.HasPrefix(s[i:], ") total-vm:") && strings.IndexByte(s[i+1:min(len(s), maxName+len(") total-vm:"))], ')') < 0 {
		return i
	}
	// A name is at most 15 bytes, 60 when all are escaped.
	for _, tail := range []string{") total-vm:", ") vsz:"} {
		if i := strings.LastIndex(s[:min(len(s), maxName+len(tail))], tail); i >= 0 {
			return i
		}
	}
	if i := strings.LastIndex(s[:min(len(s), maxName+7)], "), UID "); i >= 0 {
		return i
	}
	// No sizes. Another record may be run into the line.
	s = s[:min(len(s), maxName+2)]
	for _, next := range []string{")Out of memory: ", ")Memory cgroup ", ")Killed process "} {
		if i := strings.Index(s, next); i >= 0 {
			return i
		}
	}
	return strings.LastIndexByte(s, ')')
}

// maxName is the length of a process's name when all its bytes are escaped.
const maxName = 60

// sizes reads " total-vm:1kB, anon-rss:2kB, ... oom_score_adj:0" and returns
// what follows. A field that is cut or damaged is left out.
func (k *killLine) sizes(s string) string {
	rest := s
	for {
		t := rest
		for t != "" && (t[0] == ' ' || t[0] == ',' || t[0] == '\t') {
			t = t[1:]
		}
		colon := strings.IndexByte(t[:min(len(t), 24)], ':')
		if colon <= 0 || !isFieldName(t[:colon]) {
			return rest
		}
		name := t[:colon]
		n, after, ok := leadingInt(t[colon+1:])
		if !ok {
			return rest
		}
		kb := false
		if strings.HasPrefix(after, "kB") {
			kb = true
			after = after[2:]
		}
		known := true
		switch name {
		case "total-vm", "vsz":
			k.sized = setKB(&k.kill.TotalVM, n, kb) || k.sized
		case "anon-rss":
			setKB(&k.kill.AnonRSS, n, kb)
		case "file-rss":
			setKB(&k.kill.FileRSS, n, kb)
		case "shmem-rss":
			setKB(&k.kill.ShmemRSS, n, kb)
		case "pgtables":
			setKB(&k.kill.PageTables, n, kb)
		case "UID":
			k.kill.UID = int(n)
		case "oom_score_adj":
			k.kill.OOMScoreAdj, k.kill.HasOOMScoreAdj = int(n), true
		default:
			known = false
		}
		if known {
			k.fields++
		}
		rest = after
	}
}

func isFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func setKB(size *Size, n int64, kb bool) bool {
	if !kb || n < 0 || n > 1<<53 {
		return false
	}
	*size = Bytes(n << 10)
	return true
}

// fixPageTables undoes an error of early 5.4 and 5.5 kernels, which print the
// page tables in bytes and call them kB.
func (k *Kill) fixPageTables() {
	n := k.PageTables.Bytes >> 10
	if k.PageTables.Printed && n >= 4096 && n%4096 == 0 && k.TotalVM.Printed && k.PageTables.Bytes > k.TotalVM.Bytes {
		k.PageTables.Bytes = n
	}
}
