package kmsg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrCaughtUp is returned by Reader.Next once per Reader: every record that
// the ring held when it was opened has been read, and what follows is live. It
// is not a fault: call Next again to follow the log, or stop there to have read
// it once.
var ErrCaughtUp = errors.New("kernel log: read up to the present")

// Position names a record of the kernel log in a way that survives a restart of
// the reader; sequence numbers and stamps begin anew at every boot. Seq is 0 where
// the log was read by syslog(2), which tells none: then Uptime alone names it, and
// whoever resumes there reads the record with that stamp again.
type Position struct {
	BootID string        `json:"boot_id"`
	Seq    uint64        `json:"seq"`
	Uptime time.Duration `json:"uptime,omitempty"`
}

// IsZero reports whether p names no record.
func (p Position) IsZero() bool { return p == Position{} }

// ReaderOptions are what OpenReader can be told. The zero value reads
// everything that /dev/kmsg holds and follows it.
type ReaderOptions struct {
	// Path of the kernel log device; "" is /dev/kmsg.
	Path string
	// After is the record to resume behind. Zero, or of another boot, means
	// from the oldest record that the ring still holds.
	After Position
	// Keep is asked about the text of each record before anything is
	// allocated for it, and must not hold on to it; nil keeps every record.
	// Interesting is made for this place. Two kinds of record are delivered
	// unasked: the first behind a gap, because it tells the gap (Lost), and
	// a fragment that continues a record that was delivered.
	Keep func(text []byte) bool
}

// Reader reads the kernel's log ring and follows it.
type Reader struct {
	f      *os.File
	raw    syscall.RawConn
	keep   func([]byte) bool
	after  Position
	bootID func() (string, error)
	clocks func() (mono time.Duration, real time.Time)
	closed atomic.Bool
	live   atomic.Bool

	// What Next works with; only its goroutine touches it.
	buf      []byte
	n        int
	readErr  error
	readOnce func(fd uintptr) (done bool)
	wait     bool // a read may wait for a record
	waited   bool // the last read did
	clock    logClock
	rec      Record
	prevKept bool

	mu    sync.Mutex
	count counter
	boot  string
	// uptime is the stamp of the last record that was counted.
	uptime time.Duration
	began  time.Time // of the oldest record that was read
}

// newReader makes a Reader of an open log; that it is one has been checked.
func newReader(f *os.File, opt ReaderOptions) (*Reader, error) {
	r := &Reader{
		f:      f,
		keep:   opt.Keep,
		after:  opt.After,
		bootID: readBootID,
		clocks: readClocks,
		buf:    make([]byte, 8192), // what the kernel's documentation asks for
	}
	r.readOnce = r.tryRead
	var err error
	if r.raw, err = f.SyscallConn(); err != nil {
		return nil, err
	}
	if r.boot, err = r.bootID(); err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	r.count = newCounter(opt.After, r.boot)
	return r, nil
}

// Next returns the next record worth delivering, and waits for one where there
// is none yet. The Record belongs to the Reader, which overwrites it in the next
// call. Next returns ErrCaughtUp once, when it first would have to wait; ctx's
// error as soon as ctx ends; an error that is os.ErrClosed as soon as the Reader
// is closed; any other error is the end of this Reader.
//
// A record that a program wrote into the log is delivered like any other, with
// its Facility, which the kernel keeps from being 0: who judges must look at it.
//
// Next is for one goroutine at a time; every other method may be called from any.
func (r *Reader) Next(ctx context.Context) (*Record, error) {
	var g guard
	defer g.end()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.wait = g.armed()
		err := r.read()
		switch {
		case err == nil:
			if r.take() {
				return &r.rec, nil
			}
		case err == unix.EAGAIN:
			if setBack, err := r.setBack(); err != nil {
				return nil, err
			} else if setBack {
				continue
			}
			if !r.live.Swap(true) {
				return nil, ErrCaughtUp
			}
			if err := g.arm(ctx, r.f); err != nil {
				return nil, r.wrap("wait for the kernel log", err)
			}
		case err == unix.EPIPE:
			// How much was overwritten shows in the next record's number.
			r.mu.Lock()
			r.count.stats.Overruns++
			r.mu.Unlock()
		case err == unix.EINTR:
		case err == unix.EINVAL && len(r.buf) < 1<<20:
			// The record is longer than the buffer and was left in place.
			r.buf = make([]byte, 2*len(r.buf))
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			return nil, r.wrap("read the kernel log", err)
		}
	}
}

