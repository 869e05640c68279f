// Package house keeps the layout of the code: which package may import which,
// and behind which door each third party stands.
package house

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oomwatch/oomwatch/"

// may lists what each package may import of this module.
var may = map[string][]string{
	"kmsg":            {},
	"cgroup":          {},
	"trace":           {},
	"units":           {},
	"redact":          {},
	"trend":           {"units"},
	"incident":        {"redact", "units"},
	"verdict":         {"incident", "kmsg", "cgroup", "trend", "redact", "units"},
	"observe":         {"incident", "kmsg", "cgroup"},
	"triage":          {"incident", "verdict", "kmsg", "trend", "redact", "units"},
	"triage/readings": {"triage"},
	"recorder":        {"incident", "cgroup"},
	"warn":            {"incident", "verdict", "recorder", "trend", "redact", "units"},
	"watcher":         {"watcher/sampler", "observe", "verdict", "incident", "kmsg", "cgroup", "recorder", "warn", "redact", "internal/crashpoint"},
	"watcher/kernlog": {"observe", "incident", "kmsg"},
	"watcher/signals": {"observe", "incident", "trace"},
	"watcher/sampler": {"observe", "incident", "cgroup", "recorder", "kmsg"},
	"watcher/docker":  {"observe", "verdict", "incident", "redact"},
	"explain":         {"watcher", "watcher/docker", "watcher/kernlog", "observe", "verdict", "incident", "kmsg", "redact", "units"},
	"store":           {"incident", "recorder", "internal/crashpoint"},
	"notify":          {"incident", "redact", "internal/crashpoint"},
	"chart":           {"incident", "redact"},
	"web":             {"incident", "chart", "warn", "redact"},
	"config":          {"notify", "warn", "recorder", "incident", "redact", "internal/build", "internal/host", "internal/terminal"},
	"daemon": {"config", "explain", "notify", "store", "web", "watcher", "watcher/docker", "watcher/kernlog", "watcher/sampler", "watcher/signals", "warn",
		"recorder", "observe", "incident", "redact", "cgroup", "internal/build", "internal/crashpoint", "internal/host", "internal/terminal"},
	"internal/build":    {},
	"internal/host":     {"incident", "cgroup"},
	"internal/terminal": {},
}

// doors lists where each third party may be imported.
var doors = map[string][]string{
	"github.com/moby/":              {"watcher/docker"},
	"modernc.org/":                  {"store"},
	"golang.org/x/sys/unix":         {"kmsg", "cgroup", "trace"},
	"github.com/containerd/cgroups": {"cgroup"},
	"github.com/spf13/":             {"cmd/oomwatch"},
	"github.com/goccy/":             {"config"},
	"golang.org/x/term":             {"internal/terminal"},
	"charm.land/":                   {"cmd/oomwatch"},
	"github.com/klauspost/compress": {"kmsg"},
	"github.com/ulikunitz/xz":       {"kmsg"},
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		pkg := strings.TrimPrefix(f[0], module)
		if strings.HasPrefix(pkg, "test/") || strings.Contains(pkg, "/internal/") {
			continue
		}
		for _, imp := range f[1:] {
			if own, ok := strings.CutPrefix(imp, module); ok {
				if allowed, listed := may[pkg]; listed && !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s; it may import only %v", pkg, own, allowed)
				}
				if strings.HasPrefix(own, "test/") {
					t.Errorf("%s imports %s: the product does not use its tests", pkg, own)
				}
				continue
			}
			for third, at := range doors {
				if strings.HasPrefix(imp, third) && !slices.Contains(at, pkg) {
					t.Errorf("%s imports %s; only %v may", pkg, imp, at)
				}
			}
		}
	}
}
