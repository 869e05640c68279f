package sampler

import (
	"testing"
	"time"
)

// TestPeriod: readings that cost more than their share come further apart, and a new
// period is reported once, not each time that a round was slow.
func TestPeriod(t *testing.T) {
	const cheap, dear, dearer = 2 * time.Millisecond, 2 * time.Second / sampleShare, 6 * time.Second / sampleShare
	for _, c := range []struct {
		name    string
		cost    func(round int) time.Duration
		rounds  int
		reports []time.Duration
		period  time.Duration
	}{
		{"cheap", func(int) time.Duration { return cheap }, 600, nil, sampleEvery},
		{"dear", func(int) time.Duration { return dear }, 600, []time.Duration{2 * time.Second}, sampleShare * dear},
		{"one in ten is slow", func(i int) time.Duration {
			if i%10 == 0 {
				return dear
			}
			return cheap
		}, 600, nil, sampleEvery},
		{"dear for a while", func(i int) time.Duration {
			if i < 3*reportRounds {
				return dear
			}
			return cheap
		}, 600, []time.Duration{2 * time.Second, sampleEvery}, sampleEvery},
		{"dearer", func(i int) time.Duration {
			if i < 2*reportRounds {
				return dear
			}
			return dearer
		}, 600, []time.Duration{2 * time.Second, 6 * time.Second}, sampleShare * dearer},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeriod()
			var reports []time.Duration
			for i := range c.rounds {
				if p.took(c.cost(i)) {
					reports = append(reports, p.reported)
				}
			}
			if len(reports) != len(c.reports) {
				t.Fatalf("reports %v, want about %v", reports, c.reports)
			}
			for i, want := range c.reports {
				if got := reports[i].Round(time.Second); got != want {
					t.Errorf("reports %s, want about %s", reports[i], want)
				}
			}
			if got := p.now; got < c.period*99/100 || got > c.period*101/100 {
				t.Errorf("ends at %s, want %s", got, c.period)
			}
		})
	}
}
