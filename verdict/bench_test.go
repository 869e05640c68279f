package verdict

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

// sampleEpisode is one complete memcg episode with a table of tasks.
func sampleEpisode(tasks int) *kmsg.Episode {
	const path = "/docker/2e088fe462e25e60be1dafafe2c05c47bda1a97978648d10ad2b7484fc0b8f50"
	e := &kmsg.Episode{Seq: 100, Uptime: 12345 * time.Second, HasUptime: true, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Constraint: kmsg.ConstraintMemcg, Trigger: kmsg.Task{PID: 5300, Comm: "tail"}, OOMMemcg: path, TaskMemcg: path,
		Usage: kmsg.Bytes(32 << 20), Limit: kmsg.Bytes(32 << 20), Failcnt: 144, Complete: true, Kernel: "6.12.107",
		Stats: map[string]int64{"anon": 33161216, "file": 0, "kernel": 344064, "shmem": 0, "slab": 10},
		Lines: []string{"tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
			"memory: usage 32768kB, limit 32768kB, failcnt 144",
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=" + path + ",task_memcg=" + path + ",task=tail,pid=5300,uid=0"},
		Kills: []kmsg.Kill{{Seq: 140, Uptime: 12345 * time.Second, HasUptime: true, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), PID: 5300, Comm: "tail",
			TotalVM: kmsg.Bytes(35 << 20), AnonRSS: kmsg.Bytes(33161216), FileRSS: kmsg.Bytes(1327104), ShmemRSS: kmsg.Bytes(0), PageTables: kmsg.Bytes(110592), HasOOMScoreAdj: true,
			Line: "Memory cgroup out of memory: Killed process 5300 (tail) total-vm:34528kB, anon-rss:32384kB, file-rss:1296kB, shmem-rss:0kB, UID:0 pgtables:108kB oom_score_adj:0"}},
	}
	for i := range tasks {
		e.Tasks = append(e.Tasks, kmsg.Task{PID: 5300 + i, TGID: 5300 + i, Comm: "worker", RSS: kmsg.Bytes(int64(33161216 - i*4096)), Swap: kmsg.Bytes(0), TotalVM: kmsg.Bytes(40 << 20)})
	}
	return e
}

func BenchmarkExplainFromLog(b *testing.B) {
	e := sampleEpisode(12)
	b.ReportAllocs()
	for b.Loop() {
		Explain(FromLog(e, 0, ""))
	}
}

func BenchmarkLogExplainer(b *testing.B) {
	e := sampleEpisode(12)
	var x LogExplainer
	b.ReportAllocs()
	for b.Loop() {
		x.Explain(e, 0, "")
	}
}

func BenchmarkIncidentJSON(b *testing.B) {
	inc := Explain(FromLog(sampleEpisode(12), 0, ""))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = inc.AppendJSON(buf[:0])
	}
}
