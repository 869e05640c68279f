package kmsg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// SyslogWay is what SyslogReader.Way says.
const SyslogWay = "syslog(2)"

const (
	// pollEvery is how often the ring is asked for news. The kernel walks all of it
	// for an answer, so a large one is asked less often, but pollAtLeast often.
	pollEvery   = time.Second
	pollAtLeast = 3 * time.Second
	// firstLook is how many of the ring's newest bytes a poll reads at first.
	firstLook = 16 << 10
	// largestRing is the largest text that the kernel is asked for.
	largestRing = 64 << 20
	// knownTail is how many bytes of what was read last are remembered, to find
	// them again in the next answer.
	knownTail = 4 << 10
)

// SyslogReader reads the kernel's log ring by syslog(2), which needs CAP_SYSLOG
// but no device: it is for a container that was given no /dev/kmsg. The kernel
// tells no sequence numbers there and wakes nobody, so the ring is polled, and
// that something was overwritten unread shows only in that no answer holds what
// was read last (Record.LostUnknown). What dmesg -C has hidden is not to be had.
type SyslogReader struct {
	keep   func([]byte) bool
	after  Position
	boot   string
	read   func([]byte) (int, error) // of the newest records as many as fit
	clocks func() (mono time.Duration, real time.Time)
	closed atomic.Bool
	live   atomic.Bool
	done   chan struct{}

	// What Next works with; only its goroutine touches it.
	queue    []byte // lines that are read and not yet looked at
	tail     []byte // the last bytes that were read
	lost     bool   // what comes next stands behind a loss
	began    bool
	skipping bool // records that an earlier Reader has read come by
	next     time.Time
	clock    logClock
	rec      Record

	mu    sync.Mutex
	pos   Position
	stats ReaderStats
	first time.Time // of the oldest record that was read
}

// OpenSyslog opens the kernel log by syslog(2). ReaderOptions.Path is not used.
// An error is an *AccessError when the kernel refuses.
func OpenSyslog(opt ReaderOptions) (*SyslogReader, error) {
	boot, err := readBootID()
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	r := newSyslogReader(opt, boot, readAll)
	if _, err := r.read(make([]byte, 1024)); err != nil {
		return nil, &AccessError{Path: SyslogWay, Reason: reason(err), Err: err,
			Fix: "run it as root, or give it CAP_SYSLOG (in a container --cap-add SYSLOG)"}
	}
	return r, nil
}

func newSyslogReader(opt ReaderOptions, boot string, read func([]byte) (int, error)) *SyslogReader {
	r := &SyslogReader{keep: opt.Keep, boot: boot, read: read, clocks: readClocks, done: make(chan struct{})}
	if opt.After.BootID == boot {
		r.after, r.pos, r.skipping = opt.After, opt.After, true
	}
	return r
}

// readAll copies the newest records of the ring that fit into b.
func readAll(b []byte) (int, error) { return unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, b) }

// Way implements Log.
func (r *SyslogReader) Way() string { return SyslogWay }

// Every implements Log.
func (r *SyslogReader) Every() time.Duration { return pollAtLeast }

// Next implements Log.
func (r *SyslogReader) Next(ctx context.Context) (*Record, error) {
	for {
		if r.take() {
			return &r.rec, nil
		}
		if r.began && !r.live.Swap(true) {
			return nil, ErrCaughtUp
		}
		ended := r.rest(ctx)
		if r.closed.Load() {
			return nil, fmt.Errorf("read the kernel log: %w", os.ErrClosed)
		}
		if ended != nil && !errors.Is(ended, context.DeadlineExceeded) {
			return nil, ended
		}
		if err := r.poll(); err != nil {
			return nil, fmt.Errorf("read the kernel log: %w", err)
		}
		// Who waits only so long is told what came meanwhile.
		if ended != nil && len(r.queue) == 0 {
			return nil, ended
		}
	}
}

// rest waits until the next poll is due, and returns ctx's error if that ends before.
func (r *SyslogReader) rest(ctx context.Context) error {
	wait := time.Until(r.next)
	if wait <= 0 {
		return ctx.Err()
	}
	due := time.NewTimer(wait)
	defer due.Stop()
	select {
	case <-due.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return nil
	}
}

// poll puts what is new in the ring into the queue.
func (r *SyslogReader) poll() error {
	start := time.Now()
	text, err := r.news()
	if err != nil {
		return err
	}
	r.queue = append(r.queue[:0], text...)
	r.remember(text)
	r.next = time.Now().Add(min(max(pollEvery, 500*time.Since(start)), pollAtLeast))
	r.began = true
	return nil
}

