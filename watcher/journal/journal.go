// Package journal is the source that follows what other programs than the kernel write
// into the journal of a container's end: user-space OOM killers, the engine's daemon,
// the kubelet, containerd.
package journal

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/voices"
)

// Source follows the journal through journalctl. Where there is none it says nothing:
// what only these programs say is then missing, as the doctor tells.
type Source struct {
	// Since is from when lines are wanted.
	Since time.Time
	// Past has the kernel's lines from before its ring begins read first.
	Past bool
	// Command is the program, "" for journalctl.
	Command string
}

// Name implements observe.Source.
func (*Source) Name() string { return sourceName }

const sourceName = "journal"

// program is the one that reads the journal.
func program(name string) string { return cmp.Or(name, "journalctl") }

// arguments has it print one JSON object a line, of what further ones select.
func arguments(more ...string) []string {
	return append([]string{"--quiet", "--no-pager", "--output=json"}, more...)
}

const (
	// retryEvery is how often a journalctl that ended is started again.
	retryEvery = 30 * time.Second
	// maxLine bounds one line of its output.
	maxLine = 4 << 20
)

// Run implements observe.Source.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	if s.Past {
		s.past(ctx, emit)
	}
	path, err := exec.LookPath(program(s.Command))
	if err != nil {
		return nil
	}
	since := s.Since
	for {
		last, err := follow(ctx, path, since, emit)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if last.After(since) {
			since = last
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

// follow runs journalctl until it ends, and returns the time of the last line it gave.
func follow(ctx context.Context, path string, since time.Time, emit func(observe.Observation)) (last time.Time, err error) {
	args := arguments("--follow", "--no-tail", fmt.Sprintf("--since=@%d", since.Unix()))
	cmd := exec.CommandContext(ctx, path, append(args, voices.Matches()...)...)
	// journalctl must not outlive a daemon that is killed: it would follow for ever. The
	// kernel sends the signal when the thread ends that started it, so this one is kept.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, fmt.Errorf("follow the journal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return last, fmt.Errorf("follow the journal: %w", err)
	}
	last = read(out, emit)
	_ = cmd.Wait() // how it ended says nothing that its output did not: it is started again
	return last, nil
}

// read takes journalctl's lines and emits those that speak of an end.
func read(in io.Reader, emit func(observe.Observation)) (last time.Time) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var reader voices.Reader
	for sc.Scan() {
		l := voices.ParseLine(sc.Text(), time.UTC, time.Time{})
		if l.At.After(last) {
			last = l.At
		}
		if v, ok := reader.Read(l); ok {
			emit(observe.Observation{At: v.At, Voice: &v})
		}
	}
	return last
}
