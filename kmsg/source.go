package kmsg

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// chunkSize is how much of a log is read at a time: little enough to stay in a
// processor's cache between the read and the search.
const chunkSize = 256 << 10

// chunk is a stretch of a log that begins and ends at line ends, unless a line
// is longer than a chunk.
type chunk struct {
	index int
	base  int64
	buf   []byte // a part of mem
	mem   []byte
	err   error
}

// room makes mem hold n bytes.
func (c *chunk) room(n int) {
	if cap(c.mem) < n {
		c.mem = make([]byte, 0, n)
	}
}

// source gives the chunks of a log in any order, each once.
type source interface {
	// chunks is the number of chunks, -1 when not known.
	chunks() int
	// read fills c, whose index is set, and tells whether there is such a chunk.
	// A source of unknown length must be read in order.
	read(c *chunk) bool
	size() int64
	// samples are some stretches of it, the first from its begin.
	samples() [][]byte
}

// fileSource reads chunks at any place of a regular file.
type fileSource struct {
	f     io.ReaderAt
	n     int64
	chunk int64
}

func (s *fileSource) size() int64 { return s.n }

func (s *fileSource) chunks() int { return int((s.n + s.chunk - 1) / s.chunk) }

// read gives the lines that begin in the chunk's stretch of the file: behind
// its first line end, up to and with the line that begins at its end. Reads
// begin where pages do: the kernel copies them several times as fast.
func (s *fileSource) read(c *chunk) bool {
	start := int64(c.index) * s.chunk
	if start >= s.n {
		return false
	}
	end := min(start+s.chunk, s.n)
	want := int(end - start)
	c.room(int(s.chunk) + lineRoom)
	c.buf = c.mem[:min(want+lineTail, int(s.n-start))]
	n, err := s.f.ReadAt(c.buf, start)
	c.buf = c.buf[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
		return true
	}
	if n > want {
		if nl := bytes.IndexByte(c.buf[want:], '\n'); nl >= 0 {
			c.buf = c.buf[:want+nl+1]
		} else if n == want+lineTail {
			c.err = s.restOfLine(c, end+lineTail)
		}
	}
	c.base = start
	if start > 0 {
		nl := bytes.IndexByte(c.buf, '\n')
		if nl < 0 || nl >= want {
			c.buf = c.buf[:0]
			return true
		}
		c.base += int64(nl) + 1
		c.buf = c.buf[nl+1:]
	}
	return true
}

// lineRoom is how far a chunk's last line may stick out of it, lineTail how
// much of that is read at once with the chunk.
const (
	lineRoom = 64 << 10
	lineTail = 512
)

