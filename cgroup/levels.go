package cgroup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	"golang.org/x/sys/unix"
)

// The names of the levels, as in Sample.Levels.
const (
	LevelLow      = "low"
	LevelMedium   = "medium"
	LevelCritical = "critical"
)

// levels are the kernel's names (Documentation/admin-guide/cgroup-v1/memory.rst,
// "Memory Pressure").
var levels = [...]string{LevelLow, LevelMedium, LevelCritical}

// levelPause is the shortest time between two looks at the notifications: a
// thrashing container causes thousands in a second, and the kernel adds them up
// in the eventfd meanwhile.
const levelPause = 100 * time.Millisecond

// Pressure counts the kernel's notifications of memory pressure, for all watched
// cgroups and the host in one goroutine: on v1 memory.pressure_level, on v2, and
// for the host on both, pressure stall triggers (LevelStalled). On v1 a level
// counts for the lower ones too, as the kernel sends it; notifications of cgroups
// below count for the one watched. Its methods may be called from several
// goroutines at once.
type Pressure struct {
	fs    *FS
	epoll int
	wake  int // eventfd that ends Run

	mu     sync.Mutex
	closed bool
	paths  map[string]*watched
	fds    map[int32]levelFD
}

// watched is one cgroup, told from a later one at its path by the inode of its
// directory.
type watched struct {
	dir    string
	inode  uint64
	file   string   // the pressure file of stalls; "" for levels
	names  []string // of what is counted
	fds    []int    // one per name
	counts [len(levels)]int64
}

func (w *watched) exists() bool { return w.inode == inodeOf(w.dir) }

type levelFD struct {
	w     *watched
	level int
}

// NewPressure prepares to count. It fails where there are no such notifications
// at all, neither of cgroups nor of the host.
func NewPressure(fs *FS) (*Pressure, error) {
	if fs.version == 0 || fs.noPSI != nil && (fs.version != 1 || fs.levelsHidden() != nil) {
		return nil, errors.Join(errNoNotifications, fs.noMemory, fs.noPSI)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll for pressure levels: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("eventfd for pressure levels: %w", err)
	}
	p := &Pressure{fs: fs, epoll: epoll, wake: wake, paths: map[string]*watched{}, fds: map[int32]levelFD{}}
	if err := p.poll(wake, unix.EPOLLIN); err != nil {
		unix.Close(wake)
		unix.Close(epoll)
		return nil, err
	}
	return p, nil
}

// levelsHidden is why there are no levels on v1 here.
func (fs *FS) levelsHidden() error {
	if filepath.Base(fs.mem.point) != string(cgroup1.Memory) || fs.mem.root != "/" {
		return fmt.Errorf("memory.pressure_level: the memory hierarchy is mounted at %q, not whole at .../memory", fs.mem.point)
	}
	return nil
}

func (p *Pressure) poll(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("poll pressure levels: %w", err)
	}
	return nil
}

// Watch starts counting for the cgroup at path, or for HostPressure, from zero.
// Watching it again is no error, and changes nothing while that cgroup exists. It
// costs a descriptor, three on v1; when too many are in use already, the error
// says so.
func (p *Pressure) Watch(path string) error {
	w := &watched{names: levels[:]}
	if path == HostPressure {
		w.dir = filepath.Join(p.fs.proc, "pressure")
	} else {
		var err error
		if w.dir, err = p.fs.dir(path); err != nil {
			return fmt.Errorf("watch memory pressure: %w", err)
		}
	}
	if path == HostPressure || p.fs.version == 2 {
		w.names, w.file = []string{LevelStalled}, p.fs.stallFile(path, w.dir)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("watch memory pressure: stopped")
	}
	if w := p.paths[path]; w != nil {
		if w.exists() {
			return nil
		}
		p.forget(path, w)
	}
	if !p.fs.fds.take(int64(len(w.names))) {
		return fmt.Errorf("watch memory pressure of %q: three quarters of the file descriptors are in use; raise LimitNOFILE (ulimit -n)", path)
	}
	w.inode = inodeOf(w.dir)
	p.paths[path] = w
	err := p.fs.levelsHidden()
	switch {
	case w.file != "":
		err = p.registerStalls(w)
	case err == nil:
		err = p.register(w, path)
	}
	if err != nil {
		p.forget(path, w)
		if !isDir(w.dir) {
			err = ErrGone
		}
		return fmt.Errorf("watch memory pressure of %q: %w", path, err)
	}
	return nil
}

