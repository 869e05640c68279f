package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// roundPages bounds what one round reads, and so the memory it takes.
	roundPages = 32
	// sweepEvery is how often every processor's buffer is looked at without
	// having been woken: a processor brought online has a buffer only since.
	sweepEvery = time.Minute
)

// Instance is a tracefs instance of our own, turned on.
type Instance struct {
	dir     string
	lock    *os.File // on dir: makes the instance ours, see instance.go
	layout  pageLayout
	signals format
	victims format

	poll    *os.File // an epoll of the processors' buffers
	pollRaw syscall.RawConn
	closing chan struct{}
	once    sync.Once
	done    error // of Close

	// What Next works with; only its goroutine touches it.
	queue []Event
	pace  pace
	ready []unix.EpollEvent
	buf   []byte
	raws  []raw
	// killed are the tasks that the kernel sent SIGKILL, not marked yet, and when.
	killed map[int]uint64

	mu     sync.Mutex
	closed bool
	cpus   []*cpu
	find   lookup
	stats  Stats
}

// cpu is one processor's buffer.
type cpu struct {
	n       int
	dir     string
	fd      int
	polled  bool   // it is in the epoll
	last    uint64 // stamp of the last event
	overrun uint64 // told as lost, by the kernel's counter
	dropped uint64 // likewise
	lost    uint64 // told as lost
	final   uint64 // lost by the kernel's counters, when last read
}

// openCPUs opens the buffers, and what waits for all of them.
func (in *Instance) openCPUs() error {
	in.buf = make([]byte, in.layout.size)
	in.ready = make([]unix.EpollEvent, roundPages)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an epoll: %w", err)
	}
	// Non-blocking, so that waiting is left to the runtime's poller, where a
	// deadline or Close ends it.
	if err := unix.SetNonblock(ep, true); err != nil {
		_ = unix.Close(ep) // nothing was done with it; the reason to close it is the error
		return fmt.Errorf("make an epoll: %w", err)
	}
	in.poll = os.NewFile(uintptr(ep), "trace epoll")
	if in.pollRaw, err = in.poll.SyscallConn(); err != nil {
		return err
	}
	// Where a deadline cannot be set, a wait could not be ended: say so now.
	if err := in.poll.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("wait for trace events: %w", err)
	}
	entries, err := os.ReadDir(filepath.Join(in.dir, "per_cpu"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "cpu"))
		if err != nil {
			continue
		}
		c := &cpu{n: n, dir: filepath.Join(in.dir, "per_cpu", e.Name())}
		path := filepath.Join(c.dir, "trace_pipe_raw")
		if c.fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		in.cpus = append(in.cpus, c)
		if err := in.watch(len(in.cpus)-1, ep); err != nil {
			return err
		}
	}
	if len(in.cpus) == 0 {
		return errors.New("the trace instance has no buffer of any processor")
	}
	return nil
}

// watch puts a processor's buffer, in.cpus[i], into the epoll.
func (in *Instance) watch(i, ep int) error {
	c := in.cpus[i]
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
		return fmt.Errorf("wait for trace events of processor %d: %w", c.n, err)
	}
	c.polled = true
	return nil
}

// Next returns the next event, and waits for one where there is none. Events
// that were read together come in the order of their time. Next returns ctx's
// error as soon as ctx ends, and an error that is os.ErrClosed as soon as the
// Instance is closed; any other error is the end of this Instance, which still
// has to be closed.
//
// Next is for one goroutine at a time; every other method may be called from any.
func (in *Instance) Next(ctx context.Context) (Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Event{}, err
		}
		if len(in.queue) > 0 {
			e := in.queue[0]
			in.queue[0] = Event{} // the slice stays, what it pointed to need not
			in.queue = in.queue[1:]
			return e, nil
		}
		if err := in.rest(ctx, in.pace.take(time.Now())); err != nil {
			return Event{}, err
		}
		ready, err := in.wait(ctx)
		if err != nil {
			return Event{}, err
		}
		if err := in.round(ready); err != nil {
			return Event{}, err
		}
	}
}

// rest waits d.
func (in *Instance) rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-in.closing:
		return fmt.Errorf("wait for trace events: %w", os.ErrClosed)
	case <-t.C:
		return nil
	}
}

