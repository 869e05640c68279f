package kubelet

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// Start starts a node for a test and ends it, with its pods, at the test's end. Where none
// can be had it skips (see real.Missing).
func Start(t testing.TB) *Node {
	t.Helper()
	return lab.InFolder(t, "the node", Missing(), 90*time.Second, New)
}
