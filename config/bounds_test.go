package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A file made to cost memory and time is refused at little of either.
func TestHostileConfiguration(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"sequences in sequences": {strings.Repeat("[", 100_000), "nested more than 32 deep"},
		"mappings in mappings":   {strings.Repeat("{a: ", 37_500), "nested more than 32 deep"},
		"both":                   {strings.Repeat("{a: [", 20_000), "nested more than 32 deep"},
		"entries in entries":     {strings.Repeat("- ", 50_000), "nested more than 32 deep"},
		"keys in keys":           {strings.Repeat("? ", 50_000), "nested more than 32 deep"},
		"too long":               {strings.Repeat("#", maxConfig+1), "longer than 262144 bytes"},
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(tt.src), 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := Load(file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %.200v, want %q", name, err, tt.want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
			t.Errorf("%s took %d bytes of memory", name, took)
		}
	}
	if _, _, err := Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "a device") {
		t.Errorf("/dev/zero: %v", err)
	}
}
