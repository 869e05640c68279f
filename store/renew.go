package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// maxLog is how large the write-ahead log may grow while somebody else's open
// transaction keeps it from being moved: then the store goes on in a new file, and
// who reads keeps the old one.
var maxLog int64 = 64 << 20

// A new file is written as .new, is the store's from when it is called .next, and
// then takes the place of the old one. What a crash interrupts the next start ends.
const (
	suffixNew  = ".new"
	suffixNext = ".next"
)

// logSize is the size of the write-ahead log in bytes; 0 where there is none.
func logSize(path string) int64 {
	st, err := os.Stat(path + "-wal")
	if err != nil {
		return 0
	}
	return st.Size()
}

// renew writes all that is kept to a new file, which takes the place of the one whose
// log cannot be moved; s.moving is held.
func (s *Store) renew(ctx context.Context) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if s.memory.Load() {
		return nil
	}
	if there, err := os.Lstat(s.path); err != nil || !os.SameFile(s.opened, there) {
		return nil // the next write puts it back, or goes on with what is there
	}
	size := logSize(s.path)
	conn, err := s.db.Conn(ctx) // the only one: nobody writes meanwhile
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := removeHalf(s.path + suffixNew); err != nil {
		return err
	}
	if err := private(s.path + suffixNew); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", s.path+suffixNew); err != nil {
		return errors.Join(fmt.Errorf("write the store anew: %w", err), removeHalf(s.path+suffixNew))
	}
	if err := syncPath(s.path + suffixNew); err != nil {
		return errors.Join(err, removeHalf(s.path+suffixNew))
	}
	if err := os.Rename(s.path+suffixNew, s.path+suffixNext); err != nil {
		return err
	}
	if err := errors.Join(closeConn(conn), finishRenewal(s.path)); err != nil {
		return err
	}
	if s.opened, err = os.Lstat(s.path); err != nil {
		return err
	}
	s.log.Error("somebody's open transaction kept the store's log from being moved; the store goes on in a new file",
		zap.String("path", s.path), zap.Int64("log_bytes", size))
	s.replaced(fmt.Sprintf("the store's log had grown to %d MiB, as another program keeps a transaction open in %s; the store goes on in a new file, and the old one takes room until that program ends", size>>20, s.path))
	return s.readers.lead(onlyRead(s.path))
}

// finishRenewal puts a new file that is whole in the place of the old one, and
// removes one that is not.
func finishRenewal(path string) error {
	if err := removeHalf(path + suffixNew); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if _, err := os.Lstat(path + suffixNext); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := syncPath(dir); err != nil {
		return err
	}
	// The old file's log must not be read with the new one.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := removeHalf(path + suffix); err != nil {
			return err
		}
	}
	if err := syncPath(dir); err != nil {
		return err
	}
	if err := os.Rename(path+suffixNext, path); err != nil {
		return err
	}
	return syncPath(dir)
}

// syncPath waits until a file or a folder is on disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
