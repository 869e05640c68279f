package kmsg

import "golang.org/x/sys/cpu"

// candidateAVX2 returns the first i at which the classes of b[i:i+4] have a
// group in common, looking only at whole blocks of 32 places; -1 when there is
// none. n must leave 3 bytes behind the last block: it is len(b)-3.
//
//go:noescape
func candidateAVX2(lo, hi *[fingerprint][32]byte, p *byte, n int) int

// candidate returns the first place at or after from where an anchor can
// begin, -1 when there is none.
func (f *finder) candidate(b []byte, from int) int {
	rest := len(b) - from - (fingerprint - 1)
	if rest >= 32 && cpu.X86.HasAVX2 {
		if i := candidateAVX2(&f.lo, &f.hi, &b[from], rest); i >= 0 {
			return from + i
		}
		from += rest &^ 31
	}
	return f.scalar(b, from)
}
