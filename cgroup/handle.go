package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What says which parts of a Sample to read beside memory in use and the
// oom_kill counter, which are always read.
type What uint8

// The parts. Without WithLimit, Sample.Limit is the last one read.
const (
	WithLimit What = 1 << iota // memory.max, memory.limit_in_bytes
	WithStat                   // memory.stat, kernel memory, swap in use
	WithPSI                    // memory.pressure; on v1 the host's
	WithPIDs                   // cgroup.procs, here and in all cgroups below
)

// maxMembers bounds the cgroups walked below one container for its pids.
const maxMembers = 1024

// Handle reads one cgroup again and again through at most four descriptors kept
// open. It goes on naming the cgroup it was opened for: once that is removed it
// gives ErrGone, also when a new one has taken the path. One goroutine at a time
// may use it.
type Handle struct {
	fs    *FS
	path  string
	dir   string
	inode uint64 // of the file of memory in use: kernfs never uses one twice
	limit int64

	current, events, stat, kernel, pressure, limitFile, swap file
}

// file is one file of the cgroup; kept says that fd is open.
type file struct {
	name string
	keep bool
	kept bool
	fd   int
}

// Open starts reading the cgroup at path (as PathOf and ContainerPath give it).
// The error is ErrGone when there is no such cgroup, ErrNoMemory when it has no
// memory controller.
func (fs *FS) Open(path string) (*Handle, error) {
	dir, err := fs.dir(path)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	h := &Handle{fs: fs, path: path, dir: dir, limit: Unlimited}
	at := func(name string, keep bool) file { return file{name: filepath.Join(dir, name), keep: keep} }
	if fs.version == 1 {
		h.current, h.events = at("memory.usage_in_bytes", true), at("memory.oom_control", true)
		h.stat, h.kernel = at("memory.stat", true), at("memory.kmem.usage_in_bytes", true)
		h.limitFile = at("memory.limit_in_bytes", false)
	} else {
		h.current, h.events = at("memory.current", true), at("memory.events", true)
		h.stat, h.pressure = at("memory.stat", true), at("memory.pressure", true)
		h.limitFile, h.swap = at("memory.max", false), at("memory.swap.current", false)
	}
	var s Sample
	if err := h.Read(&s, WithLimit); err != nil {
		h.Close()
		switch {
		case errors.Is(err, ErrGone) && fs.cgroupNS != nil:
			err = fmt.Errorf("open cgroup %q: %w", path, fs.cgroupNS)
		case errors.Is(err, ErrGone) && isDir(dir):
			err = fmt.Errorf("open cgroup %q: %w in it (no %s)", path, ErrNoMemory, filepath.Base(h.current.name))
		}
		return nil, err
	}
	return h, nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// inodeOf is 0 when there is no such directory; kernfs never uses one twice.
func inodeOf(name string) uint64 {
	var st unix.Stat_t
	if unix.Stat(name, &st) != nil {
		return 0
	}
	return st.Ino
}

// Path is the cgroup path the Handle was opened with.
func (h *Handle) Path() string { return h.path }

// Close lets go of the cgroup. It may be called twice.
func (h *Handle) Close() {
	for _, f := range []*file{&h.current, &h.events, &h.stat, &h.kernel, &h.pressure} {
		if f.kept {
			unix.Close(f.fd)
			f.kept = false
			h.fs.fds.give(1)
		}
	}
}

// Read takes one reading into s, using the memory that s.Stat, s.PSI and s.PIDs
// already have for those parts that are asked for, so that a Sample that is
// given again costs no allocation. Levels is left as it is. Parts that this
// kernel or cgroup has not are -1 or nil; the error is ErrGone after the removal.
func (h *Handle) Read(s *Sample, what What) error {
	bp := h.fs.bufs.Get().(*[]byte)
	defer h.fs.bufs.Put(bp)
	buf := *bp

	if what&WithLimit != 0 {
		if b, err := h.read(&h.limitFile, buf); err == nil {
			if n, ok := parseLimit(b); ok {
				h.limit = n
			}
		}
	}
	s.Limit, s.Swap, s.OOMKills, s.HostPSI = h.limit, -1, -1, false
	h.readStat(s, what, buf)
	h.readPSI(s, what, buf)
	if what&WithPIDs != 0 {
		s.PIDs = h.appendMembers(s.PIDs[:0])
	} else {
		s.PIDs = nil
	}
	if b, err := h.read(&h.events, buf); err == nil {
		if n, ok := field(b, "oom_kill"); ok {
			s.OOMKills = n
		}
	}
	// Memory in use comes last: when it can still be read, the cgroup was there
	// all the time, and none of the above came from a later one at its path.
	b, err := h.read(&h.current, buf)
	s.At = time.Now()
	if err != nil {
		return fmt.Errorf("read cgroup %q: %w", h.path, err)
	}
	n, ok := parseInt(b)
	if !ok {
		return fmt.Errorf("read cgroup %q: %s says %q, which is no number", h.path, filepath.Base(h.current.name), b)
	}
	s.Current = n
	return nil
}

func (h *Handle) readStat(s *Sample, what What, buf []byte) {
	if what&WithStat == 0 {
		s.Stat = nil
		return
	}
	b, err := h.read(&h.stat, buf)
	if err != nil {
		s.Stat = nil
		return
	}
	if s.Stat == nil {
		s.Stat = new(Stat)
	}
	if h.fs.version == 2 {
		parseStatV2(b, s.Stat)
		s.Swap = h.number(&h.swap, buf)
		return
	}
	s.Swap = parseStatV1(b, s.Stat)
	s.Stat.Kernel = h.number(&h.kernel, buf)
}

// number reads an optional file of one number; -1 when there is none.
func (h *Handle) number(f *file, buf []byte) int64 {
	if b, err := h.read(f, buf); err == nil {
		if n, ok := parseInt(b); ok {
			return n
		}
	}
	return -1
}

func (h *Handle) readPSI(s *Sample, what What, buf []byte) {
	if what&WithPSI == 0 || h.fs.noPSI != nil {
		s.PSI = nil
		return
	}
	if s.PSI == nil {
		s.PSI = new(PSI)
	}
	if h.fs.version == 1 {
		if s.HostPSI = h.fs.HostPSI(s.PSI) == nil; !s.HostPSI {
			s.PSI = nil
		}
		return
	}
	// A cgroup may have its own pressure switched off (cgroup.pressure).
	if b, err := h.read(&h.pressure, buf); err != nil || !parsePSI(b, s.PSI) {
		s.PSI = nil
	}
}

// HostPSI reads the whole host's memory pressure. The error is ErrNoPSI where
// the kernel keeps none.
func (fs *FS) HostPSI(p *PSI) error {
	if fs.noPSI != nil {
		return fs.noPSI
	}
	bp := fs.bufs.Get().(*[]byte)
	defer fs.bufs.Put(bp)
	n, _ := fs.hostPSI.ReadAt(*bp, 0) // io.EOF: the file is shorter than the buffer
	if !parsePSI((*bp)[:n], p) {
		return fmt.Errorf("%w: %s says %q", ErrNoPSI, fs.hostPSI.Name(), (*bp)[:n])
	}
	return nil
}

// read gives the content of f, from its start.
func (h *Handle) read(f *file, buf []byte) ([]byte, error) {
	if f.kept {
		return pread(f.fd, buf)
	}
	fd, err := open(f.name)
	if err != nil {
		return nil, err
	}
	if f == &h.current {
		if err := h.same(fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	b, err := pread(fd, buf)
	if err == nil && f.keep && h.fs.fds.take(1) {
		f.fd, f.kept = fd, true
	} else {
		unix.Close(fd)
	}
	return b, err
}

// same makes sure that fd is of the cgroup first opened, where the budget of
// descriptors did not allow to keep it open.
func (h *Handle) same(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if h.inode == 0 {
		h.inode = st.Ino
	}
	if h.inode != st.Ino {
		return ErrGone
	}
	return nil
}

func open(name string) (int, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, gone(err)
		}
	}
}

func pread(fd int, buf []byte) ([]byte, error) {
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != unix.EINTR {
			return buf[:max(n, 0)], gone(err)
		}
	}
}

// gone turns what the kernel says of a removed cgroup into ErrGone: ENODEV for
// a file that was open, ENOENT for one that was not.
func gone(err error) error {
	if err == unix.ENODEV || err == unix.ENOENT {
		return ErrGone
	}
	return err
}

// appendMembers collects the processes of the cgroup and of those below it: an
// init system or crun inside a container moves them out of the container's own.
func (h *Handle) appendMembers(pids []int) []int {
	dirs := []string{h.dir}
	for i := 0; i < len(dirs) && i < maxMembers; i++ {
		// It may have been removed meanwhile, or be a threaded one: no error.
		b, _ := os.ReadFile(filepath.Join(dirs[i], "cgroup.procs"))
		pids = appendPIDs(pids, b)
		dirs = append(dirs, children(dirs[i])...)
	}
	return pids
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
	fd, err := open(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return pread(fd, buf)
}
