package kmsg

import "strings"

// fieldsGoOn joins the rest of a kill line or a summary that a person has wrapped,
// with blanks up to where the message began: what looks like a line end in a name.
func (f *feeder) fieldsGoOn(next string) bool {
	p := f.pend
	if p.rec.Ident != "" || f.joins >= 8 {
		return false
	}
	t := strings.TrimRight(trimBlanks(p.text), " ")
	switch p.class {
	case classKill:
		k, ok := parseKill(t, p.rec.Escaped)
		if !ok || k.announce || strings.Contains(next, ") total-vm:") {
			return false
		}
		if glued, ok := parseKill(t+next, p.rec.Escaped); ok && glued.fields > k.fields && glued.kill.Comm == k.kill.Comm && t == trimBlanks(p.text) {
			p.text = t
			f.join("", next) // broken inside a field
			return true
		}
		if name, _, ok := strings.Cut(next, ":"); !ok || !isKillField(name) {
			return false
		}
		p.text = t
		f.join(" ", next)
		return true
	case classSummary:
		if task := strings.Contains(t, ",task="); isIncomplete(classSummary, t) && task == strings.Contains(t, ",pid=") && !startsKnown(next) && !strings.Contains(next, " ") {
			t := strings.TrimSuffix(t, `\`)
			if v, ok := parseSummary(t+next, p.rec.Escaped); ok && (v.pid > 0 || !task && strings.ContainsAny(next, ",=")) {
				p.text = t
				f.join("", next) // broken inside a field
				return true
			}
		}
		if !strings.HasSuffix(t, ",") && !strings.HasSuffix(t, "...") && !strings.HasSuffix(t, `\`) {
			return false
		}
		if name, _, ok := strings.Cut(strings.TrimLeft(next, ".,"), "="); !ok || !isSummaryField(name) {
			return false
		}
		p.text = strings.TrimSuffix(t, `\`)
		f.join("", strings.TrimRight(next, " "))
		return true
	}
	return false
}

func isKillField(name string) bool {
	switch name {
	case "total-vm", "anon-rss", "file-rss", "shmem-rss", "UID", "pgtables", "oom_score_adj", "vsz":
		return true
	}
	return false
}

func isSummaryField(name string) bool {
	switch name {
	case "nodemask", "cpuset", "mems_allowed", "global_oom,task_memcg", "oom_memcg", "task_memcg", "task", "pid", "uid":
		return true
	}
	return false
}

// wraps joins a line that is the rest of a broken one (mail, terminals, "\" at
// the end), if the record before it wants more.
func (f *feeder) wraps(next string) bool {
	p := f.pend
	if f.joins >= 8 || p.rec.Ident != "" {
		return false
	}
	t := trimBlanks(p.text)
	if p.class == classKill && insideName(t) && strings.Contains(next, ") total-vm:") {
		if _, whole := parseKill(trimBlanks(next), p.rec.Escaped); !whole && (startsKnown(next) || len(t) < 60) {
			f.join("\n", next) // a name that holds a line end
			return true
		}
	}
	if startsKnown(next) {
		return false
	}
	switch p.class {
	case classSummary:
		if !isIncomplete(classSummary, t) || !strings.Contains(next, "=") && !strings.Contains(next, ",") && !strings.Contains(next, "/") {
			return false
		}
		p.text = strings.TrimSuffix(strings.TrimRight(p.text, " "), `\`)
		f.join("", trimBlanks(next))
		return true
	case classKill:
		return f.wrapsKill(t, next)
	case classTaskIn:
		cut := strings.HasSuffix(t, "/")
		if !cut && !strings.HasPrefix(next, "killed as a result") && !strings.HasSuffix(strings.TrimRight(t, " "), " of") {
			return false
		}
		sep := " "
		if cut || strings.HasSuffix(t, " ") {
			sep = ""
		}
		f.join(sep, next)
		return true
	case classUsage:
		if strings.Contains(t, "failcnt") || !strings.Contains(next, "kB") && !strings.Contains(next, "failcnt") {
			return false
		}
		f.join(" ", next)
		return true
	case classNone, classSuspect:
		// "Memory cgroup out of" / "memory: Killed process ..."
		for _, s := range []string{"Memory cgroup out of memory: K", "Out of memory: K", "Killed process ", "Kill process "} {
			if strings.HasPrefix(s, strings.TrimRight(t, " ")) && len(t) >= 4 && strings.HasPrefix(strings.TrimRight(t, " ")+" "+next, s[:min(len(s), len(t)+2)]) {
				p.text = strings.TrimRight(p.text, " ")
				f.join(" ", next)
				return true
			}
		}
	}
	return false
}

// insideName tells a kill line that ends before the name does.
func insideName(t string) bool {
	open := strings.Index(t, " (")
	return open > 0 && strings.LastIndexByte(t, ')') < open && t[len(t)-1] != ' '
}

func (f *feeder) wrapsKill(t, next string) bool {
	k, ok := parseKill(t, f.pend.rec.Escaped)
	next = trimBlanks(next)
	if ok && k.announce {
		return strings.HasPrefix(next, "score ") // nothing that is needed
	}
	t = strings.TrimSuffix(t, `\`)
	glued, okGlued := parseKill(t+next, f.pend.rec.Escaped)
	spaced, okSpaced := parseKill(strings.TrimRight(t, " ")+" "+next, f.pend.rec.Escaped)
	if !okGlued && !okSpaced {
		if !ok && len(t) < 80 && (strings.HasPrefix(next, "process ") || strings.HasPrefix(next, "Kill")) {
			f.pend.text = strings.TrimRight(t, " ")
			f.join(" ", next)
			return true
		}
		return false
	}
	if ok && max(glued.fields, spaced.fields) <= k.fields {
		return false
	}
	if okGlued && glued.fields > spaced.fields {
		f.pend.text = t
		f.join("", next)
	} else {
		f.pend.text = strings.TrimRight(t, " ")
		f.join(" ", next)
	}
	return true
}
