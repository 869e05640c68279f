package triage

import (
	"math"
	"testing"
	"time"
)

// TestHostHog fills a host with a program that may or may not be the one that
// the kernel kills: what it held is what it grew by only where it was.
func TestHostHog(t *testing.T) {
	// held is what mysqld holds at each occasion, in MiB, gap the time between.
	constant := func(n, held int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = held
		}
		return out
	}
	for _, c := range []struct {
		name  string
		held  []int
		gap   time.Duration
		anew  bool // it has another pid each time, and was not killed
		class Class
		rate  float64 // MiB per minute
	}{
		{"lives on and grows", []int{700, 720, 740, 760, 780, 800}, 10 * time.Minute, false, Leak, 2},
		{"lives on and grows, restless", []int{700, 725, 735, 732, 785, 800, 830, 850}, 10 * time.Minute, false, Leak, 2.1},
		{"lives on and stays, in one thrash", constant(8, 760), 20 * time.Second, false, HostOvercommitted, 0},
		{"lives on and stays", constant(8, 760), time.Hour, false, HostOvercommitted, 0},
		{"lives on and wavers", []int{760, 758, 763, 759, 761, 757, 762, 760}, time.Hour, false, HostOvercommitted, 0},
		{"was started anew by somebody", constant(6, 760), time.Hour, true, HostOvercommitted, 0},
		{"three times is too few", []int{700, 720, 740}, 10 * time.Minute, false, HostOvercommitted, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := logWriter{form: "iso", boot: newYear.Add(-time.Hour)}
			for i, held := range c.held {
				v := victim{comm: "nginx", path: docker(i), rss: 20, host: 1024, others: []string{"mysqld"}, othersHeld: held, othersPID: 700, at: newYear.Add(time.Duration(i) * c.gap)}
				if c.anew {
					v.othersPID += i
				}
				w.kill(v)
			}
			list := collect(t, w.b.String()).Services()
			if len(list) != 1 || list[0].Class != c.class {
				t.Fatalf("%+v, want %s", list, c.class)
			}
			if rate := list[0].Rate; c.rate == 0 && rate != nil || c.rate != 0 && (rate == nil || math.Abs(*rate*60/(1<<20)/c.rate-1) > 0.2) {
				t.Errorf("rate %v, want %v MiB/min", rate, c.rate)
			}
		})
	}
}
