package cgroup

import (
	"bytes"
	"math"
	"time"
)

// bufSize holds the longest file read here: memory.stat is about 2 KiB.
const bufSize = 16 << 10

// noLimit is what v1 prints for "no limit": the largest number of whole pages,
// whatever the page size, is above this.
const noLimit = math.MaxInt64 &^ (1<<20 - 1)

// parseInt reads a decimal number; "max" is Unlimited.
func parseInt(b []byte) (int64, bool) {
	b = bytes.TrimSpace(b)
	if string(b) == "max" {
		return Unlimited, true
	}
	if len(b) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			return math.MaxInt64, true
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// parseLimit is parseInt for a limit file, where v1 prints a huge number for none.
func parseLimit(b []byte) (int64, bool) {
	n, ok := parseInt(b)
	if ok && n >= noLimit {
		return Unlimited, true
	}
	return n, ok
}

// nextField cuts the next "key value" line off b. Lines of another form give a nil key.
func nextField(b []byte) (key, value, rest []byte) {
	line := b
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		line, rest = b[:i], b[i+1:]
	}
	if i := bytes.IndexByte(line, ' '); i > 0 {
		return line[:i], line[i+1:], rest
	}
	return nil, nil, rest
}

// field finds one counter:
//
//	oom_kill_disable 0
//	under_oom 0
//	oom_kill 2
func field(b []byte, name string) (int64, bool) {
	for len(b) > 0 {
		key, value, rest := nextField(b)
		if string(key) == name {
			return parseInt(value)
		}
		b = rest
	}
	return 0, false
}

// noStat is a breakdown of which nothing was told.
var noStat = Stat{Anon: -1, File: -1, Shmem: -1, Kernel: -1, Slab: -1, SlabReclaimable: -1, Lazy: -1, Refaults: -1}

// lazy derives the pages that MADV_FREE freed: those on the lists of file pages beyond
// the page cache, of which shared memory lies on other lists. What is mlocked lies on
// neither, so this is too little rather than too much.
func (s *Stat) lazy(inactive, active int64) {
	if s.Anon >= 0 && s.File >= 0 && s.Shmem >= 0 && inactive >= 0 && active >= 0 {
		s.Lazy = min(max(inactive+active-max(s.File-s.Shmem, 0), 0), s.Anon)
	}
}

// parseStatV1 reads v1's memory.stat, the totals of the cgroup and all below
// it, and gives the swap in use; -1 where swap is not accounted.
//
//	total_cache 4096
//	total_rss 8192
func parseStatV1(b []byte, s *Stat) (swap int64) {
	*s = noStat
	swap = -1
	inactive, active := int64(-1), int64(-1)
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		switch string(key) {
		case "total_rss":
			set(&s.Anon, value)
		case "total_cache":
			set(&s.File, value)
		case "total_shmem":
			set(&s.Shmem, value)
		case "total_swap":
			set(&swap, value)
		case "total_inactive_file":
			set(&inactive, value)
		case "total_active_file":
			set(&active, value)
		case "total_workingset_refault_file":
			set(&s.Refaults, value)
		}
	}
	s.lazy(inactive, active)
	return swap
}

// parseStatV2 reads v2's memory.stat. Before Linux 5.18 it has no "kernel"; the
// parts it had then are added up instead.
//
//	anon 33161216
//	file 0
//	kernel 344064
func parseStatV2(b []byte, s *Stat) {
	*s = noStat
	parts, seen := int64(0), false
	inactive, active := int64(-1), int64(-1)
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		switch string(key) {
		case "anon":
			set(&s.Anon, value)
		case "file":
			set(&s.File, value)
		case "shmem":
			set(&s.Shmem, value)
		case "kernel":
			set(&s.Kernel, value)
		case "workingset_refault_file", "workingset_refault":
			set(&s.Refaults, value)
		case "inactive_file":
			set(&inactive, value)
		case "active_file":
			set(&active, value)
		case "slab_reclaimable":
			set(&s.SlabReclaimable, value)
		case "slab":
			set(&s.Slab, value)
			fallthrough
		case "kernel_stack", "pagetables", "percpu":
			if n, ok := parseInt(value); ok && n <= math.MaxInt64-parts {
				parts, seen = parts+n, true
			}
		}
	}
	if s.Kernel < 0 && seen {
		s.Kernel = parts
	}
	s.lazy(inactive, active)
}

