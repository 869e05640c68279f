package explain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"io"
	"os"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/input"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/voices"
)

// joinOptions is what is known beside the observations.
type joinOptions struct {
	horizons  []incident.Horizon
	voices    []incident.Voice
	logUnread string
}

const (
	maxVoices = 10_000
	maxLine   = 64 << 10
)

// reKernel is a line of the kernel's log in the forms that give no writer: dmesg's
// stamps, syslog's "kernel:".
var reKernel = lazyre.New(`\bkernel:? |^\s*(?:<\d{1,3}>)?\[ *\d{1,10}\.\d{1,9}\]|"_TRANSPORT" ?: ?"kernel"|^\d,\d+,\d+,`)

// readLines reads the logs once more, for what is not the kernel's in them: who else
// speaks of an end, and how far the log reaches. A log that cannot be read is left to
// the kernel's reader, which says so.
func readLines(ctx context.Context, names []string, loc *time.Location, now time.Time) (spoken []incident.Voice, reach []incident.Horizon) {
	for _, name := range names {
		f, err := openAgain(ctx, name)
		if err != nil {
			continue
		}
		r, done, err := kmsg.Decompress(f, name)
		if err == nil {
			h := lines(ctx, r, loc, now, func(v incident.Voice) {
				if len(spoken) < maxVoices {
					spoken = append(spoken, v)
				}
			})
			reach = append(reach, h)
			done()
		}
		_ = f.Close() // it was only read
	}
	return spoken, reach
}

// openAgain opens a log that the kernel's reader reads too. A pipe can be read once: it
// is left to that reader.
func openAgain(ctx context.Context, name string) (*input.File, error) {
	if st, err := os.Stat(name); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errReadOnce
	}
	return input.Open(ctx, name)
}

var errReadOnce = errors.New("it can be read only once")

// lines reads one log.
func lines(ctx context.Context, r io.Reader, loc *time.Location, now time.Time, tell func(incident.Voice)) incident.Horizon {
	br := bufio.NewReaderSize(r, maxLine)
	h := incident.Horizon{Source: "kmsg"}
	kernel := false
	var reader voices.Reader
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			break
		}
		raw, err := br.ReadSlice('\n')
		if len(raw) > 0 {
			kernel = kernel || reKernel.Match(raw)
			l := voices.ParseLine(string(raw), loc, now)
			kernel = kernel || l.Ident == "kernel"
			if !l.At.IsZero() {
				if h.From.IsZero() || l.At.Before(h.From) {
					h.From = l.At
				}
				if l.At.After(h.To) {
					h.To = l.At
				}
			}
			if v, ok := reader.Read(l); ok {
				tell(v)
			}
		}
		if err == bufio.ErrBufferFull {
			for err == bufio.ErrBufferFull { // the rest of a line that is too long
				_, err = br.ReadSlice('\n')
			}
		}
		if err != nil {
			break
		}
	}
	h.Read = kernel
	switch {
	case !kernel:
		h.From, h.To, h.Reason = time.Time{}, time.Time{}, "the log that was given holds no line of the kernel's"
	case h.From.IsZero():
		h.Undated = true
	}
	return h
}

// spool copies standard input to a file, so that it can be read twice.
func spool(in io.Reader) (name string, remove func(), err error) {
	f, err := os.CreateTemp("", "oomwatch-log-*")
	if err != nil {
		return "", nil, fmt.Errorf("keep standard input to read it twice: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) }
	if _, err = io.Copy(f, in); err == nil {
		err = f.Close()
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("keep standard input to read it twice: %w", err)
	}
	return f.Name(), remove, nil
}

// NoKernelLine is true where no line of the logs reads like the kernel's. It stops at the
// first that does; standard input, which cannot be read again, is taken for such a log.
func (f *Files) NoKernelLine(ctx context.Context) bool {
	for _, name := range f.Logs {
		if name == "-" || hasKernelLine(ctx, name) {
			return false
		}
	}
	return len(f.Logs) > 0
}

func hasKernelLine(ctx context.Context, name string) bool {
	file, err := openAgain(ctx, name)
	if err != nil {
		return true // what it holds is not known
	}
	defer file.Close()
	r, done, err := kmsg.Decompress(file, name)
	if err != nil {
		return true
	}
	defer done()
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, maxLine), 4<<20)
	for sc.Scan() {
		if reKernel.Match(sc.Bytes()) || kmsg.Interesting(sc.Bytes()) {
			return true
		}
	}
	return sc.Err() != nil
}
