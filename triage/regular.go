package triage

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// draws is how often chance is asked; a chance below 1/draws is given as that.
const draws = 10000

// maxNumbers is of how many numbers chance is asked; more are as good as these.
const maxNumbers = 24

// dice knows how regular kills at random times look. The same numbers always
// give the same chance.
type dice map[int][]float64 // by how many numbers: the variations of draws, in order; below 0 gamma's

// chance is what is asked for chances.
func (c *Collector) chance() dice {
	if c.dice == nil {
		c.dice = dice{}
	}
	return c.dice
}

// gamma knows the same of times that are mildly regular: a gamma distribution of
// shape 4, which varies by a half of its mean.
type gamma struct{ dice }

func gammaOf(d dice) gamma { return gamma{d} }

func (d gamma) regular(v []float64) (chance float64) {
	n := min(len(v), maxNumbers)
	if n < 2 {
		return 1
	}
	if d.dice[-n] == nil {
		d.dice[-n] = drawn(n, mildly)
	}
	as, exact := slices.BinarySearch(d.dice[-n], variation(v))
	if exact {
		as++
	}
	return max(float64(as), 1) / draws
}

// inTurns is how seldom the sums of each k of n mildly regular intervals vary as little
// as v.
func (d dice) inTurns(v float64, n, k int) float64 {
	// Few lengths are tried: fewer intervals than there are only make it stricter.
	for _, turns := range []int{16, 12, 8, 6, 4, 3} {
		if n >= turns*k {
			n = turns * k
			break
		}
	}
	key := k*1000 + n
	if d[key] == nil {
		r := rand.New(rand.NewPCG(uint64(n), uint64(k)))
		random := make([]float64, n)
		for range draws / 5 {
			for i := range random {
				random[i] = mildly(r)
			}
			d[key] = append(d[key], mostly(sums(random, k)))
		}
		slices.Sort(d[key])
	}
	as, exact := slices.BinarySearch(d[key], v)
	if exact {
		as++
	}
	return max(float64(as), 1) / (draws / 5)
}

// mildly draws a time from a gamma distribution of shape 4, which varies by half of its mean.
func mildly(r *rand.Rand) float64 {
	return r.ExpFloat64() + r.ExpFloat64() + r.ExpFloat64() + r.ExpFloat64()
}

// drawn are the variations of draws of n numbers, in order.
func drawn(n int, number func(*rand.Rand) float64) (out []float64) {
	r := rand.New(rand.NewPCG(uint64(n), 0))
	random := make([]float64, n)
	for range draws {
		for i := range random {
			random[i] = number(r)
		}
		out = append(out, variation(random))
	}
	slices.Sort(out)
	return out
}

// regular compares numbers that a leak makes alike (the seconds from one kill to
// the next, for each byte that was held) with those of kills at random times,
// which follow an exponential distribution: how likely those are to lie as close
// together.
func (d dice) regular(v []float64) (chance float64) {
	n := min(len(v), maxNumbers)
	if n < 2 {
		return 1
	}
	if d[n] == nil {
		d[n] = drawn(n, (*rand.Rand).ExpFloat64)
	}
	as, exact := slices.BinarySearch(d[n], variation(v))
	if exact {
		as++
	}
	return max(float64(as), 1) / draws
}

// adjusted are chances with regard to how many were asked (Benjamini and Hochberg
// 1995): among hundreds of services some are killed regularly by chance. Of what
// is at most q, no more than a part q is chance.
func adjusted(chances []float64) []float64 {
	order := make([]int, len(chances))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(chances[b], chances[a]) })
	out := make([]float64, len(chances))
	least := 1.0
	for k, i := range order {
		place := len(chances) - k // from the least chance
		least = min(least, chances[i]*float64(len(chances))/float64(place))
		out[i] = least
	}
	return out
}

// variation is the standard deviation by the mean: from five numbers on without a quarter
// of them, the farthest, so that one night the host was down does not hide a leak.
func variation(v []float64) float64 {
	if len(v) < 5 {
		return deviates(v)
	}
	return deviates(nearest(v, len(v)-len(v)/4))
}

// mostly is how far nine tenths of the numbers lie apart.
func mostly(v []float64) float64 { return deviates(nearest(v, len(v)-len(v)/10)) }

// nearest are the n numbers that lie nearest to the median; v stays as it is.
func nearest(v []float64, n int) []float64 {
	mid := median(v)
	return slices.SortedFunc(slices.Values(v), func(a, b float64) int {
		return cmp.Compare(math.Abs(a-mid), math.Abs(b-mid))
	})[:n]
}

// deviates is the standard deviation by the mean.
func deviates(v []float64) float64 {
	var sum, square float64
	for _, x := range v {
		sum += x
	}
	mean := sum / float64(len(v))
	if len(v) < 2 || mean == 0 {
		return 0
	}
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	return math.Sqrt(square/float64(len(v)-1)) / mean
}

// median is the middle of v, which stays as it is.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
