package kmsg

import (
	"strings"
	"testing"
)

// TestBoot: the kernel's first line is told in the order of the log, also where a
// large one is searched; the same words of a program are not.
func TestBoot(t *testing.T) {
	const noise = "2026-01-01T06:00:00.000000+00:00 n kernel: [ 1000.100000] eth0: link becomes ready\n"
	const kill = "2026-01-01T06:00:00.000000+00:00 n kernel: [ 1000.200000] Memory cgroup out of memory: Killed process 100 (java) total-vm:1046000kB, anon-rss:523000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:100kB oom_score_adj:0\n"
	const banner = "2026-01-01T07:00:00.000000+00:00 n kernel: [    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1 SMP\n"
	const program = "2026-01-01T07:00:00.000000+00:00 n logger[77]: Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1 SMP\n"
	quiet := strings.Repeat(noise, 2*wholeUpTo/len(noise))
	for name, log := range map[string]string{
		"small": kill + banner + program + strings.ReplaceAll(kill, "process 100", "process 200"),
		"large": quiet + kill + quiet + banner + quiet + program + quiet + strings.ReplaceAll(kill, "process 100", "process 200"),
	} {
		var got []string
		_, err := Scan(t.Context(), strings.NewReader(log), "test", ScanOptions{}, func(e *Event) error {
			switch {
			case e.Boot != nil:
				got = append(got, e.Boot.Text[:len("Linux version 6.1")])
			case e.Episode != nil:
				got = append(got, e.Episode.Kills[0].Comm)
			}
			return nil
		})
		if err != nil || strings.Join(got, ", ") != "java, Linux version 6.1, java" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
