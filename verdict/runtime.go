package verdict

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"math"
	"strconv"
	"strings"
	"sync"
)

// RuntimeOOM is what a program's own log says about memory that ran out without
// any kill by the kernel: a heap limit of its runtime, or an allocation that was
// refused. Alone it explains no death: a program may live on after it.
type RuntimeOOM struct {
	// Runtime is who said it ("jvm", "node", "go", "python", "php", "redis", ...);
	// "libc" is the C library's errno text, "program" a message that many write.
	Runtime string
	// What is a stable short code: "heap", "metaspace", "old_space",
	// "memory_limit", "maxmemory", "enomem", "fork", ...
	What string
	// Line is the line that said it, as given, and Index its place in the tail.
	Line  string
	Index int
	// Limit is the runtime's own limit in bytes where the lines tell it. About
	// is true where it is read from how full the heap was and not from a setting.
	Limit *int64
	About bool
	// Requested is the size in bytes of the allocation that was refused.
	Requested *int64
	// Fatal is true for a message after which the process cannot live on.
	Fatal bool
	// Caught is true when the line reads as a record of an error that was, or may
	// have been, handled.
	Caught bool
	// Tamed is true where the line says, or its level, that the program went on.
	Tamed bool
	// Elsewhere is true when the memory ran out in another program, such as the
	// server that this one talks to; this container's limit then says nothing about it.
	Elsewhere bool
	// Means says it in plain words.
	Means string
}

// runtimeRow is one message. Adding one is a row here and a file in testdata/runtime.
type runtimeRow struct {
	runtime, what string
	flags         rowFlags
	// has is a text without which no line is looked at; shape is a regular
	// expression, in which § is the end of the line but for quotes and stops.
	// Its groups "limit" and "asked" are sizes ("16.0 MiB"; bytes without a unit);
	// what "lead" matches stands before the message.
	has, shape string
	means      string
	// around reads the neighbouring lines, and refuses the match with false.
	around func(m *message) bool
}

type rowFlags uint

const (
	fatal     rowFlags = 1 << iota // the process cannot live on
	caught                         // may have been handled
	elsewhere                      // of another program
	vague                          // any row that tells more, in a line nearby, is taken instead
	exact                          // tells more than its runtime's other rows
	bare                           // means it whatever stands before it, also after a level such as WARNING
)

func (r *runtimeRow) rank() int {
	switch {
	case r.flags&vague != 0:
		return 0
	case r.flags&exact != 0:
		return 2
	}
	return 1
}

// message is a row that matched: the plain lines, which of them, and what stands
// before and after the match.
type message struct {
	found     *RuntimeOOM
	lines     []string
	at        int
	pre, post string
}

// The bounds of a search: newest lines first, so many bytes in all, so many of one line.
const (
	maxRuntimeBytes = 64 << 10
	maxRuntimeLine  = 4 << 10
	maxRuntimeLines = 4000
	// nearby is how many lines before the newest message still belong to it.
	nearby = 64
	// maxTrace is how many lines of a stack trace are followed to its head.
	maxTrace = 200
)

// FindRuntimeOOM looks for a runtime's word, in the last lines of a log, oldest
// first, that its memory ran out. The newest message wins, but for those of the
// same runtime just before it that tell more. It returns nil when there is none.
// Lines that only talk of such messages do not count.
func FindRuntimeOOM(tail []string) *RuntimeOOM {
	lines, first := plainLines(tail)
	var best *RuntimeOOM
	rank, newest := 0, 0
	for i := len(lines) - 1; i >= 0; i-- {
		if best != nil && newest-i > nearby {
			break
		}
		r, n := matchRow(lines, i)
		switch {
		case r == nil:
			continue
		case best == nil:
			newest = i
		case best.Caught != r.Caught && (best.Runtime == r.Runtime || rank == 0):
			if r.Caught {
				continue
			}
		case best.Runtime != r.Runtime && (rank > 0 || n == 0), n <= rank:
			continue
		}
		best, rank = r, n
	}
	if best != nil {
		best.Index += first
		best.Line = tail[best.Index]
	}
	return best
}

// compiledRows are the shapes of runtimeRows, made once, when first asked for.
var compiledRows = sync.OnceValue(func() []*lazyre.Regexp {
	out := make([]*lazyre.Regexp, len(runtimeRows))
	for i := range runtimeRows {
		out[i] = lazyre.New(strings.ReplaceAll(runtimeRows[i].shape, "§", `["'\s.}]*$`))
	}
	return out
})

// matchRow finds the row that tells most about line i.
func matchRow(lines []string, i int) (*RuntimeOOM, int) {
	var best *RuntimeOOM
	rank := -1
	line := lines[i]
	for k := range runtimeRows {
		row := &runtimeRows[k]
		if row.rank() <= rank || !strings.Contains(line, row.has) {
			continue
		}
		re := compiledRows()[k]
		loc := re.FindStringSubmatchIndex(line)
		if loc == nil {
			continue
		}
		r := &RuntimeOOM{Runtime: row.runtime, What: row.what, Index: i, Means: row.means,
			Fatal: row.flags&fatal != 0, Caught: row.flags&caught != 0, Elsewhere: row.flags&elsewhere != 0}
		m := &message{found: r, lines: lines, at: i, pre: line[:loc[0]], post: line[loc[1]:]}
		for g, name := range re.SubexpNames() {
			if loc[2*g] < 0 {
				continue
			}
			switch text := line[loc[2*g]:loc[2*g+1]]; name {
			case "lead":
				m.pre = line[:loc[2*g+1]]
			case "limit":
				r.Limit = parseSize(text)
			case "asked":
				r.Requested = parseSize(text)
			}
		}
		if row.flags&bare == 0 {
			if talk(m.pre, m.post) {
				continue
			}
			r.Tamed = reLowLevel.MatchString(m.pre)
			r.Caught = r.Caught || r.Tamed
		}
		if row.around != nil && !row.around(m) {
			continue
		}
		if reTamed.MatchString(m.pre) || reTamed.MatchString(m.post) {
			r.Caught, r.Tamed = true, true
		}
		if r.Caught {
			r.Fatal = false
		}
		best, rank = r, row.rank()
	}
	return best, rank
}

