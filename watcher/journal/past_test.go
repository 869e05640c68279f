package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// report is an OOM kill as journalctl prints the kernel's lines of it.
func report(at time.Time, pid int) string {
	var b strings.Builder
	for _, line := range []string{
		"java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
		"memory: usage 65536kB, limit 65536kB, failcnt 31",
		fmt.Sprintf("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/%064x,task_memcg=/docker/%064x,task=java,pid=%d,uid=0", pid, pid, pid),
		fmt.Sprintf("Memory cgroup out of memory: Killed process %d (java) total-vm:90000kB, anon-rss:64000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:200kB oom_score_adj:0", pid),
	} {
		at = at.Add(time.Microsecond)
		fmt.Fprintf(&b, `{"__REALTIME_TIMESTAMP":"%d","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","_HOSTNAME":"h","MESSAGE":"%s"}`+"\n", at.UnixMicro(), line)
	}
	return b.String()
}

// journalctl is a program that prints what the kernel said, and nothing else.
func journalctl(t *testing.T, kernel string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kernel"), []byte(kernel), 0o644); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "journalctl")
	script := "#!/bin/sh\ncase \"$*\" in *--since=@*_TRANSPORT=kernel) cat " + dir + "/kernel;; esac\n"
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func pastOf(t *testing.T, kernel string, since time.Time) (pids []int, reach time.Time) {
	t.Helper()
	s := &Source{Command: journalctl(t, kernel), Since: since, Past: true}
	s.past(t.Context(), func(o observe.Observation) {
		switch {
		case !reach.IsZero():
			t.Errorf("says %+v after how far it reaches", o)
		case o.Episode != nil:
			if o.Episode.Late != keptLate {
				t.Errorf("is said to be dated at most %v late", o.Episode.Late)
			}
			for _, k := range o.Episode.Kills {
				pids = append(pids, k.PID)
			}
		case o.Horizon != nil && o.Horizon.Source == observe.KernelLog && o.Horizon.Read:
			reach = o.Horizon.From
		default:
			t.Errorf("says %+v", o)
		}
	})
	return pids, reach
}

// What the kernel said before the ring begins is read from the journal, and what the ring
// has is left to it; the first line says how far back the kernel's log reaches.
func TestPast(t *testing.T) {
	old := time.Now().Add(-24 * time.Hour).Truncate(time.Microsecond)
	pids, reach := pastOf(t, report(old, 301)+report(old.Add(time.Hour), 302)+report(time.Now().Add(time.Minute), 303), old.Add(-time.Hour))
	if fmt.Sprint(pids) != "[301 302]" || !reach.Equal(old.Add(time.Microsecond)) {
		t.Errorf("kills of %v, reaching back to %v", pids, reach)
	}
}

// Of more than is kept the newest are told, and no more is covered.
func TestPastIsBounded(t *testing.T) {
	old := time.Now().Add(-24 * time.Hour).Truncate(time.Microsecond)
	var b strings.Builder
	const n = maxPast + 10
	for i := range n {
		b.WriteString(report(old.Add(time.Duration(i)*time.Minute), 1000+i))
	}
	pids, reach := pastOf(t, b.String(), old.Add(-time.Hour))
	if len(pids) != maxPast || pids[0] != 1000+n-maxPast || !reach.After(old.Add((n-maxPast-1)*time.Minute)) || !reach.Before(old.Add((n-maxPast)*time.Minute)) {
		t.Errorf("%d kills, the first of %d, reaching back to %v", len(pids), pids[0], reach)
	}
}

// An empty journal covers nothing.
func TestPastOfNothing(t *testing.T) {
	if pids, reach := pastOf(t, "", time.Now().Add(-time.Hour)); len(pids) > 0 || !reach.IsZero() {
		t.Errorf("kills of %v, reaching back to %v", pids, reach)
	}
}
