package trace

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// tickNanos is the length of the clock tick that /proc counts in: USER_HZ is
// 100 on every Linux that runs Go.
const tickNanos = int64(time.Second / 100)

// lookup finds out about processes. One lookup serves one round of reading: what
// it has found it does not ask again.
type lookup struct {
	proc  string // "" where the numbers of the events name other processes
	saved string // the kernel's own list of names of tasks that it traced

	known map[int]Process
	// list is what saved says, once it was read in this round. Its memory is
	// used again: there are thousands of names in it.
	list bytes.Buffer
	read bool
	// waiting are the command lines that are being read.
	waiting atomic.Int32
}

// begin forgets what the last round found.
func (l *lookup) begin() { l.known, l.read = make(map[int]Process), false }

// process tells of a task that was running, or was signalled, at boottime.
func (l *lookup) process(tid int, boottime time.Duration) Process {
	if tid == 0 {
		return Process{Comm: "swapper"} // the idle task has no /proc entry
	}
	p, ok := l.known[tid]
	if !ok {
		p = l.find(tid, boottime)
		l.known[tid] = p
	}
	return p
}

func (l *lookup) find(tid int, boottime time.Duration) Process {
	if l.proc != "" {
		if p, ok := readProcess(l.proc, tid); ok && !p.startedAfter(boottime) {
			return p
		}
	}
	if !l.read {
		l.read = true
		l.readSaved()
	}
	return Process{TID: tid, PID: tid, Comm: savedName(l.list.Bytes(), tid), Gone: true}
}

// readSaved reads the list. Without it a name is not known; the rest stands.
func (l *lookup) readSaved() {
	l.list.Reset()
	f, err := os.Open(l.saved)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := l.list.ReadFrom(f); err != nil {
		l.list.Reset() // a part of it could hide that a number comes twice
	}
}

// startedAfter reports whether p came after the event that names its number:
// it is another process, given a number that was free again. Two ticks are the
// precision of both stamps.
func (p *Process) startedAfter(boottime time.Duration) bool {
	return int64(p.Start)*tickNanos > int64(boottime)+2*tickNanos
}

// readProcess reads what /proc says of the process that tid is a thread of. ok is
// false when there is no such task any more.
func readProcess(proc string, tid int) (p Process, ok bool) {
	p = Process{TID: tid, PID: tid}
	dir := filepath.Join(proc, strconv.Itoa(tid))
	// What goes first: the group is left and the program unmapped while the
	// name and the rest can still be read.
	cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
	p.Exe, _ = os.Readlink(filepath.Join(dir, "exe"))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, false
	}
	p.PID, p.PPID, p.Init = parseStatus(status)
	p.UID = effectiveUID(status)
	if p.PID == 0 {
		return p, false
	}
	if p.PID != tid {
		dir = filepath.Join(proc, strconv.Itoa(p.PID))
	}
	if name, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil {
		p.Comm = comm(bytes.TrimSuffix(name, []byte("\n")))
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false
	}
	start, exiting, ok := parseStat(stat)
	if !ok {
		return p, false
	}
	p.Start = start
	p.Cgroup = parseCgroup(string(cgroup), exiting)
	return p, true
}

// maxAncestors is how far up the first process of a PID namespace is looked for.
const maxAncestors = 16

// confined climbs from p to the first process of its PID namespace. Who was put into the
// namespace from outside, by exec or as a sidecar, has another parent or another cgroup.
func (l *lookup) confined(p Process) bool {
	first := p
	for range maxAncestors {
		switch {
		case p.Cgroup == "" || p.Cgroup != first.Cgroup:
			return false
		case p.Init:
			return true
		}
		var ok bool
		if p, ok = readProcess(l.proc, p.PPID); !ok {
			return false
		}
	}
	return false
}

// parseStatus reads the process and the parent from /proc/TID/status, and whether
// it is the first of a PID namespace right below this one ("NStgid: 4242 1"). The
// name in it, which somebody else chose, has its newlines escaped by the kernel.
func parseStatus(b []byte) (pid, ppid int, init bool) {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			pid, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
		if v, ok := bytes.CutPrefix(line, []byte("PPid:")); ok {
			ppid, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
		if v, ok := bytes.CutPrefix(line, []byte("NStgid:")); ok {
			f := bytes.Fields(v)
			return pid, ppid, len(f) == 2 && string(f[1]) == "1"
		}
	}
	return pid, ppid, false
}

