package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// namePrefix begins the name of every instance that a process of ours makes by
// default, so that the leftovers of a killed one are found.
const namePrefix = "oomwatch-"

// DefaultBufferKB is the ring buffer's size per processor: about 1200 events
// that may wait to be read.
const DefaultBufferKB = 64

// DefaultSignals are the signals that end a process which does nothing about
// them and are sent to that end: TERM, KILL, INT, HUP, QUIT and XCPU, XFSZ, and
// those of a crash: ILL, ABRT, BUS, FPE, SEGV, SYS. Left out are those that
// programs use as messages and timers (ALRM, VTALRM, PROF, USR1, USR2, IO, PIPE),
// thousands a second on some hosts, and TRAP, which debuggers live on.
func DefaultSignals() []syscall.Signal {
	return []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
		unix.SIGKILL, unix.SIGSEGV, unix.SIGTERM, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGSYS,
	}
}

// Options are what Open can be told. The zero value is right for the daemon.
type Options struct {
	// Root is where tracefs is mounted; "" means /sys/kernel/tracing, else
	// /sys/kernel/debug/tracing.
	Root string
	// Proc is where the host's processes are shown; "" means /proc.
	Proc string
	// Name of the instance; "" means oomwatch-PID.
	Name string
	// BufferKB is the size of the ring buffer per processor; 0 means
	// DefaultBufferKB.
	BufferKB int
	// Signals to be told of; nil means DefaultSignals. The kernel passes by
	// all others without waking anybody.
	Signals []syscall.Signal
}

// Open makes a tracefs instance and turns its two events on, after it has
// removed the instances of processes of ours that were killed. It mounts
// nothing. An error is an *AccessError when tracing is not there or not allowed.
// An Instance must be closed, or it stays until the next Open.
func Open(opt Options) (*Instance, error) {
	root, err := findRoot(opt.Root)
	if err != nil {
		return nil, err
	}
	if opt.Proc == "" {
		opt.Proc = "/proc"
	}
	if opt.BufferKB == 0 {
		opt.BufferKB = DefaultBufferKB
	}
	if opt.Signals == nil {
		opt.Signals = DefaultSignals()
	}
	filter, err := signalFilter(opt.Signals)
	if err != nil {
		return nil, err
	}
	instances := filepath.Join(root, "instances")
	if _, err := removeLeftovers(instances); err != nil {
		return nil, refuse(root, "look for old trace instances", err)
	}
	dir, lock, err := create(instances, opt.Name)
	if err != nil {
		return nil, refuse(root, "make a trace instance", err)
	}
	in := &Instance{dir: dir, lock: lock, closing: make(chan struct{})}
	in.find.saved = filepath.Join(root, "saved_cmdlines")
	if inHostPIDs(opt.Proc) {
		in.find.proc, in.stats.HostPIDs = opt.Proc, true
	}
	if err := in.setUp(opt.BufferKB, filter); err != nil {
		return nil, errors.Join(refuse(root, "set up the trace instance", err), in.Close())
	}
	return in, nil
}

// refuse makes an AccessError of what the system did not allow, with the step
// that it refused as part of the cause.
func refuse(root, step string, err error) error {
	wrapped := fmt.Errorf("%s: %w", step, err)
	for _, no := range []error{fs.ErrPermission, unix.EROFS, unix.ENOMEM} {
		if errors.Is(err, no) {
			return explain(root, wrapped, readFacts())
		}
	}
	return wrapped
}

// signalFilter is the kernel's filter expression for the signals.
func signalFilter(sigs []syscall.Signal) (string, error) {
	var b strings.Builder
	for _, s := range sigs {
		if s < 1 || s > 64 {
			return "", fmt.Errorf("trace signal %d: there are signals 1 to 64", int(s))
		}
		if b.Len() > 0 {
			b.WriteString("||")
		}
		b.WriteString("sig==" + strconv.Itoa(int(s)))
	}
	if b.Len() == 0 {
		return "", errors.New("trace signals: none was named")
	}
	return b.String(), nil
}

// setUp prepares the new instance and turns it on.
func (in *Instance) setUp(bufferKB int, filter string) error {
	const signalEvent, victimEvent = "events/signal/signal_generate/", "events/oom/mark_victim/"
	if err := in.readFormats(signalEvent, victimEvent); err != nil {
		return err
	}
	for _, s := range []struct {
		file, value string
		optional    bool
	}{
		{"trace_clock", "mono", false},
		{"buffer_size_kb", strconv.Itoa(bufferKB), false},
		{"options/overwrite", "1", false},
		// To be woken by the first event, not when the buffer is half full.
		// Kernels before 5.0 have no such file and know only that.
		{"buffer_percent", "0", true},
		{signalEvent + "filter", filter, false},
	} {
		if err := in.write(s.file, s.value); err != nil && (!s.optional || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	// Opened before the events are on, so that the first one wakes.
	if err := in.openCPUs(); err != nil {
		return err
	}
	for _, file := range []string{victimEvent + "enable", signalEvent + "enable", "tracing_on"} {
		if err := in.write(file, "1"); err != nil {
			return err
		}
	}
	return nil
}

// readFormats reads how this kernel lays out pages and events.
func (in *Instance) readFormats(signalEvent, victimEvent string) error {
	text, err := os.ReadFile(filepath.Join(in.dir, "events/header_page"))
	if err != nil {
		return err
	}
	if in.layout, err = parsePageLayout(string(text)); err != nil {
		return err
	}
	for _, e := range []struct {
		dir  string
		to   *format
		need []string
	}{
		{signalEvent, &in.signals, signalFields},
		{victimEvent, &in.victims, victimFields},
	} {
		text, err := os.ReadFile(filepath.Join(in.dir, e.dir, "format"))
		if errors.Is(err, fs.ErrNotExist) {
			return &AccessError{
				Path:   in.dir,
				Reason: "this kernel has no trace event " + strings.Trim(strings.TrimPrefix(e.dir, "events/"), "/"),
				Fix:    "run a kernel of 4.15 or later with CONFIG_EVENT_TRACING",
				Err:    err,
			}
		} else if err != nil {
			return err
		}
		if *e.to, err = parseFormat(string(text)); err == nil {
			err = e.to.need(e.need...)
		}
		if err != nil {
			return fmt.Errorf("read the format of %s: %w", e.dir, err)
		}
	}
	return nil
}

func (in *Instance) write(file, value string) error { return write(filepath.Join(in.dir, file), value) }

// write sets a control file. It does not make one where there is none.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
