package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.uber.org/zap"
)

// restore puts the file back where somebody has removed it while it was open: as
// long as it is open all of it is still there, and would be gone at the next start.
func (s *Store) restore(ctx context.Context) error {
	if s.memory || !s.laidDown {
		return nil
	}
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return nil // there, or not to be known: the write will tell
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, suffix := range []string{"-wal", "-shm"} {
		// Those of the file that was removed; a new one must not read them.
		if err := os.Remove(s.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put the removed store %s back: %w", s.path, err)
		}
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", s.path); err != nil {
		return errors.Join(fmt.Errorf("put the removed store %s back: %w", s.path, err), removeHalf(s.path))
	}
	s.log.Error("the store's file was removed while it was open; it has been put back", zap.String("path", s.path))
	s.restored.Add(1)
	// The next use opens the new file.
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("open the store %s anew: %w", s.path, err)
	}
	return nil
}

// removeHalf removes a copy that was not finished.
func removeHalf(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Restored counts how often the file was removed and put back.
func (s *Store) Restored() int64 { return s.restored.Load() }

// Probe writes, to learn whether that is possible.
func (s *Store) Probe(ctx context.Context) error {
	_, err := s.Save(ctx, Batch{State: map[string][]byte{"probe": []byte("written")}})
	return err
}
