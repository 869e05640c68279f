package kmsg

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// pipeline reads one log. Workers search its chunks and read the regions they
// find; whoever has the chunk whose turn it is puts what they tell in order.
// Where a region crosses from one chunk into the next it is gone on with then,
// and what the worker of the next chunk made of its middle is dropped.
type pipeline struct {
	src    source
	name   string
	opt    *ScanOptions
	render func([]byte, *Event) []byte
	yield  func(*region) error
	seen   *seenKills // kills told so far, in all files
	stats  ScanStats

	find   *finder
	search bool // search small logs too, as only large ones are
	whole  bool
	outer  around // of a log that is one list, all of it what a container wrote

	mu       sync.Mutex
	wake     sync.Cond // a buffer came back, or the work is over
	free     [][]byte  // buffers, the one used last on top: it is still in a cache
	index    int       // of the next chunk to be read
	ended    bool      // there are no more chunks
	err      error
	pending  map[int]result // chunks that wait for their turn
	next     int            // whose turn it is
	merging  bool
	scanners []*regionScanner // to be used again

	// These belong to whoever is merging.
	merged *regionScanner // reads what crosses chunks
	tail   []byte         // the end of the chunk before, for records that begin in it
	past   *regionScanner // read what crossed before, to be used again
	held   [][]byte       // memory of chunks that the open region crosses
	done   int64
	cut    bool // the log could not be read to its end; what came before it is told
}

// result is a chunk and what its worker made of it.
type result struct {
	chunk   chunk
	scanner *regionScanner
}

// buffersPerWorker bounds the memory: chunks in work, waiting and held.
const buffersPerWorker = 4

func (p *pipeline) run(ctx context.Context) error {
	p.wake.L = &p.mu
	p.find = newFinder(&anchors, bestForm())
	p.pending = make(map[int]result)
	p.whole = !p.search && p.src.chunks() >= 0 && p.src.size() <= wholeUpTo
	p.outer = outerOf(p.src.samples(), p.opt)
	p.merged = p.scanner()
	workers := max(1, min(runtime.GOMAXPROCS(0), 8))
	if n := p.src.chunks(); n >= 0 {
		workers = max(1, min(workers, n))
	}
	p.free = make([][]byte, workers*buffersPerWorker)
	stop := context.AfterFunc(ctx, func() { p.fail(ctx.Err()) })
	defer stop()
	var group sync.WaitGroup
	for range workers {
		group.Go(p.work)
	}
	group.Wait()
	if p.err != nil && !p.cut {
		return p.err
	}
	if p.merged.cur != nil {
		p.merged.close(p.done)
	}
	if err := p.tellMerged(); err != nil {
		return err
	}
	return p.err
}

func (p *pipeline) scanner() *regionScanner {
	s := newRegionScanner(p.find, p.opt, p.whole, p.render)
	if !p.whole {
		s.feed.outer = p.outer
	}
	return s
}

// spareScanner is a scanner whose chunk has been dealt with, or a new one.
func (p *pipeline) spareScanner() *regionScanner {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.scanners)
	if n == 0 {
		return p.scanner()
	}
	s := p.scanners[n-1]
	p.scanners = p.scanners[:n-1]
	s.reuse()
	return s
}

// fail ends the work with the first error.
func (p *pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.ended = true
	p.wake.Broadcast()
}

// claim takes the next chunk's number and a buffer for it. What can only be
// read in order is read here.
func (p *pipeline) claim(c *chunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.free) == 0 && !p.ended {
		p.wake.Wait()
	}
	n := p.src.chunks()
	if p.ended || n >= 0 && p.index >= n {
		return false
	}
	*c = chunk{index: p.index, mem: p.free[len(p.free)-1]}
	p.free = p.free[:len(p.free)-1]
	if n < 0 && !p.src.read(c) {
		p.ended = true
		p.wake.Broadcast()
		return false
	}
	p.index++
	return true
}

// work reads the regions of chunks until there are none left.
func (p *pipeline) work() {
	for {
		var c chunk
		if !p.claim(&c) {
			return
		}
		if p.src.chunks() >= 0 {
			p.src.read(&c)
		}
		s := p.spareScanner()
		s.fed = c.base
		s.scan(c.buf, c.base, 0, 0)
		if err := p.merge(result{c, s}); err != nil {
			p.fail(err)
			return
		}
	}
}

// merge puts a result in line, and takes those whose turn it is unless another
// worker is at it.
func (p *pipeline) merge(r result) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending[r.chunk.index] = r
	if p.merging {
		return nil
	}
	p.merging = true
	for p.err == nil {
		r, ok := p.pending[p.next]
		if !ok {
			break
		}
		delete(p.pending, p.next)
		p.next++
		p.mu.Unlock()
		err := p.take(&r)
		p.mu.Lock()
		if err != nil {
			return err
		}
		p.giveBack(r.chunk.base)
		if r.scanner != p.merged {
			p.scanners = append(p.scanners, r.scanner)
		} else if p.past != nil {
			p.scanners = append(p.scanners, p.past)
			p.past = nil
		}
	}
	p.merging = false
	return nil
}

// giveBack returns the memory of the chunks that nothing looks at any more. base
// is where the last one began.
func (p *pipeline) giveBack(base int64) {
	switch last := len(p.held) - 1; {
	case p.merged.cur == nil:
		p.free = append(p.free, p.held...)
	case p.merged.cur.start >= base && last > 0:
		p.free = append(p.free, p.held[:last]...)
		p.held[0] = p.held[last]
		p.held = p.held[:1]
		p.wake.Broadcast()
		return
	case len(p.held) >= buffersPerWorker/2:
		// What a long region holds must not stop the reading: it keeps this memory.
		p.free = append(p.free, make([][]byte, len(p.held))...)
	default:
		return
	}
	p.held = p.held[:0]
	p.wake.Broadcast()
}

