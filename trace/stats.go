package trace

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cpuStats are the kernel's counters of one processor's buffer.
type cpuStats struct {
	overrun uint64 // overwritten unread: told in the next page as well
	dropped uint64 // never written ("commit overrun", "dropped events")
}

// parseCPUStats reads per_cpu/cpuN/stats:
//
//	entries: 0
//	overrun: 12
//	commit overrun: 0
//	bytes: 104
//	oldest event ts:  4409.082153
//	now ts:  4409.095789
//	dropped events: 0
//	read events: 0
func parseCPUStats(text string) (cpuStats, error) {
	var s cpuStats
	seen := false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		switch key {
		case "overrun":
			s.overrun, seen = n, true
		case "commit overrun", "dropped events":
			s.dropped += n
		default:
			continue
		}
		if err != nil {
			return s, fmt.Errorf("counter %q of the ring buffer: %w", key, err)
		}
	}
	if !seen {
		return s, fmt.Errorf("no overrun counter in %q", text)
	}
	return s, nil
}

func (c *cpu) readStats() (cpuStats, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, "stats"))
	if err != nil {
		return cpuStats{}, fmt.Errorf("read the ring buffer's counters: %w", err)
	}
	return parseCPUStats(string(b))
}

// Stats returns the counts so far. It may be called from any goroutine.
func (in *Instance) Stats() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.stats
	for _, c := range in.cpus {
		n := c.lost // all that is known once the instance is removed
		if now, err := c.readStats(); err == nil {
			n = max(n, now.overrun+now.dropped)
			c.final = n
		}
		s.Lost += max(n, c.final)
	}
	return s
}
