package config

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/internal/input"
)

// The largest files that are read: what is larger is the wrong file.
const (
	maxConfig = 256 << 10
	maxSecret = 64 << 10
	maxRoots  = 1 << 20
	// maxTemplate bounds the file of a receiver's text.
	maxTemplate = 64 << 10
)

// fileWait is how long a pipe among these files may keep its content back.
const fileWait = 5 * time.Second

// readFile reads a file of at most most bytes: the configuration, or one it names.
func readFile(name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fileWait)
	defer cancel()
	return input.ReadFile(ctx, name, most)
}
