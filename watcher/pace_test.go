package watcher

import (
	"testing"
	"time"
)

// TestPace: readings that cost more than their share come further apart, and what is
// usual is told once, not each time that a round was slow.
func TestPace(t *testing.T) {
	const cheap, dear, dearer = 2 * time.Millisecond, 2 * time.Second / sampleShare, 6 * time.Second / sampleShare
	for _, c := range []struct {
		name   string
		cost   func(round int) time.Duration
		rounds int
		told   []time.Duration
		period time.Duration
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
			if i < 3*paceRounds {
				return dear
			}
			return cheap
		}, 600, []time.Duration{2 * time.Second, sampleEvery}, sampleEvery},
		{"dearer", func(i int) time.Duration {
			if i < 2*paceRounds {
				return dear
			}
			return dearer
		}, 600, []time.Duration{2 * time.Second, 6 * time.Second}, sampleShare * dearer},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPace()
			var told []time.Duration
			for i := range c.rounds {
				if p.took(c.cost(i)) {
					told = append(told, p.told)
				}
			}
			if len(told) != len(c.told) {
				t.Fatalf("told %v, want about %v", told, c.told)
			}
			for i, want := range c.told {
				if got := told[i].Round(time.Second); got != want {
					t.Errorf("told %s, want about %s", told[i], want)
				}
			}
			if got := p.period; got < c.period*99/100 || got > c.period*101/100 {
				t.Errorf("ends at %s, want %s", got, c.period)
			}
		})
	}
}
