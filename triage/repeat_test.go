package triage

import (
	"testing"
	"time"
)

// TestSameUptime kills a daemon at the same uptime of four boots, with the same
// pid and sizes: the dates say that it was four times, and a second copy of the
// log none more.
func TestSameUptime(t *testing.T) {
	var c Collector
	for range 2 {
		for i := range 4 {
			c.Add(Death{Time: newYear.AddDate(0, 0, i), Uptime: 95 * time.Second, HasUptime: true, PID: 812, Comm: "collectd", Pattern: "/system.slice/collectd.service", Unit: "collectd.service", Scope: OwnLimit, Limit: mib, RSS: mib})
		}
	}
	if s := c.Services()[0]; s.Kills.Times != 4 || c.Repeated != 4 {
		t.Errorf("%d times, %d repeated: %q", s.Kills.Times, c.Repeated, s.Reasons)
	}
}

// TestOrderOfLogs reads a journal and the ring buffer of the same machine, which
// knows the newest kills only, and one that the journal does not have: which of
// them comes first makes no difference.
func TestOrderOfLogs(t *testing.T) {
	leak := series(victim{comm: "java", path: docker(1), limit: 512, rss: 505}, newYear, 750*time.Second, 751*time.Second, 750*time.Second, 750*time.Second)
	write := func(form string, from, to int) string {
		w := logWriter{form: form, boot: newYear.Add(-5 * time.Hour)}
		for i, v := range leak[from:to] {
			w.pid = 2000 + from + i
			w.kill(v)
		}
		return w.b.String()
	}
	journal, ring := write("iso", 0, 4), write("uptime", 2, 5)
	for name, logs := range map[string][]string{"journal first": {journal, ring}, "ring first": {ring, journal}} {
		t.Run(name, func(t *testing.T) {
			c := collect(t, logs...)
			s := c.Services()[0]
			if s.Class != Leak || s.Kills.Times != 5 || c.Repeated != 2 || s.Kills.FirstUptime != nil || *s.Kills.IntervalMax > 752 {
				t.Errorf("%+v %+v, %d repeated", s, s.Kills, c.Repeated)
			}
			if last := newYear.Add(50*time.Minute + time.Second); s.Kills.Last.Sub(last).Abs() > time.Second {
				t.Errorf("last killed at %s, want %s", s.Kills.Last, last)
			}
		})
	}
}
