package kmsg

// bestForm is the fastest form of the search: every arm64 processor has NEON.
func bestForm() searchForm { return formBytes }

// candidateNEON returns where in whole blocks of 16 places the first block begins that
// holds a place at which the classes of 4 bytes, by their halves, have a group in
// common; -1 when there is none. It needs 3 bytes behind the last place.
//
//go:noescape
func candidateNEON(lo, hi *[fingerprint][32]byte, p *byte, n int) int

// vectors returns the first of n places in b at which an anchor can begin, -1 when
// there is none in the whole blocks of the form.
func (f *finder) vectors(b []byte, n int) int {
	for at := 0; n-at >= 16; at += 16 {
		i := candidateNEON(&f.lo, &f.hi, &b[at], n-at)
		if i < 0 {
			return -1
		}
		at += i
		// Whole bytes tell more than their halves: often nothing is left.
		if i := f.scalar(b[at:at+16+fingerprint-1], 0); i >= 0 {
			return at + i
		}
	}
	return -1
}