func set(to *int64, value []byte) {
	if n, ok := parseInt(value); ok {
		*to = n
	}
}

// parsePSI reads a pressure file:
//
//	some avg10=0.12 avg60=0.03 avg300=0.00 total=54321
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=1234
func parsePSI(b []byte, p *PSI) bool {
	*p = PSI{}
	seen := false
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		switch string(key) {
		case "some":
			p.SomeAvg10, p.SomeTotal, seen = psiLine(value)
		case "full":
			p.FullAvg10, p.FullTotal, _ = psiLine(value)
		}
	}
	return seen
}

func psiLine(b []byte) (avg10 float64, total time.Duration, ok bool) {
	for len(b) > 0 {
		word := b
		if i := bytes.IndexByte(b, ' '); i >= 0 {
			word, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if v, found := bytes.CutPrefix(word, []byte("avg10=")); found {
			avg10, ok = parseHundredths(v)
		} else if v, found := bytes.CutPrefix(word, []byte("total=")); found {
			us, good := parseInt(v)
			total, ok = time.Duration(us)*time.Microsecond, ok && good && us <= math.MaxInt64/1000
		}
	}
	return avg10, total, ok
}

// parseHundredths reads "12.34".
func parseHundredths(b []byte) (float64, bool) {
	whole, part, _ := bytes.Cut(b, []byte("."))
	n, ok := parseInt(whole)
	m := int64(0)
	if len(part) > 0 {
		var good bool
		if m, good = parseInt(part); !good || len(part) != 2 {
			return 0, false
		}
	}
	return float64(n) + float64(m)/100, ok
}

// parseKB reads "  24684096 kB".
func parseKB(b []byte) (int64, bool) {
	b, ok := bytes.CutSuffix(b, []byte(" kB"))
	n, good := parseInt(b)
	return n << 10, ok && good && n < math.MaxInt64>>14
}

// parseEvents reads memory.events, and v1's memory.oom_control, of which only
// oom_kill counts. It gives oom_kill; -1 where there is none.
//
//	low 0
//	high 12
//	max 3
//	oom 1
//	oom_kill 1
//	oom_group_kill 0
func parseEvents(b []byte, e *Events) (kills int64) {
	*e = Events{-1, -1, -1, -1}
	kills = -1
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		switch string(key) {
		case "low":
			set(&e.Low, value)
		case "high":
			set(&e.High, value)
		case "max":
			set(&e.Max, value)
		case "oom":
			set(&e.OOM, value)
		case "oom_kill":
			set(&kills, value)
		}
	}
	return kills
}

// parseCPU reads the quota's part of cpu.stat; v1 gives nanoseconds. Without the
// cpu controller v2 has only the usage.
//
//	nr_periods 120
//	nr_throttled 7
//	throttled_usec 350000
//	throttled_time 350000000
func parseCPU(b []byte, c *CPU) bool {
	*c = CPU{}
	seen, unit := false, time.Microsecond
	spent := int64(0)
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		switch string(key) {
		case "nr_periods":
			set(&c.Periods, value)
			seen = true
		case "nr_throttled":
			set(&c.Throttled, value)
		case "throttled_usec":
			set(&spent, value)
		case "throttled_time":
			set(&spent, value)
			unit = time.Nanosecond
		}
	}
	if spent <= math.MaxInt64/int64(unit) {
		c.ThrottledTime = time.Duration(spent) * unit
	}
	return seen
}
