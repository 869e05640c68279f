package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The usual places of the two file systems.
const (
	DefaultRoot = "/sys/fs/cgroup"
	DefaultProc = "/proc"
)

// What a reading can be refused for. Each comes wrapped with what was tried.
var (
	// ErrGone is returned once the cgroup was removed, or the process has ended.
	ErrGone = errors.New("cgroup is gone")
	// ErrNoMemory is returned when the memory controller is not to be had.
	ErrNoMemory = errors.New("no memory controller")
	// ErrPrivateCgroups is returned when this process sees cgroups from
	// inside a cgroup namespace, where every path differs from the kernel log's.
	ErrPrivateCgroups = errors.New("in a private cgroup namespace: cgroup paths differ from the host's; mount the host's /sys/fs/cgroup into this container, on cgroup v1 start it with --cgroupns=host")
	// ErrPrivatePIDs is returned when /proc shows a container's processes
	// instead of the host's, so that a host's pid names another process.
	ErrPrivatePIDs = errors.New("in a private pid namespace: /proc does not show the host's processes; start this container with --pid=host")
	// ErrNoPSI is returned where the kernel tells no pressure.
	ErrNoPSI = errors.New("no memory pressure information")
)

// The inode numbers of the host's own namespaces, fixed by the kernel
// (include/linux/proc_ns.h: PROC_CGROUP_INIT_INO, PROC_PID_INIT_INO).
const (
	initCgroupNS = "cgroup:[4026531835]"
	initPIDNS    = "pid:[4026531836]"
)

// FS is the host's control groups, read below one mount point. Its methods may
// be called from several goroutines at once.
type FS struct {
	proc     string
	mode     Mode
	version  int // of the hierarchy that has the memory controller: 1, 2; 0 = none
	mem      mount
	pids     *mount // of v1; on v2 all controllers have one hierarchy
	cpu      *mount
	cgroupNS error  // nil, or why paths cannot be trusted
	nsRoot   string // where in the host's tree our cgroup namespace begins; "" for at its root
	pidNS    error
	noMemory error
	noPSI    error
	hostPSI  *os.File // nil when noPSI is set
	bufs     sync.Pool
	fds      fdBudget
	spare    fdBudget // of fds, for what is read in turns
}

// mount is one line of mountinfo: root is the directory of the hierarchy that
// is seen at point.
type mount struct {
	root, point string
	unified     bool
	options     string // super options: for v1, the controllers
}

