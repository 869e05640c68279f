package cgroup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMembers bounds the cgroups walked below one container for its pids.
const maxMembers = 1024

// appendMembers collects the processes of the cgroup and of those below it: an
// init system or crun inside a container moves them out of the container's own.
func (h *Handle) appendMembers(pids []int, buf []byte) []int {
	pids = h.appendOwn(pids, buf)
	if !h.divided() {
		return pids
	}
	dirs := children(h.dir)
	for i := 0; i < len(dirs) && i < maxMembers; i++ {
		// It may have been removed meanwhile, or be a threaded one: no error.
		b, _ := os.ReadFile(filepath.Join(dirs[i], "cgroup.procs"))
		pids, _ = appendPIDs(pids, b, true)
		dirs = append(dirs, children(dirs[i])...)
	}
	return pids
}

// appendOwn collects the processes of the cgroup itself.
func (h *Handle) appendOwn(pids []int, buf []byte) []int {
	b, err := h.read(procs, buf)
	for from := int64(0); err == nil && len(b) > 0; {
		whole := len(b) < len(buf)
		var used int
		if pids, used = appendPIDs(pids, b, whole); whole || used == 0 || !h.files[procs].kept {
			break
		}
		from += int64(used)
		b, err = pread(int(h.files[procs].fd), buf, from)
	}
	return pids
}

// divided is true when there may be cgroups below this one: in cgroupfs a
// directory has two links, and one more for each directory in it.
func (h *Handle) divided() bool {
	f := &h.files[self]
	if !f.kept {
		fd, err := open(h.dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return false
		}
		if h.keep(self, fd, true); !f.kept {
			return true
		}
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.fd), &st) == nil && st.Nlink != 2
}

// appendPIDs reads cgroup.procs, or a piece of it, and says how many bytes of it
// were whole lines.
func appendPIDs(pids []int, b []byte, whole bool) ([]int, int) {
	used := 0
	for used < len(b) {
		line := b[used:]
		i := bytes.IndexByte(line, '\n')
		switch {
		case i >= 0:
			line, used = line[:i], used+i+1
		case whole:
			used = len(b)
		default:
			return pids, used
		}
		// 0 stands for a process outside of our pid namespace.
		if n, ok := parseInt(line); ok && n > 0 {
			pids = append(pids, int(n))
		}
	}
	return pids, used
}

// children are the cgroups directly below a directory.
func children(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), "..") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// readOnce reads a small file that is not kept open.
func readOnce(name string, buf []byte) ([]byte, error) {
	fd, err := open(name, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return pread(fd, buf, 0)
}
