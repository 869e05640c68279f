package store

import (
	"context"
	"database/sql"
	"time"

	"go.uber.org/zap"
)

// The write-ahead log is moved into the file beside the writer, by a connection of
// its own: a commit that does it itself waits for it, and an alert waits for the
// commit.
const (
	// checkpointEvery is how often it is looked whether that is worth it, and
	// checkpointAfter after how many commits it is: some 2 MB.
	checkpointEvery = 200 * time.Millisecond
	checkpointAfter = 50
	// toDiskEvery is how often a store in memory tries its file.
	toDiskEvery = 5 * time.Second
)

// Run keeps the store in good order until ctx ends: it moves the write-ahead log,
// and a store in memory to its file. Without it a store works, too: the commit that
// makes the log too long moves it then.
func (s *Store) Run(ctx context.Context) error {
	// What a run before this one has left in the log is read at every start.
	s.commits.Add(checkpointAfter)
	for wait := time.Duration(0); ; wait = checkpointEvery {
		if s.memory.Load() {
			wait = toDiskEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case said := <-s.said:
			s.onReplaced(ctx, said)
			continue
		case <-time.After(wait):
		}
		if s.memory.Load() {
			if err := s.toDisk(ctx); err != nil {
				s.log.Debug("the store stays in memory", zap.Error(err))
			}
			continue
		}
		if n := s.commits.Load(); n >= checkpointAfter {
			if err := s.checkpoint(ctx); err != nil {
				s.log.Debug("the write-ahead log is not moved into the store yet", zap.Error(err))
				continue
			}
			s.commits.Add(-n)
		}
	}
}

// checkpoint moves what it can of the write-ahead log without making anybody wait.
func (s *Store) checkpoint(ctx context.Context) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	// Opened each time: the file under the path may be another by now.
	db, err := sql.Open("sqlite", dsn(s.path, "mode=rw&_pragma=mmap_size(0)&_pragma=synchronous(FULL)"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}
