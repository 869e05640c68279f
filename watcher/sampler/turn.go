package sampler

// turn goes round a list: each round has the next few of it.
type turn struct{ from, n, of int }

// next moves on to the next ones of a list of so many: each has its turn every
// so many rounds, sooner where that would be less than least at once, later where
// it would be more than most.
func (t *turn) next(of, every, least, most int) {
	if of == 0 {
		*t = turn{}
		return
	}
	t.from = (t.from + t.n) % of
	t.n, t.of = min(max((of+every-1)/every, least), most, of), of
}

// has is true for those whose turn it is.
func (t *turn) has(i int) bool {
	if i >= t.of {
		return false
	}
	return (i-t.from+t.of)%t.of < t.n
}
