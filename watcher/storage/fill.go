package storage

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// logFile is the log of one container, and its sizes of the last minutes.
type logFile struct {
	container *container
	paths     []string // where it may be found from here
	unbounded bool
	sizes     []sized
	told      bool
}

type sized struct {
	at    time.Time
	bytes int64
}

const (
	// logMemory is how many sizes are kept: the last hour of those logsEvery apart.
	logMemory = 360
	// logRecent is the time over which a log's present growth is measured, and logLeast
	// what it must cover at least. Its second half must grow as fast while less
	// than all of it was seen: a program writes much when it starts.
	logRecent, logLeast = 2 * time.Minute, 30 * time.Second
	// logReport is the growth in an hour from which a log is reported.
	logReport = 256 << 20
)

// readLogs reads the sizes of all log files.
func (s *Source) readLogs(now time.Time) {
	var st syscall.Stat_t
	for _, l := range s.logs {
		for _, path := range l.paths {
			if syscall.Stat(path, &st) != nil {
				continue
			}
			if n := len(l.sizes); n > 0 && st.Size < l.sizes[n-1].bytes {
				l.sizes = l.sizes[:0] // it was rotated or emptied
			}
			if len(l.sizes) >= logMemory {
				l.sizes = slices.Delete(l.sizes, 0, 1)
			}
			l.sizes = append(l.sizes, sized{now, st.Size})
			break
		}
	}
}

// size is the size that was read last; 0 for none.
func (l *logFile) size() int64 {
	if n := len(l.sizes); n > 0 {
		return l.sizes[n-1].bytes
	}
	return 0
}

// perHour is by how much it grows in an hour, as measured over a span, and how much of that
// was seen.
func (l *logFile) perHour(span time.Duration) (rate int64, over time.Duration) {
	n := len(l.sizes)
	if n < 2 {
		return 0, 0
	}
	last, first := l.sizes[n-1], n-1
	for first > 0 && last.at.Sub(l.sizes[first-1].at) <= span {
		first--
	}
	over = last.at.Sub(l.sizes[first].at)
	return int64(float64(last.bytes-l.sizes[first].bytes) / over.Hours()), over
}

// lately is by how much it grows in an hour at present; false where too little was seen.
func (l *logFile) lately() (rate int64, ok bool) {
	rate, over := l.perHour(logRecent)
	if over < logLeast {
		return 0, false
	}
	if over < logRecent {
		half, _ := l.perHour(over / 2)
		rate = min(rate, half)
	}
	return rate, true
}

// growing are the logs, of those that were read at now, that are worth a word: those that
// grow quickly, and those that did.
func (s *Source) growing(now time.Time) []incident.LogFile {
	var out []incident.LogFile
	for _, id := range sortedKeys(s.logs) {
		l := s.logs[id]
		if n := len(l.sizes); n == 0 || !l.sizes[n-1].at.Equal(now) {
			continue // it could not be read just now
		}
		rate, ok := l.lately()
		if !ok || rate < logReport && !l.told {
			continue
		}
		l.told = rate >= logReport
		out = append(out, incident.LogFile{Container: id, Bytes: l.size(), PerHour: rate, Unbounded: l.unbounded, Free: s.freeFor(l.container)})
	}
	return out
}

// freeFor is what the engine's disk of a container has left; -1 where that is not known.
func (s *Source) freeFor(c *container) int64 {
	for _, d := range s.disks {
		if d.holds && d.engine == c.engine && !d.read.IsZero() {
			return d.last.Free
		}
	}
	return -1
}

// usage is what an engine said is on its disk.
type usage struct {
	asked  time.Time
	now    *incident.DiskUsage
	before *incident.DiskUsage
}

// answer is what an engine said.
type answer struct {
	engine string
	usage  *incident.DiskUsage
}

// ask asks the engines whose disk fills what is on it: beside all else, and seldom.
func (s *Source) ask(ctx context.Context, now time.Time, answers chan<- answer) {
	if s.opt.Usage == nil {
		return
	}
	for _, d := range s.disks {
		if !d.holds || d.read.IsZero() || share(&d.last) < lookFrom && inodeShare(&d.last) < lookFrom {
			continue
		}
		u := s.usages[d.engine]
		if u == nil {
			u = &usage{}
			s.usages[d.engine] = u
		}
		if !u.asked.IsZero() && now.Sub(u.asked) < usageEvery {
			continue
		}
		u.asked = now
		engine := d.engine
		s.asking.Go(func() {
			got, err := s.opt.Usage(ctx, engine)
			if err != nil {
				return // the disk is warned of without it
			}
			select {
			case answers <- answer{engine, got}:
			case <-ctx.Done():
			}
		})
	}
}

func (s *Source) answered(a answer) {
	if u := s.usages[a.engine]; u != nil {
		u.before, u.now = u.now, a.usage
	}
}

// fillMost is how many things that fill a disk are told.
const fillMost = 5

// fill is what fills a filesystem, the largest first: logs, and what its engine said.
func (s *Source) fill(d *disk) []incident.DiskFill {
	if !d.holds {
		return nil
	}
	var out []incident.DiskFill
	for id, l := range s.logs {
		if l.container.engine != d.engine || l.size() == 0 {
			continue
		}
		f := incident.DiskFill{Kind: "log", Container: id, Name: l.container.name, Bytes: l.size(), Unbounded: l.unbounded}
		if rate, over := l.perHour(time.Hour); over >= logLeast {
			f.PerHour = &rate
		}
		out = append(out, f)
	}
	if u := s.usages[d.engine]; u != nil && u.now != nil {
		for _, f := range u.now.Fill {
			f.PerHour = u.grown(&f)
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b incident.DiskFill) int {
		switch {
		case a.Bytes != b.Bytes:
			return int(max(min(b.Bytes-a.Bytes, 1), -1))
		case a.Kind+a.Name < b.Kind+b.Name:
			return -1
		}
		return 1
	})
	return out[:min(len(out), fillMost)]
}

// grown is by how much a thing has grown in an hour between two answers of an engine.
func (u *usage) grown(f *incident.DiskFill) *int64 {
	if u.before == nil {
		return nil
	}
	for i := range u.before.Fill {
		if b := &u.before.Fill[i]; b.Kind == f.Kind && b.Container == f.Container {
			if over := u.now.At.Sub(u.before.At); over >= time.Minute {
				return new(int64(float64(f.Bytes-b.Bytes) / over.Hours()))
			}
		}
	}
	return nil
}
