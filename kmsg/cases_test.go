package kmsg

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the cases tell into their files")

// A case is one file in testdata/cases: words on what it shows, the line
// "-- log --", a log, the line "-- want --", what must be told of it. A new case
// is a new file; -update fills in what is told, to be read before it is kept.
func readCase(t testing.TB, name string) (head, log, want []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(b, []byte("-- log --\n"))
	if !ok {
		t.Fatalf(`%s has no line "-- log --"`, name)
	}
	i := bytes.LastIndex(rest, []byte("-- want --\n"))
	if i < 0 {
		return head, rest, nil
	}
	return head, rest[:i], rest[i+len("-- want --\n"):]
}

// caseOptions hold still what would change with the day.
func caseOptions() ScanOptions {
	return ScanOptions{Now: time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)}
}

func caseFiles(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases in testdata/cases: %v", err)
	}
	return names
}

func TestCases(t *testing.T) {
	names := caseFiles(t)
	if len(names) < 120 {
		t.Errorf("%d cases, want at least 120", len(names))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			head, log, want := readCase(t, name)
			got := tellAll(t, bytes.NewReader(log))
			if *update {
				out := append(append(append(append([]byte{}, head...), "-- log --\n"...), log...), "-- want --\n"...)
				if err := os.WriteFile(name, append(out, got...), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// tellAll reads a log and writes down everything that it tells.
func tellAll(t testing.TB, r io.Reader) string {
	t.Helper()
	var b strings.Builder
	st, err := Scan(context.Background(), r, "case", caseOptions(), func(e *Event) error {
		writeEvent(&b, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d episodes, %d kills, %d faults, %d unrecognised, %d foreign\n", st.Episodes, st.Kills, st.Faults, st.Unrecognised, st.Foreign)
	return b.String()
}

func writeEvent(b *strings.Builder, e *Event) {
	line := func(word string, v any) {
		j, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(b, "%s %s\n", word, j)
	}
	switch {
	case e.Episode != nil:
		ep := *e.Episode
		ep.Kills, ep.Tasks, ep.Lines = nil, nil, nil
		line("episode", ep)
		for _, k := range e.Episode.Kills {
			k.Line = ""
			line("  kill", k)
		}
		for _, t := range e.Episode.Tasks {
			line("  task", t)
		}
	case e.Fault != nil:
		f := *e.Fault
		f.Line = ""
		line("fault", f)
	case e.Unrecognised != nil:
		line("unrecognised", e.Unrecognised.Text)
	}
}
