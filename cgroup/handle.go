package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// What says which parts of a Sample to read beside memory in use, which is always
// read.
type What uint8

// The parts. Without WithLimit, limits are the last that were read, and so is
// memory.memsw.failcnt.
const (
	WithLimit  What = 1 << iota // memory.max, memory.limit_in_bytes, pids.max
	WithStat                    // memory.stat, kernel memory, swap in use
	WithPSI                     // memory.pressure; on v1 the host's
	WithPIDs                    // cgroup.procs, here and in all cgroups below
	WithKills                   // the oom_kill counter of memory.events, memory.oom_control
	WithEvents                  // all of memory.events, memory.failcnt
	WithTasks                   // pids.current
	WithCPU                     // cpu.stat
)

// Handle reads one cgroup again and again through descriptors that are kept
// open, as far as the budget of FS goes. It goes on naming the cgroup it was
// opened for: once that is removed it gives ErrGone, also when a new one has
// taken the path. One goroutine at a time may use it.
type Handle struct {
	// What every reading needs is in one line of the processor's cache: of a
	// thousand cgroups, read once a second, none is still in there.
	fs    *FS
	limit int64
	files [nFiles]file

	path  string
	dir   string
	inode uint64 // of the file of memory in use: kernfs never uses one twice
	tasks int64  // pids.max
	fails int64  // memory.memsw.failcnt
}

// The files of a cgroup that are read.
const (
	current = iota
	events
	stat
	kernel
	pressure
	limit
	swap
	failcnt
	swapFailcnt
	tasks
	tasksMax
	cpuStat
	procs
	self // the directory
	nFiles
)

// seldom are those that are read with WithLimit alone, and not worth a descriptor:
// the kernel keeps a page and more for each file of a cgroup that is open and has
// been read. inTurns are those that are worth one while there are few cgroups.
const (
	seldom  = 1<<limit | 1<<tasksMax | 1<<swapFailcnt
	inTurns = 1<<stat | 1<<kernel | 1<<swap | 1<<failcnt | 1<<cpuStat
)

// fileNames is where each is, by the version of the hierarchy; "" for not at all.
var fileNames = [3][nFiles]string{
	1: {current: "memory.usage_in_bytes", events: "memory.oom_control", stat: "memory.stat", kernel: "memory.kmem.usage_in_bytes",
		limit: "memory.limit_in_bytes", failcnt: "memory.failcnt", swapFailcnt: "memory.memsw.failcnt", tasks: "pids.current", tasksMax: "pids.max", cpuStat: "cpu.stat",
		procs: "cgroup.procs", self: "."},
	2: {current: "memory.current", events: "memory.events", stat: "memory.stat", pressure: "memory.pressure", limit: "memory.max",
		swap: "memory.swap.current", tasks: "pids.current", tasksMax: "pids.max", cpuStat: "cpu.stat", procs: "cgroup.procs", self: "."},
}

// file is one of them; kept says that fd is open.
type file struct {
	fd     int32
	kept   bool
	absent bool // not there when it was first tried
}

