package verdict

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
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
		cause  incident.Cause
		sure   incident.Confidence
	}{
		{"the kernel's record", time.Second, []string{"bye"}, incident.LimitPids, incident.Likely},
		{"the record of an earlier one", time.Hour, []string{"bye"}, incident.ExitError, incident.Certain},
		{"an earlier record and its word", time.Hour, []string{"sh: can't fork: Resource temporarily unavailable"}, incident.LimitPids, incident.Likely},
		{"a word of busybox", none, []string{"sh: can't fork: Resource temporarily unavailable"}, incident.LimitPids, incident.Possible},
		{"a word of bash", none, []string{"bash: fork: retry: Resource temporarily unavailable", "bash: fork: Interrupted system call"}, incident.LimitPids, incident.Possible},
		{"a word of dash", none, []string{"sh: 1: Cannot fork"}, incident.LimitPids, incident.Possible},
		{"a word of Go", none, []string{"run: fork/exec /bin/true: resource temporarily unavailable"}, incident.LimitPids, incident.Possible},
		{"a word of Go's runtime", none, []string{"runtime: failed to create new OS thread (have 5 already; errno=11)"}, incident.LimitPids, incident.Possible},
		{"a word of Python", none, []string{"Traceback (most recent call last):", "RuntimeError: can't start new thread"}, incident.LimitPids, incident.Possible},
		{"a word of Node.js", none, []string{"Error: spawn /bin/true EAGAIN"}, incident.LimitPids, incident.Possible},
		{"a word of OpenBLAS", none, []string{"OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 8: Resource temporarily unavailable"}, incident.LimitPids, incident.Possible},
		{"a word long before the end", none, append([]string{"sh: can't fork: Resource temporarily unavailable"}, many...), incident.ExitError, incident.Certain},
		{"a socket that was not ready", none, []string{"read tcp: Resource temporarily unavailable"}, incident.ExitError, incident.Certain},
		{"a word of a fork that was made", none, []string{"forked: 3 workers"}, incident.ExitError, incident.Certain},
	} {
		t.Run(c.name, func(t *testing.T) {
			end := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
			f := &Facts{Time: end, Kind: incident.KindDeath, Container: &incident.Container{ID: "c1", Name: "web"},
				Exit: &incident.Exit{At: end, ExitCode: 2}, LogTail: c.tail}
			if c.record != none {
				f.Faults = []kmsg.Fault{{Kind: kmsg.FaultForkRejected, Time: end.Add(-c.record)}}
			}
			if got := Explain(f); got.Cause != c.cause || got.Confidence != c.sure {
				t.Errorf("%s %s, want %s %s: %s", got.Cause, got.Confidence, c.cause, c.sure, got.Summary)
			}
		})
	}
}
