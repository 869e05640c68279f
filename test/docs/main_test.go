// Package docs holds what is written for users against what is: every command
// in the documents is run, every example is used, every link leads somewhere.
package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the top of the repository, seen from this package.
const root = "../.."

var binary string

func TestMain(m *testing.M) {
	if addr := os.Getenv(receiverEnv); addr != "" {
		receive(addr, os.Getenv(receiverDirEnv))
		return
	}
	dir, err := os.MkdirTemp("", "oomwatch-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "oomwatch")
	build := exec.Command("go", "build", "-o", binary, "github.com/oomwatch/oomwatch/cmd/oomwatch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build oomwatch:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// oomwatch runs the program and returns what it wrote; it must exit with 0.
func oomwatch(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errb bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errb
	if err := cmd.Run(); err != nil {
		t.Fatalf("oomwatch %s: %v\n%s", strings.Join(args, " "), err, errb.String())
	}
	return out.String(), errb.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
