package kmsg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mappedChunk is how much of a mapped log is searched at a time. A multiple of the
// largest page that the kernel maps at once.
const mappedChunk = 4 << 20

// mapFrom is the size from which a log is mapped: below it the copy costs less.
const mapFrom = 2 * mappedChunk

// mappedSource looks at a large regular file where the kernel keeps it, which spares
// the copy. What is looked at is mapped a chunk at a time, so that the process's
// memory stays small whatever the size of the log.
type mappedSource struct {
	file fileSource // reads what can be mapped no more, and the samples
	raw  syscall.RawConn
	span int // bytes of each window

	mu      sync.Mutex
	windows []unsafe.Pointer // parts of the address space, each mapped to some chunk
}

// newMappedSource is nil where the file cannot be mapped.
func newMappedSource(f *os.File, size, chunk int64) *mappedSource {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	s := &mappedSource{file: fileSource{f: f, n: size, chunk: chunk}, raw: raw, span: int(chunk) + lineRoom}
	mem, err := s.window()
	if err == nil {
		err = s.show(mem, 0, min(len(mem), int(size)))
	}
	if err != nil {
		s.close()
		return nil
	}
	return s
}

func (s *mappedSource) size() int64       { return s.file.size() }
func (s *mappedSource) chunks() int       { return s.file.chunks() }
func (s *mappedSource) samples() [][]byte { return s.file.samples() }

// window takes address space for a chunk, which begins where a large page may.
func (s *mappedSource) window() ([]byte, error) {
	const large = 2 << 20
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(s.span+large), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows = append(s.windows, p)
	return unsafe.Slice((*byte)(unsafe.Add(p, -uintptr(p)&(large-1))), s.span), nil
}

// show maps n bytes of the file from at on to the window. A file that is closed meanwhile,
// because the scan was ended, is os.ErrClosed.
func (s *mappedSource) show(window []byte, at int64, n int) (err error) {
	closed := s.raw.Control(func(fd uintptr) {
		_, err = unix.MmapPtr(int(fd), at, unsafe.Pointer(unsafe.SliceData(window)), uintptr(n), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED)
	})
	if closed != nil {
		return os.ErrClosed
	}
	return err
}

// close gives the address space back. Nothing may look at the log any more.
func (s *mappedSource) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.windows {
		_ = unix.MunmapPtr(p, uintptr(s.span+2<<20)) // nothing can be done about it
	}
	s.windows = nil
}

// read gives the same lines as fileSource.read.
func (s *mappedSource) read(c *chunk) bool {
	start := int64(c.index) * s.file.chunk
	if start >= s.file.n {
		return false
	}
	if c.mem == nil {
		if c.mem, c.err = s.window(); c.err != nil {
			return true
		}
	}
	n := min(s.span, int(s.file.n-start))
	if c.err = s.show(c.mem, start, n); c.err != nil {
		return true
	}
	c.buf = c.mem[:n]
	c.err = careful(func() { c.lines(start, min(int(s.file.chunk), n)) })
	if c.err != nil {
		s.copied(c)
	}
	return true
}

// lines cuts the buffer, which begins at start, to the lines that begin in its first
// want bytes.
func (c *chunk) lines(start int64, want int) {
	if len(c.buf) > want {
		if nl := bytes.IndexByte(c.buf[want:], '\n'); nl >= 0 {
			c.buf = c.buf[:want+nl+1]
		}
	}
	c.base = start
	if start > 0 {
		nl := bytes.IndexByte(c.buf, '\n')
		if nl < 0 || nl >= want {
			c.buf = c.buf[:0]
			return
		}
		c.base += int64(nl) + 1
		c.buf = c.buf[nl+1:]
	}
}

// copied reads a chunk of a file that has become shorter since: what is left of it.
func (s *mappedSource) copied(c *chunk) {
	part := chunk{index: c.index}
	s.file.read(&part)
	c.mem, c.buf, c.base, c.err = nil, part.buf, part.base, part.err
}

// errShrunk is what a log becomes that somebody truncates while it is read.
var errShrunk = errors.New("the file became shorter while it was read")

// careful calls f, which looks at mapped memory. Where the file behind it is gone the
// processor says so, and careful returns errShrunk.
func careful(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // a fault at an address that is none of Go's
			err = errShrunk
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
