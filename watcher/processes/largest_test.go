package processes

import (
	"os"
	"testing"
)

// TestLargest: of this process's own, the largest is this one.
func TestLargest(t *testing.T) {
	opt := Options{Proc: "/proc", Container: func(pid int) string {
		if pid == os.Getpid() || pid == os.Getppid() {
			return "mine"
		}
		return ""
	}}
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = 1
	}
	got, ok := opt.Largest("mine")
	if !ok || got.Resident < 64<<20 || got.PID != os.Getpid() && got.PID != os.Getppid() {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := opt.Largest("another"); ok {
		t.Error("a container without processes has a largest")
	}
	held[0]++
}
