// Package proc reads what /proc says of processes, and of what the host has of them
// (proc(5)). Root is where it is mounted, usually DefaultRoot.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultRoot is the usual place.
const DefaultRoot = "/proc"

// Unlimited is a limit without a bound.
const Unlimited int64 = -1

// Task is one process.
type Task struct {
	PID, Parent int
	Comm        string
	// State is the kernel's letter: R, S, D, Z for a zombie, ...
	State byte
	// Resident is how many bytes it holds in memory, those that it shares included.
	Resident int64
}

// Zombie is true for one that has ended and whose parent has not waited for it.
func (t *Task) Zombie() bool { return t.State == 'Z' }

// Tasks lists all processes. Those that end meanwhile are left out.
func Tasks(root string) ([]Task, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	out := make([]Task, 0, len(names))
	var buf [1024]byte
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		b, err := readSome(filepath.Join(root, name, "stat"), buf[:])
		if err != nil {
			continue // it has ended
		}
		if t, ok := parseStat(b); ok {
			t.PID = pid
			out = append(out, t)
		}
	}
	return out, nil
}

// statResident is where a process's pages in memory stand after its name.
const statResident = 21

// parseStat reads the beginning of /proc/PID/stat. The name stands in brackets and may
// hold any character, brackets too:
//
//	4711 (some) name) Z 4700 ...
func parseStat(b []byte) (t Task, ok bool) {
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from {
		return t, false
	}
	t.Comm = string(b[from+1 : to])
	f := bytes.Fields(b[to+1:])
	if len(f) < 2 || len(f[0]) != 1 {
		return t, false
	}
	t.State = f[0][0]
	parent, err := strconv.Atoi(string(f[1]))
	t.Parent = parent
	if len(f) > statResident {
		if pages, err := strconv.ParseInt(string(f[statResident]), 10, 64); err == nil {
			t.Resident = pages * int64(os.Getpagesize())
		}
	}
	return t, err == nil
}

// Status is a part of /proc/PID/status.
type Status struct {
	Comm string
	// Caught, Blocked and Ignored are sets of signals, bit N-1 for signal N.
	Caught, Blocked, Ignored uint64
	NoNewPrivileges          bool
	// InnerPID is its pid in the innermost PID namespace that it is in.
	InnerPID int
}

// ReadStatus reads the status of a process.
func ReadStatus(root string, pid int) (Status, error) {
	var s Status
	b, err := os.ReadFile(filepath.Join(root, strconv.Itoa(pid), "status"))
	if err != nil {
		return s, fmt.Errorf("read the status of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
		switch key {
		case "Name":
			s.Comm = value
		case "SigBlk":
			s.Blocked = signals(value)
		case "SigIgn":
			s.Ignored = signals(value)
		case "SigCgt":
			s.Caught = signals(value)
		case "NSpid":
			if f := strings.Fields(value); len(f) > 0 {
				s.InnerPID, _ = strconv.Atoi(f[len(f)-1]) // 0 for what is no number
			}
		case "NoNewPrivs":
			s.NoNewPrivileges = value == "1"
		}
	}
	return s, nil
}

func signals(hex string) uint64 {
	n, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// OpenFilesLimit is a process's soft limit of open files; Unlimited for none. One call
// says it of a process of the same user, or where there is CAP_SYS_RESOURCE (prlimit(2)).
func OpenFilesLimit(root string, pid int) (int64, error) {
	var limit unix.Rlimit
	if root == DefaultRoot && unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit) == nil {
		if limit.Cur == unix.RLIM_INFINITY {
			return Unlimited, nil
		}
		return int64(min(limit.Cur, math.MaxInt64)), nil
	}
	b, err := os.ReadFile(filepath.Join(root, strconv.Itoa(pid), "limits"))
	if err != nil {
		return 0, fmt.Errorf("read the limits of process %d: %w", pid, err)
	}
	return parseOpenFilesLimit(string(b))
}

// parseOpenFilesLimit reads /proc/PID/limits:
//
//	Max open files            1024                 524288               files
func parseOpenFilesLimit(limits string) (int64, error) {
	for line := range strings.Lines(limits) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) == 0 {
			break
		}
		if f[0] == "unlimited" {
			return Unlimited, nil
		}
		return strconv.ParseInt(f[0], 10, 64)
	}
	return 0, errors.New("its limits say nothing of open files")
}

// OpenFiles is how many files a process has open. Linux 6.2 and later say it as the size
// of the folder; before that its entries are counted.
func OpenFiles(root string, pid int) (int64, error) {
	path := filepath.Join(root, strconv.Itoa(pid), "fd")
	st, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("count the open files of process %d: %w", pid, err)
	}
	if st.Size() > 0 {
		return st.Size(), nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("count the open files of process %d: %w", pid, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("count the open files of process %d: %w", pid, err)
	}
	return int64(len(names)), nil
}

// CommandLine is the words of a process's command.
func CommandLine(root string, pid int) ([]string, error) {
	const most = 32 << 10
	b, err := readSome(filepath.Join(root, strconv.Itoa(pid), "cmdline"), make([]byte, most))
	if err != nil {
		return nil, fmt.Errorf("read the command of process %d: %w", pid, err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), nil
}

// Shm is the size of a process's /dev/shm and what is used of it, in bytes.
func Shm(root string, pid int) (size, used int64, err error) {
	var st syscall.Statfs_t
	path := filepath.Join(root, strconv.Itoa(pid), "root/dev/shm")
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, 0, fmt.Errorf("look at %s: %w", path, err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Blocks-st.Bfree) * st.Bsize, nil
}

// readSome reads a file as far as the buffer goes. It is for very many small files: what
// os.File does for one that may block is not needed of those in /proc.
func readSome(path string, buf []byte) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd) //nolint:errcheck // it was only read
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// Counts are how many tasks and open files the host has, and the most of each.
type Counts struct {
	Tasks, PIDMax, ThreadsMax int64
	Files, FilesMax           int64
}

// ReadCounts reads /proc/loadavg, /proc/sys/kernel/pid_max and threads-max, and
// /proc/sys/fs/file-nr.
func ReadCounts(root string) (c Counts, err error) {
	load, err := os.ReadFile(filepath.Join(root, "loadavg"))
	if err != nil {
		return c, fmt.Errorf("count the tasks: %w", err)
	}
	// 0.20 0.18 0.12 1/80 11206: of 80 tasks one runs.
	if f := strings.Fields(string(load)); len(f) > 3 {
		_, all, _ := strings.Cut(f[3], "/")
		c.Tasks, err = strconv.ParseInt(all, 10, 64)
	}
	if err != nil {
		return c, fmt.Errorf("count the tasks: %w", err)
	}
	for name, to := range map[string]*int64{"sys/kernel/pid_max": &c.PIDMax, "sys/kernel/threads-max": &c.ThreadsMax} {
		if *to, err = number(filepath.Join(root, name)); err != nil {
			return c, err
		}
	}
	files, err := os.ReadFile(filepath.Join(root, "sys/fs/file-nr"))
	if err != nil {
		return c, fmt.Errorf("count the open files: %w", err)
	}
	if _, err := fmt.Sscan(string(files), &c.Files, new(int64), &c.FilesMax); err != nil {
		return c, fmt.Errorf("count the open files: %w", err)
	}
	return c, nil
}

func number(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
