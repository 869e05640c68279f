package redact

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/race"
)

// TestLineTakesLinearTime: a line of 1 MB is no way to stop the daemon. What is
// repeated are the beginnings of everything that a rule looks for.
func TestLineTakesLinearTime(t *testing.T) {
	units := []string{"a", "password ", "password=", "password: ", "password (", "password={", "password=[\"", "secret{", "a://b@", "a://b:c", "\x1b[", "pass ", "pass=1,", "<password>", "<password ", "token: ", "token is ",
		"curl -u ", "docker login -p ", "\"name\":\"password\",\"value\":", "insert into a (password) values (", "AUTH ", "?key=", "/reset/", "authorization: ", "cookie: a=b ", "bearer ", "sk-ant-", "eyJ.", "A1b2C3/", "\\\"", "key 1:", "password......",
		"echo x | ", "-u a:b ", "user a password ", "code ", "password for ", "password for x: ", "&quot;password&quot;:", "Some(", "connect(\"a\", ", "connect(", "{db,", "password={a}}", "password=a&b", "UserSecret(value=", "password=Some(", "-----BEGIN A-----"}
	runtime.LockOSThread() // the processor's time of this thread: others may be busy
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	cost := func(s string) time.Duration {
		start := used()
		Line(s)
		return used() - start
	}
	for _, u := range units {
		small, large := 4<<10, race.Or(32<<10, 8<<10)
		a, b := cost(strings.Repeat(u, small/len(u))), cost(strings.Repeat(u, large/len(u)))
		// 8 times the length may take 8 times as long, and noise; the square takes 64 times as long.
		if b > 100*time.Millisecond && b > 40*a {
			t.Errorf("%q: %v for 4 KiB, %v for 32 KiB", u, a, b)
		}
		t.Logf("%q: %v for 32 KiB", u, b)
	}
}

// Letters whose small form has another length move no place in the line, and bytes that
// are no text do not either.
func TestLineOfAnyBytes(t *testing.T) {
	for _, user := range []string{"app\xe3\xe3", "İİ", "\u212a\u212a", "\xff\xff\xff"} {
		line := "postgres://" + user + ":sun/flower7@db:5432/shop"
		if got, want := Line(line), "postgres://"+Redacted+"@db:5432/shop"; got != want {
			t.Errorf("Line(%q) = %q, want %q", line, got, want)
		}
	}
}
