package kmsg

import "golang.org/x/sys/cpu"

// bestForm is the fastest form of the search that this machine has.
func bestForm() searchForm {
	switch {
	case cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512BW:
		return formVBMI
	case cpu.X86.HasAVX2:
		return formAVX2
	case cpu.X86.HasSSSE3:
		return formBytes
	}
	return formPairs
}

// candidateVBMI returns the first of n places at which the classes of 4 bytes
// have a group in common, -1 when there is none. Bytes that are not ASCII are
// looked up without their high bit. n must leave 3 bytes behind the last
// place: it is len(b)-3, and not 0.
//
//go:noescape
func candidateVBMI(class *[fingerprint][256]byte, p *byte, n int) int

// candidateAVX2 is the same by halves of bytes, looking only at whole blocks of
// 32 places.
//
//go:noescape
func candidateAVX2(lo, hi *[fingerprint][32]byte, p *byte, n int) int

// candidateSSSE3 is the same for whole blocks of 16 places.
//
//go:noescape
func candidateSSSE3(lo, hi *[fingerprint][32]byte, p *byte, n int) int

// vectors returns the first of n places in b at which an anchor can begin, -1 when
// there is none in the whole blocks of the form.
func (f *finder) vectors(b []byte, n int) int {
	switch f.form {
	case formVBMI:
		return candidateVBMI(&f.class, &b[0], n)
	case formAVX2:
		return candidateAVX2(&f.lo, &f.hi, &b[0], n)
	}
	return candidateSSSE3(&f.lo, &f.hi, &b[0], n)
}
