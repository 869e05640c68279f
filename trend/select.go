package trend

import "math"

// nth puts the k-th smallest value (from 0) in its place, the smaller ones
// before it and the larger behind it, and returns it. It takes time in
// proportion to len(v), where sorting would take a multiple.
func nth(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		// The middle of three keeps ordered values, which are common, cheap.
		mid := lo + (hi-lo)/2
		if v[mid] < v[lo] {
			v[mid], v[lo] = v[lo], v[mid]
		}
		if v[hi] < v[lo] {
			v[hi], v[lo] = v[lo], v[hi]
		}
		if v[hi] < v[mid] {
			v[hi], v[mid] = v[mid], v[hi]
		}
		pivot := v[mid]
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}

// Share is the value that a part p of v is not above, 0 for none. It changes the order of v.
func Share(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return rank(v, int(math.Ceil(p*float64(len(v)))))
}

// rank is the value at a rank, from 1, of the values in order; the ends where
// the rank is beyond them.
func rank(v []float64, r int) float64 { return nth(v, min(max(r, 1), len(v))-1) }

// median is the middle value, 0 for none. It changes the order of v.
func median(v []float64) float64 {
	n := len(v)
	if n == 0 {
		return 0
	}
	low := nth(v, (n-1)/2)
	if n%2 == 1 {
		return low
	}
	high := v[n/2]
	for _, x := range v[n/2:] {
		high = min(high, x)
	}
	return (low + high) / 2
}
