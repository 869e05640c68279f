package verdict

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
	{"jvm", "heap", bare | vague, "OutOfMemoryError thrown from", `Exception: java\.lang\.OutOfMemoryError thrown from the UncaughtExceptionHandler in thread`, "a thread died for lack of memory, and so did the report about it", nil},
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
	{"go", "fork", 0, "fork/exec ", `fork/exec [^:\s]{1,300}: cannot allocate memory\b`, "a process could not be started for lack of memory", nil},

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
	{"erlang", "max_heap_size", bare, "maximum heap size reached", `Context: +maximum heap size reached`, "one Erlang process reached its max_heap_size and was ended; the Erlang node still runs", erlangWords},

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
	{"clickhouse", "memory_limit", bare | caught, "limit", `(?:Memory limit \((?:total|for query|for user)\)|\((?:total|for query|for user)\) memory limit|(?:Query|User) memory limit) exceeded(?:: would use [\d.]+ \w+(?: \(attempt to allocate chunk of (?P<asked>\d{1,18})(?:\.\d+)? \w+\), (?:current RSS:? [\d.]+ \w+, )?maximum: (?P<limit>[\d.]+ \w+))?)?`, "ClickHouse reached its own memory limit and failed the query", nil},
	{"spark", "executor_lost", bare | elsewhere, "killed by YARN for exceeding", `Container killed by YARN for exceeding (?:physical )?memory limits\. [\d.]+ [KMGT]B of (?P<limit>[\d.]+ [KMGT]B) physical memory used`, "a Spark executor was killed by YARN at its memory limit", nil},
	{"spark", "executor_lost", bare | elsewhere, "ExecutorLostFailure", `ExecutorLostFailure \(executor .{1,200}(?:\bOOMKilled\b|exit code:? 137\b|exited with code 137\b|Out of memory)`, "a Spark executor ran out of memory or was killed", nil},

	{"spark", "heap", bare | caught, "SparkOutOfMemoryError", `SparkOutOfMemoryError: (?:Unable to acquire (?P<asked>\d{1,18}) bytes of memory|.{0,40}UNABLE_TO_ACQUIRE_MEMORY)`, "Spark's share of the executor's heap was used up (spark.memory.fraction of -Xmx)", nil},
	{"tensorflow", "tensor", bare | caught, "OOM when allocating tensor", `\bOOM when allocating tensor with shape`, "TensorFlow was refused the memory for one tensor, mostly the graphics card's", nil},

	{"rust", "alloc", fatal, "memory allocation of", `memory allocation of (?P<asked>\d{1,18}) bytes failed§`, "a Rust program was refused memory and ended itself", nil},
	{"c++", "bad_alloc", fatal, "std::bad_alloc", `terminate called after throwing an instance of 'std::bad_alloc'|terminating (?:due to|with) uncaught exception of type std::bad_alloc`, "a C++ program was refused memory and nothing caught the error", nil},
	{"c++", "bad_alloc", vague | caught, "std::bad_alloc", `\bstd::bad_alloc\b`, "a C++ program was refused memory", nil},
	{"jemalloc", "alloc", fatal, "<jemalloc>", `^<jemalloc>: Error in \w{1,40}\(\): out of memory`, "a program that uses jemalloc was refused memory and ended itself", nil},
	{"sbcl", "heap", fatal, "Heap exhausted", `^Heap exhausted, game over\.$`, "the Lisp heap reached its limit (--dynamic-space-size)", nil},
	{"llvm", "alloc", fatal, "LLVM ERROR: out of memory", `LLVM ERROR: out of memory`, "the compiler was refused memory", nil},
	{"gcc", "alloc", fatal, "out of memory allocating", `\bout of memory allocating (?P<asked>\d{1,18}) bytes`, "the compiler was refused memory", nil},
	{"haskell", "heap", fatal, "Heap exhausted;", `^[^\s]{1,200}: Heap exhausted;$`, "the Haskell heap reached its limit (+RTS -M)", haskellHeap},
	{"ocaml", "heap", fatal, "Out_of_memory", `^Fatal error: exception Out_of_memory`, "an OCaml program was refused memory", nil},
	{"r", "vector", 0, "cannot allocate vector of size", `^Error: cannot allocate vector of size (?P<asked>[\d.]+ [KMG]b)§`, "R was refused the memory for one vector", nil},
	{"lua", "heap", 0, "not enough memory", `^(?:lua[\w.]*|PANIC): .{0,120}not enough memory\)?§`, "Lua was refused memory, or LuaJIT reached the most it can hold", nil},
	{"perl", "heap", fatal, "Out of memory", `^Out of memory(?:!| in perl:.{0,80})$`, "Perl was refused memory", nil},
	{"git", "alloc", fatal, "fatal: Out of memory", `fatal: Out of memory, (?:[a-z]{1,12}|\w+ failed(?: \(tried to allocate (?P<asked>\d{1,18}) bytes\))?)`, "git was refused memory", nil},
	{"shell", "alloc", fatal, "alloc: cannot allocate", `\b[xsm]{1,3}(?:m|re)alloc: (?:\S{1,40}: )?cannot allocate (?P<asked>\d{1,18}) bytes`, "the shell was refused memory", nil},
	{"shell", "fork", bare, "fork: ", `\bfork: Cannot allocate memory|[Cc]annot fork: Cannot allocate memory`, "the shell could not start a process for lack of memory", nil},
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
