package incident

import (
	"fmt"
	"math"
	"regexp"
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

// runtimeRows are the messages, by runtime.
var runtimeRows = []runtimeRow{
	{"jvm", "heap", bare, "Java heap space", javaError + `Java heap space`, "the Java heap reached its limit (-Xmx or MaxRAMPercentage)", javaHeap},
	{"jvm", "gc_overhead", bare, "GC overhead", javaError + `GC overhead limit exceeded`, "the Java heap was so full that nearly all time went into collecting it", javaHeap},
	{"jvm", "metaspace", bare, "etaspace", javaError + `Metaspace`, "the classes' metadata reached -XX:MaxMetaspaceSize", javaSaid},
	{"jvm", "metaspace", bare, "PermGen", javaError + `PermGen space`, "the classes' metadata reached -XX:MaxPermSize", javaSaid},
	{"jvm", "class_space", bare, "ompressed class space", javaError + `Compressed class space`, "the classes' metadata reached -XX:CompressedClassSpaceSize", javaSaid},
	{"jvm", "direct", bare, "direct buffer memory", javaError + `Cannot reserve (?P<asked>\d+) bytes of direct buffer memory(?: \(allocated: \d+, limit: (?P<limit>\d+)\))?`, "buffers outside the Java heap reached -XX:MaxDirectMemorySize", javaSaid},
	{"jvm", "direct", bare, "Direct buffer memory", javaError + `Direct buffer memory`, "buffers outside the Java heap reached -XX:MaxDirectMemorySize", javaSaid},
	{"jvm", "direct", bare | caught, "OutOfDirectMemoryError", `OutOfDirectMemoryError: failed to allocate (?P<asked>\d+) byte\(s\) of direct memory \(used: \d+, max: (?P<limit>\d+)\)`, "Netty's buffers outside the Java heap reached their limit (-Dio.netty.maxDirectMemory, by default -Xmx)", javaSaid},
	{"jvm", "native_thread", bare, "native thread", javaError + `[Uu]nable to create (?:new )?native thread`, "no further thread could be started: a pids limit, ulimit -u, or no memory for its stack; the Java heap has nothing to do with it", javaSaid},
	{"jvm", "array_size", bare, "Requested array size", javaError + `Requested array size exceeds VM limit`, "the program asked for an array longer than any Java heap can hold", javaSaid},
	{"jvm", "map", bare, "Map failed", javaError + `Map failed`, "a file could not be mapped: address space (ulimit -v) or the number of mappings (vm.max_map_count) ran out", javaSaid},
	{"jvm", "native", bare, "OutOfMemoryError", javaError + `(?:requested (?P<asked>\d+) bytes for .{0,200}Out of swap space|Unable to allocate (?P<asked>\d+) bytes)`, "memory outside the Java heap was refused", javaSaid},
	{"jvm", "heap", bare, "Garbage-collected heap", javaError + `Garbage-collected heap size exceeded`, "the heap of the native image reached its limit (-Xmx)", javaSaid},
	{"jvm", "heap", bare | vague, "OutOfMemoryError thrown from", `Exception: java\.lang\.OutOfMemoryError thrown from the UncaughtExceptionHandler in thread`, "a thread died for want of memory, and so did the report about it", nil},
	{"jvm", "native", bare | fatal | exact, "insufficient memory for the Java", `There is insufficient memory for the Java Runtime Environment to continue`, "the system refused memory that the Java runtime needs outside its heap", javaNative},
	{"jvm", "native", bare | fatal, "Native memory allocation", `Native memory allocation \((?:mmap|malloc)\) failed to (?:map|allocate) (?P<asked>\d+) bytes`, "the system refused memory that the Java runtime needs outside its heap", nil},
	{"jvm", "native", bare | vague, "os::commit_memory", `os::commit_memory\(0x[0-9a-f]+, (?P<asked>\d+), \d\) failed; error='[^']{0,80}' \(errno=12\)`, "the system refused memory that the Java runtime needs", nil},
	{"jvm", "reserve", fatal, "Could not reserve enough space", `Could not reserve enough space for (?P<asked>\d+KB) object heap`, "the Java heap that was asked for does not fit into the address space (ulimit -v)", nil},
	{"jvm", "reserve", fatal, "compressed class space: ", `Could not allocate compressed class space: (?P<asked>\d+) bytes`, "the address space (ulimit -v) has no room for what the Java runtime reserves at start", nil},

	{"node", "old_space", fatal, "heap out of memory", `FATAL ERROR: [^"]{1,120}Allocation failed - JavaScript heap out of memory§`, "V8's heap reached its limit (--max-old-space-size)", v8Heap},
	{"node", "enomem", fatal | exact, "Committing semi space", `FATAL ERROR: Committing semi space failed\. Allocation failed - JavaScript heap out of memory§`, "the system refused memory that V8's heap needs", nil},
	{"node", "enomem", fatal, "process out of memory", `FATAL ERROR: [^"]{0,120}Allocation failed - process out of memory§`, "V8 was refused memory outside its heap", nil},
	{"node", "old_space", fatal, "Fatal JavaScript out of memory", `Fatal JavaScript (?:out of memory|OOM in):? [^"]{1,80}§`, "V8's heap reached its limit (--max-old-space-size)", v8Heap},
	{"node", "enomem", fatal, "Fatal process", `Fatal process (?:out of memory:|OOM in) [^"]{1,80}§`, "the system refused memory that V8 needs", nil},
	{"node", "old_space", fatal | bare | vague, "OOMErrorHandler(", `^\s*\d+: 0x[0-9a-f]+ node::OOMErrorHandler\(`, "V8 was out of memory: this is the stack it leaves", nil},
	{"node", "worker_heap", bare, "ERR_WORKER_OUT_OF_MEMORY", `ERR_WORKER_OUT_OF_MEMORY\]: Worker terminated due to reaching memory limit`, "a worker thread reached the heap limit it was given (resourceLimits)", nil},
	{"node", "array_buffer", 0, "Array buffer allocation failed", `RangeError: Array buffer allocation failed§`, "a buffer outside V8's heap was refused", nil},
	{"node", "enomem", 0, "ENOMEM", `Error: (?:ENOMEM: not enough memory|[a-z]{1,20} ENOMEM\b)`, "the system refused memory to a call of Node.js", nil},

	{"go", "heap", fatal | exact, "runtime: out of memory", `runtime: out of memory: cannot allocate (?P<asked>\d+)-byte block \(\d+ in use\)§`, "the system refused memory that the Go heap needs", nil},
	{"go", "heap", fatal, "fatal error: ", lead + `fatal error: (?:runtime: )?(?:out of memory|cannot allocate (?:heap )?m\w+)(?: \([a-z ]{1,60}\))?§`, "the system refused memory that the Go runtime needs", nil},
	{"go", "heap", fatal, "runtime: cannot allocate", lead + `runtime: cannot allocate (?:heap )?m\w+§`, "the system refused memory that the Go runtime needs", nil},
	{"go", "reserve", fatal, "failed to reserve page summary", `fatal error: failed to reserve page summary memory§`, "the address space (ulimit -v) has no room for what the Go runtime reserves at start", nil},
	{"go", "native_thread", fatal, "failed to create new OS thread", `runtime: failed to create new OS thread \(have \d+ already; errno=\d+\)`, "no further thread could be started: a pids limit, ulimit -u, or no memory for its stack", nil},
	{"go", "fork", 0, "fork/exec ", `fork/exec [^:\s]{1,300}: cannot allocate memory\b`, "a process could not be started for want of memory", nil},

	{"python", "memory_error", bare, "MemoryError", lead + `MemoryError(?:: .{0,300})?$`, "Python was refused memory", pythonTrace},
	{"python", "array", bare, "Unable to allocate", `\b_?(?:Array)?MemoryError: Unable to allocate (?P<asked>[\d.]+ (?:bytes|[KMGTPE]iB)) for an array with shape`, "NumPy was refused the memory for one array", pythonTrace},
	{"python", "fork", bare, "[Errno 12]", `^(?:OSError|BlockingIOError): \[Errno 12\] Cannot allocate memory`, "the system refused memory to a call of Python (a fork or a mapping)", pythonTrace},
	{"cuda", "gpu_memory", bare | caught, "CUDA out of memory", `CUDA out of memory\. Tried to allocate (?P<asked>[\d.]+ [KMG]iB)\b(?:.{0,80}?(?P<limit>[\d.]+ [KMG]iB) total capacity)?`, "the memory of the graphics card ran out, not that of the container", nil},

	{"dotnet", "heap", fatal | exact, "System.OutOfMemoryException", `Unhandled [Ee]xception[.:] System\.OutOfMemoryException\b`, "the .NET heap reached its hard limit (by default 75 % of the container's)", nil},
	{"dotnet", "heap", bare | caught, "System.OutOfMemoryException", `System\.OutOfMemoryException: `, ".NET was refused memory: its heap reached its hard limit (by default 75 % of the container's)", nil},
	{"dotnet", "heap", fatal, "Insufficient memory to continue", `Unhandled exception[.:] System\.InsufficientMemoryException: Insufficient memory to continue the execution of the program`, ".NET was refused memory", nil},
	{"dotnet", "heap", fatal | exact, "Out of memory.", lead + `Out of memory\.$`, "the .NET heap reached its hard limit (by default 75 % of the container's)", dotnetTrace},
	{"dotnet", "reserve", fatal, "0x8007000E", `(?:GC heap initialization failed with error|Failed to create CoreCLR, HRESULT:) 0x8007000E`, "the .NET heap could not be set up in the memory or address space that is left", nil},

	{"php", "memory_limit", bare | exact, "Allowed memory size of", `\bAllowed memory size of (?P<limit>\d{1,18}) bytes exhausted(?: at [^ ]{1,80})? ?\(tried to allocate (?P<asked>\d{1,18}) bytes\)`, "the script reached PHP's memory_limit", nil},
	{"php", "enomem", bare | exact, "Out of memory (allocated", `\bOut of memory \(allocated \d+(?: bytes)?\) \(tried to allocate (?P<asked>\d{1,18}) bytes\)`, "the system refused memory to PHP below its memory_limit", nil},
	{"php", "enomem", bare, "mmap() failed: [12]", `^mmap\(\) failed: \[12\] Cannot allocate memory`, "the system refused memory to PHP", nil},

	{"ruby", "heap", bare, "failed to allocate memory", `(?P<lead>^|: |\[FATAL\] )failed to allocate memory(?: \(NoMemoryError\))?§`, "Ruby was refused memory", nil},
	{"ruby", "heap", bare | caught, "NoMemoryError", `\bNoMemoryError(?:\)| \(failed to allocate memory\)|: failed to allocate memory)`, "Ruby was refused memory", nil},
	{"erlang", "alloc", fatal, "_alloc: Cannot ", `\b[a-z]+_alloc: Cannot (?:re)?allocate (?P<asked>\d{1,18}) bytes of memory`, "the Erlang virtual machine was refused memory and ended itself", nil},
	{"erlang", "max_heap_size", bare, "maximum heap size reached", `Context: +maximum heap size reached`, "one Erlang process reached its max_heap_size and was ended; the node lives on", erlangWords},

	{"redis", "enomem", bare | fatal | exact, "Redis aborting for OUT OF MEMORY", `Redis aborting for OUT OF MEMORY\. Allocating (?P<asked>\d{1,18}) bytes`, "the system refused memory to Redis, and it ended itself", nil},
	{"redis", "enomem", bare | fatal, "Out Of Memory allocating", `Out Of Memory allocating (?P<asked>\d{1,18}) bytes!`, "the system refused memory to Redis, and it ended itself", nil},
	{"redis", "fork", bare, "Can't save in background", `Can't (?:save in|rewrite append only file in) background: fork: Cannot allocate memory`, "Redis could not fork to save its data: the host does not overcommit memory", nil},
	{"redis", "maxmemory", bare | elsewhere, "command not allowed when used memory", `\b(?:OOM )?command not allowed when used memory > 'maxmemory'`, "the Redis server that this program talks to is full (maxmemory) and takes no more writes", nil},
	{"memcached", "limit", bare | elsewhere, "SERVER_ERROR out of memory", `SERVER_ERROR out of memory (?:storing object|in)`, "the memcached server that this program talks to had no room (-m)", nil},

	{"postgresql", "query", bare, "out of memory", `\b(?:ERROR|FATAL|PANIC):  out of memory§`, "a PostgreSQL process was refused memory; the query failed", postgresDetail},
	{"postgresql", "fork", bare, "could not fork", `could not fork (?:new process for connection|[a-z ]{1,60}process): Cannot allocate memory`, "PostgreSQL could not start a process for a connection: the host does not overcommit memory", nil},
	{"postgresql", "shared_memory", bare | fatal | exact, "anonymous shared memory", `FATAL:  could not map anonymous shared memory: Cannot allocate memory`, "PostgreSQL was refused the shared memory it starts with (shared_buffers)", postgresHint},
	{"mysql", "query", bare | elsewhere | exact, "Out of memory (Needed", `(?:ERROR (?:5|1037|1041) \(HY\w{3}\)|\((?:5|1037),)[^"]{0,60}Out of memory \(Needed (?P<asked>\d{1,18}) bytes\)`, "the MySQL server that this program talks to was refused memory; the query failed", nil},
	{"mysql", "query", bare, "ut of memory", `\[ERROR\].{0,120}\b[Oo]ut of memory \([Nn]eeded (?P<asked>\d{1,18}) bytes\)`, "the MySQL or MariaDB server was refused memory; the query failed", nil},
	{"mysql", "buffer_pool", bare | fatal, "InnoDB: Cannot ", `\[ERROR\].{0,80}InnoDB: Cannot (?:map innodb_buffer_pool_size_max=(?P<asked>\d{1,18}[kmgt]?)|allocate memory for the buffer pool)`, "the server was refused the memory of its InnoDB buffer pool", nil},
	{"clickhouse", "memory_limit", bare | caught, "emory limit (", `Memory limit \((?:total|for query|for user)\) exceeded: would use [\d.]+ \w+ \(attempt to allocate chunk of (?P<asked>\d{1,18}) bytes\), (?:current RSS [\d.]+ \w+, )?maximum: (?P<limit>[\d.]+ \w+)`, "ClickHouse reached its own memory limit and failed the query", nil},
	{"spark", "executor_lost", bare | elsewhere, "killed by YARN for exceeding", `Container killed by YARN for exceeding (?:physical )?memory limits\. [\d.]+ [KMGT]B of (?P<limit>[\d.]+ [KMGT]B) physical memory used`, "a Spark executor was killed by YARN at its memory limit", nil},
	{"spark", "executor_lost", bare | elsewhere, "ExecutorLostFailure", `ExecutorLostFailure \(executor .{1,200}(?:\bOOMKilled\b|exit code:? 137\b|exited with code 137\b|Out of memory)`, "a Spark executor ran out of memory or was killed", nil},

	{"rust", "alloc", fatal, "memory allocation of", `memory allocation of (?P<asked>\d{1,18}) bytes failed§`, "a Rust program was refused memory and ended itself", nil},
	{"c++", "bad_alloc", fatal, "std::bad_alloc", `terminate called after throwing an instance of 'std::bad_alloc'|terminating (?:due to|with) uncaught exception of type std::bad_alloc`, "a C++ program was refused memory and nothing caught the error", nil},
	{"c++", "bad_alloc", vague | caught, "std::bad_alloc", `\bstd::bad_alloc\b`, "a C++ program was refused memory", nil},
	{"llvm", "alloc", fatal, "LLVM ERROR: out of memory", `LLVM ERROR: out of memory`, "the compiler was refused memory", nil},
	{"gcc", "alloc", fatal, "out of memory allocating", `\bout of memory allocating (?P<asked>\d{1,18}) bytes`, "the compiler was refused memory", nil},
	{"haskell", "heap", fatal, "Heap exhausted;", `^[^\s]{1,200}: Heap exhausted;$`, "the Haskell heap reached its limit (+RTS -M)", haskellHeap},
	{"ocaml", "heap", fatal, "Out_of_memory", `^Fatal error: exception Out_of_memory`, "an OCaml program was refused memory", nil},
	{"r", "vector", 0, "cannot allocate vector of size", `^Error: cannot allocate vector of size (?P<asked>[\d.]+ [KMG]b)§`, "R was refused the memory for one vector", nil},
	{"lua", "heap", 0, "not enough memory", `^(?:lua[\w.]*|PANIC): .{0,120}not enough memory\)?§`, "Lua was refused memory, or LuaJIT reached the most it can hold", nil},
	{"perl", "heap", fatal, "Out of memory", `^Out of memory(?:!| in perl:.{0,80})$`, "Perl was refused memory", nil},
	{"git", "alloc", fatal, "fatal: Out of memory", `fatal: Out of memory, (?:[a-z]{1,12}|\w+ failed(?: \(tried to allocate (?P<asked>\d{1,18}) bytes\))?)`, "git was refused memory", nil},
	{"shell", "alloc", fatal, "alloc: cannot allocate", `\b[xsm]{1,3}(?:m|re)alloc: (?:\S{1,40}: )?cannot allocate (?P<asked>\d{1,18}) bytes`, "the shell was refused memory", nil},
	{"shell", "fork", bare, "fork: ", `\bfork: Cannot allocate memory|[Cc]annot fork: Cannot allocate memory`, "the shell could not start a process for want of memory", nil},
	{"nginx", "alloc", bare | exact, "(12: Cannot allocate memory)", `\[(?:emerg|alert|crit|error)\] \d+#\d+: .{0,200}\b(?:malloc|posix_memalign|memalign|mmap|fork)\((?P<asked>\d{1,18})?[^)]{0,60}\) failed.{0,80}\(12: Cannot allocate memory\)`, "nginx was refused memory", nil},
	{"haproxy", "alloc", bare, "out of memory", `^\[(?:ALERT|EMERG)\] .{0,300}[:,] ?out of memory\.?$`, "HAProxy was refused memory (its -m limit, or the system)", nil},
	{"libc", "enomem", vague, "annot allocate memory", `(?P<lead>^|: |[(\[]12[:\]] |errno=12 |error=12, |\()[Cc]annot allocate memory\b[^a-z]{0,20}(?: at .{1,200})?$`, "the system refused memory (ENOMEM)", notPinned},
	{"program", "enomem", vague | fatal, "emory exhausted", `(?P<lead>^[^\s:]{1,60}: )(?:virtual )?memory exhausted§`, "a program was refused memory and ended itself", nil},
	{"program", "enomem", vague, "ut of memory", `(?P<lead>^|^[^\s:]{1,60}: )[Oo]ut of memory[!.]?$`, "a program was refused memory", nil},
}

// lead is what may stand before a message that is a line of its own: the head
// that a log driver or a compose file writes.
const lead = `(?P<lead>^|[|\]>] |[ZFP] )`

// javaError is how Java says an OutOfMemoryError, or the virtual machine itself does.
const javaError = `(?:java\.lang\.OutOfMemoryError|fatal error: OutOfMemory encountered): `

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
var compiledRows = sync.OnceValue(func() []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(runtimeRows))
	for i := range runtimeRows {
		out[i] = regexp.MustCompile(strings.ReplaceAll(runtimeRows[i].shape, "§", `["'\s.}]*$`))
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
			r.Caught = r.Caught || reLowLevel.MatchString(m.pre)
		}
		if row.around != nil && !row.around(m) {
			continue
		}
		if reTamed.MatchString(m.pre) || reTamed.MatchString(m.post) {
			r.Caught = true
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
	reColour = regexp.MustCompile(`(?:\x1b|\\x1b)\[[0-9;]{0,20}m`)
	// reLowLevel is a log level at which nothing that ends a program is logged.
	reLowLevel = regexp.MustCompile(`(?i)(?:^|[\s\[(|<"=])(?:trace|debug|info|notice|warn|warning)(?:[\s\])|>",:]|$)`)
	// reTamed are words of a record that the program went on.
	reTamed = regexp.MustCompile(`(?i)\b(?:caught|handled|recover(?:ed|ing|y)|ignor(?:ed|ing)|retry(?:ing)?|retried|retries|swallowed|fall(?:ing)? ?back|going on|continu(?:e|es|ing)|will try again|shedding)\b`)
	// reProse are words that stand in a sentence and not in the head of a log line.
	reProse = regexp.MustCompile(`(?i)\b(?:if|when|whenever|you|your|we|they|the|an|this|these|see|saw|seen|about|why|how|what|like|is|are|was|were|been|got|getting|after|before|because|avoid|prevents?|means|e\.g|example|grep|pattern|regexp?|match(?:es)?)\b`)
	reSize  = regexp.MustCompile(`^(\d{1,18})(\.\d{1,6})? ?([KMGTPEkmgtpe]?)(?:i?[Bb]|bytes)?$`)
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

// javaSaid tells from how an OutOfMemoryError was printed whether anything
// caught it: the virtual machine itself, a thread that died, a log record.
func javaSaid(m *message) bool {
	r, head := m.found, m.pre
	line := m.lines[m.at][len(m.pre):]
	switch {
	case strings.HasSuffix(head, "Terminating due to ") || strings.HasSuffix(head, "Aborting due to ") || strings.HasPrefix(line, "fatal error: "):
		r.Fatal = true
		return !talk(strings.TrimSuffix(strings.TrimSuffix(head, "Terminating due to "), "Aborting due to "), m.post)
	case strings.HasSuffix(head, "# ") && m.at+1 < len(m.lines) && strings.Contains(m.lines[m.at+1], `-XX:OnOutOfMemoryError="`):
		r.Fatal = strings.Contains(m.lines[m.at+1], "kill")
		return true
	}
	// An error printed with its trace stands alone on the line, or as a cause of
	// another; the head of the trace then says whether anything caught it.
	if cause := strings.HasSuffix(head, "Caused by: "); cause || strings.TrimSpace(head) == "" {
		for i, n := m.at-1, 0; i >= 0 && n < maxTrace; i, n = i-1, n+1 {
			head = m.lines[i]
			if !cause || !isJavaFrame(head) {
				break
			}
		}
	}
	thread := strings.Index(head, `Exception in thread "`)
	r.Caught = !(thread >= 0 && !talk(head[:thread], "") || reUncaught.MatchString(head))
	return true
}

// reUncaught are words of a record that nothing caught the error.
var reUncaught = regexp.MustCompile(`(?i)\b(?:uncaught|unhandled|fatal error in thread|fatal exception|exiting|terminating|halting|shutting down)\b`)

func isJavaFrame(l string) bool {
	l = strings.TrimPrefix(strings.TrimLeft(l, " \t"), `\t`)
	return strings.HasPrefix(l, "at ") || strings.HasPrefix(l, "... ") || strings.HasPrefix(l, "Caused by: ") || strings.HasPrefix(l, "Suppressed: ")
}

var reXmx = regexp.MustCompile(`\bPicked up \S+: .*-Xmx(\d{1,15}[kKmMgGtT]?)\b`)

// javaHeap also reads the heap's limit from the options that Java prints at start.
func javaHeap(m *message) bool {
	for i := m.at - 1; i >= 0; i-- {
		if strings.Contains(m.lines[i], "Picked up ") {
			if g := reXmx.FindStringSubmatch(m.lines[i]); g != nil {
				m.found.Limit = parseSize(g[1])
				break
			}
		}
	}
	return javaSaid(m)
}

// javaNative reads the size from the line that follows.
func javaNative(m *message) bool {
	for i := m.at + 1; i < min(m.at+3, len(m.lines)); i++ {
		if g := reNative.FindStringSubmatch(m.lines[i]); g != nil {
			m.found.Requested = parseSize(g[1])
		}
	}
	return true
}

var (
	reNative = regexp.MustCompile(`failed to (?:map|allocate) (\d{1,18}) bytes`)
	reMarked = regexp.MustCompile(`Mark-(?:[Cc]ompact|sweep)[ a-z()]{0,20} [\d.]{1,12} \([\d.]{1,12}\) -> ([\d.]{1,12}) \(`)
	reDetail = regexp.MustCompile(`DETAIL:  Failed on request of size (\d{1,18})\b`)
	reHint   = regexp.MustCompile(`\(currently (\d{1,18}) bytes\)`)
	reWords  = regexp.MustCompile(`^\s*Max Heap Size: +(\d{1,15})$`)
	reGHC    = regexp.MustCompile(`Current maximum heap size is (\d{1,18}) bytes`)
	rePinned = regexp.MustCompile(`(?i)m?lock|huge|large.?page|io_uring|warning|shm`)
	reRecord = regexp.MustCompile(`(?i)(?:^|[\s\[(|<"=:])(?:debug|info|notice|warn|warning|error|critical)(?:[\s\])|>",:]|$)`)
)

// v8Heap reads how much the last full collection left: the heap was full with that.
// One allocation can also be too large for what is left; then it tells nothing.
func v8Heap(m *message) bool {
	if !strings.Contains(m.lines[m.at], "heap limit") {
		return true
	}
	for i := m.at - 1; i >= max(0, m.at-24); i-- {
		all := reMarked.FindAllStringSubmatch(m.lines[i], -1)
		if len(all) > 0 {
			m.found.Limit = parseSize(all[len(all)-1][1] + "M")
			m.found.About = m.found.Limit != nil
			break
		}
		if strings.Contains(m.lines[i], "Last few GCs") {
			break
		}
	}
	return true
}

// pythonTrace asks for the traceback above an exception, which tells a real one
// from a word in a text, and says whether it was logged and so caught.
func pythonTrace(m *message) bool {
	for i, n := m.at-1, 0; i >= 0 && n < maxTrace; i, n = i-1, n+1 {
		l := m.lines[i]
		if at := strings.Index(l, "Traceback (most recent call last):"); at >= 0 {
			head := l[:at]
			if strings.TrimSpace(head) == "" && i > 0 {
				head = m.lines[i-1]
			}
			m.found.Caught = reRecord.MatchString(head)
			return true
		}
	}
	// The head of the trace is beyond the tail: its last frame must do.
	return m.at > 0 && (strings.HasPrefix(m.lines[m.at-1], "    ") || strings.HasPrefix(m.lines[m.at-1], `  File "`))
}

// dotnetTrace asks for the stack below "Out of memory.", which others say too.
func dotnetTrace(m *message) bool {
	return m.at+1 < len(m.lines) && strings.HasPrefix(m.lines[m.at+1], "   at ")
}

// erlangWords reads the limit of an Erlang process, which is in words of 8 bytes.
func erlangWords(m *message) bool {
	for i := m.at + 1; i < min(m.at+4, len(m.lines)); i++ {
		if g := reWords.FindStringSubmatch(m.lines[i]); g != nil {
			if n := parseSize(g[1]); n != nil {
				*n *= 8
				m.found.Limit = n
			}
		}
	}
	return true
}

func postgresDetail(m *message) bool { return below(m, reDetail, &m.found.Requested) }
func postgresHint(m *message) bool   { return below(m, reHint, &m.found.Requested) }
func haskellHeap(m *message) bool    { return below(m, reGHC, &m.found.Limit) }

// below reads a size from one of the next three lines.
func below(m *message, re *regexp.Regexp, into **int64) bool {
	for i := m.at + 1; i < min(m.at+4, len(m.lines)); i++ {
		if g := re.FindStringSubmatch(m.lines[i]); g != nil {
			*into = parseSize(g[1])
			break
		}
	}
	return true
}

// notPinned refuses what programs try and do without: locked memory, huge pages.
func notPinned(m *message) bool { return !rePinned.MatchString(m.pre) }

// Advice gives one thing to do about it, with its numbers and how they come
// about. containerLimit is the container's memory limit in bytes, nil where it
// has none or it is not known. No limit that is advised is above the container's.
func (r *RuntimeOOM) Advice(containerLimit *int64) string {
	c := room{}
	// Below 8 MiB no share of a limit is a number that a runtime could work with.
	if containerLimit != nil && *containerLimit >= 8<<20 && *containerLimit < 1<<50 {
		c.limit = *containerLimit
	}
	switch r.Runtime + " " + r.What {
	case "jvm native_thread", "go native_thread":
		return "Count its threads (ls /proc/PID/task | wc -l) against the pids limit (docker inspect -f '{{.HostConfig.PidsLimit}}') and ulimit -u, and bound its thread pools; more heap does not help."
	case "jvm array_size":
		return "Find the array in the stack trace and build it in pieces: no heap size allows an array of 2^31 - 1 elements."
	case "jvm map":
		return "Count its mappings (wc -l /proc/PID/maps) against vm.max_map_count (65530 by default), and look at ulimit -v; the Java heap has room."
	case "cuda gpu_memory":
		return "Lower the batch size or give it a larger card: the container's memory limit does not count the card's memory."
	case "redis maxmemory":
		return "Look at the Redis server, not at this container: redis-cli info memory shows used_memory against maxmemory; set a maxmemory-policy such as allkeys-lru if it is a cache, or raise maxmemory up to 75 % of that server's own limit."
	case "memcached limit":
		return "Look at the memcached server, not at this container: raise its -m up to 75 % of that server's own limit, or let it evict (no -M)."
	case "mysql query":
		if r.Elsewhere {
			return "Look at the MySQL server, not at this container: lower its per-connection buffers (sort_buffer_size, join_buffer_size, tmp_table_size), or give it more memory."
		}
	case "spark executor_lost":
		return "Look at the executor, not at this container: raise spark.executor.memoryOverhead (by default 10 % of spark.executor.memory), or give an executor fewer cores."
	case "redis fork", "postgresql fork":
		return "Set vm.overcommit_memory=1 on the host (sysctl): a fork shares its memory and is refused only because the host counts it twice."
	case "jvm metaspace":
		return "Look for a class loader leak (jcmd PID VM.classloader_stats); if it needs them all: " + c.split("-XX:MaxMetaspaceSize=%dm", 25, "-XX:MaxRAMPercentage=50")
	case "jvm class_space":
		return "Look for a class loader leak (jcmd PID VM.classloader_stats); if it needs them all: " + c.split("-XX:CompressedClassSpaceSize=%dm", 10, "-XX:MaxRAMPercentage=50")
	case "jvm direct":
		return r.direct(c)
	case "jvm heap", "jvm gc_overhead":
		set := setting{name: "-Xmx%dm", percent: 75, leak: "take a heap dump (-XX:+HeapDumpOnOutOfMemoryError) and see what fills it"}
		if c.limit >= 256<<20 {
			set.name, set.note = "-XX:MaxRAMPercentage=75", "in place of any -Xmx; without either Java takes 25 %"
		}
		return r.size(c, set)
	case "jvm native", "jvm reserve":
		return r.refused(c, "leave room beside the Java heap: "+c.share("-Xmx%dm", 75))
	case "node old_space":
		return r.size(c, setting{name: "NODE_OPTIONS=--max-old-space-size=%d", percent: 75, leak: "take a snapshot (--heapsnapshot-near-heap-limit=1) and see what fills it"})
	case "node worker_heap":
		return r.size(c, setting{name: "resourceLimits.maxOldGenerationSizeMb=%d", percent: 75, note: "the sum of all workers and the main thread", leak: "take a snapshot and see what fills it"})
	case "go heap", "go reserve", "go fork":
		return r.refused(c, "make the collector work before the limit: "+c.share("GOMEMLIMIT=%dMiB", 90))
	case "dotnet heap", "dotnet reserve":
		return "Take a dump (dotnet-gcdump collect) and see what fills the heap; " + c.share("look that DOTNET_GCHeapHardLimit is not set below %d MiB, the default", 75)
	case "php memory_limit":
		return r.php(c)
	case "redis enomem":
		return r.refused(c, "let Redis refuse writes before that, with room for a fork: "+c.share("maxmemory %dmb", 75))
	case "postgresql query":
		return "Lower work_mem for this query or bound max_connections: " + c.split("shared_buffers = %dMB", 25, "work_mem × max_connections at most 50 %")
	case "postgresql shared_memory":
		return r.refused(c, c.share("shared_buffers = %dMB", 25))
	case "mysql buffer_pool":
		return r.refused(c, c.share("innodb_buffer_pool_size = %dM", 50))
	case "clickhouse memory_limit":
		return r.size(c, setting{name: "max_server_memory_usage of %d MiB", percent: 90, leak: "bound the query (max_memory_usage, max_bytes_before_external_group_by)"})
	case "erlang max_heap_size":
		return "Look at what that Erlang process holds (its message queue first: process_info(Pid, message_queue_len)); raise its max_heap_size only if that is meant to be there."
	case "haskell heap":
		return r.size(c, setting{name: "+RTS -M%dm", percent: 75, leak: "take a heap profile (+RTS -hy)"})
	}
	return r.refused(c, c.share("keep what it holds below %d MiB", 90))
}

// room is the container's limit, 0 where it is not known, and its shares.
type room struct{ limit int64 }

func (c room) of(percent int64) int64 { return c.limit/100*percent + c.limit%100*percent/100 }

// formula shows how a share comes about: "75 % of 512 MiB = 384 MiB".
func (c room) formula(percent int64) string {
	if c.limit == 0 {
		return fmt.Sprintf("%d %% of the container's limit; it has none that is known, so set one first", percent)
	}
	return fmt.Sprintf("%d %% of the container's %s = %s", percent, FormatBytes(c.limit), FormatBytes(c.of(percent)))
}

// share fills a setting with a share in MiB, and shows how it comes about.
func (c room) share(name string, percent int64) string {
	if strings.Contains(name, "%d") {
		if c.limit == 0 {
			name = strings.NewReplacer("%d MiB", "N", "%dMiB", "N", "%dMB", "N", "%dmb", "N", "%dm", "N", "%dM", "N", "%d", "N").Replace(name)
			return fmt.Sprintf("%s, N being %s.", name, c.formula(percent))
		}
		name = fmt.Sprintf(name, c.of(percent)>>20)
	}
	return fmt.Sprintf("%s (%s).", name, c.formula(percent))
}

// split is share with what must go along so that the sum fits.
func (c room) split(name string, percent int64, with string) string {
	return strings.TrimSuffix(c.share(name, percent), ".") + ", together with " + with + ", so that the rest of the process has room."
}

// setting is a limit of a runtime that can be set.
type setting struct {
	name    string // with %d for MiB
	percent int64  // of the container's limit
	note    string
	leak    string // what to do when there is no more to give
}

// size compares the limit that was reached with the container's.
func (r *RuntimeOOM) size(c room, s setting) string {
	set := strings.TrimSuffix(c.share(s.name, s.percent), ".")
	if s.note != "" {
		set += ", " + s.note
	}
	if r.Limit == nil {
		return fmt.Sprintf("Set %s; if it is set so already, %s.", set, s.leak)
	}
	own := FormatBytes(*r.Limit)
	if r.About {
		own = "about " + own
	}
	switch {
	case c.limit == 0:
		return fmt.Sprintf("Its own limit was %s: %s. If it needs more, set %s.", own, s.leak, set)
	case *r.Limit > c.limit:
		return fmt.Sprintf("Its own limit of %s is above the container's %s, where the kernel kills: lower it to %s.", own, FormatBytes(c.limit), set)
	case *r.Limit < c.of(s.percent-5):
		return fmt.Sprintf("Its own limit of %s is below what the container's %s allows: set %s. The container's need not be raised.", own, FormatBytes(c.limit), set)
	}
	return fmt.Sprintf("Its own limit of %s leaves little of the container's %s: %s. If it needs more than that, raise the container's limit first, and keep this one at %d %% of it.",
		own, FormatBytes(c.limit), s.leak, s.percent)
}

// refused is for memory that the system did not give: at its own limit a
// container is killed, so something else refused.
func (r *RuntimeOOM) refused(c room, then string) string {
	if q := r.Requested; q != nil && c.limit > 0 && *q > c.limit {
		return fmt.Sprintf("It asked for %s at once, more than the container's %s: lower what it asks for; %s", FormatBytes(*q), FormatBytes(c.limit), then)
	}
	return "At a container's limit the kernel kills and does not refuse: look at ulimit -v and at vm.overcommit_memory on the host for what refused it, then " + then
}

// direct is for Java's buffers outside the heap.
func (r *RuntimeOOM) direct(c room) string {
	const look = "look for buffers that are not released"
	if r.Limit != nil && c.limit > 0 && *r.Limit >= c.of(20) {
		return fmt.Sprintf("%s of direct buffers were in use, of the container's %s: %s before giving more; -XX:MaxDirectMemorySize=%dm (%s) with -XX:MaxRAMPercentage=50 leaves the rest room.",
			FormatBytes(*r.Limit), FormatBytes(c.limit), look, c.of(25)>>20, c.formula(25))
	}
	return "Set " + c.split("-XX:MaxDirectMemorySize=%dm", 25, "-XX:MaxRAMPercentage=50") + " If it is set so already, " + look + "."
}

// php is for memory_limit, which counts for each worker.
func (r *RuntimeOOM) php(c room) string {
	if r.Limit == nil {
		return "Set " + c.share("memory_limit=%dM", 75)
	}
	own := *r.Limit
	switch {
	case c.limit == 0:
		return fmt.Sprintf("Find what the script keeps; if it needs it, raise memory_limit above %s for this script alone, and give the container a limit of workers × memory_limit / 0.9.", FormatBytes(own))
	case own > c.limit:
		return fmt.Sprintf("memory_limit is %s, above the container's %s, where the kernel kills: set %s", FormatBytes(own), FormatBytes(c.limit), c.share("memory_limit=%dM", 75))
	case own >= c.of(70):
		return fmt.Sprintf("memory_limit is %s of the container's %s already: make the script work in pieces (it asked for %s more).", FormatBytes(own), FormatBytes(c.limit), requested(r))
	}
	next := min(2*own, c.of(75))
	return fmt.Sprintf("Find what the script keeps; if it needs it, set memory_limit=%dM (2 × %s, at most 75 %% of the container's %s) and pm.max_children to at most %d (90 %% of %s / %s), as the limit counts for each worker.",
		next>>20, FormatBytes(own), FormatBytes(c.limit), max(1, c.of(90)/next), FormatBytes(c.limit), FormatBytes(next))
}

func requested(r *RuntimeOOM) string {
	if r.Requested == nil {
		return "some"
	}
	return FormatBytes(*r.Requested)
}

// DiskFull is what a program's log says about a filesystem, or a quota, that
// had no room left.
type DiskFull struct {
	// Line is the line that said it, as given, and Index its place in the tail.
	Line  string
	Index int
	// Path is the file that could not be written, where the lines tell it.
	Path string
	// Quota is true when it was a quota and not the filesystem.
	Quota bool
}

var (
	// reDisk is the text of ENOSPC and EDQUOT as an error says it, or a
	// program's own words for it.
	reDisk = regexp.MustCompile(`(?:^|[:\])=,(] ?["']?|- |\b(?:errno|code:?|Errcode:)[ =]?28[ :,)"]+|\d: )(?:ENOSPC: )?([Nn]o space left on (?:device|disk)|[Dd]isk quota exceeded|EDQUOT\b)` +
		`|\b(?:Error|ERROR|error|failed): (ENOSPC|EDQUOT)\b|Errno::(ENOSPC|EDQUOT)\b|\b(database or disk is full)\b|\bkind: (StorageFull|QuotaExceeded)\b` +
		`|\b(There is not enough space on the disk)\b|\b(Disk is full) writing '|\b(possibly out of free disk space)\b|\b(OutOfDiskSpace)\b`)
	// reNotDisk are other things that run out under the same errno: watches,
	// semaphores, control groups, and kernel tables.
	reNotDisk = regexp.MustCompile(`(?i)inotify|file watchers|\bwatch(?:es|er)?\b|semaphore|semget|sem_open|shmget|msgget|/sys/fs/cgroup|/sys/fs/bpf|mkdir /proc/|epoll|ipset|\bbpf\b`)

	rePathAfter  = regexp.MustCompile(`^(?:, [a-z]+)?(?: @ [a-z_]{1,30} -| ?:)? ?["']?((?:/|\./)[^"'\s,)]+)`)
	rePathBefore = regexp.MustCompile(`["']([^"'\s]*[/.][^"'\s]+)["'][^"']{0,60}$|(?:^|[\s(])(/[^\s:"'()]+)(?:\): [\w :]{0,60})?[:)]?[\s(]*$`)
	reNodePath   = regexp.MustCompile(`^\s*path: '([^']+)'`)
)

// FindDiskFull looks for the newest word, in the last lines of a log, that a
// write met a full filesystem or quota. It returns nil when there is none.
func FindDiskFull(tail []string) *DiskFull {
	lines, first := plainLines(tail)
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		if !diskWords(l) {
			continue
		}
		loc := reDisk.FindStringSubmatchIndex(l)
		if loc == nil || reNotDisk.MatchString(l) {
			continue
		}
		from := loc[0]
		for g := 2; g < len(loc); g += 2 {
			if loc[g] >= 0 {
				from = loc[g]
			}
		}
		pre, post := l[:from], l[loc[1]:]
		if reProse.MatchString(pre) && !strings.Contains(pre, ": ") || strings.HasSuffix(post, "?") {
			continue
		}
		text := l[from:loc[1]]
		return &DiskFull{Line: tail[first+i], Index: first + i, Path: diskPath(lines, i, pre, post),
			Quota: strings.Contains(strings.ToLower(text), "quota") || strings.Contains(text, "EDQUOT")}
	}
	return nil
}

// diskWords is a quick look for lines that cannot match.
func diskWords(l string) bool {
	for _, w := range [...]string{"o space left", "quota exceeded", "disk", "Disk", "ENOSPC", "EDQUOT", "StorageFull", "QuotaExceeded"} {
		if strings.Contains(l, w) {
			return true
		}
	}
	return false
}

// diskPath finds the file: after the message, just before it, or in the lines
// that Node.js prints below.
func diskPath(lines []string, at int, pre, post string) string {
	if strings.Contains(pre, "shared memory segment") {
		return "/dev/shm"
	}
	if g := rePathAfter.FindStringSubmatch(post); g != nil {
		return g[1]
	}
	if g := rePathBefore.FindStringSubmatch(strings.TrimRight(pre, " ")); g != nil {
		return g[1] + g[2]
	}
	for i := at + 1; i < min(at+24, len(lines)); i++ {
		if g := reNodePath.FindStringSubmatch(lines[i]); g != nil {
			return g[1]
		}
	}
	return ""
}
