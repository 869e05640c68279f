package redact

import (
	"strings"
	"testing"
	"time"
)

// TestLineTakesLinearTime: a line of 1 MB is no way to stop the daemon. What is
// repeated are the beginnings of everything that a rule looks for.
func TestLineTakesLinearTime(t *testing.T) {
	units := []string{"a", "password ", "password=", "password: ", "password (", "password={", "password=[\"", "secret{", "a://b@", "a://b:c", "\x1b[", "pass ", "pass=1,", "<password>", "<password ", "token: ", "token is ",
		"curl -u ", "docker login -p ", "\"name\":\"password\",\"value\":", "insert into a (password) values (", "AUTH ", "?key=", "/reset/", "authorization: ", "cookie: a=b ", "bearer ", "sk-ant-", "eyJ.", "A1b2C3/", "\\\"", "key 1:", "password......",
		"echo x | ", "-u a:b ", "user a password ", "code ", "password for ", "password for x: ", "&quot;password&quot;:", "Some(", "password=Some(", "-----BEGIN A-----"}
	time1 := func(s string) time.Duration {
		best := time.Hour
		for range 2 {
			start := time.Now()
			Line(s)
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, u := range units {
		const small, large = 4 << 10, 32 << 10
		a, b := time1(strings.Repeat(u, small/len(u))), time1(strings.Repeat(u, large/len(u)))
		// 8 times the length may take 8 times as long, and noise; the square takes 64 times as long.
		if b > 100*time.Millisecond && b > 30*a {
			t.Errorf("%q: %v for 4 KiB, %v for 32 KiB", u, a, b)
		}
		t.Logf("%q: %v for 32 KiB", u, b)
	}
}
