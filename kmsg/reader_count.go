package kmsg

import (
	"bytes"
	"time"
)

// ReaderStats count what a Reader did. Records read and records lost add up,
// whatever happened: Read + Lost == Span.
type ReaderStats struct {
	// Read counts the records taken from the ring, delivered or not, but for
	// those that ReaderOptions.After says were read before.
	Read uint64
	// Lost counts the records that were gone before they could be read; one
	// that is not of the form of /dev/kmsg (Malformed) is among them.
	Lost uint64
	// Span counts the sequence numbers from First to Last, and those of
	// anchors before (Reanchored).
	Span uint64
	// First and Last are the sequence numbers that are accounted for. When
	// resumed, First is the one behind ReaderOptions.After.
	First, Last uint64
	// Overruns counts how often the kernel said that it had overwritten what
	// was to be read next (EPIPE).
	Overruns uint64
	// Malformed counts reads that did not give a record.
	Malformed uint64
	// Forged counts records written by programs (facility other than 0) that
	// read like the OOM killer's.
	Forged uint64
	// Reanchored counts how often the sequence went back, which it does when
	// the log is not the one of before.
	Reanchored uint64
}

// counter does the bookkeeping of sequence numbers.
type counter struct {
	stats ReaderStats
	// next is the sequence number that is due; anchored is false until it is known.
	next     uint64
	anchored bool
	// replay is true while records up to after, read by an earlier Reader,
	// come by again; seen is the last of them and anySeen that there was one.
	replay  bool
	after   uint64
	seen    uint64
	anySeen bool
	// skipTo is the stamp of the first record that counts, where an earlier
	// reader had no numbers.
	skipTo time.Duration
}

func newCounter(after Position, boot string) counter {
	switch {
	case after.IsZero(), after.BootID == boot && after.Seq == 0 && after.Uptime > 0:
		// Nothing says which number is due.
		return counter{skipTo: after.Uptime}
	case after.BootID != boot:
		// Whoever has read up to a record of the last boot wants all of
		// this one's: what the ring dropped since record 0 is lost.
		return counter{anchored: true}
	}
	c := counter{anchored: true, next: after.Seq + 1, replay: true, after: after.Seq}
	c.stats.First = c.next
	return c
}

// wentBack reports whether the sequence, at seq, is not the one of before.
func (c *counter) wentBack(seq uint64) bool {
	return c.anchored && !c.replay && seq < c.next
}

// positionAhead reports whether the log, read to its end, has not reached the
// record to resume behind.
func (c *counter) positionAhead() bool { return c.replay && c.anySeen && c.seen < c.after }

// reanchor begins a new count at whatever record comes next.
func (c *counter) reanchor() {
	c.stats.Reanchored++
	c.anchored, c.replay = false, false
}

// add counts a record. It returns how many are missing right before it, and
// whether it is new.
func (c *counter) add(rec *Record, text []byte) (lost uint64, isNew bool) {
	if c.replay && rec.Seq <= c.after {
		c.seen, c.anySeen = rec.Seq, true
		return 0, false
	}
	c.replay = false
	if rec.Uptime < c.skipTo {
		return 0, false
	}
	c.skipTo = 0
	if c.wentBack(rec.Seq) {
		c.reanchor()
	}
	if !c.anchored {
		c.anchored = true
		c.next = rec.Seq
		c.stats.First = rec.Seq
	}
	lost = rec.Seq - c.next
	c.next = rec.Seq + 1
	c.stats.Last = rec.Seq
	c.stats.Read++
	c.stats.Lost += lost
	c.stats.Span += lost + 1
	if rec.Facility != 0 && readsLikeKill(text) {
		c.stats.Forged++
	}
	return lost, true
}

// readsLikeKill reports whether text has the words of the OOM killer's
// decisive lines. It is for counting forgeries, not for believing.
func readsLikeKill(text []byte) bool {
	return bytes.Contains(text, []byte("Killed process ")) ||
		bytes.Contains(text, []byte("oom-kill:constraint=")) ||
		bytes.Contains(text, []byte("invoked oom-killer")) ||
		bytes.Contains(text, []byte("Kill process "))
}