// Open starts reading the cgroup at path (as PathOf and ContainerPath give it).
// The error is ErrGone when there is no such cgroup, ErrNoMemory when it has no
// memory controller.
func (fs *FS) Open(path string) (*Handle, error) {
	dir, err := fs.dir(path)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	h := &Handle{fs: fs, path: path, dir: dir, limit: Unlimited, tasks: Unlimited}
	var s Sample
	if err := h.Read(&s, WithLimit); err != nil {
		h.Close()
		switch {
		case errors.Is(err, ErrGone) && fs.cgroupNS != nil:
			err = fmt.Errorf("open cgroup %q: %w", path, fs.cgroupNS)
		case errors.Is(err, ErrGone) && isDir(dir):
			err = fmt.Errorf("open cgroup %q: %w in it (no %s)", path, ErrNoMemory, fileNames[fs.version][current])
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
	for i := range h.files {
		if f := &h.files[i]; f.kept {
			unix.Close(int(f.fd))
			f.kept = false
			h.fs.fds.give(1)
			if inTurns>>i&1 != 0 {
				h.fs.spare.give(1)
			}
		}
	}
}

// Read takes one reading into s, using the memory that s.Stat, s.PSI, s.PIDs,
// s.Events, s.Tasks and s.CPU already have for those parts that are asked for, so
// that a Sample that is given again costs no allocation. Levels is left as it is.
// Parts that this kernel or cgroup has not are -1 or nil; the error is ErrGone
// after the removal.
func (h *Handle) Read(s *Sample, what What) error {
	bp := h.fs.bufs.Get().(*[]byte)
	defer h.fs.bufs.Put(bp)
	buf := *bp

	if what&WithLimit != 0 {
		h.limit = h.limitOf(limit, buf, h.limit)
		h.tasks = h.limitOf(tasksMax, buf, h.tasks)
		h.fails = max(0, h.number(swapFailcnt, buf))
	}
	s.Limit, s.Swap, s.OOMKills, s.HostPSI = h.limit, -1, -1, false
	h.readStat(s, what, buf)
	h.readPSI(s, what, buf)
	h.readTasks(s, what, buf)
	h.readCPU(s, what, buf)
	if what&WithPIDs != 0 {
		s.PIDs = h.appendMembers(s.PIDs[:0], buf)
	} else {
		s.PIDs = nil
	}
	h.readEvents(s, what, buf)
	// Memory in use comes last: when it can still be read, the cgroup was there
	// all the time, and none of the above came from a later one at its path.
	b, err := h.read(current, buf)
	s.At = time.Now()
	if err != nil {
		return fmt.Errorf("read cgroup %q: %w", h.path, err)
	}
	n, ok := parseInt(b)
	if !ok {
		return fmt.Errorf("read cgroup %q: %s says %q, which is no number", h.path, fileNames[h.fs.version][current], b)
	}
	s.Current = n
	return nil
}

// part gives the memory for a part of a Sample: nil when it is not asked for.
func part[T any](have *T, asked bool) *T {
	switch {
	case !asked:
		return nil
	case have == nil:
		return new(T)
	}
	return have
}

func (h *Handle) readStat(s *Sample, what What, buf []byte) {
	if s.Stat = part(s.Stat, what&WithStat != 0); s.Stat == nil {
		return
	}
	b, err := h.read(stat, buf)
	if err != nil {
		s.Stat = nil
		return
	}
	if h.fs.version == 2 {
		parseStatV2(b, s.Stat)
		s.Swap = h.number(swap, buf)
		return
	}
	s.Swap = parseStatV1(b, s.Stat)
	s.Stat.Kernel = h.number(kernel, buf)
}

func (h *Handle) readEvents(s *Sample, what What, buf []byte) {
	s.Events = part(s.Events, what&WithEvents != 0)
	if what&(WithKills|WithEvents) == 0 {
		return
	}
	var all Events
	if b, err := h.read(events, buf); err == nil {
		s.OOMKills = parseEvents(b, &all)
	} else {
		all = Events{-1, -1, -1, -1}
	}
	if s.Events != nil {
		if *s.Events = all; h.fs.version == 1 {
			// A charge that does not fit is counted where it failed first: at
			// memory and swap together, where that limit is no larger.
			if s.Events.Max = h.number(failcnt, buf); s.Events.Max >= 0 {
				s.Events.Max += h.fails
			}
		}
	}
}

func (h *Handle) readTasks(s *Sample, what What, buf []byte) {
	if s.Tasks = part(s.Tasks, what&WithTasks != 0); s.Tasks == nil {
		return
	}
	if s.Tasks.Current = h.number(tasks, buf); s.Tasks.Current < 0 {
		s.Tasks = nil
		return
	}
	s.Tasks.Limit = h.tasks
}

func (h *Handle) readCPU(s *Sample, what What, buf []byte) {
	if s.CPU = part(s.CPU, what&WithCPU != 0); s.CPU == nil {
		return
	}
	if b, err := h.read(cpuStat, buf); err != nil || !parseCPU(b, s.CPU) {
		s.CPU = nil
	}
}

// number reads an optional file of one number; -1 when there is none.
func (h *Handle) number(i int, buf []byte) int64 {
	if b, err := h.read(i, buf); err == nil {
		if n, ok := parseInt(b); ok {
			return n
		}
	}
	return -1
}

// limitOf reads a file of a limit; old when it cannot be read.
func (h *Handle) limitOf(i int, buf []byte, old int64) int64 {
	if b, err := h.read(i, buf); err == nil {
		if n, ok := parseLimit(b); ok {
			return n
		}
	}
	return old
}

func (h *Handle) readPSI(s *Sample, what What, buf []byte) {
	if s.PSI = part(s.PSI, what&WithPSI != 0 && h.fs.noPSI == nil); s.PSI == nil {
		return
	}
	if h.fs.version == 1 {
		if s.HostPSI = h.fs.HostPSI(s.PSI) == nil; !s.HostPSI {
			s.PSI = nil
		}
		return
	}
	// A cgroup may have its own pressure switched off (cgroup.pressure).
	if b, err := h.read(pressure, buf); err != nil || !parsePSI(b, s.PSI) {
		s.PSI = nil
	}
}

// read gives the content of a file, from its start.
func (h *Handle) read(i int, buf []byte) ([]byte, error) {
	f := &h.files[i]
	switch {
	case f.kept:
		return pread(int(f.fd), buf, 0)
	case f.absent:
		return nil, ErrGone
	}
	fd, err := open(h.nameOf(i), 0)
	if err != nil {
		// What a kernel has not at the first time it does not get later.
		f.absent = i != current && errors.Is(err, ErrGone)
		return nil, err
	}
	if i == current {
		if err := h.same(fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	b, err := pread(fd, buf, 0)
	h.keep(i, fd, err == nil && seldom>>i&1 == 0)
	return b, err
}

// keep keeps a descriptor for the next time, or closes it.
func (h *Handle) keep(i, fd int, want bool) {
	turns := inTurns>>i&1 != 0
	if want && (!turns || h.fs.spare.take(1)) {
		if h.fs.fds.take(1) {
			h.files[i].fd, h.files[i].kept = int32(fd), true
			return
		}
		if turns {
			h.fs.spare.give(1)
		}
	}
	unix.Close(fd)
}

// nameOf is where a file is: the pids and cpu controllers of v1 have
// hierarchies of their own, in which a container has the same path.
func (h *Handle) nameOf(i int) string {
	dir := h.dir
	if h.fs.version == 1 {
		switch i {
		case tasks, tasksMax:
			dir = h.fs.pids.below(filepath.Clean("/" + h.path))
		case cpuStat:
			dir = h.fs.cpu.below(filepath.Clean("/" + h.path))
		}
	}
	if dir == "" || fileNames[h.fs.version][i] == "" {
		return ""
	}
	return dir + "/" + fileNames[h.fs.version][i]
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

func open(name string, flags int) (int, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if err != unix.EINTR {
			return fd, gone(err)
		}
	}
}

func pread(fd int, buf []byte, from int64) ([]byte, error) {
	for {
		n, err := unix.Pread(fd, buf, from)
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
