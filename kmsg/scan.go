package kmsg

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
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
}

// ScanStats counts what was in a log.
type ScanStats struct {
	Bytes, Lines, Records int64
	Episodes, Kills       int64
	Faults, Unrecognised  int64
	// Foreign counts lines that look like the kernel's and were written by
	// a program: they are not believed.
	Foreign int64
	// UnrecognisedLines are the first lines of OOM reports in a form that is
	// not known here.
	UnrecognisedLines []string
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
}

// ScanFiles reads kernel logs in any format, plain or compressed (gzip, zstd,
// told by content), and calls yield for each event, in the order of the log.
// "-" is standard input. Several files are read as one log, oldest first. It
// stops at the first error of yield.
func ScanFiles(ctx context.Context, names []string, opt ScanOptions, yield func(*Event) error) (ScanStats, error) {
	var total ScanStats
	for _, name := range names {
		var r io.Reader = os.Stdin
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return total, fmt.Errorf("open log: %w", err)
			}
			defer f.Close()
			r = f
		}
		st, err := Scan(ctx, r, name, opt, yield)
		total.add(&st)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Scan is ScanFiles for one open log. name is for errors.
func Scan(ctx context.Context, r io.Reader, name string, opt ScanOptions, yield func(*Event) error) (ScanStats, error) {
	if opt.Location == nil {
		opt.Location = time.UTC
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	br := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := br.Peek(4); bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(br)
		if err != nil {
			return ScanStats{}, fmt.Errorf("read log %q: %w", name, err)
		}
		br = bufio.NewReaderSize(z, 1<<16)
	} else if bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		z, err := zstd.NewReader(br)
		if err != nil {
			return ScanStats{}, fmt.Errorf("read log %q: %w", name, err)
		}
		defer z.Close()
		br = bufio.NewReaderSize(z, 1<<16)
	}
	var failed error
	f := feeder{asm: NewAssembler(), opt: &opt}
	f.tell = func(e Event) {
		if failed == nil {
			failed = yield(&e)
		}
	}
	for failed == nil {
		if err := ctx.Err(); err != nil {
			return f.stats, err
		}
		b, err := br.ReadSlice('\n')
		f.stats.Bytes += int64(len(b))
		if len(b) > 0 {
			f.line(strings.TrimSuffix(string(b), "\n"))
		}
		if errors.Is(err, io.EOF) {
			f.finish()
			return f.stats, failed
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return f.stats, fmt.Errorf("read log %q: %w", name, err)
		}
	}
	return f.stats, failed
}
