// Package store keeps incidents, what a restart must know, and what is still
// owed to whom, in one SQLite file, each change in one transaction.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"modernc.org/sqlite" // and the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Options are what Open needs.
type Options struct {
	// Path is the database file. Its folder is made where it is missing.
	Path string
	// ReadOnly opens a store beside a live daemon, or a dead one's, without
	// lock and without changing anything.
	ReadOnly bool
	// Memory opens a store that is in memory until Run finds that its file can be
	// written.
	Memory bool
	// Replaced, if it is not nil, is called by Run when the store has become another
	// one: it went from memory to its file, or the file was damaged. said is for a
	// person, and "" where there is nothing to say.
	Replaced func(ctx context.Context, said string)
	// MaxAge is how long settled incidents are kept; 0 for ever.
	MaxAge     time.Duration
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	db       *parsed
	place    place
	path     string
	readOnly bool
	log      *zap.Logger
	lock     *os.File
	last     int // pid of who had the store before
	memory   atomic.Bool
	swap     sync.Mutex  // guards opened
	opened   fs.FileInfo // the file that is open
	// generation counts the damaged files that were replaced, said what Run is to
	// tell of that.
	generation atomic.Int64
	said       chan string
	onReplaced func(ctx context.Context, said string)
	moving     sync.Mutex // held while the log is moved, or the file is another
	restored   atomic.Int64
	recovered  string
	badRows    prometheus.Counter
	maxAge     time.Duration
	pruned     atomic.Int64  // unix seconds of the last pruning
	commits    atomic.Int64  // since the last checkpoint
	due        chan struct{} // a checkpoint is
}

// applicationID marks the file as oomwatch's in its header: "oomw".
const applicationID = 0x6f6f6d77