var (
	// reColour is a terminal's colour, raw or as Sanitize writes it.
	reColour = lazyre.New(`(?:\x1b|\\x1b)\[[0-9;]{0,20}m`)
	// reLowLevel is a log level at which nothing that ends a program is logged.
	reLowLevel = lazyre.New(`(?i)(?:^|[\s\[(|<"=])(?:trace|debug|info|notice|warn|warning)(?:[\s\])|>",:]|$)`)
	// reTamed are words of a record that the program went on.
	reTamed = lazyre.New(`(?i)\b(?:caught|handled|recover(?:ed|ing|y)|ignor(?:ed|ing)|retry(?:ing)?|retried|retries|swallowed|fall(?:ing)? ?back|going on|continu(?:e|es|ing)|will try again|shedding)\b`)
	// reProse are words that stand in a sentence and not in the head of a log line.
	reProse = lazyre.New(`(?i)\b(?:if|when|whenever|you|your|we|they|the|an|this|these|see|saw|seen|about|why|how|what|like|is|are|was|were|been|got|getting|after|before|because|avoid|prevents?|means|e\.g|example|grep|pattern|regexp?|match(?:es)?)\b`)
	reSize  = lazyre.New(`^(\d{1,18})(\.\d{1,6})? ?([KMGTPEkmgtpe]?)(?:i?[Bb]|bytes)?$`)
)

// talk is true where a message is not said but spoken of: quoted in a sentence,
// or followed by one.
func talk(pre, post string) bool {
	if n := len(pre); n > 0 {
		switch last := pre[n-1]; {
		case last == '`' || last == '-' || last == '/':
			return true
		case last == '"' || last == '\'':
			if n == 1 || !strings.ContainsRune(":=({[,", rune(pre[n-2])) {
				return true
			}
		case last >= 'a' && last <= 'z' || last >= 'A' && last <= 'Z' || last >= '0' && last <= '9':
			return true
		}
	}
	return reProse.MatchString(pre) || strings.HasSuffix(strings.TrimSpace(post), "?")
}

// parseSize reads a size in bytes, with or without a unit; nil when it is none.
func parseSize(s string) *int64 {
	g := reSize.FindStringSubmatch(s)
	if g == nil {
		return nil
	}
	v, err := strconv.ParseFloat(g[1]+g[2], 64)
	if err != nil {
		return nil
	}
	if g[3] != "" {
		v *= math.Pow(1024, float64(1+strings.Index("kmgtpe", strings.ToLower(g[3]))))
	} else if n, err := strconv.ParseInt(g[1], 10, 64); err == nil && g[2] == "" {
		return &n
	}
	if v < 0 || v >= 1<<62 {
		return nil
	}
	n := int64(math.Round(v))
	return &n
}

// plainLines returns the newest lines within the bounds, without colours, and
// the place of the first of them in the tail.
func plainLines(tail []string) ([]string, int) {
	first, left := len(tail), maxRuntimeBytes
	for first > 0 && len(tail)-first < maxRuntimeLines {
		if left -= min(len(tail[first-1]), maxRuntimeLine); left < 0 {
			break
		}
		first--
	}
	out := make([]string, len(tail)-first)
	for i, l := range tail[first:] {
		l = l[:min(len(l), maxRuntimeLine)]
		if strings.Contains(l, "x1b[") || strings.IndexByte(l, 0x1b) >= 0 {
			l = reColour.ReplaceAllString(l, "")
		}
		out[i] = strings.TrimRight(l, " \t\r\n")
	}
	return out, first
}

var (
	reNative = lazyre.New(`failed to (?:map|allocate) (\d{1,18}) bytes`)
	reMarked = lazyre.New(`Mark-(?:[Cc]ompact|sweep)[ a-z()]{0,20} [\d.]{1,12} \([\d.]{1,12}\) -> ([\d.]{1,12}) \(`)
	reDetail = lazyre.New(`DETAIL:  Failed on request of size (\d{1,18})\b`)
	reHint   = lazyre.New(`\(currently (\d{1,18}) bytes\)`)
	reWords  = lazyre.New(`^\s*Max Heap Size: +(\d{1,15})$`)
	reGHC    = lazyre.New(`Current maximum heap size is (\d{1,18}) bytes`)
	rePinned = lazyre.New(`(?i)m?lock|huge|large.?page|io_uring|warning|shm`)
	reRecord = lazyre.New(`(?i)(?:^|[\s\[(|<"=:])(?:debug|info|notice|warn|warning|error|critical)(?:[\s\])|>",:]|$)`)
)