// news reads the ring's newest bytes, more and more of them until what was read
// last is among them, and returns what stands behind it.
func (r *SyslogReader) news() ([]byte, error) {
	size := firstLook
	if len(r.tail) == 0 {
		size = 1 << 20
	}
	for {
		b := make([]byte, size)
		n, err := r.read(b)
		if err != nil {
			return nil, err
		}
		text := b[:n]
		if at := bytes.LastIndex(text, r.tail); at >= 0 && len(r.tail) > 0 {
			return text[at+len(r.tail):], nil
		}
		// An answer far below the size asked for is all that there is.
		if n < size-firstLook/2 || size >= largestRing {
			if len(r.tail) > 0 {
				r.lost, r.tail = true, nil
				r.count(func(s *ReaderStats) { s.Overruns++ })
			}
			return text, nil
		}
		size *= 8
	}
}

// noteFirst notes the time of the oldest record.
func (r *SyslogReader) noteFirst() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() && r.rec.HasUptime {
		mono, real := r.clocks()
		r.first = r.clock.at(r.rec.Uptime, mono, real, false)
	}
}

// Began implements Log.
func (r *SyslogReader) Began() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// remember keeps the last bytes of text to know them again.
func (r *SyslogReader) remember(text []byte) {
	r.tail = append(r.tail, text...)
	if cut := len(r.tail) - knownTail; cut > 0 {
		r.tail = append(r.tail[:0], r.tail[cut:]...)
	}
}

// take makes r.rec of the next line in the queue that is to be delivered.
func (r *SyslogReader) take() bool {
	for len(r.queue) > 0 {
		line, rest, _ := bytes.Cut(r.queue, []byte{'\n'})
		r.queue = rest
		text, ok := parseSyslogLine(line, &r.rec)
		if !ok {
			r.count(func(s *ReaderStats) { s.Malformed++ })
			continue
		}
		r.noteFirst()
		if r.skipping = r.skipping && r.rec.HasUptime && r.rec.Uptime < r.after.Uptime; r.skipping {
			continue
		}
		r.rec.LostUnknown = r.lost
		r.count(func(s *ReaderStats) {
			s.Read++
			if r.rec.Facility != 0 && readsLikeKill(text) {
				s.Forged++
			}
			r.pos = Position{BootID: r.boot, Uptime: r.rec.Uptime}
		})
		if !r.lost && r.keep != nil && !r.keep(text) {
			continue
		}
		r.lost = false
		mono, real := r.clocks()
		r.rec.Time = real
		if r.rec.HasUptime {
			r.rec.Time = r.clock.at(r.rec.Uptime, mono, real, false)
		}
		r.rec.Text = string(text)
		return true
	}
	return false
}

func (r *SyslogReader) count(add func(*ReaderStats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.stats)
}

// Position implements Log. It holds the last record's stamp: there are no numbers.
func (r *SyslogReader) Position() Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos
}

// Stats implements Log. Lost, Span, First and Last stay 0: they need numbers.
func (r *SyslogReader) Stats() ReaderStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Close implements Log.
func (r *SyslogReader) Close() error {
	if r.closed.Swap(true) {
		return fmt.Errorf("close the kernel log: %w", os.ErrClosed)
	}
	close(r.done)
	return nil
}

// parseSyslogLine reads a line of syslog(2), "<PRIO>[ SECONDS.MICROS] TEXT", with
// the caller in brackets of its own where the kernel prints it, and without the
// stamp where printk.time is off. It fills in all of r but Text, which it returns.
func parseSyslogLine(line []byte, r *Record) (text []byte, ok bool) {
	b, ok := bytes.CutPrefix(line, []byte("<"))
	if !ok {
		return nil, false
	}
	prio, b, ok := cutUint(b, '>')
	if !ok || prio > 1<<14 {
		return nil, false
	}
	*r = Record{Facility: int16(prio >> 3), Level: int8(prio & 7)}
	stamp, rest, ok := cutBrackets(b)
	if !ok {
		return b, true
	}
	sec, frac, ok := cutUint(stamp, '.')
	usec, end, ok2 := cutUint(append(frac[:len(frac):len(frac)], ']'), ']')
	if !ok || !ok2 || len(end) > 0 || len(frac) != 6 {
		return b, true
	}
	r.Uptime, r.HasUptime = time.Duration(sec)*time.Second+time.Duration(usec)*time.Microsecond, true
	if caller, after, ok := cutBrackets(rest); ok && isCaller(caller) {
		r.Caller, rest = string(caller), after
	}
	return bytes.TrimPrefix(rest, []byte(" ")), true
}

// isCaller reports whether b is "T123", a thread, or "C0", a processor.
func isCaller(b []byte) bool {
	return len(b) > 1 && (b[0] == 'T' || b[0] == 'C') && len(bytes.Trim(b[1:], "0123456789")) == 0
}

// cutBrackets splits "[ inner]rest".
func cutBrackets(b []byte) (inner, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b, ']')
	if end < 0 {
		return nil, nil, false
	}
	return bytes.TrimLeft(b[1:end], " "), b[end+1:], true
}
