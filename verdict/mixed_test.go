package verdict

import (
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// Where shared memory and anonymous memory both filled a limit, summary and advice name
// both; where one of them did, it alone.
func TestSharedAndAnonymousMemory(t *testing.T) {
	const mib = 1 << 20
	const path = "/docker/55aa0c4be07a31d85e6b4099c1de77f0a2b3c4d5e6f708192a3b4c5d6e7f80cc"
	for _, c := range []struct {
		name        string
		anon, shmem int64 // of 64 MiB
		say, not    []string
		raise       bool // a higher limit is offered
	}{
		{"mostly anonymous", 60 * mib, 3 * mib, []string{"mixer held 60 MiB of anonymous memory", "mixer alone held 60 MiB"}, []string{"shared memory"}, true},
		{"both", 35 * mib, 28 * mib, []string{"35 MiB of it was anonymous memory, 28 MiB shared memory or tmpfs", "28 MiB of the 64 MiB is shared memory", "clean it up. mixer alone held 35 MiB"}, nil, true},
		{"both, a quarter", 46 * mib, 16 * mib, []string{"46 MiB of it was anonymous memory, 16 MiB shared memory or tmpfs", "16 MiB of the 64 MiB is shared memory"}, nil, true},
		{"below a quarter", 48 * mib, 15 * mib, []string{"mixer alone held 48 MiB"}, []string{"shared memory"}, true},
		{"both, shared memory the larger", 20 * mib, 43 * mib, []string{"20 MiB of it was anonymous memory, 43 MiB shared memory or tmpfs", "only delays it", "Its processes held another 20 MiB of anonymous memory."}, nil, false},
		{"mostly shared", 5 * mib, 58 * mib, []string{"58 MiB of it was shared memory or tmpfs", "only delays it"}, []string{"anonymous"}, false},
	} {
		ep := &kmsg.Episode{Constraint: kmsg.ConstraintMemcg, OOMMemcg: path, TaskMemcg: path, Usage: kmsg.Bytes(64 * mib), Limit: kmsg.Bytes(64 * mib), Failcnt: 53,
			Stats: map[string]int64{"anon": c.anon, "file": c.shmem, "shmem": c.shmem, "kernel": 512 << 10},
			Kills: []kmsg.Kill{{PID: 8119, Comm: "mixer", AnonRSS: kmsg.Bytes(c.anon)}}}
		inc := Explain(&Facts{Kind: incident.KindKill, Offline: true, Container: &incident.Container{ID: path[8:], Runtime: "docker"},
			Kills: []KernelKill{{Episode: ep, Kill: ep.Kills[0], By: ByPath}}})
		text := inc.Summary + "\n" + strings.Join(inc.Advice, "\n")
		for _, s := range c.say {
			if !strings.Contains(text, s) {
				t.Errorf("%s: %q is not in\n%s", c.name, s, text)
			}
		}
		for _, s := range c.not {
			if strings.Contains(text, s) {
				t.Errorf("%s: %q is in\n%s", c.name, s, text)
			}
		}
		if got := strings.Contains(text, "try a limit of"); got != c.raise {
			t.Errorf("%s: a higher limit offered: %t\n%s", c.name, got, text)
		}
	}
}
