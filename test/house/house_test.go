// Package house keeps the layout of the code: which package may import which,
// and behind which door each third party stands.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oomwatch/oomwatch/"

// may lists what each package may import of this module. One that is not listed fails.
var may = map[string][]string{
	"kmsg":            {"internal/input", "internal/inside", "internal/lazyre"},
	"cgroup":          {},
	"trace":           {"internal/inside"},
	"units":           {},
	"redact":          {"internal/lazyre"},
	"trend":           {"units"},
	"incident":        {"redact", "units", "internal/lazyre"},
	"verdict":         {"incident", "kmsg", "cgroup", "trend", "redact", "units", "internal/lazyre"},
	"observe":         {"incident", "kmsg", "cgroup"},
	"correlate":       {"observe", "verdict", "incident", "recorder", "kmsg", "cgroup"},
	"triage":          {"incident", "verdict", "kmsg", "trend", "redact", "units"},
	"triage/readings": {"triage"},
	"triage/kept":     {"triage", "recorder", "incident", "proc"},
	"recorder":        {"cgroup"},
	"warn":            {"incident", "verdict", "recorder", "trend", "redact", "units"},
	"watcher":         {"incident", "correlate", "watcher/sampler", "observe", "verdict", "recorder", "warn", "internal/crashpoint"},
	"watcher/kernlog": {"observe", "incident", "kmsg"},
	"watcher/journal": {"observe", "incident", "voices", "kmsg", "redact", "watcher/logtail"},
	"watcher/signals": {"observe", "incident", "redact", "trace"},
	"watcher/storage": {"observe", "incident"},
	"watcher/sampler": {"observe", "incident", "cgroup", "recorder", "kmsg"},
	"watcher/docker":  {"observe", "verdict", "audit", "incident", "redact", "units", "internal/boundedjson", "internal/inside", "watcher/logtail"},
	"watcher/cri":     {"observe", "audit", "incident", "redact", "watcher/logtail", "internal/grpcread"},
	"watcher/logtail": {"redact"},
	"watcher/kubelet": {"observe", "incident", "redact", "internal/grpcread"},
	"explain":         {"watcher", "correlate", "watcher/cri", "watcher/docker", "watcher/journal", "watcher/kernlog", "observe", "verdict", "incident", "kmsg", "redact", "voices", "internal/input", "internal/lazyre", "internal/words"},
	"voices":          {"incident", "redact", "internal/lazyre"},
	"proc":            {},
	"audit":           {"incident", "redact", "units", "internal/lazyre"},
	"audit/gather":    {"audit", "watcher/cri", "watcher/docker", "recorder", "triage/kept", "incident", "cgroup", "proc", "internal/input"},
	"store":           {"incident", "recorder", "internal/crashpoint"},
	"render":          {"incident", "redact", "units"},
	"notify":          {"incident", "internal/crashpoint"},
	"notify/receiver": {"notify", "render", "incident", "redact", "internal/lazyre"},
	"chart":           {"incident", "redact"},
	"web":             {"audit", "incident", "chart", "warn", "recorder", "render", "triage", "redact", "units", "internal/host"},
	"config":          {"audit", "notify", "notify/receiver", "render", "warn", "recorder", "incident", "redact", "internal/build", "internal/host", "internal/input", "internal/lazyre", "internal/terminal", "internal/words"},

	"watcher/processes": {"observe", "incident", "redact", "proc"},
	"watcher/leaks":     {"observe", "incident", "recorder", "triage", "triage/kept"},

	"kmsg/internal/makelog":  {},
	"kmsg/internal/loggen":   {"kmsg/internal/makelog"},
	"kmsg/internal/vsgrep":   {"kmsg/internal/makelog"},
	"triage/internal/months": {},

	"daemon": {"units", "triage/kept", "triage", "audit", "audit/gather", "config", "correlate", "notify", "notify/receiver", "store", "web", "watcher", "watcher/cri", "watcher/docker", "watcher/journal", "watcher/kubelet", "watcher/kernlog", "watcher/leaks", "watcher/processes", "watcher/sampler", "watcher/signals", "watcher/storage", "warn",
		"verdict", "recorder", "observe", "incident", "redact", "cgroup", "internal/build", "internal/crashpoint", "internal/host", "internal/terminal"},
	"doctor": {"units", "config", "watcher/journal", "store", "web", "watcher/cri", "watcher/docker", "watcher/kernlog", "watcher/kubelet", "observe", "cgroup", "kmsg", "trace", "internal/build", "internal/inside"},
	"cmd/oomwatch": {"audit", "triage/kept", "audit/gather", "daemon", "doctor", "config", "explain", "chart", "render", "web", "store", "notify", "notify/receiver", "triage", "triage/readings", "warn", "recorder",
		"verdict", "incident", "redact", "units", "cgroup", "kmsg", "internal/build", "internal/host", "internal/terminal", "internal/input"},
	"internal/build":       {},
	"internal/boundedjson": {"units"},
	"internal/crashpoint":  {},
	"internal/grpcread":    {},
	"internal/host":        {"incident", "cgroup"},
	"internal/input":       {},
	"internal/inside":      {},
	"internal/lazyre":      {},
	"internal/terminal":    {},
	"internal/words":       {},
}

