package triage

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestMachines reads one log of two machines with the same unit, and a host that
// is full on each: no kill of one is the next of the other.
func TestMachines(t *testing.T) {
	unit := victim{comm: "mysqld", path: "/system.slice/mysql.service", limit: 512, rss: 500}
	full := victim{comm: "batch", path: "/system.slice/b.service", rss: 3600, host: 4096}
	var log string
	for i, name := range []string{"node1", "node2.example.com"} {
		w := logWriter{form: "iso", boot: newYear.Add(-time.Hour), pid: 2000 + 1000*i}
		for _, v := range series(unit, newYear.Add(time.Duration(i)*4*time.Minute), gaps(640, 655, 648, 652)...) {
			w.kill(v)
		}
		for _, v := range series(full, newYear.Add(2*time.Hour+time.Duration(i)*4*time.Minute), gaps(900, 905, 900)...) {
			w.kill(v)
		}
		log += strings.ReplaceAll(w.b.String(), "node7", name)
	}
	list := collect(t, log).Services()
	want := map[string]float64{ // MiB/min
		"mysqld (mysql.service) on node1": 46.15, "mysqld (mysql.service) on node2": 46.15,
		"batch (no limit) on node1": 240, "batch (no limit) on node2": 240,
	}
	if len(list) != len(want) {
		t.Errorf("%d services, want %d", len(list), len(want))
	}
	for _, s := range list {
		if s.Class != Leak || s.Rate == nil || math.Abs(*s.Rate*60/mib/want[s.Service]-1) > 0.02 {
			t.Errorf("%s: %s %v, want %v: %q", s.Service, s.Class, s.Rate, want[s.Service], s.Reasons)
		}
	}
}
