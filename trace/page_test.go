package trace

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// layouts are those of the machines there are.
var layouts = map[string]pageLayout{
	"little endian": {order: binary.LittleEndian, commit: 8, commitSize: 8, data: 16, size: 4096},
	"big endian":    {order: binary.BigEndian, big: true, commit: 8, commitSize: 8, data: 16, size: 4096},
	"32 bit":        {order: binary.LittleEndian, commit: 8, commitSize: 4, data: 12, size: 4096},
	"64 KiB pages":  {order: binary.LittleEndian, commit: 8, commitSize: 8, data: 16, size: 65536},
}

// pageWriter writes a page as the kernel does.
type pageWriter struct {
	pageLayout
	b []byte
}

func newPage(l pageLayout, stamp uint64) *pageWriter {
	return &pageWriter{l, packed(l.order, stamp)}
}

func (w *pageWriter) word(n uint32) { w.b = append(w.b, packed(w.order, n)...) }

func (w *pageWriter) head(kind, delta uint32) {
	if w.big {
		w.word(kind<<27 | delta)
	} else {
		w.word(kind | delta<<5)
	}
}

// event writes an event whose length is a multiple of 4.
func (w *pageWriter) event(delta uint32, data []byte) {
	if n := len(data); n > 0 && n <= 28*4 {
		w.head(uint32(n/4), delta)
	} else {
		w.head(0, delta)
		w.word(uint32(n + 4))
	}
	w.b = append(w.b, data...)
}

// page ends it. Length and flags go into the commit field, extra behind the data.
func (w *pageWriter) page(flags uint64, extra ...byte) []byte {
	head := make([]byte, w.data)
	copy(head, w.b[:8])
	data := w.b[8:]
	if commit := uint64(len(data)) | flags; w.commitSize == 8 {
		w.order.PutUint64(head[w.commit:], commit)
	} else {
		w.order.PutUint32(head[w.commit:], uint32(commit))
	}
	out := append(append(head, data...), extra...)
	return append(out, make([]byte, w.size-len(out))...)
}

type told struct {
	stamp uint64
	data  string
}

func read(l pageLayout, b []byte) (got []told, pg page, err error) {
	pg, err = l.entries(b, func(stamp uint64, data []byte) { got = append(got, told{stamp, string(data)}) })
	return got, pg, err
}

func TestPage(t *testing.T) {
	long := string(make([]byte, 200))
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			w := newPage(l, 1000)
			w.event(5, []byte("abcd"))
			w.head(entryTimeExtend, 7) // 2<<27 + 7 later
			w.word(2)
			w.event(0, []byte("efghijkl"))
			w.head(entryPadding, 3) // one that was discarded, 12 bytes in all
			w.word(8)
			w.word(0xdead)
			w.event(1, []byte(long))
			w.head(entryTimeStamp, 9) // absolute
			w.word(100)
			w.event(0, []byte("mnop"))
			w.head(entryPadding, 0)
			w.word(0xdeadbeef)
			later := uint64(1005 + 2<<27 + 7)
			want := []told{{1005, "abcd"}, {later, "efghijkl"}, {later + 4, long}, {100<<27 + 9, "mnop"}}
			got, pg, err := read(l, w.page(0))
			if err != nil || pg != (page{}) || !slices.Equal(got, want) {
				t.Errorf("got %v, %+v, %v; want %v", got, pg, err, want)
			}
		})
	}
}

func TestPageTellsLoss(t *testing.T) {
	for name, l := range layouts {
		w := newPage(l, 1)
		w.event(0, []byte("abcd"))
		count := packed(l.order, uint64(77))
		if l.commitSize == 4 {
			count = packed(l.order, uint32(77))
		}
		if got, pg, err := read(l, w.page(missedEvents|missedCounted, count...)); err != nil || len(got) != 1 || pg != (page{true, 77}) {
			t.Errorf("%s, counted: %v, %+v, %v", name, got, pg, err)
		}
		if got, pg, err := read(l, w.page(missedEvents)); err != nil || len(got) != 1 || pg != (page{true, 0}) {
			t.Errorf("%s, not counted: %v, %+v, %v", name, got, pg, err)
		}
	}
}

func TestPageThatMakesNoSense(t *testing.T) {
	l := layouts["little endian"]
	for name, spoil := range map[string]func(w *pageWriter){
		"longer than the page":      func(w *pageWriter) { w.head(28, 1) },
		"long, cut":                 func(w *pageWriter) { w.head(0, 1) },
		"long, shorter than itself": func(w *pageWriter) { w.head(0, 1); w.word(3) },
		"long, beyond":              func(w *pageWriter) { w.head(0, 1); w.word(5000) },
		"padding, beyond":           func(w *pageWriter) { w.head(entryPadding, 1); w.word(1 << 31) },
		"time, cut":                 func(w *pageWriter) { w.head(entryTimeExtend, 1) },
	} {
		w := newPage(l, 1)
		w.event(0, []byte("abcd"))
		spoil(w)
		if got, _, err := read(l, w.page(0)); !errors.Is(err, errPage) || len(got) != 1 {
			t.Errorf("%s: %v, %v; want what stood before, and an error", name, got, err)
		}
	}
	w := newPage(l, 1)
	b := w.page(0)
	l.order.PutUint64(b[8:], 5000)
	if _, _, err := read(l, b); !errors.Is(err, errPage) {
		t.Errorf("commit beyond the page: %v", err)
	}
	if _, _, err := read(l, b[:10]); !errors.Is(err, errPage) {
		t.Errorf("ten bytes: %v", err)
	}
}

func FuzzPage(f *testing.F) {
	for _, l := range layouts {
		w := newPage(l, 1000)
		w.event(5, []byte("abcd"))
		w.head(entryTimeExtend, 7)
		w.word(2)
		w.event(0, make([]byte, 200))
		f.Add(w.page(missedEvents | missedCounted)[:300])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range layouts {
			sum := 0
			if _, err := l.entries(b, func(_ uint64, data []byte) { sum += len(data) }); err == nil && sum > len(b) {
				t.Errorf("%d bytes of events in a page of %d", sum, len(b))
			}
		}
	})
}
