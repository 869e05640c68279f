package kmsg

import "strings"

// summaryLine is the one-line account "oom-kill:constraint=...".
type summaryLine struct {
	constraint Constraint
	cpuset     string
	oomMemcg   string
	taskMemcg  string
	comm       string
	pid        int
	uid        int
	complete   bool // pid and uid were there
	ambiguous  bool // the paths can be cut in two ways that both fit
	// body is what stands before ",pid=": when the victim's name is known
	// from its kill line, the paths are cut again with it.
	body    string
	escaped bool
}

// parseSummary reads the summary from both ends: the numbers from the right,
// the fixed words from the left. What is between them are a cgroup's path and
// a process's name, which may hold anything, ",task_memcg=" too.
func parseSummary(t string, escaped bool) (v summaryLine, ok bool) {
	v.uid, v.escaped = -1, escaped
	s, ok := strings.CutPrefix(t, "oom-kill:")
	if !ok {
		return v, false
	}
	s, ok = strings.CutPrefix(trimBlanks(s), "constraint=")
	if !ok {
		return v, false
	}
	word := s
	if i := strings.IndexByte(s, ','); i >= 0 {
		word = s[:i]
	}
	switch strings.TrimRight(word, " .") {
	case "CONSTRAINT_NONE":
		v.constraint = ConstraintNone
	case "CONSTRAINT_MEMCG":
		v.constraint = ConstraintMemcg
	case "CONSTRAINT_CPUSET":
		v.constraint = ConstraintCpuset
	case "CONSTRAINT_MEMORY_POLICY":
		v.constraint = ConstraintMemoryPolicy
	default:
		return v, false
	}
	s = s[len(word):]
	v.cpuset = decode(summaryCpuset(s), escaped)
	s = strings.TrimRight(s, " \t")
	if i := strings.LastIndex(s, ",pid="); i >= 0 {
		pid, rest, ok := leadingInt(s[i+5:])
		if ok && pid > 0 && pid < 1<<31 && (rest == "" || rest[0] == ',') {
			v.body = s[:i]
			if u, ok := strings.CutPrefix(rest, ",uid="); ok {
				if uid, after, ok := leadingInt(u); ok && after == "" {
					v.uid = int(uid)
				}
			}
			v.pid, v.complete = int(pid), rest == "" || v.uid >= 0
		}
	}
	if v.pid == 0 {
		v.body = s
	}
	v.split("", false)
	return v, true
}

// split cuts the name and the paths out of the body. With known the victim's
// name is comm, as the kill line told it.
func (v *summaryLine) split(comm string, known bool) {
	s := v.body
	cut := -1
	if known {
		for end := len(s); ; {
			i := strings.LastIndex(s[:end], ",task=")
			if i < 0 {
				break
			}
			if len(s)-i-6 > maxName {
				break
			}
			if decode(s[i+6:], v.escaped) == comm {
				cut = i
				break
			}
			end = i
		}
	}
	if cut < 0 {
		cut = strings.LastIndex(s, ",task=")
	}
	pathsEnd := false
	if cut >= 0 {
		v.comm = decode(s[cut+6:], v.escaped)
		s = s[:cut]
		pathsEnd = true
	}
	v.oomMemcg, v.taskMemcg, v.ambiguous = "", "", false
	v.paths(s, pathsEnd)
}

