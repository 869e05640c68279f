package host

import (
	"os"
	"testing"
)

// TestName calls a host by its node's name in a pod, else by its own.
func TestName(t *testing.T) {
	t.Setenv(NodeEnv, "")
	own, err := os.Hostname()
	if got := Name(); err != nil || got != own {
		t.Errorf("%q, want %q, %v", got, own, err)
	}
	t.Setenv(NodeEnv, "worker-7")
	if got := Facts().Name; got != "worker-7" {
		t.Errorf("%q, want worker-7", got)
	}
}
