package verdict

import (
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// Sample is a made-up death, judged by the same code as a real one, and
// marked so that nobody gets up for it.
func Sample(now time.Time, host incident.Host) *incident.Incident {
	const mib = 1 << 20
	id := strings.Repeat("0", 64)
	path := "/docker/" + id
	kill := kmsg.Kill{Time: now, PID: 5300, Comm: "sample", TotalVM: kmsg.Bytes(96 * mib), AnonRSS: kmsg.Bytes(63 * mib),
		FileRSS: kmsg.Bytes(mib / 2), ShmemRSS: kmsg.Bytes(0), PageTables: kmsg.Bytes(180 << 10),
		Line: "Memory cgroup out of memory: Killed process 5300 (sample)"}
	episode := &kmsg.Episode{
		Time: now, Constraint: kmsg.ConstraintMemcg, OOMMemcg: path, TaskMemcg: path, Complete: true,
		Trigger: kmsg.Task{PID: 5300, Comm: "sample"}, Usage: kmsg.Bytes(64 * mib), Limit: kmsg.Bytes(64 * mib), Failcnt: 12,
		Tasks: []kmsg.Task{{PID: 5300, TGID: 5300, Comm: "sample", RSS: kmsg.Bytes(63*mib + mib/2)}},
		Kills: []kmsg.Kill{kill}, Lines: []string{kill.Line},
	}
	var samples []cgroup.Sample
	for i := range 10 {
		samples = append(samples, cgroup.Sample{At: now.Add(time.Duration(i-10) * 6 * time.Second),
			Current: int64(28+4*i) * mib, Limit: 64 * mib, Swap: -1, OOMKills: 0})
	}
	inc := Explain(&Facts{
		ID: incident.DeathID(id, now), Kind: incident.KindDeath, Time: now, Host: host,
		Container: &incident.Container{ID: id, Name: "oomwatch-test", Image: "oomwatch/test:sample", Runtime: "docker",
			StartedAt: now.Add(-time.Hour), RestartPolicy: "no", RestartCount: new(0), MemoryLimit: new(int64(64 * mib))},
		Exit:    &incident.Exit{At: now, FinishedAt: now, ExitCode: 137, OOMKilled: true, Inspected: true, Raw: "die (exitCode=137)"},
		Kills:   []KernelKill{{Episode: episode, Kill: kill, By: ByPath, Main: true}},
		Samples: samples,
		LogTail: []string{"this is a test of oomwatch's alerts: nothing has died"},
	})
	inc.Summary = "TEST, nothing has died: " + inc.Summary
	return inc
}