// take puts the regions of the next chunk in their place.
func (p *pipeline) take(r *result) error {
	c, s := &r.chunk, r.scanner
	p.stats.Bytes = max(p.stats.Bytes, c.base+int64(len(c.buf)))
	at := c.base
	m := p.merged
	if m.cur != nil {
		m.scan(c.buf, c.base, 0, c.base)
		at = m.position(c)
	} else if len(p.tail) > 0 && (len(s.regions) > 0 && s.regions[0].clipped || len(s.regions) == 0 && s.cur != nil && s.cur.clipped) {
		// The first record may have begun in the chunk before.
		first := s.cur
		if len(s.regions) > 0 {
			first = s.regions[0]
		}
		b := append(bytes.Clone(p.tail), c.buf...)
		base := c.base - int64(len(p.tail))
		m.fed = base
		until := first.end
		if first == s.cur {
			until = c.base + int64(len(c.buf))
		}
		m.scan(b, base, len(p.tail)-1, until)
		at = m.position(c)
	}
	for i := 0; i <= len(s.regions) && m.cur == nil; i++ {
		g := s.cur
		if i < len(s.regions) {
			g = s.regions[i]
		}
		if g == nil {
			break
		}
		switch {
		case g.start >= at:
			if err := p.tellMerged(); err != nil {
				return err
			}
			if g == s.cur { // still open at the chunk's end: go on with it
				s.recycleAll()
				p.past, p.merged = p.merged, s
				m = s
			} else if err := p.tell(g); err != nil {
				return err
			}
		case g == s.cur || g.end > at:
			// Begun in the middle of a region that ended before it: read on from there.
			m.fed = max(m.fed, at)
			until := c.base + int64(len(c.buf))
			if g != s.cur {
				until = g.end
			}
			m.scan(c.buf, c.base, int(at-c.base), until)
			at = m.position(c)
		}
	}
	if err := p.tellMerged(); err != nil {
		return err
	}
	if g := p.merged.cur; g != nil && len(g.told) > 0 {
		// What a region without end has told so far is not kept back.
		part := region{events: g.events, out: g.out, told: g.told}
		if err := p.tell(&part); err != nil {
			return err
		}
		g.events, g.out, g.told = nil, part.out[:0], part.told[:0]
	}
	p.done = c.base + int64(len(c.buf))
	if p.opt.Progress != nil {
		p.opt.Progress(p.done, p.src.size())
	}
	p.tail = append(p.tail[:0], lastLines(c.buf)...)
	p.held = append(p.held, c.mem)
	if c.err != nil {
		p.cut = true
		return fmt.Errorf("read log %q: %w", p.name, c.err)
	}
	return nil
}

// position is how far the merger has read: the end of the chunk while a region is open.
func (s *regionScanner) position(c *chunk) int64 {
	if s.cur != nil || len(s.regions) == 0 {
		return c.base + int64(len(c.buf))
	}
	return s.regions[len(s.regions)-1].end
}

// lastLines returns the end of b, from a line's begin on.
func lastLines(b []byte) []byte {
	if len(b) <= lookBack {
		return b
	}
	t := b[len(b)-lookBack:]
	if nl := bytes.IndexByte(t, '\n'); nl >= 0 {
		return t[nl+1:]
	}
	return nil
}

// tellMerged tells the regions that the merger has finished.
func (p *pipeline) tellMerged() error {
	for _, g := range p.merged.regions {
		if err := p.tell(g); err != nil {
			return err
		}
	}
	p.merged.recycleAll()
	return nil
}

// tell hands one region on, without the kills that were told before.
func (p *pipeline) tell(g *region) error {
	p.seen.filter(g)
	p.stats.add(&g.stats)
	return p.yield(g)
}

// seenKills remembers kills across regions and files, so that one that a log
// holds twice is told once.
type seenKills struct {
	ring [512]recentKill
	next int
}

// filter takes out of g the episodes whose kills have all been told.
func (s *seenKills) filter(g *region) {
	kept, wrote, start := 0, 0, 0
	for i := range g.told {
		t := g.told[i]
		if s.allSeen(t.kills) {
			g.stats.Episodes--
			g.stats.Kills -= int64(len(t.kills))
		} else {
			s.add(t.kills)
			if wrote == start {
				wrote = t.end // nothing was taken out yet
			} else {
				wrote += copy(g.out[wrote:], g.out[start:t.end])
			}
			if g.events != nil {
				g.events[kept] = g.events[i]
			}
			kept++
		}
		start = t.end
	}
	g.out = g.out[:wrote]
	if g.events != nil {
		g.events = g.events[:kept]
	}
}

func (s *seenKills) allSeen(kills []recentKill) bool {
	for i := range kills {
		if !s.has(&kills[i]) {
			return false
		}
	}
	return len(kills) > 0
}

// has tells whether a kill was told: the same pid at the same microsecond, or
// a reaper's line for a process killed a short while before.
func (s *seenKills) has(k *recentKill) bool {
	if k.pid == 0 || !k.stamped && !k.reaper {
		return false
	}
	for i := range s.ring {
		q := &s.ring[i]
		if q.pid != k.pid {
			continue
		}
		if k.reaper && (!k.stamped || !q.stamped || k.uptime-q.uptime < 5*time.Minute && k.uptime >= q.uptime) {
			return true
		}
		if k.stamped && q.stamped && q.uptime == k.uptime && k.uptime%time.Second != 0 {
			return true
		}
	}
	return false
}

func (s *seenKills) add(kills []recentKill) {
	for i := range kills {
		s.ring[s.next] = kills[i]
		s.next = (s.next + 1) % len(s.ring)
	}
}
