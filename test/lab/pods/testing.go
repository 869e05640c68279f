package pods

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// Start starts a private containerd for a test and ends it, with its pods, at the test's
// end. Where none can be had it skips (see real.Missing).
func Start(t testing.TB) *Runtime {
	t.Helper()
	if err := Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	// Not t.TempDir: a socket's path may not be long.
	dir, err := os.MkdirTemp("", "ow-cri-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(time.Minute))
	defer cancel()
	r, err := New(ctx, dir, os.Getenv(BinEnv))
	if err != nil {
		t.Fatalf("start a private containerd: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("containerd said:\n%s", r.Log())
		}
		if err := r.Stop(); err != nil {
			t.Errorf("stop the private containerd: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return r
}

// LargeEnv names the variable that has tests run as many containers as a large node has.
const LargeEnv = "OOMWATCH_PODS_LARGE"

// Large is true where LargeEnv is set, as make lab-pods does.
func Large() bool { return os.Getenv(LargeEnv) != "" }
