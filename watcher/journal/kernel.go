package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/voices"
)

// Kernel is the kernel's log as the host has kept it: what the ring has overwritten
// since, and what was before the last boot. Run reads it once. Where the host keeps
// none it says nothing: the ring is the source, and says itself when it is blind.
type Kernel struct {
	Since time.Time
	// Command is the program, "" for journalctl.
	Command string
	// Files are read where there is no journalctl, the older ones first; nil for where
	// syslog daemons keep the kernel's messages.
	Files []string
}

// ofKernel selects the kernel's lines.
const ofKernel = "_TRANSPORT=kernel"

var syslogFiles = []string{"/var/log/kern.log.1", "/var/log/kern.log", "/var/log/messages.1", "/var/log/messages"}

// kernelWait bounds the reading of a journal of many gigabytes; what came is used.
const kernelWait = 10 * time.Second

// keptLate is how long a busy journald can take to read, and date, a record of the ring:
// systemd ends one that has stood still for as long (WatchdogSec=3min of its unit).
const keptLate = 3 * time.Minute

// Name implements observe.Source.
func (*Kernel) Name() string { return sourceName }

// Run implements observe.Source.
func (k *Kernel) Run(ctx context.Context, emit func(observe.Observation)) error {
	_, err := k.read(ctx, emit)
	return err
}

// read emits what the kernel said of ends. from is the first moment that the journal
// covers, zero where it was not read to its end or is none.
func (k *Kernel) read(ctx context.Context, emit func(observe.Observation)) (from time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, kernelWait)
	defer cancel()
	yield := func(ev *kmsg.Event) error {
		switch {
		case ev.Episode != nil && ev.Episode.Time.After(k.Since):
			ev.Episode.Late = keptLate
			emit(observe.Observation{At: ev.Episode.Time, Episode: ev.Episode})
		case ev.Fault != nil && ev.Fault.Time.After(k.Since):
			emit(observe.Observation{At: ev.Fault.Time, Fault: ev.Fault})
		}
		return nil
	}
	opt := kmsg.ScanOptions{Location: time.Local}
	path, err := exec.LookPath(program(k.Command))
	if err != nil {
		return time.Time{}, k.files(ctx, opt, yield)
	}
	cmd := exec.CommandContext(ctx, path, arguments(fmt.Sprintf("--since=@%d", k.Since.Unix()), ofKernel)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return time.Time{}, fmt.Errorf("read the journal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return time.Time{}, fmt.Errorf("read the journal: %w", err)
	}
	in := bufio.NewReader(out)
	first, _ := in.ReadBytes('\n') // an error comes again
	_, err = kmsg.Scan(ctx, io.MultiReader(bytes.NewReader(first), in), "journal", opt, yield)
	whole := ctx.Err() == nil
	cancel() // what is left unread after an error is of no use
	_ = cmd.Wait()
	if err != nil {
		return time.Time{}, fmt.Errorf("read the journal: %w", err)
	}
	if whole {
		from = voices.ParseLine(string(first), time.UTC, time.Time{}).At
	}
	return from, nil
}

func (k *Kernel) files(ctx context.Context, opt kmsg.ScanOptions, yield func(*kmsg.Event) error) error {
	files := k.Files
	if files == nil {
		files = syslogFiles
	}
	for _, name := range files {
		if _, err := kmsg.ScanFiles(ctx, []string{name}, opt, yield); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read the kernel's messages: %w", err)
		}
	}
	return nil
}

// reachWait bounds the look at how far back the journal reaches.
const reachWait = 3 * time.Second

// Reach says how far back the kernel's lines in the journal reach. It fails where there is
// no journal, or none that may be read.
func Reach(ctx context.Context) (incident.Horizon, error) {
	h := incident.Horizon{Source: sourceName}
	if _, err := exec.LookPath(program("")); err != nil {
		return h, errors.New("there is no journalctl here")
	}
	Lines(ctx, reachWait, func(l voices.Line) bool {
		h.Read, h.From = !l.At.IsZero(), l.At
		return false
	}, ofKernel)
	if !h.Read {
		return h, errors.New("the journal holds no line of the kernel that this user may read")
	}
	return h, nil
}

// Lines gives the journal's lines, oldest first, until next says that it is enough. Where
// there is no journal there are none.
func Lines(ctx context.Context, wait time.Duration, next func(voices.Line) bool, args ...string) {
	path, err := exec.LookPath(program(""))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, arguments(args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	sc := bufio.NewScanner(out)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for sc.Scan() && next(voices.ParseLine(sc.Text(), time.Local, time.Now())) {
	}
	cancel() // what is left is of no use
	_ = cmd.Wait()
}
