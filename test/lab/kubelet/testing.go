package kubelet

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// Start starts a node for a test and ends it, with its pods, at the test's end. Where none
// can be had it skips (see real.Missing).
func Start(t testing.TB) *Node {
	t.Helper()
	if err := Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	dir, err := os.MkdirTemp("", "ow-node-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(90*time.Second))
	defer cancel()
	begin := time.Now()
	n, err := New(ctx, dir)
	if err != nil {
		t.Fatalf("start a node: %v", err)
	}
	t.Logf("the node is ready after %.1f s", time.Since(begin).Seconds())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the node's programs said:\n%s", n.Logs())
		}
		if err := n.Stop(); err != nil {
			t.Errorf("stop the node: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return n
}
