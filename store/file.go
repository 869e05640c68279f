package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// fileMode is the mode of a store's files: who reads them takes part in its
	// log, and keeps it from being cut.
	fileMode   = 0o640
	folderMode = 0o750
)

// prepare makes the folder, takes the lock and checks that the file can be written.
// A file that is no store it leaves as it is.
func (s *Store) prepare() error {
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return fmt.Errorf("open store %s: %w; make the folder, or choose another with --store PATH", s.path, err)
	}
	if err := foreign(s.path, s.path+".lock", applicationID); err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	// The lock file stays for ever: where it is, a store was begun before.
	used, _ := os.Stat(s.path + ".lock")
	if err := s.relock(); err != nil {
		return err
	}
	if err := finishRenewal(s.path); err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	if st, err := os.Stat(s.path); used != nil && used.Size() > 0 && (errors.Is(err, os.ErrNotExist) || err == nil && st.Size() == 0) {
		s.recovered = fmt.Sprintf("the store %s existed before and is gone or empty; a new one begins, and its incidents and undelivered alerts are lost", s.path)
		s.log.Error("store is gone or empty", zap.String("path", s.path))
	}
	if err := private(s.path); err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	return nil
}

// relock takes the lock beside the file, which may be on another disk than before.
func (s *Store) relock() error {
	if s.lock != nil {
		mine, err := s.lock.Stat()
		there, err2 := os.Stat(s.path + ".lock")
		if err == nil && err2 == nil && os.SameFile(mine, there) {
			return nil
		}
	}
	lock, last, err := takeLock(s.path + ".lock")
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	if s.lock != nil {
		_ = s.lock.Close() // of the file that was in this place
	} else {
		s.last = last
	}
	s.lock = lock
	return nil
}

// private makes the file where there is none, and takes from everybody what an
// earlier version gave: reading. SQLite gives its log the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("%w; the file and its folder must be writable for this user, or choose another with --store PATH", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		st, err := os.Stat(path + suffix)
		if err != nil || st.Mode().Perm()&0o007 == 0 {
			continue
		}
		if err := os.Chmod(path+suffix, st.Mode().Perm()&^0o007); err != nil {
			return err
		}
	}
	return nil
}

// header is the beginning of every SQLite file; see https://sqlite.org/fileformat.html.
const (
	header        = "SQLite format 3\x00"
	headerSize    = 100
	applicationAt = 68
)

// errNotFile refuses a folder, a device or a pipe.
var errNotFile = errors.New("it is not a file; choose another with --store PATH")

// foreign returns an error for a file that was never written by us: it is not to be
// touched. One of ours is known by its two marks, of which one byte may be damaged.
func foreign(path, lock string, application uint32) error {
	st, err := os.Stat(path) // before it is opened: the open of a pipe waits for its writer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return errNotFile
	case st.Size() == 0:
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w; the file must be readable for this user, or choose another with --store PATH", err)
	}
	defer f.Close()
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	mark := []byte{byte(application >> 24), byte(application >> 16), byte(application >> 8), byte(application)}
	wrong := differing(head[:len(header)], []byte(header)) + differing(head[applicationAt:applicationAt+4], mark)
	if wrong <= 1 {
		return nil
	}
	// The folder tells as well what it was, where its first page is in ruins, or is
	// still in the log alone.
	if _, err := os.Stat(lock); err == nil {
		whole := bytes.Equal(head[:len(header)], []byte(header))
		if !whole || bytes.Equal(head[applicationAt:applicationAt+4], make([]byte, 4)) {
			return nil
		}
	}
	return errors.New("the file is not a store of oomwatch, and was left as it is; choose another with --store PATH")
}

func differing(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// readOnly opens a file beside the process that writes it and holds its lock, or
// a dead one's. probe is a query that any such file answers.
func readOnly(ctx context.Context, path, lock, probe string) (*sql.DB, error) {
	switch st, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errNotFile
	}
	// Reading beside a writer needs the shared memory file of its WAL. Where
	// there is no writer and nothing in a WAL, or the folder cannot be written,
	// the file is read as it is, and nothing is left beside it.
	modes := []string{"mode=ro", "mode=ro&immutable=1"}
	if wal, err := os.Stat(path + "-wal"); (err != nil || wal.Size() == 0) && !held(lock) {
		modes = modes[1:]
	}
	var err error
	for _, mode := range modes {
		var db *sql.DB
		if db, err = sql.Open("sqlite", dsn(path, mode+readPragmas)); err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		if err = db.QueryRowContext(ctx, probe).Scan(new(int)); err == nil {
			return db, nil
		}
		db.Close()
	}
	return nil, err
}

// dsn makes a file URI; a path may hold any character.
func dsn(path, query string) string {
	u := "file:"
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '?', '#', '%':
			u += fmt.Sprintf("%%%02x", c)
		default:
			u += string(c)
		}
	}
	return u + "?" + query
}

// moveAside renames the damaged file out of the way and returns its new name.
func (s *Store) moveAside(why error) (string, error) {
	to, err := aside(s.path, why)
	if err != nil {
		return "", err
	}
	s.recovered = fmt.Sprintf("the store %s was damaged (%v); it was moved to %s and a new one begun", s.path, why, to)
	s.log.Error("store was damaged", zap.String("moved_to", to), zap.Error(why))
	return to, private(s.path)
}

// aside renames a damaged file, and what belongs to it.
func aside(path string, why error) (string, error) {
	to := fmt.Sprintf("%s.corrupt-%s", path, time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(path, to); err != nil {
		return "", fmt.Errorf("move the damaged store %s aside: %w (it is damaged: %w)", path, err, why)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("move the damaged store's %s aside: %w", suffix, err)
		}
	}
	return to, nil
}

// takesNoWrites reports whether an error means that the disk takes no writes: it is
// full or read-only, fails, or somebody keeps it locked.
func takesNoWrites(err error) bool {
	if NoRoom(err) || errors.Is(err, syscall.EIO) || errors.Is(err, errReplaced) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

// NoRoom reports whether a store cannot be written because its file system takes no
// writes: it is full or read-only. That is no fault of the configuration.
func NoRoom(err error) bool {
	if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code()&0xff == sqlite3.SQLITE_READONLY)
}

// full reports whether there is no room where the store is.
func full(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}