// paths reads ",global_oom,task_memcg=Q" or ",oom_memcg=P,task_memcg=Q". A
// path begins with a slash, and cpuset= before it is a single name without
// one, so that the first such place is the kernel's. For a memcg kill Q is P
// or below it. whole says that s ends where the path ends: a cut path is not told.
func (v *summaryLine) paths(s string, whole bool) {
	const global, oom, task = ",global_oom,task_memcg=/", ",oom_memcg=/", ",task_memcg=/"
	g := strings.Index(s, global)
	o := strings.Index(s, oom)
	if o < 0 && g < 0 && strings.Contains(s, "...") {
		v.elided(s, whole)
		return
	}
	if g >= 0 && (o < 0 || g < o) {
		if whole {
			v.taskMemcg = decode(s[g+len(global)-1:], v.escaped)
		}
		return
	}
	if o < 0 {
		if i := strings.Index(s, task); i >= 0 && whole {
			v.taskMemcg = decode(s[i+len(task)-1:], v.escaped)
		}
		return
	}
	// Old kernels print CONSTRAINT_NONE for a memcg kill too.
	v.constraint = ConstraintMemcg
	s = s[o+len(oom)-1:]
	var p, q string
	fits, candidates := 0, 0
	for i := 0; ; {
		j := strings.Index(s[i:], task)
		if j < 0 {
			break
		}
		i += j
		candidates++
		head, tail := s[:i], s[i+len(task)-1:]
		if fits == 0 && (candidates == 1 || below(tail, head)) {
			p, q = head, tail
		}
		if whole && below(tail, head) {
			fits++
		}
		i += len(task)
		if candidates > 64 {
			break
		}
	}
	switch {
	case candidates == 0:
		if i := strings.Index(s, ",task_memcg="); i > 0 {
			v.oomMemcg = decode(s[:i], v.escaped)
		} else if i := strings.Index(s, ",..."); i > 0 {
			v.oomMemcg = decode(s[:i], v.escaped) // what stood behind it was cut out
		} else if whole && strings.Contains(v.body, "...") && !strings.Contains(s, "...") {
			v.oomMemcg = decode(strings.TrimRight(s, ", "), v.escaped) // the victim's was cut out
		}
	case fits == 0 && candidates > 1:
		v.ambiguous = true // no reading fits: none is believed
	default:
		v.ambiguous = fits > 1
		v.oomMemcg = decode(p, v.escaped)
		if whole {
			v.taskMemcg = decode(q, v.escaped)
		}
	}
}

// elided reads what is left of a line from which somebody has cut out a part and
// put "..." there: any of the fields may stand without those before it.
func (v *summaryLine) elided(s string, whole bool) {
	field := func(name string) string {
		i := strings.Index(s, name+"=/")
		if i < 0 {
			return ""
		}
		path := s[i+len(name)+1:]
		if j := strings.Index(path, ",task_memcg="); j >= 0 {
			path = path[:j]
		} else if !whole {
			return ""
		}
		path = strings.TrimRight(path, ", ")
		if strings.Contains(path, "...") || strings.Contains(path, " ") {
			return ""
		}
		return decode(path, v.escaped)
	}
	v.oomMemcg, v.taskMemcg = field("oom_memcg"), field("task_memcg")
	if v.oomMemcg != "" {
		v.constraint = ConstraintMemcg
	}
}

// below tells whether path is root or in it.
func below(path, root string) bool {
	return root == "/" || path == root || strings.HasPrefix(path, root) && path[len(root)] == '/'
}

// summaryCpuset finds the name between ",cpuset=" and ",mems_allowed=".
func summaryCpuset(s string) string {
	i := strings.Index(s, ",cpuset=")
	if i < 0 || i > 1024 {
		return ""
	}
	s = s[i+8:]
	if j := strings.Index(s, ",mems_allowed="); j >= 0 {
		return s[:j]
	}
	return ""
}

// parseTaskIn reads "Task in A killed as a result of limit of B". Either path
// may be missing where the line was printed in pieces or cut.
func parseTaskIn(t string, escaped bool) (task, limit string, ok bool) {
	const middle = " killed as a result of limit of "
	s, ok := strings.CutPrefix(t, "Task in ")
	if !ok || !strings.HasPrefix(s, "/") {
		return "", "", false
	}
	// Both paths may hold the words between them: take the cut that makes
	// the victim's path lie below the limit's.
	first := strings.Index(s, middle)
	if first < 0 {
		return decode(strings.TrimSuffix(strings.TrimRight(s, " "), " killed as a result of limit of"), escaped), "", true
	}
	for i := first; ; {
		head, tail := s[:i], strings.TrimRight(s[i+len(middle):], " ")
		if below(head, tail) || head == "/" {
			return decode(head, escaped), decode(tail, escaped), true
		}
		j := strings.Index(s[i+1:], middle)
		if j < 0 {
			break
		}
		i += 1 + j
	}
	return decode(s[:first], escaped), decode(strings.TrimRight(s[first+len(middle):], " "), escaped), true
}

// parseGroup reads "Tasks in P are going to be killed due to memory.oom.group
// set". P may hold these words itself.
func parseGroup(t string, escaped bool) (path string, ok bool) {
	s, ok := strings.CutPrefix(t, "Tasks in ")
	if !ok {
		return "", false
	}
	i := strings.LastIndex(s, " are going to be killed due to memory.oom.group set")
	if i <= 0 || s[0] != '/' {
		return "", false
	}
	return decode(s[:i], escaped), true
}
