package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// LockedError says that another process has the store open for writing.
type LockedError struct {
	Path string
	PID  string // as that process wrote it; "" when it cannot be read
}

func (e *LockedError) Error() string {
	pid := "another process"
	if e.PID != "" {
		pid = "process " + e.PID
	}
	return fmt.Sprintf("%s already runs on this store (it holds %s); ask that one with oomwatch explain or history, stop it, or choose another store with --store PATH", pid, e.Path)
}

// takeLock takes an exclusive lock that the kernel lets go of when the process ends,
// and tells the pid of who had it last; 0 where that is not known.
func takeLock(path string) (lock *os.File, last int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; the folder must be writable for this user, or choose another with --store PATH", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for range 5 {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		// A reader may be looking whether it is held.
		time.Sleep(20 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			b, _ := io.ReadAll(io.LimitReader(f, 32)) // without it the message says less
			return nil, 0, &LockedError{Path: path, PID: strings.TrimSpace(string(b))}
		}
		return nil, 0, fmt.Errorf("lock %s: %w", path, err)
	}
	b, _ := io.ReadAll(io.LimitReader(f, 32)) // without it nobody is known
	last, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil // the lock is held; who holds it cannot be read
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("write %s: %w", path, err)
	}
	return f, last, nil
}

// held says whether a process holds a lock; also where that cannot be known.
func held(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	defer f.Close() // lets go of the lock, too
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// errDamaged marks a file that failed its check.
var errDamaged = errors.New("the file is damaged")

// damaged says whether an error means that the file's content is broken, and
// not that it cannot be reached.
func damaged(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return true
	}
	// A byte of the header that no version of SQLite has written.
	return e.Code() == sqlite3.SQLITE_ERROR && strings.Contains(e.Error(), "unsupported file format")
}

// explainSQLite adds the next step to the errors that have one.
func explainSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w; the file and its folder must be writable for this user, or choose another with --store PATH", err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w; the disk is full: make room, or choose another with --store PATH", err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w; SQLite's WAL needs a local file system: choose another with --store PATH", err)
	}
	return err
}
