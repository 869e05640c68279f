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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options are what Open needs.
type Options struct {
	// Path is the database file. Its folder is made where it is missing.
	Path string
	// ReadOnly opens a store beside a live daemon, or a dead one's, without
	// lock and without changing anything.
	ReadOnly bool
	// Replaced, if it is not nil, is called by Run when the store has become another
	// one: it went to memory or back to its file, or the file was damaged. said is for
	// a person, and "" where there is nothing to say.
	Replaced func(ctx context.Context, said string)
	// MaxAge is how long settled incidents are kept; 0 for ever.
	MaxAge time.Duration
	// MaxBytes bounds the file: where it would grow beyond, the oldest settled
	// incidents are removed before their time; 0 for no bound.
	MaxBytes   int64
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// Store is an open store. While its disk takes no writes it is in memory, and goes
// back by itself: see Unwritable. Its methods may be called from any goroutine.
type Store struct {
	db       *parsed // the one writer
	place    place
	readers  readers
	long     chan struct{} // the turn of long answers
	path     string
	readOnly bool
	log      *zap.Logger
	lock     *os.File
	last     int // pid of who had the store before

	memory     atomic.Bool
	unwritable atomic.Pointer[string] // why it is in memory
	dropped    prometheus.Counter     // incidents that memory had no room for
	swap       sync.Mutex             // guards opened and base
	opened     fs.FileInfo            // the file that is open
	base       *base                  // the file, while the store is in memory; nil where it cannot be read
	anchor     *sql.DB                // holds what is in memory

	// generation counts the damaged files that were replaced, said what Run is to
	// tell of that.
	generation atomic.Int64
	said       chan string
	onReplaced func(ctx context.Context, said string)
	moving     sync.Mutex // held while the log is moved, or the file is another
	restored   atomic.Int64
	closed     atomic.Bool
	old        bool // the file is only read, and has no names
	recovered  string
	badRows    prometheus.Counter
	leftOut    atomic.Int64 // rows, and parts, that could not be read
	maxAge     time.Duration
	maxBytes   int64
	pruned     atomic.Int64  // unix seconds of the last pruning
	unmeasured atomic.Int64  // transactions since the size was measured
	squeezing  bool          // the oldest are removed, as the file is too large
	commits    atomic.Int64  // since the last checkpoint
	due        chan struct{} // a checkpoint is
}

// applicationID marks the file as oomwatch's in its header: "oomw".
const applicationID = 0x6f6f6d77

// Open opens a store, making it where there is none. A file that is damaged is
// moved aside, never deleted, and a new one begun: see Recovered. Where the disk
// takes no writes the store begins in memory.
func Open(ctx context.Context, opt Options) (*Store, error) {
	s := newStore(opt)
	if opt.ReadOnly {
		if err := s.openReadOnly(ctx); err != nil {
			return nil, err
		}
		return s, nil
	}
	err := s.openFile(ctx)
	if NoRoom(err) {
		err = s.beginInMemory(ctx, err)
	}
	if err != nil {
		return nil, errors.Join(err, s.letGo())
	}
	s.ready(ctx, opt.Registerer)
	return s, nil
}

func newStore(opt Options) *Store {
	s := &Store{path: opt.Path, readOnly: opt.ReadOnly, log: opt.Logger, maxAge: opt.MaxAge, maxBytes: opt.MaxBytes, onReplaced: opt.Replaced,
		said: make(chan string, 10), due: make(chan struct{}, 1), long: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.onReplaced == nil {
		s.onReplaced = func(context.Context, string) {}
	}
	s.badRows = prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_store_bad_rows_total", Help: "Rows whose checksum did not match; they are skipped."})
	s.dropped = prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_store_dropped_total", Help: "Incidents that went, already sent, from memory while the disk took no writes."})
	s.db = newParsed(sql.OpenDB(&s.place))
	// One writer, one connection: SQLite serialises writers anyway.
	s.db.SetMaxOpenConns(1)
	return s
}

// openFile opens the file for writing; one that is damaged it moves aside.
func (s *Store) openFile(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	return s.openPrepared(ctx, func(context.Context) error { return nil })
}

// openPrepared is openFile once the lock is held. seed may fill a file that is empty.
func (s *Store) openPrepared(ctx context.Context, seed func(context.Context) error) error {
	if st, err := os.Stat(s.path); err == nil && st.Size() == 0 {
		if err := seed(ctx); err != nil {
			return err
		}
	}
	err := s.open(ctx)
	if !damaged(err) {
		return err
	}
	aside, err := s.moveAside(err)
	if err != nil {
		return err
	}
	if err := seed(ctx); err != nil {
		return err
	}
	if err = s.open(ctx); err != nil {
		return err
	}
	n := s.salvage(ctx, aside)
	s.recovered += "; " + n.String()
	s.log.Warn("what could be read of the damaged store was carried over", zap.Stringer("what", n))
	return nil
}

// ready does what comes after opening, on disk or in memory.
func (s *Store) ready(ctx context.Context, reg prometheus.Registerer) {
	if reg != nil {
		reg.MustRegister(s.badRows, s.dropped, newCollector(s))
	}
	if n, err := s.mend(ctx); err != nil {
		s.log.Warn("the deliveries were not checked", zap.Error(err))
	} else if n != 0 {
		s.recovered = strings.TrimPrefix(fmt.Sprintf("%s; %d damaged deliveries were removed", s.recovered, n), "; ")
	}
	s.pruneNowAndThen(ctx, time.Now())
}

// pragmas: WAL so that a reader does not stop the writer; FULL so that what was
// acknowledged is on disk; no memory map, because a damaged file must give an
// error and not a signal; the write-ahead log grows to 16 MB before a commit moves
// it into the file itself; half a megabyte of pages is cached, for the kernel has the rest.
const pragmas = "_pragma=wal_autocheckpoint(4000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_pragma=mmap_size(0)&_pragma=foreign_keys(ON)&_pragma=cell_size_check(ON)&_pragma=trusted_schema(OFF)&_pragma=cache_size(-512)"

// onDisk is how the file is opened for writing.
func onDisk(path string) string { return dsn(path, pragmas+"&_txlock=immediate") }

// open opens the file as it is under the path.
func (s *Store) open(ctx context.Context) error {
	st, err := os.Stat(s.path)
	fresh := errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0
	s.place.lead(onDisk(s.path))
	if err := s.check(ctx, s.db, fresh); err != nil {
		s.dropConn(ctx)
		return fmt.Errorf("open store %s: %w", s.path, explainSQLite(err))
	}
	if s.opened, err = os.Lstat(s.path); err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	return s.readers.lead(onlyRead(s.path))
}

// check verifies that a file is a store of ours in good order, lays down the
// tables in a fresh one and brings an older one up to date.
func (s *Store) check(ctx context.Context, db *parsed, fresh bool) error {
	if !fresh {
		if err := checkHeader(ctx, db); err != nil {
			return err
		}
		qctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		var word string
		if err := db.QueryRowContext(qctx, "PRAGMA quick_check(1)").Scan(&word); err != nil && qctx.Err() == nil {
			return err
		}
		if word != "" && word != "ok" {
			return fmt.Errorf("%w: %s", errDamaged, word)
		}
	}
	return s.layDown(ctx, db, fresh)
}

// checkHeader reads whose file it is, and of which version. What the header says of
// that may be damaged: the state says it again.
func checkHeader(ctx context.Context, db *parsed) error {
	var id, version int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	repeated := 0
	var value []byte
	var crc int64
	err := db.QueryRowContext(ctx, "SELECT value, crc FROM state WHERE key = ?", keyVersion).Scan(&value, &crc)
	if err == nil && checksum(value) == crc {
		repeated, _ = strconv.Atoi(string(value)) // 0 is none
	} else if damaged(err) {
		return err
	}
	switch {
	case repeated != 0 && repeated <= schemaVersion && (id != applicationID || version != repeated):
		return fmt.Errorf("%w: its header says application %#x and version %d, and it is of version %d", errDamaged, id, version, repeated)
	case id != applicationID:
		return fmt.Errorf("the file is not a store of oomwatch (application id %#x); choose another with --store PATH", id)
	case version > schemaVersion:
		return fmt.Errorf("the file was written by a later oomwatch (version %d, this one knows %d); run that one", version, schemaVersion)
	}
	return nil
}

func (s *Store) openReadOnly(ctx context.Context) error {
	db, err := readOnly(ctx, s.path, s.path+".lock", "SELECT count(*) FROM state")
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, explainSQLite(err))
	}
	_ = s.db.Close() // it was never used
	s.db = newParsed(db)
	s.readers.use(db)
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return errors.Join(fmt.Errorf("open store %s: %w", s.path, explainSQLite(err)), db.Close())
	}
	s.old = version < 3
	return nil
}

