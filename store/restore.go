package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.uber.org/zap"
)

// restore puts the file back where somebody has removed it while it was open: as
// long as it is open all of it is still there, and would be gone at the next start.
// Where another file is in its place (a disk was mounted again) it goes on with that.
func (s *Store) restore(ctx context.Context) error {
	if s.memory.Load() {
		return nil
	}
	s.swap.Lock()
	defer s.swap.Unlock()
	there, err := os.Lstat(s.path)
	gone := errors.Is(err, fs.ErrNotExist)
	if !gone && (err != nil || os.SameFile(s.opened, there)) {
		return nil // the same, or not to be known: the write will tell
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	if gone {
		return s.putBack(ctx)
	}
	return s.goOnWith(ctx, there)
}

// putBack writes all of the removed file to a new one; s.swap is held.
func (s *Store) putBack(ctx context.Context) error {
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
	if err := private(s.path); err != nil {
		return fmt.Errorf("put the removed store %s back: %w", s.path, err)
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", s.path); err != nil {
		return errors.Join(fmt.Errorf("put the removed store %s back: %w", s.path, err), removeHalf(s.path))
	}
	s.log.Error("the store's file was removed while it was open; it has been put back", zap.String("path", s.path))
	s.restored.Add(1)
	if err := closeConn(conn); err != nil {
		return fmt.Errorf("open the store %s anew: %w", s.path, err)
	}
	if s.opened, err = os.Lstat(s.path); err != nil {
		return err
	}
	return s.readers.lead(onlyRead(s.path))
}

// errReplaced marks a write to a file that another has taken the place of.
var errReplaced = errors.New("another file is in its place, and cannot be used")

// goOnWith opens the file that is in the place of the one that was open; s.swap is
// held.
func (s *Store) goOnWith(ctx context.Context, there fs.FileInfo) error {
	if err := s.usable(ctx, there); err != nil {
		return fmt.Errorf("write the store %s: %w: %w", s.path, errReplaced, err)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := closeConn(conn); err != nil {
		return fmt.Errorf("open the store %s anew: %w", s.path, err)
	}
	s.log.Error("another file is in the place of the store; it goes on with that", zap.String("path", s.path))
	s.opened = there
	return s.readers.lead(onlyRead(s.path))
}

// usable reports whether the file under the path can be the store: what is open
// stays so until that is known.
func (s *Store) usable(ctx context.Context, there fs.FileInfo) error {
	if err := foreign(s.path, "", applicationID); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", onDisk(s.path))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return s.check(ctx, newParsed(db), there.Size() == 0)
}

// heal moves a file that is found to be damaged while it is open out of the way,
// and goes on with a new one and with what can be read of the old. An error that
// means no damage is left as it is. generation is that of before the error: who
// comes second finds it done.
func (s *Store) heal(ctx context.Context, generation int64, why error) (healed bool, err error) {
	if !damaged(why) || s.memory.Load() || s.readOnly {
		return false, nil
	}
	to, err := s.beginAnew(ctx, generation, why)
	if err != nil || to == "" {
		return err == nil, err
	}
	n := s.salvage(ctx, to)
	s.log.Warn("what could be read of the damaged store was carried over", zap.Stringer("what", n))
	s.replaced(fmt.Sprintf("the store %s was found damaged (%v) while it was open; it was moved to %s and a new one begun; %s", s.path, why, to, n))
	return true, nil
}

// beginAnew is the first half of heal: it returns the damaged file's new name, "" where
// that was done before.
func (s *Store) beginAnew(ctx context.Context, generation int64, why error) (string, error) {
	s.swap.Lock()
	defer s.swap.Unlock()
	s.moving.Lock()
	defer s.moving.Unlock()
	if s.generation.Load() != generation {
		return "", nil
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := closeConn(conn); err != nil {
		return "", fmt.Errorf("open the store %s anew: %w", s.path, err)
	}
	to, err := aside(s.path, why)
	if err == nil {
		err = private(s.path)
	}
	if err != nil {
		return "", err
	}
	s.log.Error("store was found damaged", zap.String("moved_to", to), zap.Error(why))
	if err := s.check(ctx, s.db, true); err != nil {
		return "", fmt.Errorf("begin the store %s anew: %w", s.path, explainSQLite(err))
	}
	s.generation.Add(1)
	if s.opened, err = os.Lstat(s.path); err != nil {
		return to, err
	}
	return to, s.readers.lead(onlyRead(s.path))
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
