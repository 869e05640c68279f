package input

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOpenReadsFilesAndPipes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := pipe(t)
	go func() {
		time.Sleep(50 * time.Millisecond) // a writer that comes later
		_ = os.WriteFile(fifo, []byte("content"), 0)
	}()
	for name, again := range map[string]bool{file: true, fifo: false} {
		f, err := Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if string(b) != "content" || err != nil || f.Again() != again {
			t.Errorf("%s: %q, %v, again %v", name, b, err, f.Again())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if b, err := ReadFile(t.Context(), os.DevNull, 10); len(b) > 0 || err != nil {
		t.Errorf("/dev/null: %q, %v", b, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{
		t.TempDir():  "is a directory",
		"/dev/zero":  "is a device",
		sock:         "no such device",
		"/nonsense/": "no such file",
	} {
		if f, err := Open(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", name, f, err, want)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(t.Context(), file, 10); string(b) != "0123456789" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ReadFile(t.Context(), file, 9); err == nil || !strings.Contains(err.Error(), "longer than 9 bytes") {
		t.Errorf("one byte too many: %v", err)
	}
}

// Neither a pipe without a writer nor one whose writer is silent outlives the context.
func TestContextEndsEveryWait(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ReadFile(ctx, pipe(t), 10); !errors.Is(err, ErrSilent) {
		t.Errorf("without a writer: %v", err)
	}
	silent := pipe(t)
	w, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteString("a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ReadFile(ctx, silent, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a silent writer: %v", err)
	}
}
