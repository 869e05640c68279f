package incident

import (
	"strings"
	"testing"
)

// TestReasonLine reads the ends of real programs' logs; the reason is the line that an
// engineer would quote.
func TestReasonLine(t *testing.T) {
	for name, tt := range map[string]struct{ log, want string }{
		"python": {`starting worker
Traceback (most recent call last):
  File "/app/main.py", line 12, in <module>
    url = os.environ["DATABASE_URL"]
          ~~~~~~~~~~^^^^^^^^^^^^^^^^
KeyError: 'DATABASE_URL'`, "KeyError: 'DATABASE_URL'"},
		"python module": {`Traceback (most recent call last):
  File "app.py", line 1
psycopg2.OperationalError: could not connect to server: Connection refused
	Is the server running on host "db"`, "psycopg2.OperationalError: could not connect to server: Connection refused"},
		"go panic": {`2026/11/21 10:00:00 listening
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]

goroutine 1 [running]:
main.main()
	/src/main.go:7 +0x1d
panic: again`, "panic: runtime error: invalid memory address or nil pointer dereference"},
		"rust": {`thread 'main' panicked at src/main.rs:4:5:
called Result::unwrap() on an Err value: ConfigMissing
note: run with RUST_BACKTRACE=1`, "thread 'main' panicked at src/main.rs:4:5: called Result::unwrap() on an Err value: ConfigMissing"},
		"java": {`Exception in thread "main" java.lang.IllegalStateException: Failed to load ApplicationContext
	at org.example.Main.main(Main.java:5)
Caused by: java.net.UnknownHostException: db
	at java.base/java.net.InetAddress.get(InetAddress.java:1)
	... 12 more`, "Caused by: java.net.UnknownHostException: db"},
		"node": {`node:internal/modules/cjs/loader:1080
  throw err;
  ^

Error: Cannot find module 'express'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)
Node.js v20.1.0`, "Error: Cannot find module 'express'"},
		"elasticsearch": {`[2026-11-21T10:00:00,000][ERROR][o.e.b.Elasticsearch] [es] node validation exception
ERROR: [1] bootstrap checks failed. You must address the points described below.
bootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]
ERROR: Elasticsearch did not exit normally`, "bootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]"},
		"zap json": {`{"level":"info","msg":"starting"}
{"level":"fatal","ts":1,"msg":"listen failed","error":"listen tcp :80: bind: permission denied"}`, "listen failed: listen tcp :80: bind: permission denied"},
		"logfmt": {`time="2026-11-21T10:00:00Z" level=info msg="up"
time="2026-11-21T10:00:01Z" level=fatal msg="cannot open the store" error="open /data: read-only file system"`, "cannot open the store: open /data: read-only file system"},
		"nginx":     {"2026/11/21 10:00:00 [emerg] 1#1: host not found in upstream \"api\" in /etc/nginx/conf.d/default.conf:3\nbye", "[emerg] 1#1: host not found in upstream \"api\" in /etc/nginx/conf.d/default.conf:3"},
		"postgres":  {"2026-11-21 10:00:00.000 UTC [1] FATAL:  data directory \"/var/lib/postgresql/data\" has wrong ownership\n2026-11-21 10:00:00.000 UTC [1] HINT:  The server must be started by the owner.", "[1] FATAL:  data directory \"/var/lib/postgresql/data\" has wrong ownership"},
		"words":     {"loading\nunable to parse configuration: unexpected end of file\nshutting down", "unable to parse configuration: unexpected end of file"},
		"no reason": {"part 1 of 90\npart 2 of 90", ""},
		"a secret":  {`{"level":"error","msg":"login failed","error":"password\u003dhunter2-abcdef refused"}`, "login failed: password=[redacted] refused"},
		"empty":     {"", ""},
		"long":      {"panic: " + strings.Repeat("x", 500), "panic: " + strings.Repeat("x", 152) + "…"},
	} {
		if got := ReasonLine(strings.Split(tt.log, "\n")); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
