package kmsg

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openMapped maps a file that holds b, in chunks of a size.
func openMapped(t *testing.T, b []byte, chunk int64) (*mappedSource, *os.File) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kern.log")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := newMappedSource(f, int64(len(b)), chunk)
	if s == nil {
		t.Fatal("the file cannot be mapped")
	}
	t.Cleanup(s.close)
	return s, f
}

// TestMappedTellsTheSame holds a mapped log against one that is read, for every case.
func TestMappedTellsTheSame(t *testing.T) {
	noise := strings.Repeat("Mar 10 10:33:01 db3 kernel: docker0: port 2(veth380a1cd) entered disabled state\n", 60)
	for _, name := range caseFiles(t) {
		_, log, _ := readCase(t, name)
		log = append(append([]byte(noise), log...), noise...)
		want := searchAll(t, log, 12<<10, false)
		for _, chunk := range []int64{4 << 10, 12 << 10, 1 << 20} {
			src, _ := openMapped(t, log, chunk)
			if got := searchSource(t, src); got != want {
				t.Errorf("%s in chunks of %d, mapped (-read +mapped):\n%s", name, chunk, cmp.Diff(want, got))
			}
		}
	}
}

// A log that logrotate truncates while it is mapped must not end the process.
func TestMappedFileThatShrinks(t *testing.T) {
	log := made(t, 3<<20, 60)
	src, f := openMapped(t, log, 64<<10)
	half := len(log) / 2
	if err := f.Truncate(int64(half)); err != nil {
		t.Fatal(err)
	}
	want := strings.Count(searchAll(t, log[:half-half%4096-4096], 64<<10, false), "  kill ")
	if got := strings.Count(searchSource(t, src), "  kill "); got < want || want < 20 {
		t.Errorf("%d kills in what is left, want %d", got, want)
	}

	gone, f := openMapped(t, log, 64<<10)
	c := chunk{index: 3}
	if !gone.read(&c) || c.err != nil {
		t.Fatalf("read a chunk: %v", c.err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := careful(func() { bytes.Count(c.buf, []byte{'\n'}) }); !errors.Is(err, errShrunk) {
		t.Errorf("what was truncated: %v, want %v", err, errShrunk)
	}
}