// Open finds the hierarchies mounted at or below root (DefaultRoot) from
// procRoot/self/mountinfo; procRoot (DefaultProc) is where the host's processes
// are seen. It fails when there is no control group below root at all; what else
// is missing is told by Problems.
func Open(root, procRoot string) (*FS, error) {
	fs := &FS{proc: procRoot, mode: Unknown}
	fs.bufs.New = func() any { b := make([]byte, bufSize); return &b }
	fs.fds.left.Store(fdLimit())
	fs.spare.left.Store(maxSpare)

	f, err := os.Open(filepath.Join(procRoot, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	defer f.Close()
	mounts, err := parseMountinfo(f, filepath.Clean(root))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if len(mounts) == 0 {
		return nil, fmt.Errorf("no control groups mounted at or below %q; in a container, mount the host's with -v /sys/fs/cgroup:/sys/fs/cgroup:ro", root)
	}
	fs.detect(mounts)
	fs.namespaces()
	fs.leaveNamespace()
	fs.openPSI()
	return fs, nil
}

// detect decides where the memory controller is.
func (fs *FS) detect(mounts []mount) {
	var v1, v2 *mount
	for i := range mounts {
		m := &mounts[i]
		if m.unified {
			if better(m, v2) {
				v2 = m
			}
			continue
		}
		if hasController(m.options, ",", "memory") && better(m, v1) {
			v1 = m
		}
		if hasController(m.options, ",", "pids") && better(m, fs.pids) {
			fs.pids = m
		}
		if hasController(m.options, ",", "cpu") && better(m, fs.cpu) {
			fs.cpu = m
		}
	}
	switch {
	case v1 != nil:
		fs.mode, fs.version, fs.mem = V1, 1, *v1
		if v2 != nil {
			fs.mode = Hybrid
		}
	case v2 != nil:
		fs.mode, fs.version, fs.mem = V2, 2, *v2
		list, err := os.ReadFile(filepath.Join(v2.point, "cgroup.controllers"))
		if err == nil && !hasController(strings.TrimSpace(string(list)), " ", "memory") {
			err = fmt.Errorf("%w in %s/cgroup.controllers: boot with cgroup_enable=memory, or have it delegated", ErrNoMemory, v2.point)
		}
		fs.noMemory = err
	default:
		fs.noMemory = fmt.Errorf("%w is mounted: boot with cgroup_enable=memory", ErrNoMemory)
	}
}

// better prefers the mount that shows the most of its hierarchy.
func better(m, than *mount) bool {
	if than == nil {
		return true
	}
	if a, b := above(m.root), above(than.root); a != b {
		return a > b
	}
	return len(m.root) < len(than.root)
}

func hasController(list, sep, name string) bool {
	for c := range strings.SplitSeq(list, sep) {
		if c == name {
			return true
		}
	}
	return false
}

// namespaces finds out whether this process sees the host's paths and pids.
func (fs *FS) namespaces() {
	// A kernel without cgroup namespaces has no such link, and no private ones.
	ns, err := os.Readlink(filepath.Join(fs.proc, "self/ns/cgroup"))
	if err == nil && ns != initCgroupNS {
		fs.cgroupNS = ErrPrivateCgroups
	}
	// The host's /proc may be mounted elsewhere in a container: what counts is
	// whose processes it shows. Only the host's has kernel threads, kthreadd first.
	ns, err = os.Readlink(filepath.Join(fs.proc, "self/ns/pid"))
	if err == nil && ns == initPIDNS {
		return
	}
	comm, err := os.ReadFile(filepath.Join(fs.proc, "2/comm"))
	if err != nil || string(comm) != "kthreadd\n" {
		fs.pidNS = ErrPrivatePIDs
	}
}

// openPSI opens the host's pressure file, which also tells whether the kernel
// keeps pressure at all.
func (fs *FS) openPSI() {
	name := filepath.Join(fs.proc, "pressure/memory")
	f, err := os.Open(name)
	if err == nil {
		if _, err = f.Read(make([]byte, 256)); err == nil || errors.Is(err, io.EOF) {
			fs.hostPSI = f
			return
		}
		f.Close()
	}
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP):
		fs.noPSI = fmt.Errorf("%w: this kernel has it off; boot with psi=1", ErrNoPSI)
	default:
		fs.noPSI = fmt.Errorf("%w: %w", ErrNoPSI, err)
	}
}

// Close frees what FS holds. Handles stay usable.
func (fs *FS) Close() error {
	if fs.hostPSI == nil {
		return nil
	}
	return fs.hostPSI.Close()
}

// Mode is how the memory controller is mounted.
func (fs *FS) Mode() Mode { return fs.mode }

