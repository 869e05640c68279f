//go:build fault

package fault

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What held is written into SECURITY.md where TableEnv names it: a row for each test.
const (
	TableEnv   = "OOMWATCH_FAULT_TABLE"
	tableBegin = "<!-- held: make fault-table writes what follows -->\n"
	tableEnd   = "<!-- held: end -->"
)

var table = struct {
	mu   sync.Mutex
	rows map[string]string
}{rows: map[string]string{}}

// held notes what was attacked and what held, for the table.
func held(t testing.TB, attack, format string, args ...any) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	said := fmt.Sprintf(format, args...)
	t.Logf("%s: %s", attack, said)
	if t.Failed() {
		return
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	table.rows[name] = fmt.Sprintf("| `%s` | %s | %s |\n", name, attack, said)
}

// writeTable puts the rows between the marks of a file.
func writeTable(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !ok || !ends {
		return fmt.Errorf("%s has no place for the table: put %q and %q into it", file, tableBegin, tableEnd)
	}
	out := before + tableBegin + "| test | what was attacked | what held |\n|---|---|---|\n"
	for _, name := range slices.Sorted(maps.Keys(table.rows)) {
		out += table.rows[name]
	}
	return os.WriteFile(file, []byte(out+tableEnd+after), 0o644)
}
