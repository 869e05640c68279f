package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHookScript runs the script that docs/warnings.md shows for on_warning, with
// a warning on its standard input. docker and jq stand in for themselves: the one
// says how it was called, the other finds the id.
func TestHookScript(t *testing.T) {
	n := 0
	for _, b := range blocks(t, "docs/warnings.md") {
		if b.kind != "bash" {
			continue
		}
		n++
		dir := t.TempDir()
		for name, text := range map[string]string{
			"docker": "#!/bin/sh\necho docker \"$@\"\n",
			"jq":     "#!/bin/sh\nsed 's/.*\"container\":{\"id\":\"\\([^\"]*\\)\".*/\\1/'\n",
			"script": b.text(),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "script"))
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
		cmd.Stdin = strings.NewReader(`{"kind":"warning","container":{"id":"0123456789abcdef","name":"web"}}` + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "docker exec 0123456789abcdef jcmd 1 GC.heap_dump ") {
			t.Errorf("%s:%d: %v: %s", b.doc, b.line, err, out)
		}
	}
	if n != 1 {
		t.Errorf("docs/warnings.md shows %d scripts, want 1", n)
	}
}
