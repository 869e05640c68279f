package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/incident"
)

// disk is one filesystem.
type disk struct {
	id     string
	path   string // as the engine names it
	real   string // as it is found from here
	engine string
	holds  bool // the engine's own files: layers, images, logs
	uses   []incident.DiskUse
	read   time.Time
	quick  bool // it is read at each tick
	local  bool // it always answers
	dev    uint64
	whole  time.Time // when its device was looked at last
	fills  bool      // it grew quickly between the last two readings
	empty  bool      // a tmpfs with next to nothing in it
	last   incident.Disk
	told   bool
}

// wholeEvery is the longest between two looks at the device of a filesystem.
const wholeEvery = time.Minute

// maxDisks bounds the filesystems that are followed, maxUses the places told of one.
const (
	maxDisks = 2048
	maxUses  = 16
)

// adopt finds the filesystems of who runs now.
func (s *Source) adopt(ctx context.Context) {
	all, changed := s.snapshot()
	if !changed {
		return
	}
	slices.SortFunc(all, func(a, b *container) int { return cmp.Compare(a.id, b.id) })
	next := map[string]*disk{}
	logs := map[string]*logFile{}
	for _, c := range all {
		roots := s.opt.Roots(c.engine)
		s.find(ctx, c, roots)
		for _, p := range c.found {
			s.use(next, c, &p)
		}
		if p := c.places.LogPath; p != "" && len(roots) > 0 {
			l := s.logs[c.id]
			if l == nil {
				l = &logFile{}
			}
			l.container, l.unbounded, l.paths = c, c.places.LogUnbounded, l.paths[:0]
			for _, r := range roots {
				l.paths = append(l.paths, filepath.Join(r, p))
			}
			logs[c.id] = l
		}
	}
	s.disks, s.logs = next, logs
}

// find finds the filesystems that a container's places are on, once.
func (s *Source) find(ctx context.Context, c *container, roots []string) {
	if c.looked {
		return
	}
	c.looked = true
	for _, f := range c.places.Filesystems {
		var at []string
		switch {
		case f.Kind == "tmpfs" && c.pid > 0:
			at = []string{filepath.Join(s.opt.Proc, strconv.Itoa(c.pid), "root", f.Mount)}
		case f.Source != "":
			for _, r := range roots {
				at = append(at, filepath.Join(r, f.Source))
			}
		}
		for _, path := range at {
			if a, err := s.gauge.look(ctx, path); err == nil {
				if !a.readOnly && a.disk.Size > 0 {
					c.found = append(c.found, place{a.dev, path, a.local, f})
				}
				break
			}
		}
	}
}

// use adds one place of a container to the filesystem that it is on.
func (s *Source) use(next map[string]*disk, c *container, p *place) {
	id := diskID(p.dev)
	d := next[id]
	if d == nil {
		if len(next) >= maxDisks {
			return
		}
		d = &disk{id: id, dev: p.dev, path: cmp.Or(p.of.Source, p.of.Mount), real: p.real, local: p.local, engine: c.engine}
		if old := s.disks[id]; old != nil {
			d.read, d.whole, d.quick, d.fills, d.empty, d.last, d.told = old.read, old.whole, old.quick, old.fills, old.empty, old.last, old.told
		}
		next[id] = d
	}
	if p.of.Kind == "layer" {
		d.holds, d.path, d.real, d.local, d.engine = true, p.of.Source, p.real, p.local, c.engine
	}
	if len(d.uses) < maxUses {
		d.uses = append(d.uses, incident.DiskUse{Container: c.id, Name: c.name, Mount: p.of.Mount, Kind: p.of.Kind})
	}
}

func diskID(dev uint64) string { return "disk:" + strconv.FormatUint(dev, 10) }

