//go:build leaks

package months

import (
	"flag"
	"testing"
)

var (
	rounds = flag.Int("rounds", 10, "how many rounds of every kind the long test makes")
	seed   = flag.Uint64("seed", 1, "the seed of the long test")
)

// TestLong looks at many months: make leaks-sim.
func TestLong(t *testing.T) {
	for name, of := range map[string][]kind{"kinds": kinds, "later kinds": laterKinds} {
		t.Run(name, func(t *testing.T) {
			var list []*month
			for r := range *rounds {
				list = append(list, generate(of, *seed*1000+uint64(r), 1)...)
			}
			healthy, leaky := judgeAll(t, list)
			bars(t, &healthy, &leaky, 0.5, 4)
		})
	}
}
