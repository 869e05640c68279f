package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// leaveNamespace finds out where in the host's tree this process's cgroup namespace begins,
// so that paths can be read as the host's: a runtime of Kubernetes gives each container a
// private one on cgroup v2, also where the host's control groups are mounted. The kernel
// hides the names above a namespace's root, but not the groups in a mount of them: the one
// that lists this process is looked for. Without such a mount nothing changes.
func (fs *FS) leaveNamespace() {
	depth := above(fs.mem.root)
	if fs.cgroupNS == nil || fs.version != 2 || depth == 0 {
		return
	}
	// Every group has this file, but for the root of them all.
	if _, err := os.Stat(filepath.Join(fs.mem.point, "cgroup.events")); !os.IsNotExist(err) {
		return
	}
	b, err := os.ReadFile(filepath.Join(fs.proc, "self/cgroup"))
	if err != nil {
		return
	}
	inside, ok := parseProcCgroup(string(b), fs.version)
	if !ok || above(inside) > 0 {
		return
	}
	pattern := fs.mem.point + strings.Repeat("/*", depth) + filepath.Join("/", inside, "cgroup.procs")
	names, err := filepath.Glob(pattern)
	if err != nil {
		return
	}
	for _, name := range names {
		if !lists(name, os.Getpid()) {
			continue
		}
		own := strings.TrimPrefix(filepath.Dir(name), fs.mem.point)
		fs.nsRoot = strings.TrimSuffix(own, strings.TrimSuffix(filepath.Join("/", inside), "/"))
		fs.mem.root, fs.cgroupNS = "/", nil
		return
	}
}

// HostPath turns a path from /proc/PID/cgroup into the host's, where a private cgroup
// namespace shows another: "/../../x" is two groups above its root.
func (fs *FS) HostPath(path string) string {
	if fs.nsRoot == "" || path == "" {
		return path
	}
	n := above(path)
	root := strings.Split(strings.Trim(fs.nsRoot, "/"), "/")
	if n > len(root) {
		return path
	}
	below := strings.TrimPrefix(path, strings.Repeat("/..", n))
	return filepath.Join("/", filepath.Join(root[:len(root)-n]...), below)
}

// above is how many groups a path lies above the root of the cgroup namespace.
func above(path string) (n int) {
	for ; path == "/.." || strings.HasPrefix(path, "/../"); n++ {
		path = path[len("/.."):]
	}
	return n
}

// lists is true for a cgroup.procs with that process, as this process's pid namespace
// counts.
func lists(name string, pid int) bool {
	b, err := os.ReadFile(name)
	if err != nil {
		return false // the group is gone
	}
	want := strconv.Itoa(pid)
	for line := range strings.Lines(string(b)) {
		if strings.TrimSuffix(line, "\n") == want {
			return true
		}
	}
	return false
}