// read gets one record into buf[:n]. Where there is none it waits for one if
// r.wait, else it returns EAGAIN.
func (r *Reader) read() error {
	r.waited = false
	if err := r.raw.Read(r.readOnce); err != nil {
		return err
	}
	return r.readErr
}

func (r *Reader) tryRead(fd uintptr) (done bool) {
	r.n, r.readErr = unix.Read(int(fd), r.buf)
	if r.readErr == unix.EAGAIN && r.wait {
		r.waited = true
		return false
	}
	if r.readErr == nil && r.n == 0 {
		r.readErr = io.ErrUnexpectedEOF
	}
	return true
}

// take makes r.rec of the record in buf and accounts for it. It reports whether
// the record is to be delivered; one that is not costs no allocation.
func (r *Reader) take() bool {
	rec := &r.rec
	text, err := ParseHeader(r.buf[:r.n], rec)
	if err != nil {
		// Its number is not known: the next one's tells that it is missing.
		r.mu.Lock()
		r.count.stats.Malformed++
		r.mu.Unlock()
		return false
	}
	r.mu.Lock()
	if r.count.wentBack(rec.Seq) {
		// Another log than before. If the boot id cannot be read any more,
		// the old one stays: it was good when it was read.
		if id, err := r.bootID(); err == nil {
			r.boot = id
		}
	}
	lost, isNew := r.count.add(rec, text)
	if isNew {
		r.uptime = rec.Uptime
	}
	if r.began.IsZero() {
		mono, real := r.clocks()
		r.began = r.clock.at(rec.Uptime, mono, real, r.waited)
	}
	r.mu.Unlock()
	if !isNew {
		return false
	}
	rec.Lost = lost
	kept := lost > 0 || rec.Continuation && r.prevKept || r.keep == nil || r.keep(text)
	r.prevKept = kept
	if kept || r.waited {
		mono, real := r.clocks()
		rec.Time = r.clock.at(rec.Uptime, mono, real, r.waited)
	}
	// The header is read a second time: the price of one parser for it.
	return kept && ParseRecord(r.buf[:r.n], rec) == nil
}

// setBack reports whether the log, read to its end, does not reach the record
// to resume behind although the boot is the same: it was set back, as with a
// machine snapshot. Nothing in it was seen, so it is read again from its start.
func (r *Reader) setBack() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.count.positionAhead() {
		return false, nil
	}
	if _, err := r.f.Seek(0, io.SeekStart); err != nil {
		return false, r.wrap("go back to the start of the kernel log", err)
	}
	r.count.reanchor()
	return true, nil
}

// Live reports whether Next has read everything that was there when the Reader
// was opened, and now delivers records as the kernel prints them.
func (r *Reader) Live() bool {
	return r.live.Load()
}

// Began implements Log.
func (r *Reader) Began() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began
}

// Position names the last record that Next passed, delivered or not: what a
// later Reader is to resume behind. Before the first it is where this one
// resumed from.
func (r *Reader) Position() Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count.stats.Read == 0 {
		return r.after
	}
	return Position{BootID: r.boot, Seq: r.count.stats.Last, Uptime: r.uptime}
}

// Way implements Log.
func (r *Reader) Way() string { return DefaultPath }

// Every implements Log.
func (r *Reader) Every() time.Duration { return 0 }

// BootID is the id of the boot whose log is read.
func (r *Reader) BootID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boot
}

// Stats returns the counts so far.
func (r *Reader) Stats() ReaderStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count.stats
}

// Close ends the Reader, and with it a Next that waits.
func (r *Reader) Close() error {
	r.closed.Store(true)
	return r.f.Close()
}

func (r *Reader) wrap(step string, err error) error {
	if r.closed.Load() {
		err = os.ErrClosed
	}
	return fmt.Errorf("%s: %w", step, err)
}

// guard lets the end of a context end a read that waits. The zero guard is not
// armed and costs nothing.
type guard struct {
	f    *os.File
	stop func() bool
	done chan struct{}
}

func (g *guard) armed() bool { return g.stop != nil }

// arm makes the end of ctx end every read of f, until end.
func (g *guard) arm(ctx context.Context, f *os.File) error {
	if g.armed() {
		return nil
	}
	// Where a deadline cannot be set, a wait could not be ended: say so now.
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	done := make(chan struct{})
	g.f, g.done = f, done
	g.stop = context.AfterFunc(ctx, func() {
		_ = f.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed file, which ends reads by itself
		close(done)
	})
	return nil
}

func (g *guard) end() {
	if !g.armed() || g.stop() {
		return
	}
	<-g.done
	_ = g.f.SetReadDeadline(time.Time{}) // for the next call's context; as above
}