// restOfLine reads on to the first line end behind the chunk's stretch.
func (s *fileSource) restOfLine(c *chunk, at int64) error {
	for room := lineRoom - lineTail; room > 0; {
		n := len(c.buf)
		step := min(4<<10, room)
		c.buf = c.buf[:n+step]
		m, err := s.f.ReadAt(c.buf[n:], at)
		c.buf = c.buf[:n+m]
		if nl := bytes.IndexByte(c.buf[n:], '\n'); nl >= 0 {
			c.buf = c.buf[:n+nl+1]
			return nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		at += int64(m)
		room -= step
	}
	return nil
}

// streamSource reads what can only be read in order.
type streamSource struct {
	r     io.Reader
	chunk int
	base  int64
	rest  []byte // the begun line that the last chunk ended with
	head  []byte // its first bytes
	ended bool
}

func (s *streamSource) size() int64 { return 0 }
func (s *streamSource) chunks() int { return -1 }

func (s *streamSource) read(c *chunk) bool {
	if s.ended && len(s.rest) == 0 {
		return false
	}
	c.room(s.chunk + 1 + lineRoom)
	c.buf = append(c.mem[:0], s.rest...)
	c.base = s.base
	for !s.ended && len(c.buf) < s.chunk {
		n, err := s.r.Read(c.buf[len(c.buf):s.chunk])
		c.buf = c.buf[:len(c.buf)+n]
		if err != nil {
			s.ended = true
			if !errors.Is(err, io.EOF) {
				c.err = err // what came before it is still read
			}
		}
	}
	s.rest = s.rest[:0]
	if !s.ended {
		if nl := bytes.LastIndexByte(c.buf, '\n'); nl >= 0 {
			s.rest = append(s.rest, c.buf[nl+1:]...)
			c.buf = c.buf[:nl+1]
		}
	}
	s.base += int64(len(c.buf))
	return true
}

// openSource looks at what a log is: a regular file can be read at any place,
// and so can what fits in memory; else it is read in order.
func openSource(r io.Reader, name string) (source, func(), error) {
	if f, ok := r.(*os.File); ok {
		if src := wholeFile(f); src != nil {
			return src, func() {}, nil
		}
	}
	plain, done, err := Decompress(r, name)
	if err != nil {
		return nil, done, err
	}
	head := make([]byte, 0, 64<<10)
	for {
		n, err := plain.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if errors.Is(err, io.EOF) {
			return &fileSource{f: bytes.NewReader(head), n: int64(len(head)), chunk: chunkSize}, done, nil
		}
		if err != nil || len(head) > wholeUpTo {
			return &streamSource{r: io.MultiReader(bytes.NewReader(head), failed{err}, plain), chunk: chunkSize, head: head[:min(len(head), sampleSize)]}, done, nil
		}
		if len(head) == cap(head) {
			head = slices.Grow(head, len(head))
		}
	}
}

// failed is a reader that gives an error, or nothing at all.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// wholeFile is the source of a regular file that is not compressed, nil for others.
func wholeFile(f *os.File) source {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil
	}
	var magic [10]byte
	n, _ := f.ReadAt(magic[:], 0)
	if pos, err := f.Seek(0, io.SeekCurrent); err != nil || pos != 0 || isCompressed(magic[:n]) || wideOrder(magic[:n]) != nil {
		return nil
	}
	return &fileSource{f: f, n: st.Size(), chunk: chunkSize}
}

// Decompress reads through gzip, zstd, xz or bzip2 where the content says so, and gives
// a text in UTF-16 as UTF-8.
func Decompress(r io.Reader, name string) (io.Reader, func(), error) {
	nothing := func() {}
	br := bufio.NewReaderSize(r, 64<<10)
	magic, _ := br.Peek(10)
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nothing, fmt.Errorf("read %q: %w", name, err)
		}
		return z, nothing, nil
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(min(runtime.GOMAXPROCS(0), 4)), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderMaxWindow(32<<20))
		if err != nil {
			return nil, nothing, fmt.Errorf("read %q: %w", name, err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(magic, xzMagic):
		z, err := openXZ(br)
		if err != nil {
			return nil, nothing, fmt.Errorf("read log %q: %w", name, err)
		}
		return z, nothing, nil
	case isBzip2(magic):
		return bzip2.NewReader(br), nothing, nil
	}
	if order := wideOrder(magic); order != nil {
		return &wideReader{r: br, order: order}, nothing, nil
	}
	return br, nothing, nil
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	xzMagic   = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
)

// isBzip2 tells bzip2 by its name and the number that begins a block.
func isBzip2(magic []byte) bool {
	return len(magic) >= 10 && string(magic[:3]) == "BZh" && magic[3]-'1' < 9 && string(magic[4:10]) == "\x31\x41\x59\x26\x53\x59"
}

// maxXZDict is the largest window that an xz file may ask for: that of xz -9 is 64 MiB.
const maxXZDict = 128 << 20

// openXZ refuses a file whose first block asks for more memory than xz uses itself.
func openXZ(br *bufio.Reader) (io.Reader, error) {
	// Stream header (12), block header size and flags (2), then filters: LZMA2 is
	// 0x21, 1 byte of properties, the window as 2 or 3 times a power of two.
	head, _ := br.Peek(32)
	for i := 14; i+2 < len(head); i++ {
		if head[i] == 0x21 && head[i+1] == 1 {
			if n := uint64(head[i+2]); n > 40 || (2|n&1)<<(n/2+11) > maxXZDict {
				return nil, fmt.Errorf("xz: its window is larger than %d MiB", maxXZDict>>20)
			}
			break
		}
	}
	return xz.NewReader(br)
}

func isCompressed(magic []byte) bool {
	return bytes.HasPrefix(magic, gzipMagic) || bytes.HasPrefix(magic, zstdMagic) || bytes.HasPrefix(magic, xzMagic) || isBzip2(magic)
}