// doors lists where each third party may be imported. One that is not listed fails, and so
// does a door that nobody uses.
var doors = map[string][]string{
	"github.com/moby/moby/":                         {"watcher/docker"},
	"github.com/containerd/errdefs":                 {"watcher/docker"},
	"modernc.org/sqlite":                            {"store"},
	"golang.org/x/sys/unix":                         {"kmsg", "cgroup", "trace", "internal/input", "proc", "watcher", "watcher/storage"},
	"golang.org/x/sys/cpu":                          {"kmsg"},
	"golang.org/x/term":                             {"internal/terminal"},
	"github.com/containerd/cgroups/":                {"cgroup"},
	"github.com/spf13/":                             {"cmd/oomwatch"},
	"github.com/goccy/go-yaml":                      {"audit/gather", "config", "explain"},
	"charm.land/":                                   {"cmd/oomwatch"},
	"github.com/klauspost/compress/":                {"kmsg"},
	"github.com/wneessen/go-mail":                   {"notify/receiver"},
	"github.com/ulikunitz/xz":                       {"kmsg"},
	"go.uber.org/zap":                               {"daemon", "notify", "store", "watcher", "watcher/cri", "watcher/docker", "web"},
	"google.golang.org/protobuf/encoding/protowire": {"internal/grpcread"},
	"github.com/prometheus/client_golang":           {"daemon", "notify", "store", "watcher", "watcher/docker", "watcher/sampler", "web"},
}

// pure are the packages that only compute: time comes in as an argument, and what they
// find goes out as a value.
var pure = []string{"audit", "correlate", "verdict", "trend", "warn"}

// In a pure package nothing of these is imported, and nothing of package time is called
// that asks the clock.
var (
	effects = []string{"os", "io/ioutil", "log", "log/slog", "net", "net/http", "database/sql", "go.uber.org/zap", "github.com/prometheus/client_golang"}
	clock   = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTicker", "NewTimer"}
	// Neither are these by what it imports of this module.
	effectsBelow = []string{"go.uber.org/zap", "github.com/prometheus/client_golang"}
)

// pkg is a package of the product, as go list tells of it.
type pkg struct {
	name, dir            string
	files, imports, deps []string
}

// packages lists those of the product: all of the module but its tests.
func packages(t *testing.T) (all []pkg) {
	t.Helper()
	const form = `{{.ImportPath}}|{{.Dir}}|{{join .GoFiles " "}}|{{join .Imports " "}}|{{join .Deps " "}}`
	out, err := exec.Command("go", "list", "-f", form, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 5 {
			t.Fatalf("go list says %q", line)
		}
		if name := strings.TrimPrefix(f[0], module); !strings.HasPrefix(name, "test/") {
			all = append(all, pkg{name, f[1], strings.Fields(f[2]), strings.Fields(f[3]), strings.Fields(f[4])})
		}
	}
	if len(all) < 20 {
		t.Fatalf("go list names %d packages", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		allowed, listed := may[p.name]
		if !listed {
			t.Errorf("%s is not in the sheet of imports: give it a row", p.name)
		}
		for _, own := range allowed {
			if !slices.Contains(p.imports, module+own) {
				t.Errorf("%s does not import %s: take it out of the sheet", p.name, own)
			}
		}
		for _, imp := range p.imports {
			own, isOwn := strings.CutPrefix(imp, module)
			switch {
			case isOwn && strings.HasPrefix(own, "test/"):
				t.Errorf("%s imports %s: the product does not use its tests", p.name, own)
			case isOwn && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s; it may import only %v", p.name, own, allowed)
			case !isOwn && isThirdParty(imp):
				door := doorOf(imp)
				used[door] = true
				switch {
				case door == "":
					t.Errorf("%s imports %s, a third party that has no door", p.name, imp)
				case !slices.Contains(doors[door], p.name):
					t.Errorf("%s imports %s; only %v may", p.name, imp, doors[door])
				}
			}
		}
	}
	for door := range doors {
		if !used[door] {
			t.Errorf("nobody imports %s: take its door out", door)
		}
	}
}

// isThirdParty is true for what is not of the standard library: its path begins with a host.
func isThirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// doorOf is the door that an import goes through; "" for none.
func doorOf(path string) string {
	for door := range doors {
		if within(path, door) {
			return door
		}
	}
	return ""
}

// within is true for a package and what lies below it.
func within(path, top string) bool {
	top = strings.TrimSuffix(top, "/")
	return path == top || strings.HasPrefix(path, top+"/")
}

func TestPurePackages(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.name) {
			continue
		}
		seen++
		for _, imp := range p.imports {
			if slices.ContainsFunc(effects, func(e string) bool { return imp == e || isThirdParty(e) && within(imp, e) }) {
				t.Errorf("%s imports %s: it only computes", p.name, imp)
			}
		}
		for _, dep := range p.deps {
			if slices.ContainsFunc(effectsBelow, func(e string) bool { return within(dep, e) }) {
				t.Errorf("%s reaches %s by what it imports", p.name, dep)
			}
		}
		for _, file := range p.files {
			noClock(t, p, file)
		}
	}
	if seen != len(pure) {
		t.Errorf("only %d of %v are there", seen, pure)
	}
}

// noClock looks for calls that ask the clock, or wait for it.
func noClock(t *testing.T, p pkg, file string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, filepath.Join(p.dir, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imp := range f.Imports {
		if imp.Path.Value == `"time"` && imp.Name != nil {
			t.Errorf("%s/%s imports time as %s: this test looks for time.Now", p.name, file, imp.Name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
				t.Errorf("%s: %s uses time.%s: time comes in as an argument", files.Position(n.Pos()), p.name, sel.Sel.Name)
			}
		}
		return true
	})
}
