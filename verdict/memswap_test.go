package verdict

import (
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// Where the limit of memory and swap together was hit, and the one of memory never was,
// the summary names the former: also where both are full.
func TestMemoryAndSwapTogether(t *testing.T) {
	const mib = 1 << 20
	const path = "/docker/55aa0c4be07a31d85e6b4099c1de77f0a2b3c4d5e6f708192a3b4c5d6e7f80cc"
	for _, c := range []struct {
		usage, failcnt int64
		want           string
	}{
		{300 * mib, 0, "limit of memory and swap together, 640 MiB"},
		{384 * mib, 0, "limit of memory and swap together, 640 MiB"},
		{384 * mib, 7, "at its own 384 MiB limit"},
	} {
		ep := &kmsg.Episode{Constraint: kmsg.ConstraintMemcg, OOMMemcg: path, TaskMemcg: path, Usage: kmsg.Bytes(c.usage), Limit: kmsg.Bytes(384 * mib), Failcnt: c.failcnt,
			MemSwapUsage: kmsg.Bytes(640 * mib), MemSwapLimit: kmsg.Bytes(640 * mib), Kills: []kmsg.Kill{{PID: 12, Comm: "perl"}}}
		inc := Explain(&Facts{Kind: incident.KindKill, Offline: true, Container: &incident.Container{ID: path[8:], Runtime: "docker"},
			Kills: []KernelKill{{Episode: ep, Kill: ep.Kills[0], By: ByPath}}})
		if !strings.Contains(inc.Summary, c.want) {
			t.Errorf("usage %d MiB, failcnt %d: %q, want %q in it", c.usage/mib, c.failcnt, inc.Summary, c.want)
		}
	}
}
