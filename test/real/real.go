// Package real keeps tests of the real thing from passing where it is not there.
package real

import (
	"os"
	"testing"
)

// Env names the variable that turns a skip into a failure: set in CI, where
// everything must really be tried.
const Env = "OOMWATCH_REQUIRE_REAL"

// Missing skips the test for want of what it says, or fails it where Env is set.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Env) != "" {
		t.Fatalf("would skip, but "+Env+" is set: "+format, args...)
	}
	t.Skipf(format, args...)
}
