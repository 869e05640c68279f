package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/recorder"
)

// HistoryOptions are what OpenHistory needs.
type HistoryOptions struct {
	// Store is the path of the store that it goes with: see HistoryPath.
	Store string
	// ReadOnly opens it beside a live daemon, or a dead one's, without
	// changing anything.
	ReadOnly bool
	// Keep is how long readings of a minute are kept; 0 for recorder.KeepLong.
	Keep time.Duration
	// MaxBytes bounds the file: where it would grow beyond, what is oldest is
	// removed before its time; 0 for no bound.
	MaxBytes int64
	// Wait, if it is not nil, is true while the file must not be opened for writing,
	// as the store has no lock. What is to be kept is refused then.
	Wait       func() bool
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// History keeps what the recorder saw, in a file beside the store's: what is
// written twice a minute, and may be lost, does not keep waiting what must not.
// It implements recorder.Keeper and recorder.Past. Its methods may be called from
// any goroutine.
type History struct {
	opt  HistoryOptions
	path string
	log  *zap.Logger
	bad  prometheus.Counter
	free func(path string) (int64, error)

	mu sync.Mutex // guards db and what follows
	db *parsed
	// closed is true while a damaged file could not be replaced.
	closed bool
	// squeezed is how much of Keep is given up for MaxBytes.
	squeezed time.Duration
	swept    int64 // the service that was swept last
	ids      map[string]int64
}

// HistoryPath is where the history is that goes with a store.
func HistoryPath(store string) string {
	if base, ok := strings.CutSuffix(store, ".db"); ok {
		return base + "-history.db"
	}
	return store + "-history"
}

// historyID marks the file in its header: "oomh".
const historyID = 0x6f6f6d68

const historyVersion = 1

// A block's key puts the blocks of one service and step beside each other, in
// order of time: the service's id, the step (1 for ten seconds, 2 for a minute)
// and the second of the first reading.
const historySchema = `
CREATE TABLE IF NOT EXISTS services (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
	key   INTEGER PRIMARY KEY,  -- service << 36 | step << 34 | second of the first reading
	until INTEGER NOT NULL,     -- millisecond of the last reading
	data  BLOB NOT NULL,        -- as recorder.Decode reads it
	crc   INTEGER NOT NULL      -- CRC-32C of data
) STRICT;
CREATE TABLE IF NOT EXISTS recent (  -- as it was read, one row for half a minute of all services
	seq   INTEGER PRIMARY KEY,
	until INTEGER NOT NULL,     -- millisecond of the last reading
	data  BLOB NOT NULL,        -- of each service: its name, its block, each after its length
	crc   INTEGER NOT NULL
) STRICT;
`

const (
	keySecond  = 34
	keyService = 36
)

// levels are the numbers of the steps in a key.
var levels = map[time.Duration]int64{recorder.StepShort: 1, recorder.StepLong: 2}

// keyOf is the key of a block that begins at a time.
func keyOf(service int64, step time.Duration, at time.Time) int64 {
	second := min(max(at.Unix(), 0), 1<<keySecond-1)
	return service<<keyService | levels[step]<<keySecond | second
}

// reserve is what must be free on the file system for history to be written:
// what is left belongs to incidents.
const reserve = 32 << 20

// ErrNoRoom is returned by Keep while history would take the last of the disk.
var ErrNoRoom = fmt.Errorf("less than %d MiB are free, and are left for incidents; make room, or choose another place with --store PATH", reserve>>20)

// errWait is returned by Keep while the store has no lock.
var errWait = errors.New("history is not kept, as the store cannot be written")

// OpenHistory opens the file, making it where there is none. One that is damaged
// is moved aside, and a new one begun. Where the file system takes no writes, the
// history is empty until a Keep finds that it does.
func OpenHistory(ctx context.Context, opt HistoryOptions) (*History, error) {
	h := &History{opt: opt, path: HistoryPath(opt.Store), log: opt.Logger, free: freeBytes, ids: map[string]int64{}}
	if h.log == nil {
		h.log = zap.NewNop()
	}
	if h.opt.Keep <= 0 {
		h.opt.Keep = recorder.KeepLong
	}
	h.bad = prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_history_bad_rows_total", Help: "Blocks of history whose checksum did not match; they are skipped."})
	var db *sql.DB
	var err error
	if opt.ReadOnly {
		db, err = readOnly(ctx, h.path, opt.Store+".lock", "SELECT count(*) FROM services")
	} else if err = h.openOrWait(ctx); NoRoom(err) || errors.Is(err, errWait) {
		h.log.Error("the history takes no writes yet", zap.String("path", h.path), zap.Error(err))
		h.closed = true
		db, err = emptyHistory(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", h.path, explainSQLite(err))
	}
	if db != nil {
		h.db = newParsed(db)
	}
	if opt.Registerer != nil {
		opt.Registerer.MustRegister(h.bad, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oomwatch_history_bytes", Help: "Size of the history in its file."}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			n, err := h.Size(ctx)
			if err != nil {
				return 0
			}
			return float64(n)
		}))
	}
	return h, nil
}