// register asks the kernel for one eventfd per level.
func (p *Pressure) register(w *watched, path string) error {
	root := filepath.Dir(p.fs.mem.point)
	memory := func() ([]cgroup1.Subsystem, error) {
		return []cgroup1.Subsystem{cgroup1.NewMemory(root)}, nil
	}
	group, err := cgroup1.Load(cgroup1.StaticPath(filepath.Clean("/"+path)),
		cgroup1.WithHierarchy(memory), func(c *cgroup1.InitConfig) error {
			c.InitCheck = cgroup1.AllowAny
			return nil
		})
	if err != nil {
		return err
	}
	for i, level := range levels {
		fd, err := group.RegisterMemoryEvent(cgroup1.MemoryPressureEvent(
			cgroup1.MemoryPressureLevel(level), cgroup1.HierarchyMode))
		if err != nil {
			return err
		}
		w.fds = append(w.fds, int(fd))
		p.fds[int32(fd)] = levelFD{w, i}
		if err := unix.SetNonblock(int(fd), true); err != nil {
			return err
		}
		if err := p.poll(int(fd), unix.EPOLLIN); err != nil {
			return err
		}
	}
	return nil
}

// forget lets go of the descriptors of w; the kernel takes its events back then.
func (p *Pressure) forget(path string, w *watched) {
	for _, fd := range w.fds {
		delete(p.fds, int32(fd))
		unix.Close(fd)
	}
	p.fs.fds.give(int64(len(w.names)))
	delete(p.paths, path)
}

// Forget stops counting for path.
func (p *Pressure) Forget(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.paths[path]; w != nil {
		p.forget(path, w)
	}
}

// Counts is the notifications of path since Watch, by level, also after the
// cgroup has gone, until Forget; nil when there were none or it is not watched.
// What the kernel has notified of is in it within levelPause.
func (p *Pressure) Counts(path string) map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countsOf(p.paths[path])
}

// CountsNow is Counts with the levels (v1) that the kernel has added up by now.
func (p *Pressure) CountsNow(path string) map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.paths[path]
	if w != nil && w.file == "" {
		for _, fd := range w.fds {
			if l, ok := p.fds[int32(fd)]; ok {
				p.count(unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}, l)
			}
		}
	}
	return p.countsOf(w)
}

func (p *Pressure) countsOf(w *watched) map[string]int64 {
	if w == nil || w.counts == [len(levels)]int64{} {
		return nil
	}
	out := make(map[string]int64, len(w.names))
	for i, name := range w.names {
		out[name] = w.counts[i]
	}
	return out
}

// Run counts until ctx ends, and then lets go of everything. It is called once.
func (p *Pressure) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			_, _ = unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1))
		}
	})
	defer stop()
	defer p.close()

	events := make([]unix.EpollEvent, 256)
	pause := time.NewTimer(levelPause)
	defer pause.Stop()
	for ctx.Err() == nil {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for pressure levels: %w", err)
		}
		p.mu.Lock()
		for _, ev := range events[:max(n, 0)] {
			if fd, ok := p.fds[ev.Fd]; ok {
				p.count(ev, fd)
			}
		}
		p.mu.Unlock()
		pause.Reset(levelPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
	return nil
}

// count adds what the kernel counted since the last look.
func (p *Pressure) count(ev unix.EpollEvent, l levelFD) {
	fd := int(ev.Fd)
	if l.w.file != "" {
		// A trigger has no counter: it notifies once in its window at most. Of
		// a removed cgroup it gives an error for ever.
		if ev.Events&unix.EPOLLERR != 0 {
			p.ignore(fd)
		} else {
			l.w.counts[0]++
		}
		return
	}
	var b [8]byte
	if _, err := unix.Read(fd, b[:]); err != nil {
		return
	}
	n := int64(binary.NativeEndian.Uint64(b[:]))
	if !l.w.exists() {
		n-- // the kernel adds one for the removal, which is no pressure
		p.ignore(fd)
	}
	l.w.counts[l.level] += n
}

// ignore ends the polling of a descriptor, which stays open until Forget.
func (p *Pressure) ignore(fd int) {
	delete(p.fds, int32(fd))
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) // it is polled by this one alone
}

func (p *Pressure) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for path, w := range p.paths {
		p.forget(path, w)
	}
	unix.Close(p.wake)
	unix.Close(p.epoll)
}
