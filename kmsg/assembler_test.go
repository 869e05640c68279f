package kmsg

import (
	"fmt"
	"testing"
	"time"
)

// records makes kernel records of texts, 20 µs apart.
func records(texts ...string) []Record {
	rs := make([]Record, len(texts))
	for i, t := range texts {
		rs[i] = Record{Seq: uint64(100 + i), Level: 6, Uptime: time.Minute + time.Duration(i)*20*time.Microsecond, HasUptime: true, Escaped: true, Text: t}
	}
	return rs
}

func killText(pid int, comm string) string {
	return fmt.Sprintf("Memory cgroup out of memory: Killed process %d (%s) total-vm:64kB, anon-rss:32kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0", pid, comm)
}

const (
	headText    = "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
	summaryText = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=sh,pid=7,uid=0"
)

// TestLive follows an episode as a live reader does: it is told when the quiet
// moment is over, with the members of the group that came before it.
func TestLive(t *testing.T) {
	a := NewAssembler()
	if a.Pending() || a.AwaitsKill() || len(a.Flush()) != 0 {
		t.Fatal("something is open before the first record")
	}
	rs := records(headText, summaryText, killText(7, "sh"), "Tasks in /a/b are going to be killed due to memory.oom.group set", killText(7, "sh"), killText(8, "x"))
	for i := range rs {
		if e := a.Add(&rs[i]); len(e) != 0 {
			t.Fatalf("record %d told %+v", i, e)
		}
		if want := i < 2; a.AwaitsKill() != want || !a.Pending() {
			t.Errorf("behind record %d: AwaitsKill %v, want %v; Pending %v", i, a.AwaitsKill(), want, a.Pending())
		}
		if want := i > 2; a.AwaitsGroup() != want {
			t.Errorf("behind record %d: AwaitsGroup %v, want %v", i, a.AwaitsGroup(), want)
		}
	}
	e := a.Flush()
	if len(e) != 1 || e[0].Episode == nil || len(e[0].Episode.Kills) != 2 || a.Pending() {
		t.Fatalf("Flush told %+v", e)
	}
	ep := e[0].Episode
	if !ep.Complete || ep.Unverified || !ep.Group || ep.TaskMemcg != "/a/b" || ep.Seq != 100 || ep.Kills[1].Seq != 105 {
		t.Errorf("episode %+v", ep)
	}
	again := records(killText(7, "sh"))
	again[0].Uptime += time.Millisecond
	if e := append(a.Add(&again[0]), a.Flush()...); len(e) != 0 {
		t.Errorf("the victim, printed again behind Flush, told %+v", e[0].Episode)
	}
}

// TestRateLimitBorrowsNothing: a bare kill line right behind a full report has
// neither its cgroup nor its trigger.
func TestRateLimitBorrowsNothing(t *testing.T) {
	a := NewAssembler()
	rs := records(headText, summaryText, killText(7, "sh"), killText(9, "y"))
	var told []Event
	for i := range rs {
		told = append(told, a.Add(&rs[i])...)
	}
	told = append(told, a.Flush()...)
	if len(told) != 2 {
		t.Fatalf("%d episodes, want 2", len(told))
	}
	if ep := told[1].Episode; ep.TaskMemcg != "" || ep.OOMMemcg != "" || ep.Trigger.Comm != "" || ep.Complete || ep.Kills[0].PID != 9 {
		t.Errorf("the bare kill has %+v", ep)
	}
}

// TestUserSpaceIsNotBelieved: what a program wrote neither tells nor breaks an episode.
func TestUserSpaceIsNotBelieved(t *testing.T) {
	a := NewAssembler()
	rs := records(headText, summaryText, killText(31337, "forged"), killText(7, "sh"))
	rs[2].Facility = 1
	for i := range rs {
		a.Add(&rs[i])
	}
	e := a.Flush()
	if len(e) != 1 || len(e[0].Episode.Kills) != 1 || e[0].Episode.Kills[0].PID != 7 || !e[0].Episode.Complete {
		t.Errorf("told %+v", e)
	}
}
