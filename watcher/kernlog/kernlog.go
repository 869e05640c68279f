// Package kernlog is the source that follows the kernel's log ring.
package kernlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// Source follows the kernel's log ring.
type Source struct {
	// Path is the device, "" for /dev/kmsg.
	Path string
	// After is where an earlier run had read to.
	After kmsg.Position
	// Once ends Run when the ring has been read to the present.
	Once bool

	stats        atomic.Pointer[kmsg.ReaderStats]
	unrecognised atomic.Int64
	unread       atomic.Pointer[string] // the first such line
}

// Name implements observe.Source.
func (k *Source) Name() string { return observe.KernelLog }

const (
	// quiet is how long the log must be silent before an episode counts as
	// complete. One episode's records are printed within about a
	// millisecond of each other; the line of a kill takes 16 ms on a serial
	// console of 115200 baud.
	quiet = 25 * time.Millisecond
	// slowGroup is the same while a whole group is killed: each of its processes
	// has a line, and between two of them the kernel may do other work.
	slowGroup = 250 * time.Millisecond
	// slowConsole is how long a report that has no kill line yet is waited
	// for: a slow serial console can hold the kernel up between two records.
	slowConsole = 2 * time.Second
	// positionEvery is how often the position is reported while nothing happens.
	positionEvery = 10 * time.Second
	// retryEvery is how often a log that cannot be read is tried again.
	retryEvery = 30 * time.Second
)

// Run implements observe.Source: it reads the ring from the last known position, and
// tries again where it cannot be read.
func (k *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	if k.Once {
		if err := k.follow(ctx, emit); err != nil && ctx.Err() == nil {
			emit(down(err))
		}
		return nil
	}
	observe.Retry(ctx, retryEvery, emit, func(emit func(observe.Observation)) error { return k.follow(ctx, emit) }, down)
	return nil
}

// Stats are the reader's counters; zero before the log was first opened.
func (k *Source) Stats() kmsg.ReaderStats {
	if s := k.stats.Load(); s != nil {
		return *s
	}
	return kmsg.ReaderStats{}
}

// Unrecognised counts lines that are clearly OOM text of an unknown form, and
// gives the first of them: it is worth a report.
func (k *Source) Unrecognised() (n int64, line string) {
	if s := k.unread.Load(); s != nil {
		line = *s
	}
	return k.unrecognised.Load(), line
}

// follow reads one opening of the log until it ends.
func (k *Source) follow(ctx context.Context, emit func(observe.Observation)) error {
	r, err := kmsg.Open(kmsg.ReaderOptions{Path: k.Path, After: k.After, Keep: kmsg.Interesting})
	if err != nil {
		return err
	}
	defer r.Close()
	emit(observe.Observation{At: time.Now(), Source: &observe.SourceState{Name: observe.KernelLog, Kind: observe.KindKernel, Up: true, Every: r.Every()}})
	asm := kmsg.NewAssembler()
	last := time.Now()
	position := func() {
		s := r.Stats()
		k.stats.Store(&s)
		if p := r.Position(); !p.IsZero() && p != k.After {
			k.After = p
			emit(observe.Observation{At: time.Now(), Cursor: &observe.Cursor{Source: observe.KernelLog, Value: FormatPosition(p)}})
		}
	}
	defer position()
	for {
		wait := positionEvery
		switch {
		case asm.AwaitsKill():
			wait = slowConsole
		case asm.AwaitsGroup():
			wait = slowGroup
		case asm.Pending():
			wait = quiet
		}
		nctx, cancel := context.WithTimeout(ctx, wait)
		rec, err := r.Next(nctx)
		cancel()
		switch {
		case err == nil:
			if rec.Lost > 0 || rec.LostUnknown {
				reason := "the ring was overwritten before it was read"
				if rec.LostUnknown {
					reason = "the ring was overwritten or cleared (dmesg -C) between two polls"
				}
				emit(observe.Observation{At: rec.Time, Lost: &incident.Gap{Source: observe.KernelLog, From: last, To: rec.Time, Lost: int64(rec.Lost), Reason: reason}})
			}
			last = rec.Time
			k.hand(asm.Add(rec), emit)
		case errors.Is(err, kmsg.ErrCaughtUp):
			k.hand(asm.Flush(), emit)
			emit(observe.Observation{At: time.Now(), Horizon: &incident.Horizon{Source: k.Name(), Read: true, From: r.Began()}})
			position()
			if k.Once {
				return nil
			}
		case ctx.Err() != nil:
			k.hand(asm.Flush(), emit)
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			k.hand(asm.Flush(), emit)
			position()
		default:
			k.hand(asm.Flush(), emit)
			return err
		}
	}
}

// hand emits what the assembler has completed.
func (k *Source) hand(events []kmsg.Event, emit func(observe.Observation)) {
	for i := range events {
		switch e := &events[i]; {
		case e.Episode != nil:
			emit(observe.Observation{At: e.Episode.Time, Episode: e.Episode})
		case e.Fault != nil:
			emit(observe.Observation{At: e.Fault.Time, Fault: e.Fault})
		case e.Unrecognised != nil:
			k.unrecognised.Add(1)
			k.unread.CompareAndSwap(nil, &e.Unrecognised.Text)
		}
	}
}

// down is the source's word that the log cannot be read, with the step that would mend it.
func down(err error) observe.Observation {
	o := observe.Down(observe.KernelLog, time.Now(), err)
	o.Source.Kind = observe.KindKernel
	var access *kmsg.AccessError
	if errors.As(err, &access) {
		o.Source.Reason, o.Source.Fix = access.Reason, access.Fix
	}
	return o
}

// FormatPosition writes a kernel log position as "BOOT-ID:SEQ:MICROSECONDS".
func FormatPosition(p kmsg.Position) string {
	return fmt.Sprintf("%s:%d:%d", p.BootID, p.Seq, p.Uptime.Microseconds())
}

// ParsePosition reads what FormatPosition wrote, and "BOOT-ID:SEQ" of earlier versions.
func ParsePosition(s string) (kmsg.Position, error) {
	boot, rest, ok := strings.Cut(s, ":")
	seq, usec, stamped := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	var us int64
	if stamped && err == nil {
		us, err = strconv.ParseInt(usec, 10, 64)
	}
	if !ok || err != nil {
		return kmsg.Position{}, fmt.Errorf("kernel log position %q is not BOOT-ID:SEQ:MICROSECONDS", s)
	}
	return kmsg.Position{BootID: boot, Seq: n, Uptime: time.Duration(us) * time.Microsecond}, nil
}
