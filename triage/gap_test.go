package triage

import (
	"fmt"
	"strings"
	"testing"
)

// line are readings every 5 minutes that grow from 100 MB to 800 MB.
func line(days float64) (out []Reading) {
	n := int(days * day / 300)
	for i := range n {
		held := 100e6 + 700e6*float64(i)/float64(n)
		out = append(out, Reading{At: 1.7e9 + 300*float64(i), Used: held, Held: held})
	}
	return out
}

// TestNothingReadForDays: a leak is one also where days of it were not recorded.
func TestNothingReadForDays(t *testing.T) {
	for _, days := range []float64{8, 10, 14, 30} {
		for gap := 12.0; gap <= 0.6*24*days; gap += 12 {
			for at := 0.1; at < 0.9; at += 0.1 {
				t.Run(fmt.Sprintf("%g days, %g hours at %.0f %%", days, gap, 100*at), func(t *testing.T) {
					var r []Reading
					from := 1.7e9 + at*days*day
					for _, q := range line(days) {
						if q.At < from || q.At > from+gap*3600 {
							r = append(r, q)
						}
					}
					s := JudgeHistory(&History{Service: "s", Runs: []Run{{Limit: 1e9, Readings: r}}})
					if s.Class != Leak && s.Class != NotEnoughData {
						t.Errorf("%s %s: %q", s.Class, s.Confidence, s.Reasons)
					}
				})
			}
		}
	}
}

// TestOneWrongClock: a reading far off in time is too little to say what a week was like.
func TestOneWrongClock(t *testing.T) {
	for _, n := range []int{10, 300, 2880} {
		for _, later := range []float64{8 * day, 40 * day, 365 * day} {
			r := line(10)[:n]
			r = append(r, Reading{At: r[n-1].At + later, Used: 4e8, Held: 4e8})
			s := JudgeHistory(&History{Service: "s", Runs: []Run{{Limit: 1e9, Readings: r}}})
			if s.Class == Steady || strings.Contains(strings.Join(s.Reasons, " "), " 0 B") {
				t.Errorf("%d readings and one %g days later: %s %s %q", n, later/day, s.Class, s.Confidence, s.Reasons)
			}
		}
	}
}
