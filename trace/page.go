package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// pageLayout says how a page of the ring buffer is laid out, as
// events/header_page says:
//
//	field: u64 timestamp;	offset:0;	size:8;	signed:0;
//	field: local_t commit;	offset:8;	size:8;	signed:1;
//	field: int overwrite;	offset:8;	size:1;	signed:1;
//	field: char data;	offset:16;	size:4080;	signed:0;
type pageLayout struct {
	order              binary.ByteOrder
	big                bool // the bit fields of an entry's header begin at the high end
	commit, commitSize int
	data, size         int // where the entries begin, and the length of the page
}

// maxPage is longer than any page that a kernel uses by default, 64 KiB at most.
const maxPage = 1 << 20

// parsePageLayout reads the text of header_page.
func parsePageLayout(text string) (pageLayout, error) {
	p := pageLayout{
		order: binary.NativeEndian,
		big:   binary.NativeEndian.Uint16([]byte{0, 1}) == 1,
	}
	f, err := parseFormat("ID: 0\n" + headerLines(text))
	if err != nil {
		return p, err
	}
	stamp, commit, data := f.fields["timestamp"], f.fields["commit"], f.fields["data"]
	p.commit, p.commitSize = commit.offset, commit.size
	p.data, p.size = data.offset, data.offset+data.size
	switch {
	case stamp.offset != 0 || stamp.size != 8,
		commit.offset < 8 || commit.size != 4 && commit.size != 8,
		data.offset < commit.offset+commit.size,
		data.size < 16 || p.size > maxPage:
		return p, fmt.Errorf("unknown layout of the ring buffer's pages: %q", text)
	}
	return p, nil
}

// The commit field holds, besides the length of the data, flags.
const (
	commitLength  = 1<<27 - 1
	missedEvents  = 1 << 31 // events before this page were overwritten
	missedCounted = 1 << 30 // how many stands behind the data
)

// The kinds of entry; a smaller one is the length of an event in words.
const (
	entryPadding    = 29
	entryTimeExtend = 30
	entryTimeStamp  = 31
)

var errPage = errors.New("a page of the ring buffer makes no sense")

// page is what a page holds besides its events.
type page struct {
	missed bool   // events before it were overwritten
	count  uint64 // how many; 0 when the page had no room to say
}

// entries calls fn for each event of the page b with its stamp, in nanoseconds
// of the trace clock, and its bytes, which are b's. An error ends it: the events
// before it were told.
func (p pageLayout) entries(b []byte, fn func(stamp uint64, event []byte)) (page, error) {
	var pg page
	if len(b) < p.data {
		return pg, errPage
	}
	now := p.order.Uint64(b)
	var commit uint64
	if p.commitSize == 8 {
		commit = p.order.Uint64(b[p.commit:])
	} else {
		commit = uint64(p.order.Uint32(b[p.commit:]))
	}
	data, length := b[p.data:], int(commit&commitLength)
	if length > len(data) {
		return pg, errPage
	}
	pg.missed = commit&missedEvents != 0
	if pg.missed && commit&missedCounted != 0 {
		// An unsigned long, which is as long as the commit field.
		switch rest := data[length:]; {
		case p.commitSize == 8 && len(rest) >= 8:
			pg.count = p.order.Uint64(rest)
		case p.commitSize == 4 && len(rest) >= 4:
			pg.count = uint64(p.order.Uint32(rest))
		}
	}
	data = data[:length]
	for len(data) >= 4 {
		head := p.order.Uint32(data)
		kind, delta := head&31, uint64(head>>5)
		if p.big {
			kind, delta = head>>27, uint64(head&(1<<27-1))
		}
		if kind == entryPadding && delta == 0 {
			break // the rest of the page is empty
		}
		next, event := 4+4*int(kind), 4
		if kind == 0 || kind >= entryPadding {
			if len(data) < 8 {
				return pg, errPage
			}
			word := p.order.Uint32(data[4:])
			switch kind {
			case entryTimeExtend:
				now += uint64(word)<<27 + delta
				data = data[8:]
				continue
			case entryTimeStamp: // the high 5 bits do not fit in it
				now = uint64(word)<<27 + delta | now&(31<<59)
				data = data[8:]
				continue
			}
			if word < 4 || int64(word) > int64(len(data)) {
				return pg, errPage
			}
			next, event = 4+int(word), 8
		}
		if next > len(data) || next < event {
			return pg, errPage
		}
		now += delta
		if kind != entryPadding {
			fn(now, data[event:next])
		}
		data = data[next:]
	}
	return pg, nil
}
