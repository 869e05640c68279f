// Package harness starts the daemon as tests need it, and plays those that it speaks
// with: the supervisor, a receiver.
package harness

import (
	"bytes"
	"sync"
)

// Buffer is a bytes.Buffer that may be written and read from several goroutines at once.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written up to now.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
