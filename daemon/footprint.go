package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// A watchdog for memory must not be what fills it. The heap that lives is a few
// megabytes; a smaller pace of the collector keeps the garbage in that order too.
const gcPercent = 25

// leanEvery is how often the program's own pages are given back, and the heap at
// every heapEvery-th time: that collects all garbage first, and the collector's
// pace leaves little to give back.
const (
	leanEvery = 10 * time.Second
	heapEvery = 30
)

// keepLean sets the collector's pace, unless GOGC sets another.
func keepLean() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
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

// shed gives back the pages of the program file itself that were touched once, most
// of them at the start. Those that are needed again come back from the page cache.
func shed(own []mapping) error {
	var all error
	for _, m := range own {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, m.from, m.size, syscall.MADV_DONTNEED); errno != 0 {
			all = errors.Join(all, fmt.Errorf("let go of the program's pages: %w", errno))
		}
	}
	return all
}