// effectiveUID reads the second number of a status's "Uid:\t1000\t0\t0\t0"; nil for none.
func effectiveUID(status []byte) *int {
	for line := range bytes.Lines(status) {
		v, ok := bytes.CutPrefix(line, []byte("Uid:"))
		if !ok {
			continue
		}
		if f := bytes.Fields(v); len(f) > 1 {
			if uid, err := strconv.Atoi(string(f[1])); err == nil {
				return &uid
			}
		}
		return nil
	}
	return nil
}

const (
	// maxCommand bounds what is read of a command line, in bytes.
	maxCommand = 4 << 10
	// commandWait is how long to wait for one, maxWaiting how many may be waited for.
	commandWait = 100 * time.Millisecond
	maxWaiting  = 4
)

// command reads the command line of a process. It lies in that process's own memory: one
// that maps a file there whose filesystem does not answer holds up whoever reads it.
// Therefore another goroutine reads, for a bounded time, and no more than a few of them.
func (l *lookup) command(pid int) string {
	if l.proc == "" || l.waiting.Load() >= maxWaiting {
		return ""
	}
	l.waiting.Add(1)
	path, answer := filepath.Join(l.proc, strconv.Itoa(pid), "cmdline"), make(chan string, 1)
	go func() {
		defer l.waiting.Add(-1)
		answer <- readCommand(path)
	}()
	late := time.NewTimer(commandWait)
	defer late.Stop()
	select {
	case s := <-answer:
		return s
	case <-late.C:
		return ""
	}
}

// readCommand reads the words of /proc/PID/cmdline, each of which ends with a NUL.
func readCommand(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCommand))
	if err != nil {
		return ""
	}
	return strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " ")
}

// parseStat reads start time and PF_EXITING from /proc/PID/stat. The name in it
// ends with the last bracket of all.
//
//	4242 (x) R 1) S 1 4242 4242 0 -1 4194304 ... 22 0 1 0 987654 ...
func parseStat(b []byte) (start uint64, exiting, ok bool) {
	const exitingFlag = 4
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, false, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return 0, false, false
	}
	flags, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return 0, false, false
	}
	start, err = strconv.ParseUint(f[19], 10, 64)
	return start, flags&exitingFlag != 0, err == nil
}

// parseCgroup finds the path of the memory hierarchy in /proc/PID/cgroup:
//
//	4:memory:/docker/<id>     (v1)
//	0::/system.slice/x.scope  (v2)
//
// For a process that is ending v1 says "/", wherever it was: that is no answer.
func parseCgroup(s string, exiting bool) string {
	unified := ""
	for line := range strings.Lines(s) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if controllers == "" {
			unified = strings.TrimSuffix(path, " (deleted)")
		}
		for c := range strings.SplitSeq(controllers, ",") {
			if c == "memory" && (!exiting || path != "/") {
				return path
			}
			if c == "memory" {
				return ""
			}
		}
	}
	return unified
}

// savedName finds a task in the list of names that the kernel keeps of tasks it
// traced:
//
//	10663 kill
//	10661 bash
//
// It does not escape them, so that a name with a newline in it can pass for a
// line of another task: a number that comes twice with different names has none.
func savedName(list []byte, tid int) string {
	number := append(strconv.AppendInt(nil, int64(tid), 10), ' ')
	var name []byte
	known := false
	for len(list) > 0 {
		i := bytes.Index(list, number)
		if i < 0 {
			break
		}
		begins := i == 0 || list[i-1] == '\n'
		line, rest, _ := bytes.Cut(list[i+len(number):], []byte("\n"))
		if !begins {
			list = list[i+len(number)-1:] // what is left begins with the blank
			continue
		}
		if known && !bytes.Equal(name, line) {
			return ""
		}
		name, known = line, true
		list = rest
	}
	return comm(name)
}
