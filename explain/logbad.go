package explain

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/oomwatch/oomwatch/internal/input"
)

// BadLogs gathers the logs that cannot be read, or not to their end: what the others
// say is told first, and then that it may not be all.
type BadLogs struct {
	bad     []badLog
	folders []string
}

// badLog is one of them, and what to do about it; unread where nothing of it is told.
type badLog struct {
	err    error
	unread bool
	next   string
}

// Add is for kmsg.ScanOptions.
func (b *BadLogs) Add(name string, err error) {
	if errors.Is(err, syscall.EISDIR) {
		b.folders = append(b.folders, name)
		return
	}
	x := badLog{err: err, next: "it is damaged, or cut short; what could be read of it is explained: get the file again"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.unread, x.next = true, "give the path of a log that there is"
	case errors.Is(err, fs.ErrPermission):
		x.unread, x.next = true, "run as a user who may read it"
	case errors.Is(err, input.ErrDevice):
		x.unread, x.next = true, "copy what is meant into a file, or give - and pipe it in"
	case errors.Is(err, input.ErrSilent):
		x.unread, x.next = true, "start what writes into it first"
	}
	b.bad = append(b.bad, x)
}

// Err is nil where all that was named has been read. A folder among other logs is what
// kern.log* finds beside them; alone it is a mistake.
func (b *BadLogs) Err(logs int, notes io.Writer) error {
	var errs []error
	for _, x := range b.bad {
		if x.unread && logs > 1 {
			x.next = "it is left out: " + x.next
		}
		errs = append(errs, fmt.Errorf("%w: %s", x.err, x.next))
	}
	for _, name := range b.folders {
		if len(b.folders) == logs {
			errs = append(errs, fmt.Errorf("read log %q: it is a directory: name the logs in it", name))
			continue
		}
		sayFolder(notes, name)
	}
	return errors.Join(errs...)
}

func sayFolder(notes io.Writer, name string) {
	fmt.Fprintf(notes, "note: %s is a directory and was not read: name the logs in it\n", name)
}