// Predecessor is the pid of who had the store before; 0 where nobody is known.
func (s *Store) Predecessor() int { return s.last }

// replaced has Run tell that the store is another; who finds it out may hold locks.
func (s *Store) replaced(said string) {
	select {
	case s.said <- said:
	default: // Run does not run, or has enough to tell
	}
}

// Recovered says what happened when Open found the file damaged; "" otherwise.
func (s *Store) Recovered() string { return s.recovered }

// LeftOut counts what could not be read: damaged rows, and parts of a damaged file.
func (s *Store) LeftOut() int64 { return s.leftOut.Load() }

// Close moves what is in memory to the file, if that is possible, closes the store
// and lets go of its lock.
func (s *Store) Close() error {
	var err error
	if s.closed.Swap(true) {
		return nil
	}
	if s.memory.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		if merr := s.toDisk(ctx); merr != nil {
			err = fmt.Errorf("what is in memory is lost: %w", merr)
		}
	}
	return errors.Join(err, s.letGo())
}

// closeWait bounds the last attempt to move what is in memory to the file.
const closeWait = 5 * time.Second

// letGo closes whatever is open.
func (s *Store) letGo() error {
	s.swap.Lock()
	defer s.swap.Unlock()
	err := errors.Join(s.readers.close(), s.base.close(), s.db.Close())
	s.base = nil
	if s.anchor != nil {
		err = errors.Join(err, s.anchor.Close())
		s.anchor = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) int64 { return int64(crc32.Checksum(b, castagnoli)) }
