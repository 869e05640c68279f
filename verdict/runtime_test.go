package verdict

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/rogpeppe/go-internal/txtar"
)

var updateRuntime = flag.Bool("update-runtime", false, "write what the log tails in testdata/runtime tell into their files")

const testLimit = 512 << 20 // of the container, where a case says nothing else

// TestRuntimeCases reads the log tails of testdata/runtime. A new case is a new
// file: how it came about, "-- log --", and the rest from -update-runtime.
func TestRuntimeCases(t *testing.T) {
	files, err := filepath.Glob("testdata/runtime/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("cases: %d, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			log, limit, want := []string(nil), int64(testLimit), ""
			for _, f := range a.Files {
				switch f.Name {
				case "log":
					log = strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")
				case "container":
					if limit, err = strconv.ParseInt(strings.TrimSpace(string(f.Data)), 10, 64); err != nil {
						t.Fatal(err)
					}
				case "want":
					want = string(f.Data)
				default:
					t.Fatalf("unknown part %q", f.Name)
				}
			}
			if len(a.Comment) == 0 || len(log) == 0 {
				t.Fatal("a case needs to say where it comes from, and a log")
			}
			got := tellRuntime(log, limit)
			if *updateRuntime {
				files := a.Files[:0]
				for _, f := range a.Files {
					if f.Name != "want" {
						files = append(files, f)
					}
				}
				a.Files = append(files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			// The collector escapes tabs, colours and the like before it hands
			// lines on: that must change nothing.
			safe := make([]string, len(log))
			for i := range log {
				safe[i] = redact.Sanitize(log[i])
			}
			a1, a2 := FindRuntimeOOM(log), FindRuntimeOOM(safe)
			if (a1 == nil) != (a2 == nil) || a1 != nil && (a1.Index != a2.Index || a1.What != a2.What || a1.Caught != a2.Caught) {
				t.Errorf("sanitised: %+v, as it was: %+v", a2, a1)
			}
		})
	}
}

// tellRuntime writes what both finders say of a tail.
func tellRuntime(log []string, limit int64) string {
	var b strings.Builder
	if r := FindRuntimeOOM(log); r == nil {
		b.WriteString("runtime: none\n")
	} else {
		fmt.Fprintf(&b, "runtime: %s %s\nline: %s\n", r.Runtime, r.What, r.Line)
		if r.Limit != nil {
			fmt.Fprintf(&b, "limit: %d", *r.Limit)
			if r.About {
				b.WriteString(" about")
			}
			b.WriteByte('\n')
		}
		if r.Requested != nil {
			fmt.Fprintf(&b, "requested: %d\n", *r.Requested)
		}
		for _, f := range []struct {
			set  bool
			name string
		}{{r.Fatal, "fatal"}, {r.Caught, "caught"}, {r.Elsewhere, "elsewhere"}} {
			if f.set {
				fmt.Fprintf(&b, "%s\n", f.name)
			}
		}
		fmt.Fprintf(&b, "means: %s\nadvice: %s\n", r.Means, r.Advice(&limit, false))
	}
	if d := FindDiskFull(log); d != nil {
		fmt.Fprintf(&b, "disk: %s\n", d.Line)
		if d.Path != "" {
			fmt.Fprintf(&b, "path: %s\n", d.Path)
		}
		if d.Quota {
			b.WriteString("quota\n")
		}
	}
	return b.String()
}

var reCode = regexp.MustCompile(`^[a-z+][a-z0-9_+]*$`)

// Every row is filled in, stands once, and is met by a case.
func TestRuntimeRows(t *testing.T) {
	files, err := filepath.Glob("testdata/runtime/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range a.Files {
			if part.Name == "log" {
				lines = append(lines, strings.Split(string(part.Data), "\n")...)
			}
		}
	}
	seen := map[string]bool{}
	for i, row := range runtimeRows {
		if !reCode.MatchString(row.runtime) || !reCode.MatchString(row.what) || row.means == "" || row.has == "" {
			t.Errorf("row %d is not filled in: %+v", i, row)
		}
		if seen[row.shape] {
			t.Errorf("row %s %s stands twice", row.runtime, row.what)
		}
		seen[row.shape] = true
		met := false
		for _, l := range lines {
			if len(l) < maxRuntimeLine && compiledRows()[i].MatchString(l) {
				if !strings.Contains(l, row.has) {
					t.Errorf("row %s %s matches without %q: %s", row.runtime, row.what, row.has, l)
				}
				met = true
			}
		}
		if !met {
			t.Errorf("no case meets row %s %s (%q)", row.runtime, row.what, row.has)
		}
	}
}

var reAdvised = regexp.MustCompile(`(?:-Xmx|-XX:Max(?:Metaspace|DirectMemory)Size=|ClassSpaceSize=|max-old-space-size=|GenerationSizeMb=|GOMEMLIMIT=|memory_limit=|maxmemory |shared_buffers = |pool_size = |\+RTS -M|max_server_memory_usage of |not set below |holds below )(\d+)`)

