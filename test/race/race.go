// Package race has tests do fewer rounds of the same where the race detector watches
// them: what it looks for is in each of them.
package race

// Or is all, or few where the race detector watches.
func Or(all, few int) int {
	if On {
		return few
	}
	return all
}
