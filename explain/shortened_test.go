package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestShortenedID: people shorten ids in logs that they show. The kill is told under what is
// left of the id, and is that of the container which inspect names in full.
func TestShortenedID(t *testing.T) {
	const id = "77aa0c4be07a31d85e6b4099c1de77f0a2b3c4d5e6f708192a3b4c5d6e7f8011"
	kernel := func(stamp string) string {
		short := id[:12]
		return stamp + "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=" + short + ",mems_allowed=0,oom_memcg=/docker/" + short + ",task_memcg=/docker/" + short + ",task=node,pid=977,uid=0\n" +
			stamp + "Memory cgroup out of memory: Killed process 977 (node) total-vm:912340kB, anon-rss:261000kB, file-rss:120kB, shmem-rss:0kB, UID:0 pgtables:1000kB oom_score_adj:0\n"
	}
	inspect := `[{"Id":"` + id + `","Created":"2026-05-02T11:00:00Z","Name":"/api","State":{"Status":"exited","OOMKilled":true,"ExitCode":137,"StartedAt":"2026-05-02T11:00:01Z","FinishedAt":"2026-05-02T11:40:07.25Z"},"HostConfig":{"Memory":268435456},"Config":{"Image":"api:1"}}]`
	dir := t.TempDir()
	save := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, log := range map[string]string{"dated": kernel("2026-05-02T11:40:07.2+00:00 h kernel: "), "undated": kernel("[ 8123.400000] ")} {
		var alone []*incident.Incident
		f := Files{Logs: []string{save(name, log)}}
		if err := f.Kills(t.Context(), "", func(inc *incident.Incident) { alone = append(alone, inc) }); err != nil {
			t.Fatal(err)
		}
		if len(alone) != 1 || alone[0].Container == nil || alone[0].Container.ID != id[:12] {
			t.Errorf("%s: alone it is told as %+v", name, alone)
		}
		f.Inspect = []string{save("inspect", inspect)}
		joined, err := f.Joined(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, inc := range joined {
			if inc.Cause != incident.OOMContainer || inc.Container == nil || inc.Container.Name != "api" || inc.Victim == nil || inc.Victim.PID != 977 || !strings.Contains(inc.Summary, "its own 256 MiB limit") {
				t.Errorf("%s: %s %s: %s", name, inc.Kind, inc.Cause, inc.Summary)
			}
		}
		if len(joined) != 2 { // the kill, and the death that came of it
			t.Errorf("%s: %d incidents", name, len(joined))
		}
	}
}
