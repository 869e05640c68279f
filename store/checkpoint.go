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
	// checkpointAfter is after how many commits that is worth it, some 2 MB, once
	// nobody has committed for checkpointIdle: the disk does one thing at a time, and
	// a commit waits for it. checkpointLatest is after how many it is done all the
	// same, before a commit does it itself: rarely, as the disk is slower meanwhile
	// and the first commit into a log that begins anew waits for it twice.
	checkpointAfter  = 50
	checkpointIdle   = 100 * time.Millisecond
	checkpointLatest = 400
	// checkpointAgain is when it is tried again where it failed.
	checkpointAgain = 200 * time.Millisecond
	// toDiskEvery is how often a store in memory tries its file.
	toDiskEvery = 5 * time.Second
)

// Run keeps the store in good order until ctx ends: it moves the write-ahead log,
// and a store in memory to its file. Without it a store works, too: the commit that
// makes the log too long moves it then.
func (s *Store) Run(ctx context.Context) error {
	// What a run before this one has left in the log is read at every start.
	s.committed(checkpointAfter)
	var again <-chan time.Time
	var last int64 // how many commits there were at the last look
	for {
		memory := s.memory.Load()
		if memory && again == nil {
			again = time.After(toDiskEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case said := <-s.said:
			s.onReplaced(ctx, said)
			continue
		case <-s.due:
			if memory {
				continue
			}
		case <-again:
			again = nil
		}
		if memory {
			if err := s.toDisk(ctx); err != nil {
				s.log.Debug("the store stays in memory", zap.Error(err))
				s.more(ctx)
			}
			continue
		}
		n := s.commits.Load()
		if n != last && n < checkpointLatest {
			last, again = n, time.After(checkpointIdle)
			continue
		}
		if err := s.checkpoint(ctx); err != nil {
			s.log.Debug("the write-ahead log is not moved into the store yet", zap.Error(err))
			again = time.After(checkpointAgain)
			continue
		}
		s.commits.Add(-n)
	}
}

// committed counts commits, and wakes Run when there are enough of them.
func (s *Store) committed(n int64) {
	if s.commits.Add(n) < checkpointAfter {
		return
	}
	select {
	case s.due <- struct{}{}:
	default: // it has been told
	}
}

// checkpoint moves what it can of the write-ahead log without making anybody wait.
// Where somebody keeps it from being moved, and it has grown too long, the store goes
// on in a new file.
func (s *Store) checkpoint(ctx context.Context) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	whole, err := s.moveLog(ctx)
	if err == nil && !whole && logSize(s.path) > maxLog {
		err = s.renew(ctx)
	}
	return err
}

// moveLog is checkpoint without a new file; whole is true when nothing is left in the log.
func (s *Store) moveLog(ctx context.Context) (whole bool, err error) {
	// Opened each time: the file under the path may be another by now.
	db, err := sql.Open("sqlite", dsn(s.path, "mode=rw&_pragma=mmap_size(0)&_pragma=synchronous(FULL)"))
	if err != nil {
		return false, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var busy, pages, moved int64
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &moved)
	return moved >= pages, err
}
