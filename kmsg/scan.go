package kmsg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/oomwatch/oomwatch/internal/input"
)

// ScanOptions say what a log itself does not.
type ScanOptions struct {
	// Location is the zone of dates that are printed without one; UTC when nil.
	Location *time.Location
	// Now bounds the year of dates without one: the newest year is taken that
	// does not put them after Now. Zero: the time of the call.
	Now time.Time
	// Year is the year of such dates, if it is known; 0 to find it from Now.
	Year int
	// Boot is the wall clock time of the boot, to date records that have
	// only the time since it. Zero leaves them undated.
	Boot time.Time
	// Progress, if not nil, is called now and then with the bytes read and
	// the bytes in all (0 when not known).
	Progress func(done, total int64)
	// Bad, if not nil, is told of a file that cannot be read, or not to its end;
	// the others are read all the same. Without it the first such ends the scan.
	Bad func(name string, err error)
}

// ScanStats counts what was in a log.
type ScanStats struct {
	Bytes, Lines, Records int64
	Episodes, Kills       int64
	Faults, Unrecognised  int64
	// Foreign counts lines that look like the kernel's word on a kill and were
	// written by a program: they are not believed.
	Foreign int64
	// UnrecognisedLines are the first lines of OOM reports in a form that is
	// not known here.
	UnrecognisedLines []string
	// NotKernel are the files in which no line looks like a kernel log's; bounded.
	NotKernel []Look
}

const maxUnrecognised = 16

func (s *ScanStats) add(o *ScanStats) {
	s.Bytes += o.Bytes
	s.Lines += o.Lines
	s.Records += o.Records
	s.Episodes += o.Episodes
	s.Kills += o.Kills
	s.Faults += o.Faults
	s.Unrecognised += o.Unrecognised
	s.Foreign += o.Foreign
	for _, l := range o.UnrecognisedLines {
		if len(s.UnrecognisedLines) < maxUnrecognised {
			s.UnrecognisedLines = append(s.UnrecognisedLines, l)
		}
	}
	if len(s.NotKernel) < maxUnrecognised {
		s.NotKernel = append(s.NotKernel, o.NotKernel...)
	}
}

// ScanFiles reads kernel logs in any format, plain or compressed (gzip, zstd,
// xz, bzip2, told by content), and calls yield for each event, in the order of the log.
// "-" is standard input. Several files are read as one log, oldest first. It
// stops at the first error of yield. A log is read by all processors; yield is
// called from one goroutine.
func ScanFiles(ctx context.Context, names []string, opt ScanOptions, yield func(*Event) error) (ScanStats, error) {
	return scanFiles(ctx, names, opt, nil, func(g *region) error { return each(g, yield) })
}

// Scan is ScanFiles for one open log. name is for errors.
func Scan(ctx context.Context, r io.Reader, name string, opt ScanOptions, yield func(*Event) error) (ScanStats, error) {
	opt.defaults()
	var seen seenKills
	return scan(ctx, r, name, opt, &seen, nil, func(g *region) error { return each(g, yield) })
}

// ScanRender is ScanFiles for programs that print what they find: render
// appends the printed form of an event to dst. It is called on all processors
// at once, in no order; what it returns is written to w in the order of the
// log. The event must not be kept: its strings are parts of the log.
func ScanRender(ctx context.Context, names []string, opt ScanOptions, render func(dst []byte, e *Event) []byte, w io.Writer) (ScanStats, error) {
	return scanFiles(ctx, names, opt, render, func(g *region) error {
		if len(g.out) == 0 {
			return nil
		}
		if _, err := w.Write(g.out); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	})
}

func each(g *region, yield func(*Event) error) error {
	for i := range g.events {
		if err := yield(&g.events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o *ScanOptions) defaults() {
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
}

func scan(ctx context.Context, r io.Reader, name string, opt ScanOptions, seen *seenKills, render func([]byte, *Event) []byte, yield func(*region) error) (ScanStats, error) {
	src, done, err := openSource(r, name)
	if err != nil {
		return ScanStats{}, err
	}
	defer done()
	p := pipeline{src: src, name: name, opt: &opt, render: render, yield: yield, seen: seen}
	err = p.run(ctx)
	if st := &p.stats; err == nil && st.Episodes+st.Faults+st.Unrecognised+st.Foreign == 0 {
		if l, ok := lookAt(name, src.samples()); ok {
			st.NotKernel = append(st.NotKernel, l)
		}
	}
	return p.stats, err
}

func scanFiles(ctx context.Context, names []string, opt ScanOptions, render func([]byte, *Event) []byte, yield func(*region) error) (ScanStats, error) {
	opt.defaults()
	var total ScanStats
	var seen seenKills
	ordered, err := inOrder(names, &opt)
	if err != nil {
		return total, err
	}
	var refused error // what the taker of the events says ends the scan, whatever the file
	take := func(g *region) error {
		refused = yield(g)
		return refused
	}
	for _, name := range ordered {
		st, err := scanOne(ctx, name, opt, &seen, render, take)
		total.add(&st)
		switch {
		case err == nil:
		case refused == nil && ctx.Err() != nil && errors.Is(err, os.ErrClosed):
			// A read that was ended says that its file is closed, which is not the reason.
			return total, fmt.Errorf("read log %q: %w", name, ctx.Err())
		case opt.Bad == nil || refused != nil || ctx.Err() != nil:
			return total, err
		default:
			opt.Bad(name, err)
		}
	}
	return total, nil
}

func scanOne(ctx context.Context, name string, opt ScanOptions, seen *seenKills, render func([]byte, *Event) []byte, yield func(*region) error) (ScanStats, error) {
	if name == "-" {
		return scan(ctx, os.Stdin, "stdin", opt, seen, render, yield)
	}
	f, err := input.Open(ctx, name)
	if err != nil {
		return ScanStats{}, fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	if f.Again() && f.Info.ModTime().Before(opt.Now) {
		opt.Now = f.Info.ModTime() // a log holds nothing newer than its last write
	}
	return scan(ctx, f.File, name, opt, seen, render, yield)
}
