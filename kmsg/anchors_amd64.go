package kmsg

import "golang.org/x/sys/cpu"

// bestForm is the fastest form of the search that this machine has.
func bestForm() searchForm {
	switch {
	case cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512BW:
		return formVBMI
	case cpu.X86.HasAVX2:
		return formAVX2
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

// candidate returns the first place at or after from where an anchor can
// begin, -1 when there is none.
func (f *finder) candidate(b []byte, from int) int {
	places := len(b) - from - (fingerprint - 1)
	switch {
	case places <= 0:
		return -1
	case f.form == formVBMI:
		if i := candidateVBMI(&f.class, &b[from], places); i >= 0 {
			return from + i
		}
		return -1
	case f.form == formAVX2 && places >= 32:
		if i := candidateAVX2(&f.lo, &f.hi, &b[from], places); i >= 0 {
			return from + i
		}
		if places%32 == 0 {
			return -1
		}
		from += places - 32 // the last whole block reaches back to places that are no candidates
		if i := candidateAVX2(&f.lo, &f.hi, &b[from], 32); i >= 0 {
			return from + i
		}
		return -1
	}
	return f.scalar(b, from)
}