// readDisks reads what is due, and returns what is worth a word.
func (s *Source) readDisks(ctx context.Context, now time.Time) []incident.Disk {
	var out []incident.Disk
	for _, id := range sortedKeys(s.disks) {
		d := s.disks[id]
		every := readEvery
		if d.empty {
			every = emptyEvery
		}
		if !d.quick && now.Sub(d.read) < every-tickEvery/2 {
			continue
		}
		a, err := s.look(ctx, d, now)
		if err != nil || a.dev != d.dev {
			continue // it is away, or something else is mounted there
		}
		used, before := share(&a.disk), share(&d.last)
		// One that is new is read again at once: it may be filling already.
		first := d.read.IsZero()
		d.fills = !first && (used-before > quickShare || d.fills && used > before)
		d.quick = first || d.fills
		d.read, d.last = now, a.disk
		d.empty = d.uses[0].Kind == "tmpfs" && used < emptyShare && inodeShare(&a.disk) < emptyShare
		if used < reportFrom && inodeShare(&a.disk) < reportFrom && !d.fills && !d.told {
			continue
		}
		d.told = true
		r := a.disk
		r.ID, r.Path, r.Uses, r.Fill = d.id, d.path, d.uses, s.fill(d)
		if s.opt.Tool != nil {
			r.Tool = s.opt.Tool(d.engine)
		}
		out = append(out, r)
	}
	return out
}

// look asks a filesystem. One that is known to answer is asked without a goroutine and a
// timer, and whether it still is the same one only where its size says that it may not be:
// each container has a few, and together they cost more than the question.
func (s *Source) look(ctx context.Context, d *disk, now time.Time) (looked, error) {
	if !d.local {
		return s.gauge.look(ctx, d.real)
	}
	if now.Sub(d.whole) < wholeEvery {
		if a, err := room(d.real); err != nil || a.disk.Size == d.last.Size && a.disk.Inodes == d.last.Inodes {
			a.dev = d.dev
			return a, err
		}
	}
	d.whole = now
	return ask(d.real)
}

// share is the part of a filesystem that is in use, as far as an ordinary user can use it.
func share(d *incident.Disk) float64 {
	if d.Size <= 0 {
		return 0
	}
	return 1 - float64(d.Free)/float64(d.Size)
}

func inodeShare(d *incident.Disk) float64 {
	if d.Inodes <= 0 {
		return 0
	}
	return 1 - float64(d.InodesFree)/float64(d.Inodes)
}

// gauge asks filesystems how they stand. One to a server that is away may never answer:
// a few questions wait at most.
type gauge struct{ asking chan struct{} }

const gaugeWait = 300 * time.Millisecond

func newGauge() gauge { return gauge{make(chan struct{}, 4)} }

// looked is how a filesystem stands.
type looked struct {
	dev      uint64
	readOnly bool
	local    bool // it needs no server, nor a program, to answer
	disk     incident.Disk
}

var errNoAnswer = errors.New("the filesystem does not answer")

// look asks the filesystem that path is on.
func (g gauge) look(ctx context.Context, path string) (looked, error) {
	select {
	case g.asking <- struct{}{}:
	default:
		return looked{}, errNoAnswer
	}
	type result struct {
		looked
		err error
	}
	got := make(chan result, 1)
	go func() {
		defer func() { <-g.asking }()
		var r result
		r.looked, r.err = ask(path)
		got <- r
	}()
	late := time.NewTimer(gaugeWait)
	defer late.Stop()
	select {
	case r := <-got:
		return r.looked, r.err
	case <-late.C:
		return looked{}, fmt.Errorf("%s: %w", path, errNoAnswer)
	case <-ctx.Done():
		return looked{}, ctx.Err()
	}
}

// ask reads statfs(2) and the device of a path.
func ask(path string) (looked, error) {
	l, err := room(path)
	if err != nil {
		return looked{}, err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return looked{}, err
	}
	l.dev = st.Dev
	return l, nil
}

// room reads statfs(2) of a path.
func room(path string) (looked, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return looked{}, err
	}
	unit := fs.Frsize
	if unit == 0 {
		unit = fs.Bsize
	}
	const readOnly = 1 // statfs(2): ST_RDONLY
	// What is reserved for root cannot be used: the size is what an ordinary user sees.
	usable := int64(fs.Blocks-fs.Bfree+fs.Bavail) * unit
	l := looked{readOnly: fs.Flags&readOnly != 0, local: localTypes[int64(fs.Type)], disk: incident.Disk{Size: usable, Free: int64(fs.Bavail) * unit}}
	if fs.Files > 0 {
		l.disk.Inodes, l.disk.InodesFree = int64(fs.Files), int64(fs.Ffree)
	}
	return l, nil
}

// localTypes are filesystems on this machine's memory or disks, by their numbers in
// statfs(2). An overlay may lie on any other.
var localTypes = map[int64]bool{unix.TMPFS_MAGIC: true, unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
