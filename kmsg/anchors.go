package kmsg

// anchors are the texts that show where in a large log something may stand
// that matters. Every kind of report that is told holds at least one of them;
// ordinary noise holds next to none. The lines around a hit are parsed, the
// rest of the file is only searched.
//
// They stand in groups: the first search cannot tell the anchors of a group
// from one another, nor mixtures of their letters, and but for AVX-512 not of halves of
// their letters either. TestSearchPassesLittle finds the group that lets through
// what every line has ("Kernel panic" beside "earlyoom": "kernel").
var anchors = [8][]string{
	{"oom-kill", "oom_reaper", "oom_kill", "oom.group", "only mode", "] trap "},
	{"Killed process", "Kill process", "INFO: task ", "invoked oom", "allocation failure", "traps: ", "error 28"},
	// Those in quotes or between newlines are messages that journald does not print as text.
	{"Mem-Info:", "Mem-info:", "\nMESSAGE\n", `"MESSAGE":[`, `"MESSAGE": [`, `"MESSAGE" : [`, "segfault at "},
	{"memory: usage ", "kill process", "mounting filesystem read", "oomd", "Memory cgroup", "general protection "},
	{"Task in /", "Tasks in /", "Tasks state", "total_vm", "total-vm:", "earlyoom"},
	{"Out of memory", "O error", "OOM ", "Linux version ", "Kernel panic"},
	{"soft lockup", "shut down due to", "aborted journal", "out-of-data-space"},
	{"nohang", "by pids controller"},
}

// fingerprint is how many bytes of an anchor the first search looks at.
const fingerprint = 4

// searchForm is how the search is done, by what the machine can.
type searchForm uint8

const (
	formPairs searchForm = iota // a pair of bytes in three
	formBytes                   // 16 places at a time (SSSE3, NEON)
	formAVX2                    // 32 places at a time
	formVBMI                    // 64 places at a time (AVX-512)
)

// block is how many places the form looks at together; 0 where it looks at any number.
func (f searchForm) block() int {
	switch f {
	case formBytes:
		return 16
	case formAVX2:
		return 32
	}
	return 0
}

// finder searches for anchors. The search looks at 4 bytes at every place, for
// all anchors at once, by the classes of bytes that can stand there; what
// passes is compared in full.
type finder struct {
	form searchForm
	// lo and hi hold, for each of the 4 places, which groups of anchors have
	// a byte with this low (high) half there. One bit is one group. Doubled
	// to 32 bytes for AVX2.
	lo, hi [fingerprint][32]byte
	// class is the same by whole bytes.
	class [fingerprint][256]byte
	// first lists the anchors that begin with a byte.
	first [256][]string
	// pairs is for formPairs only.
	pairs *pairs
}

func newFinder(groups *[8][]string, form searchForm) *finder {
	f := &finder{form: form}
	if form == formPairs {
		f.pairs = newPairs(groups)
	}
	for g := range groups {
		for _, a := range groups[g] {
			for i := range fingerprint {
				c := a[i]
				f.class[i][c] |= 1 << g
				for half := 0; half < 32; half += 16 {
					f.lo[i][half+int(c&15)] |= 1 << g
					f.hi[i][half+int(c>>4)] |= 1 << g
				}
			}
			f.first[a[0]] = append(f.first[a[0]], a)
		}
	}
	return f
}

// next returns the place of the first anchor in b at or after from, -1 when
// there is none.
func (f *finder) next(b []byte, from int) int {
	if f.form == formPairs {
		return f.nextPair(b, from)
	}
	for i := from; ; i++ {
		i = f.candidate(b, i)
		if i < 0 || f.begins(b[i:]) {
			return i
		}
	}
}

// begins tells whether an anchor begins b.
func (f *finder) begins(b []byte) bool {
	for _, a := range f.first[b[0]] {
		if len(b) >= len(a) && string(b[:len(a)]) == a {
			return true
		}
	}
	return false
}

// nextPair is next for formPairs.
func (f *finder) nextPair(b []byte, from int) int {
	for i := from; ; i += step {
		i = f.pairs.candidate(b, i)
		if i < 0 {
			return -1
		}
		at := f.pairs.anchor(b, from, i)
		if at < 0 {
			continue
		}
		// One that begins before this one can have its window behind this one's.
		for j := max(from, i-f.pairs.before); j < at; j++ {
			if f.begins(b[j:]) {
				return j
			}
		}
		return at
	}
}

// candidate returns the first place at or after from where an anchor can
// begin, -1 when there is none.
func (f *finder) candidate(b []byte, from int) int {
	places := len(b) - from - (fingerprint - 1)
	if places <= 0 {
		return -1
	}
	if f.form == formVBMI {
		if i := f.vectors(b[from:], places); i >= 0 {
			return from + i
		}
		return -1
	}
	n := f.form.block()
	if n == 0 || places < n {
		return f.scalar(b, from)
	}
	if i := f.vectors(b[from:], places); i >= 0 {
		return from + i
	}
	if places%n == 0 {
		return -1
	}
	from += places - n // the last whole block reaches back to places that are no candidates
	if i := f.vectors(b[from:], n); i >= 0 {
		return from + i
	}
	return -1
}

// scalar is candidate for the places that are too few for vectors.
func (f *finder) scalar(b []byte, from int) int {
	c0, c1, c2, c3 := &f.class[0], &f.class[1], &f.class[2], &f.class[3]
	for i := from; i+fingerprint <= len(b); i++ {
		if c0[b[i]]&c1[b[i+1]] != 0 && c0[b[i]]&c1[b[i+1]]&c2[b[i+2]]&c3[b[i+3]] != 0 {
			return i
		}
	}
	return -1
}
