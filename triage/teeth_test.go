package triage

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestKilledUnderTeeth: a leak under the teeth of a garbage collector that hide its rate in
// each run, and that is killed at its limit again and again, is a leak and no small limit.
func TestKilledUnderTeeth(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 5))
		h := &History{Service: "s"}
		at := 1.7e9
		for range 6 {
			run, tooth := Run{Limit: 174e6, OOM: true}, 0.0
			for live := 40e6; ; live += 60e6 / 100 * (0.9 + 0.2*r.Float64()) {
				if tooth += 0.35 * (0.7 + 0.6*r.Float64()); tooth > 0.85 {
					tooth = 0
				}
				held := live * (1 + tooth)
				if held > run.Limit {
					break
				}
				at += 300
				run.Readings = append(run.Readings, Reading{At: at, Used: math.Round(held), Held: math.Round(held)})
			}
			h.Runs = append(h.Runs, run)
			at += 30
		}
		if s := JudgeHistory(h); s.Class != Leak {
			t.Errorf("seed %d: %s %s: %q", seed, s.Class, s.Confidence, s.Reasons)
		}
	}
}