// emptyHistory is what is read while there is no file.
func emptyHistory(ctx context.Context) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(":memory:", pragmas))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, layDownHistory(ctx, db)
}

// openOrWait opens the file for writing, if it may.
func (h *History) openOrWait(ctx context.Context) error {
	if h.opt.Wait != nil && h.opt.Wait() {
		return errWait
	}
	return h.open(ctx)
}

// open opens the file for writing; one that is damaged it moves aside.
func (h *History) open(ctx context.Context) error {
	err := h.tryOpen(ctx)
	if damaged(err) {
		return h.renew(ctx, err)
	}
	return err
}

// renew moves the damaged file aside and begins a new one.
func (h *History) renew(ctx context.Context, why error) error {
	to, err := aside(h.path, why)
	if err != nil {
		return err
	}
	h.log.Error("history was damaged; a new one is begun", zap.String("moved_to", to), zap.Error(why))
	clear(h.ids)
	h.swept = 0
	return h.tryOpen(ctx)
}

func (h *History) tryOpen(ctx context.Context) error {
	// Beside a store, or with a log of its own, it is ours until its tables say otherwise.
	mark := h.opt.Store + ".lock"
	if _, err := os.Stat(mark); err != nil {
		mark = h.path + "-wal"
	}
	if err := foreign(h.path, mark, historyID); err != nil {
		return err
	}
	if err := private(h.path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(h.path, pragmas+"&_txlock=immediate&_pragma=cache_size(-256)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := layDownHistory(ctx, db); err != nil {
		db.Close()
		return err
	}
	if h.db != nil {
		_ = h.db.Close() // a damaged file, or none
	}
	h.db = newParsed(db)
	return nil
}

// layDownHistory checks that a file is ours, and makes the tables of a fresh one.
// Its blocks have their own checksums and are not read through here: a history of
// a gigabyte must not keep a start waiting.
func layDownHistory(ctx context.Context, db *sql.DB) error {
	var id, version int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case id != historyID && (id != 0 || version != 0):
		return fmt.Errorf("the file is no history of oomwatch (application id %#x); choose another place with --store PATH", id)
	case version > historyVersion:
		return fmt.Errorf("the file was written by a later oomwatch (version %d, this one knows %d); run that one", version, historyVersion)
	}
	for _, q := range []string{fmt.Sprintf("PRAGMA application_id = %d", historyID), fmt.Sprintf("PRAGMA user_version = %d", historyVersion), historySchema} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.db == nil {
		return nil
	}
	return h.db.Close()
}

// Size is how many bytes of the file are in use.
func (h *History) Size(ctx context.Context) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, nil
	}
	return h.size(ctx)
}

func (h *History) size(ctx context.Context) (int64, error) {
	var n [3]int64
	for i, q := range []string{"PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"} {
		if err := h.db.QueryRowContext(ctx, q).Scan(&n[i]); err != nil {
			return 0, fmt.Errorf("measure the history: %w", err)
		}
	}
	return (n[0] - n[1]) * n[2], nil
}

// freeBytes is how much an ordinary user may still write beside a file.
func freeBytes(path string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// good checks a row's checksum; one that is damaged is counted and said.
func (h *History) good(b []byte, crc int64, what string) bool {
	if checksum(b) == crc {
		return true
	}
	h.bad.Inc()
	h.log.Warn("a block of history is damaged and was skipped", zap.String("what", what))
	return false
}
