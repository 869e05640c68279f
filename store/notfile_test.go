package store

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is no file is refused, and not waited for.
func TestStoreThatIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "store.db")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{pipe, t.TempDir(), "/dev/null"} {
		for _, readOnly := range []bool{false, true} {
			if _, err := Open(ctx, Options{Path: p, ReadOnly: readOnly}); !errors.Is(err, errNotFile) {
				t.Errorf("%s, only read %v: %v", p, readOnly, err)
			}
		}
	}
}