// Whatever the limits, a runtime is never advised a limit above the container's,
// nor the container a higher one while the runtime's own is far below it.
func TestRuntimeAdviceBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	named := 0
	for range 200 {
		for _, row := range runtimeRows {
			limit := int64(rng.Uint64N(40)+1) << (20 + rng.IntN(12))
			own := int64(rng.Uint64N(40)+1) << (18 + rng.IntN(14))
			r := &RuntimeOOM{Runtime: row.runtime, What: row.what, Elsewhere: row.flags&elsewhere != 0}
			if rng.IntN(3) > 0 {
				r.Limit = &own
			}
			if rng.IntN(3) > 0 {
				r.Requested = new(int64(rng.Uint64N(1 << 40)))
			}
			text := r.Advice(&limit, false)
			if text == "" || strings.Contains(text, "%!") || r.Advice(nil, false) == "" || strings.Contains(r.Advice(nil, false), "%!") {
				t.Fatalf("%s %s: %q, %q", r.Runtime, r.What, text, r.Advice(nil, false))
			}
			for _, g := range reAdvised.FindAllStringSubmatch(text, -1) {
				named++
				if n, err := strconv.ParseInt(g[1], 10, 64); err != nil || n<<20 > limit {
					t.Fatalf("container %d, own %d: %s", limit, own, text)
				}
			}
			if r.Limit != nil && own < limit/2 && strings.Contains(text, "raise the container's limit") {
				t.Fatalf("container %d, own %d: %s", limit, own, text)
			}
		}
	}
	if named < 1000 {
		t.Fatalf("only %d numbers were advised", named)
	}
}

func TestRuntimeNewestWins(t *testing.T) {
	log := []string{"memory allocation of 5 bytes failed", "memory allocation of 7 bytes failed", "bye"}
	if r := FindRuntimeOOM(log); r == nil || r.Index != 1 || *r.Requested != 7 {
		t.Errorf("%+v", r)
	}
	// A more telling line of the same runtime is taken only from nearby.
	log = append([]string{"runtime: out of memory: cannot allocate 4096-byte block (1 in use)"}, make([]string, nearby+1)...)
	log = append(log, "fatal error: out of memory")
	if r := FindRuntimeOOM(log); r == nil || r.Index != len(log)-1 {
		t.Errorf("%+v", r)
	}
	if r := FindRuntimeOOM(append(log[:1:1], log[len(log)-1])); r == nil || r.Index != 0 {
		t.Errorf("%+v", r)
	}
}

func FuzzRuntime(f *testing.F) {
	files, _ := filepath.Glob("testdata/runtime/*.txtar")
	for _, name := range files {
		if a, err := txtar.ParseFile(name); err == nil {
			f.Add(string(a.Files[0].Data), int64(testLimit))
		}
	}
	f.Fuzz(func(t *testing.T, log string, limit int64) {
		tail := strings.Split(log, "\n")
		if r := FindRuntimeOOM(tail); r != nil {
			if r.Index < 0 || r.Index >= len(tail) || r.Line != tail[r.Index] || r.Runtime == "" || r.What == "" || r.Means == "" {
				t.Fatalf("%+v", r)
			}
			if r.Fatal && r.Caught || r.About && r.Limit == nil || r.Limit != nil && *r.Limit < 0 || r.Requested != nil && *r.Requested < 0 {
				t.Fatalf("%+v", r)
			}
			text := r.Advice(&limit, false)
			if text == "" || redact.Sanitize(text) != text || len(text) > 1000 {
				t.Fatalf("%q", text)
			}
		}
		if d := FindDiskFull(tail); d != nil && (d.Line != tail[d.Index] || !strings.Contains(log, strings.TrimPrefix(d.Path, "/dev/shm"))) {
			t.Fatalf("%+v", d)
		}
	})
}

// The worst that a hostile log can do: many long lines that nearly match.
func BenchmarkRuntimeHostile(b *testing.B) {
	line := strings.Repeat("java.lang.OutOfMemoryError: Caused by: MemoryError std::bad_alloc Cannot allocate memory No space left on ", 70)
	var tail []string
	for range 200 {
		tail = append(tail, line)
	}
	b.SetBytes(int64(len(line) * len(tail)))
	for b.Loop() {
		FindRuntimeOOM(tail)
		FindDiskFull(tail)
	}
}

func BenchmarkRuntimeQuiet(b *testing.B) {
	var tail []string
	for i := range 200 {
		tail = append(tail, fmt.Sprintf(`10.0.0.%d - - [21/Nov/2026:10:00:00 +0000] "GET /item/%d HTTP/1.1" 200 512 "-" "curl/8"`, i, i))
	}
	for b.Loop() {
		FindRuntimeOOM(tail)
		FindDiskFull(tail)
	}
}
