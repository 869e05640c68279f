package kmsg

import (
	"context"
	"errors"
	"time"
)

// Log is the kernel's log ring, read and followed in one of the two ways that the
// kernel offers: Reader (/dev/kmsg) or SyslogReader (syslog(2)).
type Log interface {
	// Next returns the next record worth delivering, and waits for one where
	// there is none yet. The Record belongs to the Log, which overwrites it in
	// the next call. Next returns ErrCaughtUp once, when it first would have to
	// wait; ctx's error when ctx ends; an error that is os.ErrClosed when the Log
	// is closed; any other error is its end. It is for one goroutine at a time;
	// every other method may be called from any.
	Next(ctx context.Context) (*Record, error)
	// Position names the last record that Next passed: what a later Log is to
	// resume behind.
	Position() Position
	// Began is the time of the oldest record that the ring still held when it was
	// read from its start; zero before the first record, and where records have no time.
	Began() time.Time
	// Stats returns the counts so far.
	Stats() ReaderStats
	// Way names how the ring is read: "/dev/kmsg" or "syslog(2)".
	Way() string
	// Every is how far apart it is asked for news at the most; 0 for a log that wakes who
	// waits.
	Every() time.Duration
	// Close ends the Log, and with it a Next that waits.
	Close() error
}

// Open opens the kernel log by its device, else by syslog(2). Where neither can be
// read the error is the device's, an *AccessError: it names the better mend.
func Open(opt ReaderOptions) (Log, error) {
	r, err := OpenReader(opt)
	if err == nil {
		return r, nil
	}
	if opt.Path != "" || !errors.As(err, new(*AccessError)) {
		return nil, err
	}
	if s, serr := OpenSyslog(opt); serr == nil {
		return s, nil
	}
	return nil, err
}
