package pods

import (
	"os"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// Start starts a private runtime for a test and ends it, with its pods, at the test's
// end. Where none can be had it skips (see real.Missing).
func Start(t testing.TB) *Runtime {
	t.Helper()
	return lab.InFolder(t, "the runtime", Missing(), time.Minute, New)
}

// LargeEnv names the variable that has tests run as many containers as a large node has.
const LargeEnv = "OOMWATCH_PODS_LARGE"

// Large is true where LargeEnv is set, as make lab-pods does.
func Large() bool { return os.Getenv(LargeEnv) != "" }
