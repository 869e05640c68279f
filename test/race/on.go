//go:build race

package race

// On is true in a test that the race detector watches: it takes ten times as long.
const On = true
