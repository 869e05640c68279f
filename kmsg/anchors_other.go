//go:build !amd64

package kmsg

// bestForm is the fastest form of the search that this machine has.
func bestForm() searchForm { return formPairs }

// candidate returns the first place at or after from where an anchor can
// begin, -1 when there is none.
func (f *finder) candidate(b []byte, from int) int { return f.scalar(b, from) }
