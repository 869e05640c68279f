package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// A watchdog for memory must not be what fills it. The heap that lives is a few
// megabytes; a lower GOGC keeps the garbage in that order too.
const gcPercent = 25

// releaseEvery is how often the program's own pages are released, and the heap at every
// heapEvery-th time: that collects all garbage first, and gcPercent leaves little.
const (
	releaseEvery = 10 * time.Second
	heapEvery    = 30
)

// While what is kept is read, there may be more garbage, and more goroutines run at once
// than there are processors. With gcPercent the collector ran 46 times a second and took
// most of the time that reading did; and what a death wakes waited up to 10 ms until a
// reader was taken off its processor.
const (
	readingPercent = 100
	spareProcs     = 2
)

// A tuner sets how the runtime works: with little memory at rest.
type tuner struct {
	gcFixed, procsFixed bool // the environment sets it

	mu      sync.Mutex
	readers int  // answers that are read now
	eased   bool // it works as while reading
}

// start sets gcPercent, unless the environment sets GOGC, and returns what sets it back.
func (t *tuner) start() (undo func()) {
	t.gcFixed, t.procsFixed = os.Getenv("GOGC") != "", os.Getenv("GOMAXPROCS") != ""
	if t.gcFixed {
		return func() {}
	}
	before := debug.SetGCPercent(gcPercent)
	return func() { debug.SetGCPercent(before) }
}

// read has it work as while reading until done, and until rest is called after that.
func (t *tuner) read() (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers++
	if !t.eased {
		t.eased = true
		if !t.gcFixed {
			debug.SetGCPercent(readingPercent)
		}
		if !t.procsFixed {
			runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareProcs)
		}
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.readers--
	}
}

// rest has it work as at rest again where nothing is read.
func (t *tuner) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.eased || t.readers > 0 {
		return
	}
	t.eased = false
	if !t.gcFixed {
		debug.SetGCPercent(gcPercent)
	}
	if !t.procsFixed {
		runtime.SetDefaultGOMAXPROCS()
	}
}

// keepFootprint releases memory that the program does not need, until ctx ends.
func keepFootprint(ctx context.Context, tune *tuner, log *zap.Logger) error {
	own, err := ownMappings()
	if err != nil {
		log.Debug("the program's pages are not released", zap.Error(err))
	}
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		tune.rest()
		if n%heapEvery == 0 { // the first time too: what the start has left
			debug.FreeOSMemory()
		}
		if err := releasePages(own); err != nil {
			log.Debug("the program's pages are not released", zap.Error(err))
		}
	}
}

// mapping is a range of addresses.
type mapping struct{ from, size uintptr }

// ownMappings are where the program file itself is mapped, all but what it writes to.
// They stay where they are as long as it runs.
func ownMappings() ([]mapping, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("find the program's file: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("read the program's mappings: %w", err)
	}
	var own []mapping
	for line := range bytes.Lines(maps) {
		// 00400000-0065f000 r-xp 00000000 fe:00 1234  /usr/local/bin/oomwatch
		f := bytes.Fields(line)
		if len(f) < 6 || string(f[5]) != exe || f[1][1] == 'w' {
			continue
		}
		from, to, ok := bytes.Cut(f[0], []byte("-"))
		a, err1 := strconv.ParseUint(string(from), 16, 64)
		b, err2 := strconv.ParseUint(string(to), 16, 64)
		if ok && err1 == nil && err2 == nil {
			own = append(own, mapping{uintptr(a), uintptr(b - a)})
		}
	}
	return own, nil
}

// releasePages releases the pages of the program file itself that were touched once, most
// of them at the start. Those that are needed again come back from the page cache.
func releasePages(own []mapping) error {
	var all error
	for _, m := range own {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, m.from, m.size, syscall.MADV_DONTNEED); errno != 0 {
			all = errors.Join(all, fmt.Errorf("release the program's pages: %w", errno))
		}
	}
	return all
}
