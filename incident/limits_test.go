package incident

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

// TestPidsLimit tells a refused fork by the kernel's record of it, which it prints
// once for a cgroup, and by what the program said of this one.
func TestPidsLimit(t *testing.T) {
	const none = time.Duration(-1)
	many := make([]string, nearEnd)
	for _, c := range []struct {
		name   string
		record time.Duration // before the end
		tail   []string
		cause  Cause
		sure   Confidence
	}{
		{"the kernel's record", time.Second, []string{"bye"}, LimitPids, Likely},
		{"the record of an earlier one", time.Hour, []string{"bye"}, ExitError, Certain},
		{"an earlier record and its word", time.Hour, []string{"sh: can't fork: Resource temporarily unavailable"}, LimitPids, Likely},
		{"a word of busybox", none, []string{"sh: can't fork: Resource temporarily unavailable"}, LimitPids, Possible},
		{"a word of bash", none, []string{"bash: fork: retry: Resource temporarily unavailable", "bash: fork: Interrupted system call"}, LimitPids, Possible},
		{"a word of dash", none, []string{"sh: 1: Cannot fork"}, LimitPids, Possible},
		{"a word of Go", none, []string{"run: fork/exec /bin/true: resource temporarily unavailable"}, LimitPids, Possible},
		{"a word of Go's runtime", none, []string{"runtime: failed to create new OS thread (have 5 already; errno=11)"}, LimitPids, Possible},
		{"a word of Python", none, []string{"Traceback (most recent call last):", "RuntimeError: can't start new thread"}, LimitPids, Possible},
		{"a word of Node.js", none, []string{"Error: spawn /bin/true EAGAIN"}, LimitPids, Possible},
		{"a word of OpenBLAS", none, []string{"OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 8: Resource temporarily unavailable"}, LimitPids, Possible},
		{"a word long before the end", none, append([]string{"sh: can't fork: Resource temporarily unavailable"}, many...), ExitError, Certain},
		{"a socket that was not ready", none, []string{"read tcp: Resource temporarily unavailable"}, ExitError, Certain},
		{"a word of a fork that was made", none, []string{"forked: 3 workers"}, ExitError, Certain},
	} {
		t.Run(c.name, func(t *testing.T) {
			end := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
			f := &Facts{Time: end, Kind: KindDeath, Container: &Container{ID: "c1", Name: "web"},
				Exit: &Exit{At: end, ExitCode: 2}, LogTail: c.tail}
			if c.record != none {
				f.Faults = []kmsg.Fault{{Kind: kmsg.FaultForkRejected, Time: end.Add(-c.record)}}
			}
			if got := Explain(f); got.Cause != c.cause || got.Confidence != c.sure {
				t.Errorf("%s %s, want %s %s: %s", got.Cause, got.Confidence, c.cause, c.sure, got.Summary)
			}
		})
	}
}
