package trend

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

// at is the value at a rank (from 1) of the values in order, between two of
// them in proportion; the ends where the rank is beyond them.
func at(v []float64, rank float64) float64 {
	i := int(rank)
	switch {
	case i < 1:
		return nth(v, 0)
	case i >= len(v):
		return nth(v, len(v)-1)
	}
	low := nth(v, i-1)
	if rank == float64(i) {
		return low
	}
	high := v[i]
	for _, x := range v[i:] {
		high = min(high, x)
	}
	return low + (rank-float64(i))*(high-low)
}

// median is the middle value, 0 for none. It changes the order of v.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return at(v, float64(len(v)+1)/2)
}
