package proc

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// runtimes are the names of the programs that run others' code, by how they begin.
var runtimes = []struct{ program, name string }{
	{"java", "JVM"}, {"python", "Python"}, {"pypy", "Python"}, {"node", "Node.js"}, {"bun", "Bun"}, {"deno", "Deno"},
	{"ruby", "Ruby"}, {"php", "PHP"}, {"dotnet", ".NET"}, {"beam.smp", "Erlang"}, {"perl", "Perl"},
}

// RuntimeOf is the runtime that a program of this name is; "" for none that is known.
func RuntimeOf(program string) string {
	for _, r := range runtimes {
		if rest, ok := strings.CutPrefix(program, r.program); ok && strings.Trim(rest, "0123456789.-fpmjs") == "" {
			return r.name
		}
	}
	return ""
}

// Runtime is the runtime of a process, by its executable: the name of it, or that the Go
// linker made it. It is "" where that cannot be seen.
func Runtime(root string, pid int) string {
	exe := filepath.Join(root, strconv.Itoa(pid), "exe")
	if target, err := os.Readlink(exe); err == nil {
		if name := RuntimeOf(filepath.Base(strings.TrimSuffix(target, " (deleted)"))); name != "" {
			return name
		}
	}
	if info, err := buildinfo.ReadFile(exe); err == nil {
		return "Go " + strings.TrimPrefix(strings.Fields(info.GoVersion + " ")[0], "go")
	}
	return ""
}