// Open opens a store, making it where there is none. A file that is damaged is
// moved aside, never deleted, and a new one begun: see Recovered.
func Open(ctx context.Context, opt Options) (*Store, error) {
	s := &Store{path: opt.Path, readOnly: opt.ReadOnly, log: opt.Logger, maxAge: opt.MaxAge, onReplaced: opt.Replaced, said: make(chan string, 10), due: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.onReplaced == nil {
		s.onReplaced = func(context.Context, string) {}
	}
	s.badRows = prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_store_bad_rows_total", Help: "Rows whose checksum did not match; they are skipped."})
	if opt.ReadOnly {
		if err := s.openReadOnly(ctx); err != nil {
			return nil, err
		}
		return s, nil
	}
	s.memory.Store(opt.Memory)
	if !opt.Memory {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	err := s.open(ctx)
	if damaged(err) {
		var aside string
		if aside, err = s.moveAside(err); err == nil {
			if err = s.open(ctx); err == nil {
				n := s.salvage(ctx, aside)
				s.recovered += "; " + n.String()
				s.log.Warn("what could be read of the damaged store was carried over", zap.Stringer("what", n))
			}
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	if opt.Registerer != nil {
		opt.Registerer.MustRegister(s.badRows, newCollector(s))
	}
	if n, err := s.mend(ctx); err != nil {
		s.log.Warn("the deliveries were not checked", zap.Error(err))
	} else if n != 0 {
		s.recovered = strings.TrimPrefix(fmt.Sprintf("%s; %d damaged deliveries were removed", s.recovered, n), "; ")
	}
	s.pruneNowAndThen(ctx, time.Now())
	return s, nil
}

// prepare makes the folder, takes the lock and checks that it can be written.
func (s *Store) prepare() error {
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("open store %s: %w; make the folder, or choose another with --store PATH", s.path, err)
	}
	// The lock file stays for ever: where it is, a store was begun before.
	used, _ := os.Stat(s.path + ".lock")
	lock, last, err := takeLock(s.path + ".lock")
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	s.lock, s.last = lock, last
	if st, err := os.Stat(s.path); used != nil && used.Size() > 0 && (errors.Is(err, os.ErrNotExist) || err == nil && st.Size() == 0) {
		s.recovered = fmt.Sprintf("the store %s was begun before and is gone or empty; a new one is begun, and what was kept and still owed is lost", s.path)
		s.log.Error("store is gone or empty", zap.String("path", s.path))
	}
	return nil
}

// pragmas: WAL so that a reader does not stop the writer; FULL so that what was
// acknowledged is on disk; no memory map, because a damaged file must give an
// error and not a signal; the write-ahead log grows to 16 MB before a commit moves
// it into the file itself; half a megabyte of pages is cached, for the kernel has the rest.
const pragmas = "_pragma=wal_autocheckpoint(4000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_pragma=mmap_size(0)&_pragma=foreign_keys(ON)&_pragma=cell_size_check(ON)&_pragma=trusted_schema(OFF)&_pragma=cache_size(-512)"

// onDisk is how the file is opened for writing.
func onDisk(path string) string { return dsn(path, pragmas+"&_txlock=immediate") }

// inMemory is how a store in memory is opened, which is gone with its connection.
// It takes 16 MB: more than that must not fill the machine's memory.
var inMemory = dsn(":memory:", pragmas+"&_txlock=immediate&_pragma=max_page_count(4096)")

func (s *Store) open(ctx context.Context) error {
	fresh := s.memory.Load()
	s.place.lead(inMemory)
	if !fresh {
		st, err := os.Stat(s.path)
		fresh = errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0
		s.place.lead(onDisk(s.path))
	}
	db := sql.OpenDB(&s.place)
	// One writer, one connection: SQLite serialises writers anyway.
	db.SetMaxOpenConns(1)
	s.db = newParsed(db)
	if err := s.check(ctx, fresh); err != nil {
		db.Close()
		s.db = nil
		return fmt.Errorf("open store %s: %w", s.path, explainSQLite(err))
	}
	if !s.memory.Load() {
		var err error
		if s.opened, err = os.Lstat(s.path); err != nil {
			return fmt.Errorf("open store %s: %w", s.path, err)
		}
	}
	return nil
}

// check verifies that the file is a store of ours in good order, and lays down
// the tables in a fresh one.
func (s *Store) check(ctx context.Context, fresh bool) error {
	if !fresh {
		var id, version int
		if err := s.db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
			return err
		}
		if id != applicationID {
			return fmt.Errorf("the file is not a store of oomwatch (application id %#x); choose another with --store PATH", id)
		}
		if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("the file was written by a later oomwatch (version %d, this one knows %d); run that one", version, schemaVersion)
		}
		qctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		var word string
		if err := s.db.QueryRowContext(qctx, "PRAGMA quick_check(1)").Scan(&word); err != nil && qctx.Err() == nil {
			return err
		}
		if word != "" && word != "ok" {
			return fmt.Errorf("%w: %s", errDamaged, word)
		}
	}
	return s.layDown(ctx, fresh)
}

func (s *Store) openReadOnly(ctx context.Context) error {
	db, err := readOnly(ctx, s.path, s.path+".lock", "SELECT count(*) FROM state")
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, explainSQLite(err))
	}
	s.db = newParsed(db)
	return nil
}

// readOnly opens a file beside the process that writes it and holds its lock, or
// a dead one's. probe is a query that any such file answers.
func readOnly(ctx context.Context, path, lock, probe string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
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
		if db, err = sql.Open("sqlite", dsn(path, mode+"&_pragma=busy_timeout(2000)&_pragma=mmap_size(0)&_pragma=query_only(ON)")); err != nil {
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
	return to, nil
}

// Predecessor is the pid of who had the store before; 0 where nobody is known.
func (s *Store) Predecessor() int { return s.last }

// InMemory is true while the store is on no disk.
func (s *Store) InMemory() bool { return s.memory.Load() }

// NoRoom reports whether a store cannot be opened because its file system takes no
// writes: it is full or read-only. That is no fault of the configuration.
func NoRoom(err error) bool {
	if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) {
		return true
	}
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code()&0xff == sqlite3.SQLITE_READONLY)
}

// replaced has Run tell that the store is another; who finds it out may hold locks.
func (s *Store) replaced(said string) {
	select {
	case s.said <- said:
	default: // Run does not run, or has enough to tell
	}
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

// Recovered says what happened when Open found the file damaged; "" otherwise.
func (s *Store) Recovered() string { return s.recovered }

// Close closes the store and lets go of its lock.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) int64 { return int64(crc32.Checksum(b, castagnoli)) }
