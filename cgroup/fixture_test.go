package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// fixture lays out testdata/NAME.txtar below a new directory and returns it. In
// the files, @ROOT@ is that directory and @PID@ this process; a file named .../ns/X becomes a link.
func fixture(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range archive.Files {
		to := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(f.Data), "@ROOT@", root)
		text = strings.ReplaceAll(text, "@PID@", strconv.Itoa(os.Getpid()))
		if filepath.Base(filepath.Dir(to)) == "ns" {
			err = os.Symlink(strings.TrimSpace(text), to)
		} else {
			err = os.WriteFile(to, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func openFixture(t *testing.T, name string) (*FS, string) {
	t.Helper()
	root := fixture(t, name)
	fs, err := Open(filepath.Join(root, "sys"), filepath.Join(root, "proc"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fs.Close() })
	return fs, root
}
