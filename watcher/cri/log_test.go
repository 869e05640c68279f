package cri

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadLog(t *testing.T) {
	const at = "2026-11-29T10:58:19.011260524Z "
	long := strings.Repeat("y", 16000)
	for _, tt := range []struct {
		name    string
		log     string
		rotated string // of the file before; "" for none
		want    []string
	}{
		{"full lines", at + "stdout F starting\n" + at + "stderr F step 2\n", "", []string{"starting", "step 2"}},
		{"parts of one line", at + "stdout P begin \n" + at + "stdout P middle \n" + at + "stdout F end\n", "", []string{"begin middle end"}},
		{"parts of two streams", at + "stdout P out-\n" + at + "stderr F err\n" + at + "stdout F put\n", "", []string{"err", "out-put"}},
		{"an unfinished part", at + "stdout F one\n" + at + "stdout P two\n", "", []string{"one", "two"}},
		{"an empty line", at + "stdout F one\n" + at + "stdout F \n" + at + "stdout F two\n", "", []string{"one", "", "two"}},
		{"tags after the first", at + "stdout F:x one\n", "", []string{"one"}},
		{"begun anew just before", at + "stdout F new\n", at + "stdout F old\n", []string{"old", "new"}},
		{"a line over both files", at + "stdout F end\n", at + "stdout P begin \n", []string{"begin end"}},
		{"a very long line", at + "stdout P " + long + "\n" + at + "stdout F end\n", "", []string{long[:4096]}},
		{"not in the form", "some text\n" + at + "stdout F one\n", "", []string{"some text", "one"}},
		{"a secret", at + "stdout F password=hunter2hunter2\n", "", []string{"password=[redacted]"}},
		{"nothing", "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "0.log")
			if err := os.WriteFile(path, []byte(tt.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.rotated != "" {
				for name, text := range map[string]string{".20261129-105700": tt.rotated, ".20261129-101500.gz": "\x1f\x8b", ".20261128-101500": at + "stdout F oldest\n"} {
					if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			words, err := readLog(path, 20)
			if err != nil || !slices.Equal(words.Shown, tt.want) {
				t.Errorf("%.300q, %v; want %.300q", words.Shown, err, tt.want)
			}
		})
	}
}

// TestReadLogOfOthers takes nothing for a log that is no ordinary file.
func TestReadLogOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shadow"), []byte("root:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "0.log")
	if err := os.Symlink(filepath.Join(dir, "shadow"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir, filepath.Join(dir, "missing")} {
		if words, err := readLog(path, 20); err == nil {
			t.Errorf("%s: %q", path, words.Shown)
		}
	}
}