// wait waits until a processor's buffer has something, and returns which ones
// have; nil when it is time to look at all of them.
func (in *Instance) wait(ctx context.Context) ([]unix.EpollEvent, error) {
	if err := in.poll.SetReadDeadline(time.Now().Add(sweepEvery)); err != nil {
		return nil, in.wrap("wait for trace events", err)
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = in.poll.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed file, which ends the wait by itself
		close(cut)
	})
	var n int
	var pollErr error
	err := in.pollRaw.Read(func(fd uintptr) bool {
		n, pollErr = unix.EpollWait(int(fd), in.ready, 0)
		return n > 0 || pollErr != nil && pollErr != unix.EINTR
	})
	if !stop() {
		<-cut
	}
	switch {
	case err == nil && pollErr == nil:
		return in.ready[:n], nil
	case err == nil:
		return nil, in.wrap("wait for trace events", pollErr)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil
	}
	return nil, in.wrap("wait for trace events", err)
}

func (in *Instance) wrap(step string, err error) error {
	select {
	case <-in.closing:
		err = os.ErrClosed
	default:
	}
	return fmt.Errorf("%s: %w", step, err)
}

// round reads the buffers that are ready, all if nil, and fills the queue.
func (in *Instance) round(ready []unix.EpollEvent) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return fmt.Errorf("read trace events: %w", os.ErrClosed)
	}
	in.stats.Rounds++
	in.raws = in.raws[:0]
	if ready == nil {
		if err := in.sweep(); err != nil {
			return err
		}
	}
	for _, ev := range ready {
		c := in.cpus[ev.Fd]
		if ev.Events&unix.EPOLLIN == 0 {
			if err := in.unwatch(c); err != nil {
				return err
			}
			continue
		}
		if err := in.drain(c, max(1, roundPages/len(ready))); err != nil {
			return err
		}
	}
	slices.SortStableFunc(in.raws, func(a, b raw) int {
		switch {
		case a.stamp < b.stamp:
			return -1
		case a.stamp > b.stamp:
			return 1
		}
		return 0
	})
	in.tell()
	return nil
}

// unwatch takes a processor's buffer that is not there yet out of the epoll,
// which would tell of it without end. The next sweep tries again.
func (in *Instance) unwatch(c *cpu) error {
	c.polled = false
	var err error
	if ctlErr := in.pollRaw.Control(func(ep uintptr) {
		err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_DEL, c.fd, nil)
	}); ctlErr != nil {
		return in.wrap("read trace events", ctlErr)
	}
	if err != nil {
		return in.wrap("read trace events", err)
	}
	return nil
}

// sweep reads a page of every buffer, wakened or not, and asks after events that
// the kernel never wrote.
func (in *Instance) sweep() error {
	for i, c := range in.cpus {
		if !c.polled {
			var err error
			if ctlErr := in.pollRaw.Control(func(ep uintptr) { err = in.watch(i, int(ep)) }); ctlErr != nil {
				err = ctlErr
			}
			if err != nil {
				return in.wrap("read trace events", err)
			}
		}
		if err := in.drain(c, 1); err != nil {
			return err
		}
		if now, err := c.readStats(); err == nil && now.dropped > c.dropped {
			_, _, mono := readClocks()
			in.lose(c, page{}, uint64(mono))
		}
	}
	return nil
}

// drain reads up to pages pages of a processor's buffer.
func (in *Instance) drain(c *cpu, pages int) error {
	for pages > 0 {
		n, err := unix.Read(c.fd, in.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN, err == unix.ENODEV, err == nil && n == 0:
			return nil // empty, or the processor was never there
		case err != nil:
			return in.wrap(fmt.Sprintf("read trace events of processor %d", c.n), err)
		}
		pages--
		in.take(c, in.buf[:n])
	}
	return nil
}

// Close removes the instance, and ends a Next that waits. It may be called more
// than once.
func (in *Instance) Close() error {
	in.once.Do(func() { in.done = in.close() })
	return in.done
}

func (in *Instance) close() error {
	close(in.closing)
	var err error
	if in.poll != nil {
		err = in.poll.Close()
	}
	in.Stats() // the kernel's counters, while they are there
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for _, c := range in.cpus {
		err = errors.Join(err, unix.Close(c.fd))
	}
	return errors.Join(err, remove(in.dir), in.lock.Close())
}
