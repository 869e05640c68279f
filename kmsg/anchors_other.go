//go:build !amd64 && !arm64

package kmsg

// bestForm is the fastest form of the search that this machine has.
func bestForm() searchForm { return formPairs }

// vectors is for machines with a form of the search that has blocks.
func (f *finder) vectors([]byte, int) int { return -1 }
