package triage

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// TestFromIncidentAsFromLog: what an incident keeps of a host's OOM is judged as the
// log itself is.
func TestFromIncidentAsFromLog(t *testing.T) {
	w := logWriter{form: "iso", boot: newYear.Add(-time.Hour)}
	w.kill(victim{comm: "nginx", path: docker(1), rss: 20, host: 1024, others: []string{"mysqld"}, othersHeld: 800, othersPID: 700, at: newYear})
	_, err := kmsg.Scan(t.Context(), strings.NewReader(w.b.String()), "test", kmsg.ScanOptions{Location: time.UTC, Now: newYear}, func(ev *kmsg.Event) error {
		if ev.Episode == nil {
			return nil
		}
		e := ev.Episode
		f := &rules.Facts{ID: "x", Kind: incident.KindKill, Time: e.Time, Kills: []rules.KernelKill{{Episode: e, Kill: e.Kills[0]}}}
		kept, ok := FromIncident(rules.Explain(f), "web")
		if !ok {
			t.Fatal("the incident tells of no kill")
		}
		log := FromEpisode(e, 0)
		if log.Host == 0 || kept.Host != log.Host || kept.Scope != log.Scope || kept.Hog != log.Hog || kept.HogHeld != log.HogHeld {
			t.Errorf("from the incident %+v\nfrom the log %+v", kept, log)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnedAlike: a limit at a container's own cgroup, or between it and a cgroup that
// it made itself, is its own.
func TestOwnedAlike(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, c := range []struct {
		limit, victim string
		own           bool
	}{
		{"/docker/" + id, "/docker/" + id + "/init", true},
		{"/docker/" + id, "/docker/" + strings.Repeat("cd", 32), false},
		{"/lxc/107", "/lxc/107/ns/system.slice/mysql.service", true},
		{"/lxc/107", "/lxc/108/ns/init.scope", false},
		{"/system.slice/mysql.service", "/system.slice/mysql.service/worker", true},
		{"/system.slice", "/system.slice/mysql.service", false},
	} {
		if got := ownedAlike(c.limit, c.victim); got != c.own {
			t.Errorf("%s and %s: %t, want %t", c.limit, c.victim, got, c.own)
		}
	}
}
