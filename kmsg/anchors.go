package kmsg

// anchors are the texts that show where in a large log something may stand
// that matters. Every kind of report that is told holds at least one of them;
// ordinary noise holds next to none. The lines around a hit are parsed, the
// rest of the file is only searched.
var anchors = []string{
	// the OOM killer
	"oom-kill", "oom_reaper", "oom_kill", "oom.group", "invoked oom", "Killed process", "Kill process", "kill process",
	"Out of memory", "Memory cgroup", "memory: usage ", "Task in /", "Tasks in /", "Tasks state", "total_vm",
	"deadlocked on memory", "panic_on_oom", " OOM ", "Mem-Info:", "Mem-info:", "total-vm:",
	// faults
	"segfault at ", "traps: ", " general protection ", "by pids controller", "allocation failure", "INFO: task ", "soft lockup",
	"out-of-data-space", "I/O error", "error 28", "emounting filesystem", "shut down due to", "aborted journal", "read-only mode", " trap ",
	// user-space killers
	"earlyoom", "oomd", "nohang",
}

// fingerprint is how many bytes of an anchor the first search looks at.
const fingerprint = 4

// finder searches for anchors. The search looks at 4 bytes at every place, for
// all anchors at once, by the classes of bytes that can stand there; what
// passes is compared in full.
type finder struct {
	// lo and hi hold, for each of the 4 places, which groups of anchors have
	// a byte with this low (high) half there. One bit is one group. Doubled
	// to 32 bytes for the vector form.
	lo, hi [fingerprint][32]byte
	// class is the same by whole bytes, for machines without the vector form.
	class [fingerprint][256]byte
	// first lists the anchors that begin with a byte.
	first [256][]string
}

func newFinder(anchors []string) *finder {
	f := new(finder)
	for _, a := range anchors {
		// Anchors whose first byte is alike share a group, so that a group's
		// classes stay narrow.
		bit := byte(1) << (groupOf(a[0]))
		for i := range fingerprint {
			c := a[i]
			f.class[i][c] |= bit
			for half := 0; half < 32; half += 16 {
				f.lo[i][half+int(c&15)] |= bit
				f.hi[i][half+int(c>>4)] |= bit
			}
		}
		f.first[a[0]] = append(f.first[a[0]], a)
	}
	return f
}

func groupOf(c byte) uint {
	switch c {
	case 'o', 'O':
		return 0
	case 'K', 'M', 'I':
		return 1
	case 'm', 'k':
		return 2
	case 'T', 't':
		return 3
	case ' ':
		return 4
	case 's', 'r', 'p':
		return 5
	case 'a', 'e', 'b':
		return 6
	}
	return 7
}

// next returns the place of the first anchor in b at or after from, -1 when
// there is none.
func (f *finder) next(b []byte, from int) int {
	for i := from; ; i++ {
		i = f.candidate(b, i)
		if i < 0 {
			return -1
		}
		rest := b[i:]
		for _, a := range f.first[rest[0]] {
			if len(rest) >= len(a) && string(rest[:len(a)]) == a {
				return i
			}
		}
	}
}

// scalar is candidate without vectors.
func (f *finder) scalar(b []byte, from int) int {
	c0, c1, c2, c3 := &f.class[0], &f.class[1], &f.class[2], &f.class[3]
	for i := from; i+fingerprint <= len(b); i++ {
		if c0[b[i]]&c1[b[i+1]] != 0 && c0[b[i]]&c1[b[i+1]]&c2[b[i+2]]&c3[b[i+3]] != 0 {
			return i
		}
	}
	return -1
}