// Problems is what cannot be seen from here, each with its remedy: errors that
// are ErrNoMemory, ErrPrivateCgroups, ErrPrivatePIDs or ErrNoPSI.
func (fs *FS) Problems() []error {
	var all []error
	for _, err := range []error{fs.noMemory, fs.cgroupNS, fs.pidNS, fs.noPSI} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// PathOf is the memory cgroup of process pid (a host's pid), as in
// /proc/PID/cgroup and in the kernel log. It is the process's own cgroup, below
// its container's where something inside made groups of its own.
//
// Inside a private namespace it answers only with a path that itself names a
// container, since any other could be taken for one of the host's.
func (fs *FS) PathOf(pid int) (string, error) {
	b, err := os.ReadFile(filepath.Join(fs.proc, strconv.Itoa(pid), "cgroup"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		err = errors.Join(ErrGone, fs.pidNS)
	}
	if err != nil {
		return "", fmt.Errorf("cgroup of process %d: %w", pid, err)
	}
	path, ok := parseProcCgroup(string(b), fs.version)
	if !ok {
		return "", fmt.Errorf("cgroup of process %d: %w", pid, ErrNoMemory)
	}
	path = fs.HostPath(path)
	if private := errors.Join(fs.cgroupNS, fs.pidNS); private != nil && ParsePath(path).ContainerID == "" {
		return "", fmt.Errorf("cgroup of process %d: %w", pid, private)
	}
	return path, nil
}

// ContainerPathOf is the cgroup of the container id, found by one of its
// processes. It is ErrGone when pid is another container's by now, and ErrNoMemory
// when the engine gives its containers no cgroups (rootless without delegation).
func (fs *FS) ContainerPathOf(pid int, id string) (string, error) {
	path, err := fs.PathOf(pid)
	if err != nil {
		return "", err
	}
	path = ContainerPath(path)
	switch got := ParsePath(path).ContainerID; got {
	case id:
		return path, nil
	case "":
		return "", fmt.Errorf("cgroup of container %.12s: %w of its own, its process %d is in %q", id, ErrNoMemory, pid, path)
	default:
		return "", fmt.Errorf("cgroup of container %.12s: process %d is in %q: %w", id, pid, path, errors.Join(ErrGone, fs.pidNS))
	}
}

// parseProcCgroup finds the memory hierarchy's line:
//
//	4:memory:/docker/<id>     (v1)
//	0::/system.slice/x.scope  (v2)
func parseProcCgroup(s string, version int) (string, bool) {
	for line := range strings.Lines(s) {
		id, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if version == 2 && id == "0" && controllers == "" || version == 1 && hasController(controllers, ",", "memory") {
			return strings.TrimSuffix(path, " (deleted)"), true
		}
	}
	return "", false
}

// dir is where the files of a cgroup path are.
func (fs *FS) dir(path string) (string, error) {
	if fs.noMemory != nil {
		return "", fs.noMemory
	}
	if fs.cgroupNS != nil && ParsePath(path).ContainerID == "" {
		return "", fs.cgroupNS // it would be another cgroup than the one meant
	}
	clean := filepath.Clean("/" + path)
	if asked := "/" + strings.Trim(path, "/"); clean != asked {
		// "/../x" is how a namespace shows what is outside of it.
		return "", errors.Join(fmt.Errorf("cgroup %q is not a path from the root", path), fs.cgroupNS)
	}
	if d := fs.mem.below(clean); d != "" {
		return d, nil
	}
	return "", fmt.Errorf("cgroup %q is not visible at %s, which shows only %q; mount the host's /sys/fs/cgroup", path, fs.mem.point, fs.mem.root)
}

// below is where a cgroup's files are; "" where the mount does not show it.
func (m *mount) below(path string) string {
	if m == nil {
		return ""
	}
	if m.root != "/" {
		below, ok := strings.CutPrefix(path, m.root)
		if !ok || below != "" && below[0] != '/' {
			return ""
		}
		path = below
	}
	return filepath.Join(m.point, path)
}

// parseMountinfo reads the cgroup mounts at or below root:
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
func parseMountinfo(r io.Reader, root string) ([]mount, error) {
	var mounts []mount
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		before, after, ok := strings.Cut(sc.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		if right[0] != "cgroup" && right[0] != "cgroup2" {
			continue
		}
		m := mount{root: unescapeMount(left[3]), point: unescapeMount(left[4]),
			unified: right[0] == "cgroup2", options: right[2]}
		if m.point == root || root == "/" || strings.HasPrefix(m.point, root+"/") {
			mounts = append(mounts, m)
		}
	}
	return mounts, sc.Err()
}

// unescapeMount undoes mountinfo's octal escapes ("\040" is a blank).
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// fdBudget bounds the descriptors kept open for all cgroups together, so that
// ten thousand containers leave some for the rest of the program.
type fdBudget struct{ left atomic.Int64 }

func (b *fdBudget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *fdBudget) give(n int64) { b.left.Add(n) }

// maxSpare is what a few hundred cgroups need.
const maxSpare = 1000

// fdLimit is three quarters of what this process may open.
func fdLimit() int64 {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 512
	}
	return int64(min(lim.Cur/4*3, 1<<20))
}
